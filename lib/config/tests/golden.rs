//! Every configuration of the golden data is good, and those that are about today's features are served whole.

use config::{Config, Program};
use std::path::PathBuf;

fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testkit/golden")
}

fn good(path: PathBuf) -> Config {
    let text = std::fs::read_to_string(&path).expect("golden data is in the repository");
    config::parse(&text).unwrap_or_else(|mistakes| panic!("{}", mistakes.report(&path.display().to_string())))
}

fn named(name: &str) -> Config {
    good(golden().join(format!("configs/{name}.yaml")))
}

fn refused(config: &Config, program: Program) -> Vec<&str> {
    let concerned = config.not_served.iter().filter(|(_, programs)| programs.contains(&program));
    concerned.map(|(mistake, _)| mistake.key.as_str()).collect()
}

#[test]
fn every_golden_configuration_is_good() {
    let mut count = 0;
    for entry in std::fs::read_dir(golden().join("configs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            good(path);
            count += 1;
        }
    }
    assert!(count > 20, "only {count} found");
    good(golden().join("dns-config.yaml"));
}

#[test]
fn configurations_of_todays_features_are_served() {
    for name in [
        "autoconf",
        "basic",
        "domains",
        "example",
        "extras",
        "hosts",
        "ipv6only",
        "no-rules",
        "overlap",
        "patterns",
        "policy",
        "pool-nak",
        "pool-one",
        "pool-range",
        "pools",
        "range-nbp",
        "relay",
        "widemask",
    ] {
        assert_eq!(refused(&named(name), Program::Dhcpd), [""; 0], "{name}");
        assert_eq!(named(name).not_served, [], "{name}");
    }
    for name in ["tftp", "tftp-single-port"] {
        assert_eq!(named(name).not_served, [], "{name}");
    }
    assert_eq!(good(golden().join("dns-config.yaml")).not_served, []);
}

#[test]
fn configurations_of_later_features_say_what_is_not_served() {
    for (name, keys) in [
        ("v6", &["boot.tftp_server6", "boot.script_url6", "boot.http_url6", "dhcpd.v6"]),
        ("v6-no-rapid-commit", &["boot.tftp_server6", "boot.script_url6", "boot.http_url6", "dhcpd.v6"]),
    ] {
        let config = named(name);
        assert_eq!(refused(&config, Program::Dhcpd), keys, "{name}");
        assert_eq!(refused(&config, Program::SmdCache), [""; 0], "{name}");
        assert_eq!(refused(&config, Program::Tftpd), [""; 0], "{name}");
    }
}
