//! What programs resolve names with: the resolvers of glibc, musl and Go, on a node that has dnsd in its resolv.conf.

use crate::scene::{self, NODE1, NODE2};
use std::{fs, path::PathBuf, process::Command, time::Duration};
use testkit::{
    cluster::{Cluster, SERVER, finish, need_tools, tool},
    smd::{Component, EthernetInterface},
};

const ANSWER: Duration = Duration::from_secs(20);
const COMPILED: Duration = Duration::from_secs(60);
/// Of both families.
const BOTH: &str = "nid0007.openchami.cluster";
/// Only has an IPv6 address.
const SIX: &str = "nid0008.openchami.cluster";

/// dnsd, and a node that asks it.
fn served() -> Cluster {
    let mut inventory = scene::inventory();
    for (number, addresses) in [(7, &["172.16.0.17", "fd00:16::7"][..]), (8, &["fd00:16::8"])] {
        let (mac, id) = (format!("02:77:00:00:00:{number:02x}"), format!("x1000c0s7b0n{number}"));
        inventory.interfaces.push(EthernetInterface::new(&mac, &id, addresses));
        inventory.components.push(Component::new(&id, number));
    }
    let mut cluster = Cluster::bare();
    cluster.start_smd(inventory);
    for name in ["smd-cache", "dnsd"] {
        cluster.start_program(name);
        cluster.wait_ready(name);
    }
    let node = &cluster.wire.node1;
    node.ip("addr add 172.16.0.11/24 dev eth0");
    // Resolvers leave out the families that the machine itself has no address of.
    node.ip("addr add fd00:16::11/64 dev eth0 nodad");
    let resolv = format!("nameserver {SERVER}\nsearch openchami.cluster\noptions timeout:2 attempts:2\n");
    fs::write(cluster.folder().join("resolv.conf"), resolv).unwrap();
    fs::write(cluster.folder().join("nsswitch.conf"), "hosts: dns\n").unwrap();
    cluster
}

/// Runs a program on the node with its own resolv.conf (`ip netns exec` gives it mounts of its own); whether it went well, and its words.
fn on_node(cluster: &Cluster, program: &str, arguments: &[&str]) -> (bool, String) {
    let mount = "mount --bind $0/resolv.conf /etc/resolv.conf && mount --bind $0/nsswitch.conf /etc/nsswitch.conf && exec \"$@\"";
    let mut command = cluster.wire.node1.command("sh");
    command.args(["-c", mount]).arg(cluster.folder()).arg(program).args(arguments);
    let (status, said) = finish(&mut command, ANSWER);
    (status.success(), said)
}

/// tests/judges/resolve.c, made with this compiler.
fn compiled(cluster: &Cluster, compiler: &str, flags: &[&str]) -> PathBuf {
    let program = cluster.folder().join("resolve");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/judges/resolve.c");
    let mut command = Command::new(tool(compiler));
    command.args(flags).arg("-o").arg(&program).arg(source);
    let (status, said) = finish(&mut command, COMPILED);
    assert!(status.success(), "{said}");
    program
}

/// A question; whether there is an answer, and its lines in any order.
type Row = (&'static str, bool, &'static [&'static str]);

#[track_caller]
fn check(rows: &[Row], mut ask: impl FnMut(&str) -> (bool, String)) {
    for (question, found, wanted) in rows {
        let (success, said) = ask(question);
        let mut lines: Vec<&str> = said.lines().collect();
        lines.sort_unstable();
        lines.dedup();
        assert!(success == *found && (!found || lines == *wanted), "{question}: {success} {said}");
    }
}

const ROWS: &[Row] = &[
    (NODE1.fqdn, true, &["172.16.0.11"]),
    ("NID0001.OpenCHAMI.Cluster.", true, &["172.16.0.11"]),
    (BOTH, true, &["172.16.0.17", "fd00:16::7"]),
    (SIX, true, &["fd00:16::8"]),
    ("nid0002", true, &[NODE2.address]), // by the search list
    ("x1000c0s0b0n1", true, &[NODE2.address]),
    ("nid9999.openchami.cluster", false, &[]),
    ("nid9999", false, &[]),
    ("www.example.com", false, &[]),
];
const BACK: &[Row] = &[
    (NODE2.address, true, &[NODE2.fqdn]),
    ("fd00:16::7", true, &[BOTH]),
    ("172.16.0.77", false, &[]),
    ("10.99.0.1", false, &[]),
];

#[test]
fn glibc_resolves_through_dnsd() {
    need_tools(&["getent"]);
    let cluster = served();
    let first_words = |said: String| {
        said.lines()
            .filter_map(|line| line.split_whitespace().next())
            .map(|word| word.to_owned() + "\n")
            .collect()
    };
    check(ROWS, |name| {
        let (found, said) = on_node(&cluster, "getent", &["ahosts", name]);
        (found, first_words(said))
    });
    check(BACK, |address| {
        let (found, said) = on_node(&cluster, "getent", &["hosts", address]);
        (found, said.split_whitespace().nth(1).unwrap_or_default().to_owned())
    });
    // Only IPv4: no address of the other family is not "no such host" for both.
    assert!(!on_node(&cluster, "getent", &["ahostsv6", NODE1.fqdn]).1.contains("fd00"));
    assert!(on_node(&cluster, "getent", &["ahostsv4", NODE1.fqdn]).0);
}

#[test]
fn musl_resolves_through_dnsd() {
    need_tools(&["musl-gcc"]);
    let cluster = served();
    let program = compiled(&cluster, "musl-gcc", &["-static", "-Wall", "-Werror", "-O1"]);
    let program = program.display().to_string();
    check(&[ROWS, BACK].concat(), |question| on_node(&cluster, &program, &[question]));
}

/// Go's own resolver, in grpcurl: it reaches smd-cache by name.
#[test]
fn go_resolves_through_dnsd() {
    need_tools(&["grpcurl"]);
    let cluster = served();
    let grpcurl = tool("grpcurl").display().to_string();
    let list = |server: &str| {
        on_node(
            &cluster,
            "env",
            &["GODEBUG=netdns=go+2", &grpcurl, "-plaintext", "-max-time", "10", server, "list"],
        )
    };
    for name in ["smd.openchami.cluster", "smd", "SMD.openchami.cluster."] {
        let (success, said) = list(&format!("{name}:27780"));
        assert!(success && said.contains("smdcache.v1.SmdCache"), "{name}: {said}");
    }
    let (success, said) = list("nid9999.openchami.cluster:27780");
    assert!(!success && said.contains("no such host"), "{said}");
}
