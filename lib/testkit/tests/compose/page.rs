//! The compose page, deploy/README.md: each line of it is typed, in its order, and prints what the page leads one to expect.

use crate::stack::{Site, Stack, gets_its_address, repository};
use std::{fs, time::Instant};

/// A part of each line, and of what it prints. A line of the page that is not here fails the test, and so does one of these that
/// is not on the page.
const LINES: &[(&str, &str)] = &[
    // It runs
    ("docker compose up -d --wait", "Healthy"),
    ("docker compose run --rm node", "172.16.0.10"),
    ("docker compose ps", "(healthy)"),
    // Ask it
    ("grpcurl -plaintext 127.0.0.1:27780 list", "smdcache.v1.SmdCache"),
    ("LookupMac", "OUTCOME_FOUND"),
    ("+short nid0001.openchami.cluster", "172.16.0.10"),
    ("+short -x 172.16.0.10", "nid0001.openchami.cluster."),
    ("tftp://172.16.0.253/undionly.kpxe", "108847 bytes"),
    ("27783/ready", "ready"),
    ("smd-cache explain nid0001", "172.16.0.10"),
    ("dhcpd explain 02:10:00:00:00:00", "an OFFER of 172.16.0.10"),
    ("dnsd explain nid0001", "172.16.0.10"),
    // Add a machine
    ("run --rm node 02:de:00:00:00:01", "SMD does not have it"),
    ("dhcpd unknown", "02:de:00:00:00:01"),
    ("/control/node", ""),
    ("smd-cache refresh", "generation"),
    ("run --rm node 02:de:00:00:00:01", "nid0900.openchami.cluster"),
    // Scale
    ("--scale dnsd=3 --scale tftpd=2", "Healthy"),
    ("for i in $(seq 30)", "30 172.16.0.10"),
    ("/targets", "127.0.0.1:27783"),
    ("exec --index 3 dnsd", "ready"),
    ("docker compose up -d --wait", "Healthy"),
    // Dashboards
    ("--profile observability up -d --wait", "Healthy"),
    ("sleep 15", ""),
    ("query?query=daemon_ready", "net:27783"),
    ("api/v1/alerts", "success"),
    ("rm -sf grafana prometheus", "Removed"),
    // Stop and restart anything
    ("restart smd-cache", "Started"),
    ("stop smd-sim", "Stopped"),
    ("run --rm node", "nid0001.openchami.cluster"),
    ("restart dhcpd dnsd tftpd smd-cache", "Started"),
    ("run --rm node", "nid0001.openchami.cluster"),
    ("start smd-sim", "Started"),
    ("kill -s HUP dnsd", "Killed"),
    // The real SMD
    ("docker compose down -v", "Removed"),
    ("--profile openchami up -d --wait", "Healthy"),
    ("/State/Components", ""),
    ("/Inventory/EthernetInterfaces", ""),
    ("smd-cache explain 02:de:00:00:00:01", "172.16.0.150"),
    ("run --rm node 02:de:00:00:00:01", "nid0900.openchami.cluster"),
    ("--profile openchami down -v", "Removed"),
    // Your own machines
    ("cp -r deploy/config site", ""),
    ("site/coresmd.yaml", ""),
    (".env", ""),
    ("smd-cache --check", "good"),
    ("docker compose up -d --wait", "Healthy"),
    ("dhcpd explain 02:10:00:00:00:00", "an OFFER of 172.16.0.10"),
    ("--scale dnsd=2", "Healthy"),
    ("docker compose down", "Removed"),
    // Podman
    ("podman load", "coresmd"),
    ("--name smd-cache", ""),
    ("--name dhcpd", ""),
    ("--name dnsd", ""),
    ("--name tftpd", ""),
    ("podman exec dnsd", "172.16.0.10"),
    ("podman stop", "smd-cache"),
    ("podman rm", "smd-cache"),
    // Stop it
    ("docker compose down", ""),
];

/// After these, machines on the host's own network are served.
const SERVES_THE_WIRE: [(&str, &str); 2] = [
    ("Your own machines", "docker compose up -d --wait"),
    ("Podman", "podman exec dnsd dnsd explain nid0001"),
];

/// What stands for SMD's own image and PostgreSQL's where they cannot be had, as lib/testkit/peers/images builds them.
const PRETENDED: [(&str, &str); 2] =
    [("pretend-postgres", "postgres:17"), ("pretend-smd", "ghcr.io/openchami/smd:v2.20.3")];

#[test]
fn each_line_of_the_page_does_what_it_says() {
    let page = fs::read_to_string(repository().join("deploy/README.md")).unwrap();
    let lines = shell_lines(&page);
    for (number, (section, line)) in lines.iter().enumerate() {
        let Some((part, _)) = LINES.get(number) else { panic!("not in the test's table: {section}: {line}") };
        assert!(line.contains(part), "{section}: {line:?} stands where the test has {part:?}");
    }
    assert_eq!(lines.len(), LINES.len(), "the table has lines that are not on the page");

    let stack = Stack::new();
    stack.load_what_draws();
    for (name, as_what) in PRETENDED {
        stack.load_as(name, as_what);
    }
    let mut site = None;
    let mut on_the_hosts_network = 0;
    for ((section, line), (_, printed)) in lines.iter().zip(LINES) {
        if section == "Your own machines" && site.is_none() {
            site = Some(Site::new(&stack));
        }
        let began = Instant::now();
        let said = stack.line(line);
        println!("{:6.1} s  {section}: {line}", began.elapsed().as_secs_f64());
        assert!(said.contains(printed), "$ {line}\nprints no {printed:?}:\n{said}");
        if let Some(site) = &site
            && SERVES_THE_WIRE.contains(&(section.as_str(), line.as_str()))
        {
            gets_its_address(&site.machine);
            on_the_hosts_network += 1;
        }
    }
    assert_eq!(
        on_the_hosts_network,
        SERVES_THE_WIRE.len(),
        "no machine had an address from the host's network"
    );
}

/// Its section and itself, for each line of the page's `sh` blocks, without the comment behind it.
fn shell_lines(page: &str) -> Vec<(String, String)> {
    let (mut section, mut inside, mut lines) = (String::new(), false, Vec::new());
    for line in page.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            line if inside => {
                let command = line.split(" # ").next().unwrap_or(line).trim();
                lines.push((section.clone(), command.to_owned()));
            }
            line => section = line.strip_prefix("## ").map_or(section, str::to_owned),
        }
    }
    lines.retain(|(_, line)| !line.is_empty());
    lines
}
