//! What each container may do, and how it is started again.

use crate::{compose, profile, read, services};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

const PROGRAMS: [&str; 4] = ["smd-cache", "dhcpd", "dnsd", "tftpd"];
/// They run as long as they are told to, and nobody asks after them: `net` sleeps, smd-sim and node are for trying out.
const WITHOUT_HEALTH: [&str; 4] = ["net", "smd-sim", "node", "smd-init"];
/// They end by themselves.
const ONCE: [&str; 2] = ["node", "smd-init"];
/// Starts as root, and becomes another user.
const TAKES_OVER_ITS_VOLUME: &str = "postgres";
/// The longest a program goes on after SIGTERM (lib/daemon).
const DRAINING: Duration = Duration::from_secs(8);

/// Everything that there is.
fn all() -> Value {
    compose(&profile("*"), &[])
}

#[test]
fn nobody_has_more_rights_than_it_needs() {
    for (name, service) in services(&all()) {
        assert!(service["logging"]["options"]["max-size"].is_string(), "{name}'s log has no bound");
        if name != TAKES_OVER_ITS_VOLUME {
            assert_eq!(service["read_only"], true, "{name} may write to its root file system");
            assert_eq!(service["cap_drop"], json!(["ALL"]), "{name}");
        }
        assert_ne!(service["privileged"], true, "{name}");
        let restart = service["restart"].as_str().unwrap();
        assert_eq!(restart == "no", ONCE.contains(&name), "{name}: restart: {restart}");
        let healthy = service["healthcheck"]["test"].is_array();
        assert_eq!(healthy, !WITHOUT_HEALTH.contains(&name), "{name}: health check");
    }
}

/// A capability that only one of the two has is of no use, or keeps the program from starting.
#[test]
fn capabilities_of_containers_are_those_of_their_files() {
    let dockerfile = read("deploy/Dockerfile");
    let given = |program: &str| -> BTreeSet<String> {
        let line = dockerfile.lines().find(|line| {
            let words = line.trim().trim_end_matches([';', '\\', ' ']);
            words.starts_with("setcap ") && words.ends_with(&format!("/usr/bin/{program}"))
        });
        let names =
            line.and_then(|line| line.split_whitespace().nth(1)?.split_once('=')).map(|(names, _)| names);
        names.into_iter().flat_map(|names| names.split(',')).map(|name| name[4..].to_uppercase()).collect()
    };
    let all = all();
    for program in PROGRAMS.into_iter().chain(["node"]) {
        let added = all["services"][program]["cap_add"].as_array().cloned().unwrap_or_default();
        let added: BTreeSet<String> = added.iter().map(|name| name.as_str().unwrap().to_owned()).collect();
        assert_eq!(added, given(program), "{program}");
    }
    assert!(given("dhcpd").len() == 2, "the Dockerfile was not understood");
}

#[test]
fn programs_say_themselves_whether_they_are_well_and_are_left_time_to_end() {
    let all = all();
    for program in PROGRAMS {
        let service = &all["services"][program];
        assert_eq!(service["healthcheck"]["test"], json!(["CMD", program, "--health"]));
        let grace = service["stop_grace_period"].as_str().unwrap().trim_end_matches('s').parse().unwrap();
        assert!(Duration::from_secs(grace) > DRAINING, "{program} is killed while it drains");
        assert_eq!(service["stop_signal"], "SIGTERM", "{program}: HUP would count as a stop");
        assert!(
            service["security_opt"].is_null(),
            "{program}: no-new-privileges takes its capabilities away"
        );
    }
}

#[test]
fn images_are_labelled_with_the_version_they_are() {
    let label = r#"org.opencontainers.image.version=""#;
    let dockerfile = read("deploy/Dockerfile");
    let (_, version) = dockerfile.split_once(label).unwrap();
    assert_eq!(version.split('"').next(), Some(env!("CARGO_PKG_VERSION")), "all are released together");
}

/// Whatever is away: what is left starts, if later.
#[test]
fn a_program_waits_for_nobody_for_ever() {
    let all = all();
    for program in PROGRAMS {
        for (other, waits) in all["services"][program]["depends_on"].as_object().unwrap() {
            match other.as_str() {
                "net" => assert_eq!(waits["condition"], "service_started"),
                "smd-cache" => assert_eq!(waits["required"], false, "{program}"),
                _ => panic!("{program} waits for {other}"),
            }
        }
    }
    assert_eq!(all["services"]["smd-cache"]["depends_on"].as_object().unwrap().len(), 1);
}

#[test]
fn only_this_host_reaches_what_is_published_unless_told() {
    let addresses = |compose: &Value| -> BTreeSet<String> {
        let services = services(compose);
        let ports = services.values().filter_map(|service| service["ports"].as_array()).flatten();
        ports.map(|port| port["host_ip"].as_str().unwrap_or("every address").to_owned()).collect()
    };
    assert_eq!(addresses(&all()), ["127.0.0.1".to_owned()].into());
    let told = compose(&profile("*"), &[("CORESMD_PUBLISH", "192.0.2.1")]);
    assert_eq!(addresses(&told), ["192.0.2.1".to_owned()].into());
}

#[test]
fn only_net_is_on_networks_and_the_programs_share_it() {
    let all = all();
    for program in PROGRAMS {
        assert_eq!(all["services"][program]["network_mode"], "service:net");
    }
    let joined: Vec<&str> = services(&all)
        .into_iter()
        .filter(|(_, service)| service["networks"].get("cluster").is_some())
        .map(|(name, _)| name)
        .collect();
    assert_eq!(joined, ["net", "node"], "on the machines' network");
}
