//! Options and the hosts file, as clients of other hands understand them.

use crate::{
    clients::{Client, dhclient_asking, dhcrelay, power_on, udhcpc},
    scene::{self, NEWCOMER, NODE1, NODE2, NODE3},
};
use nix::sys::signal::Signal;
use std::{fs, time::Duration};
use testkit::cluster::{Cluster, Settings, need_tools, within};

/// Ten seconds are two looks at the file.
const REREAD: Duration = Duration::from_secs(15);
/// What Debian's udhcpc was built to know of what is listed here.
const UDHCPC: [&str; 10] = ["-O", "mtu", "-O", "search", "-O", "staticroutes", "-O", "ntpsrv", "-O", "wpad"];

#[track_caller]
fn check(client: &Client, reason: &str, wanted: &[(&str, &str)]) {
    let told = client.told(reason, 1);
    for (key, value) in wanted {
        let is = told.get(*key).map_or("", String::as_str);
        assert_eq!(is, *value, "{key} in {told:#?}");
    }
}

#[test]
fn clients_understand_what_is_listed_for_all_for_their_subnet_and_for_themselves() {
    need_tools(&["dhclient", "udhcpc", "dhcrelay"]);
    let settings = Settings::default()
        .dhcp4("mtu", "1400")
        .dhcp4("search_domains", "[openchami.cluster, mgmt.openchami.cluster]")
        .dhcp4("static_routes", "[{to: 10.99.0.0/16, via: 172.16.0.253}, {to: 0.0.0.0/0, via: 172.16.0.254}]")
        .dhcp4("ntp_servers", "[172.16.0.253, 172.16.0.252]")
        .dhcp4("log_servers", "[172.16.0.251]")
        .dhcp4("time_servers", "[172.16.0.250]")
        .dhcp4("options", "{2: -3600, 28: 172.16.0.255, 252: 'http://172.16.0.253/wpad.dat'}")
        .dhcp4(
            "subnets",
            "[{cidr: 10.40.1.0/24, router: [10.40.1.1], mtu: 1300, ntp_servers: [], options: {28: 10.40.1.255}}]",
        )
        .more(
            "rules:\n  - {match: {id: x1000c0s0b0n1}, continue: true, mtu: 1350, lease_time: 30m, options: {252: unset}}\n  \
             - type:Node,hostname:nid{04d}\n",
        );
    let cluster = Cluster::start_with(scene::inventory(), &settings);
    let wire = &cluster.wire;
    power_on(&wire.node1, NODE1.mac);
    power_on(&wire.node2, NODE2.mac);
    power_on(&wire.node3, NODE3.mac);
    let further = ", interface-mtu, domain-search, ntp-servers, log-servers, time-servers, rfc3442-routes";
    let one = dhclient_asking(&wire.node1, &cluster.folder().join("n1"), further);
    check(
        &one,
        "BOUND",
        &[
            ("new_ip_address", NODE1.address),
            ("new_interface_mtu", "1400"),
            ("new_domain_search", "openchami.cluster. mgmt.openchami.cluster."),
            ("new_rfc3442_routes", "16 10 99 172 16 0 253 0 172 16 0 254"),
            ("new_routers", "172.16.0.254"),
            ("new_ntp_servers", "172.16.0.253 172.16.0.252"),
            ("new_log_servers", "172.16.0.251"),
            ("new_time_servers", "172.16.0.250"),
            ("new_time_offset", "-3600"),
            ("new_broadcast_address", "172.16.0.255"),
            ("new_dhcp_lease_time", "3600"),
        ],
    );
    let two = udhcpc(&wire.node2, &cluster.folder().join("n2"), &UDHCPC);
    check(
        &two,
        "bound",
        &[
            ("ip", NODE2.address),
            ("hostname", NODE2.fqdn),
            ("mtu", "1350"),
            ("lease", "1800"),
            ("search", "openchami.cluster mgmt.openchami.cluster"),
            ("staticroutes", "10.99.0.0/16 172.16.0.253 0.0.0.0/0 172.16.0.254"),
            ("ntpsrv", "172.16.0.253 172.16.0.252"),
            ("broadcast", "172.16.0.255"),
            ("wpad", ""),
        ],
    );
    let _relay = dhcrelay(&wire.relay, cluster.folder(), "172.16.0.253");
    let three = udhcpc(&wire.node3, &cluster.folder().join("n3"), &UDHCPC);
    check(
        &three,
        "bound",
        &[
            ("ip", NODE3.address),
            ("mtu", "1300"),
            ("lease", "3600"),
            ("ntpsrv", ""),
            ("broadcast", "10.40.1.255"),
            ("wpad", "http://172.16.0.253/wpad.dat"),
        ],
    );
}

#[test]
fn a_machine_of_the_hosts_file_is_served_and_follows_the_file() {
    need_tools(&["udhcpc"]);
    let mut cluster = Cluster::bare();
    cluster.configure(&Settings::default().dhcp4("hosts_file", "VAR/hosts.txt"));
    let file = cluster.var().join("hosts.txt");
    fs::write(&file, format!("# beside SMD\n{} 172.16.0.61\n", NEWCOMER.mac)).unwrap();
    // SMD has never been there, so nobody can tell what it has.
    for program in ["smd-cache", "dhcpd"] {
        cluster.start_program(program);
    }
    within(REREAD, "the file is read", || {
        cluster.metric("dhcpd", "dhcpd_hosts").filter(|hosts| *hosts == 1.0)
    });
    power_on(&cluster.wire.node1, NEWCOMER.mac);
    let client = udhcpc(&cluster.wire.node1, &cluster.folder().join("n1"), &["-t", "30"]);
    check(&client, "bound", &[("ip", "172.16.0.61"), ("router", "172.16.0.254"), ("lease", "3600")]);

    fs::write(&file, format!("{} 172.16.0.62\n{} 172.16.0.63\n", NEWCOMER.mac, NEWCOMER.mac)).unwrap();
    within(REREAD, "the second line is reported", || {
        cluster.metric("dhcpd", "dhcpd_hosts_problems").filter(|problems| *problems == 1.0)
    });
    client.process.signal(Signal::SIGUSR1);
    client.told("nak", 1);
    assert_eq!(client.told("bound", 2)["ip"], "172.16.0.62");
    let (_, ready) = cluster.admin("dhcpd", "/ready").unwrap();
    assert!(ready.contains("hosts.txt: line 2: 02:77:00:00:00:04 has 172.16.0.62 already"), "{ready}");
    let (code, said) = cluster.ask("dhcpd", &["explain", NEWCOMER.mac]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("The hosts file (`dhcpd.v4.hosts_file`) has 172.16.0.62 for it"), "{said}");

    fs::remove_file(&file).unwrap();
    within(REREAD, "that it vanished is reported", || {
        let (_, ready) = cluster.admin("dhcpd", "/ready")?;
        ready.contains("what was read before stays in force").then_some(())
    });
    client.process.signal(Signal::SIGUSR1);
    assert_eq!(client.told("renew", 1)["ip"], "172.16.0.62");
}
