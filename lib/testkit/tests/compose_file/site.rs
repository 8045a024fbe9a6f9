//! What a site changes: .env, and the folder with the configuration.

use crate::{ON_HOST, compose, profile, read, root, services};
use std::{collections::BTreeMap, net::Ipv4Addr, path::Path};

/// Where a build says what it was built from; `make images` sets them.
const OF_A_BUILD: [&str; 2] = ["CORESMD_COMMIT", "SOURCE_DATE_EPOCH"];
/// Docker compose's own.
const ITS_OWN: [&str; 2] = ["COMPOSE_PROFILES", "COMPOSE_FILE"];

/// What .env sets or, behind a `#`, shows; each once, but for those shown with another value.
fn shown() -> BTreeMap<String, Vec<String>> {
    let mut shown = BTreeMap::<String, Vec<String>>::new();
    for line in read(".env").lines() {
        let Some((name, value)) = line.trim_start_matches('#').split_once('=') else { continue };
        if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') {
            shown.entry(name.to_owned()).or_default().push(value.to_owned());
        }
    }
    shown
}

/// `${NAME:-DEFAULT}` of a file.
fn read_by(file: &str) -> BTreeMap<String, String> {
    let text = read(file);
    let variables = text.split("${").skip(1).filter_map(|rest| rest.split_once('}'));
    let variables = variables.map(|(inside, _)| {
        let (name, default) =
            inside.split_once(":-").unwrap_or_else(|| panic!("{file}: {inside} has no default"));
        (name.to_owned(), default.to_owned())
    });
    variables.collect()
}

#[test]
fn env_shows_every_variable_with_its_default() {
    let mut read_by = read_by("compose.yaml");
    OF_A_BUILD.iter().for_each(|name| assert!(read_by.remove(*name).is_some(), "{name}"));
    let mut shown = shown();
    ITS_OWN.iter().for_each(|name| assert!(shown.remove(*name).is_some(), "{name}"));
    let shown: BTreeMap<String, String> =
        shown.into_iter().map(|(name, values)| (name, values.join(" and "))).collect();
    assert_eq!(shown, read_by);
}

#[test]
fn the_configuration_is_good_and_has_the_addresses_and_ports_of_compose_yaml() {
    let config = config::parse(&read("deploy/config/coresmd.yaml"))
        .unwrap_or_else(|mistakes| panic!("{}", mistakes.report("deploy/config/coresmd.yaml")));
    let all = compose(&profile("sim"), &[]);
    let net = &all["services"]["net"];
    let address: Ipv4Addr = net["networks"]["cluster"]["ipv4_address"].as_str().unwrap().parse().unwrap();
    assert_eq!(config.dhcpd.v4.as_ref().and_then(|v4| v4.server_id), Some(address));
    let mut published: Vec<u16> =
        net["ports"].as_array().unwrap().iter().map(|port| port["target"].as_u64().unwrap() as u16).collect();
    published.dedup();
    let promised = config.tcp_ports();
    let missing: Vec<_> = promised.iter().filter(|port| !published.contains(port)).collect();
    assert!(missing.is_empty(), "ports {missing:?} of the programs are not published: {published:?}");
}

#[test]
fn a_site_is_told_what_to_change() {
    let config = read("deploy/config/coresmd.yaml");
    for key in [
        "domain:",
        "tftp_server:",
        "script_url:",
        "smd:",
        "listen:",
        "server_id:",
        "router:",
        "netmask:",
        "dns:",
        "unknown:",
        "forward:",
    ] {
        let line = config.lines().find(|line| line.trim_start().starts_with(key) && line.contains("SITE"));
        assert!(line.is_some() || key == "listen:", "{key} is not marked");
    }
}

#[test]
fn on_a_hosts_network_no_network_of_dockers_is_left() {
    let host = compose(&ON_HOST, &[]);
    assert!(host["networks"].get("cluster").is_none());
    for (name, service) in services(&host) {
        assert_eq!(service["network_mode"], "host", "{name}");
        assert!(service["ports"].is_null() && service["networks"].is_null(), "{name}");
    }
    assert_eq!(
        services(&host).into_keys().collect::<Vec<_>>(),
        ["dhcpd", "dnsd", "grafana", "prometheus", "smd-cache", "tftpd"]
    );
}

#[test]
fn pages_lead_to_what_there_is() {
    for page in [
        "README.md",
        "deploy/README.md",
        "docs/replicas.md",
        "docs/security.md",
        "docs/ci.md",
        "CHANGELOG.md",
    ] {
        let folder = root().join(Path::new(page).parent().unwrap());
        for target in read(page)
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')'))
            .map(|(target, _)| target.to_owned())
        {
            let file = target.split('#').next().unwrap();
            assert!(
                target.contains("://") || folder.join(file).exists(),
                "{page} leads to {target}, which is not there"
            );
        }
    }
}

#[test]
fn prometheus_goes_where_the_programs_are() {
    let prometheus = read("deploy/prometheus/prometheus.yml");
    let config = config::parse(&read("deploy/config/coresmd.yaml")).unwrap();
    let place = format!("net:{}", config.smd_cache.admin.port());
    assert!(prometheus.matches(&place).count() == 2, "{place} is asked and asked for the others");
}
