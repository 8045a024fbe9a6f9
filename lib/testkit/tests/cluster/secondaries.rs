//! NSD and Knot as secondaries of dnsd: they copy its zones, hear of changes, and hold what it holds.

use crate::scene::{self, NEWCOMER, NODE1};
use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};
use testkit::cluster::{Cluster, Namespace, Process, SERVER, Settings, finish, need_tools, tool, within};

/// Where they are: NSD on `node1`, Knot on `node2`.
const NSD: &str = "172.16.0.77";
const KNOT: &str = "172.16.0.78";

/// A listed domain, and a network that is a zone because of addresses in it.
const ZONES: [&str; 2] = ["openchami.cluster", "0.16.172.in-addr.arpa"];

const KEY: &str = "transfer.openchami.cluster";
const SECRET: &str = "c2VjcmV0cyBhcmUgMzIgYnl0ZXMgbG9uZywgYWxsISE=";

/// How long is waited for transfers that must not be; a secondary that is told asks at once.
const SILENCE: Duration = Duration::from_secs(3);

/// From a change in SMD to both of them: a read of SMD, the interval between two NOTIFYs, and a busy machine.
const COPIED: Duration = Duration::from_secs(20);

/// A running secondary.
struct Secondary {
    address: &'static str,
    _process: Process,
}

struct Scene {
    signed: bool,
}

impl Scene {
    fn settings(&self) -> Settings {
        let tsig = format!(", tsig: {{name: {KEY}, secret_file: VAR/secret}}");
        let tsig = if self.signed { tsig } else { String::new() };
        let both = format!("[{NSD}, {KNOT}]");
        Settings::default().dnsd("transfer", &format!("{{allow: {both}, notify: {both}{tsig}}}"))
    }

    /// A running cluster with the secret in its place.
    fn start(&self, inventory: testkit::smd::Inventory) -> Cluster {
        let mut cluster = Cluster::bare();
        fs::write(cluster.var().join("secret"), SECRET).unwrap();
        fs::set_permissions(cluster.var().join("secret"), fs::Permissions::from_mode(0o600)).unwrap();
        cluster.configure(&self.settings());
        cluster.start_smd(inventory);
        for program in ["smd-cache", "dnsd"] {
            cluster.start_program(program);
        }
        for program in ["smd-cache", "dnsd"] {
            cluster.wait_ready(program);
        }
        cluster.wire.node1.ip(&format!("addr add {NSD}/24 dev eth0"));
        cluster.wire.node2.ip(&format!("addr add {KNOT}/24 dev eth0"));
        cluster
    }

    fn nsd(&self, cluster: &Cluster) -> Secondary {
        let folder = folder(cluster, "nsd");
        let path = folder.display();
        let key = if self.signed { KEY } else { "NOKEY" };
        let mut text = format!(
            "server:\n  ip-address: {NSD}\n  server-count: 1\n  username: \"\"\n  zonesdir: \"{path}\"\n  \
             database: \"\"\n  pidfile: \"{path}/pid\"\n  xfrdfile: \"{path}/xfrd.state\"\n  xfrdir: \"{path}\"\n  \
             zonelistfile: \"{path}/zone.list\"\n  verbosity: 2\nremote-control:\n  control-enable: no\n\
             key:\n  name: {KEY}\n  algorithm: hmac-sha256\n  secret: \"{SECRET}\"\n"
        );
        for zone in ZONES {
            text += &format!(
                "zone:\n  name: {zone}\n  zonefile: \"{path}/{zone}.zone\"\n  request-xfr: {SERVER} {key}\n  \
                 allow-notify: {SERVER} {key}\n  provide-xfr: {NSD} NOKEY\n"
            );
        }
        let config = folder.join("nsd.conf");
        fs::write(&config, text).unwrap();
        let mut command = cluster.wire.node1.command(tool("nsd"));
        command.arg("-d").arg("-c").arg(config);
        Secondary { address: NSD, _process: Process::start("nsd", command, &folder.join("log")) }
    }

    fn knot(&self, cluster: &Cluster) -> Secondary {
        let folder = folder(cluster, "knot");
        let path = folder.display();
        let key = if self.signed { format!("    key: {KEY}\n") } else { String::new() };
        let mut text = format!(
            "server:\n    rundir: \"{path}\"\n    listen: {KNOT}@53\nlog:\n  - target: stderr\n    any: info\n\
             database:\n    storage: \"{path}\"\n\
             key:\n  - id: {KEY}\n    algorithm: hmac-sha256\n    secret: {SECRET}\n\
             remote:\n  - id: dnsd\n    address: {SERVER}@53\n{key}\
             acl:\n  - id: told\n    address: {SERVER}\n    action: notify\n{key}  - id: asked\n    address: {KNOT}\n    \
             action: transfer\ntemplate:\n  - id: default\n    storage: \"{path}\"\nzone:\n"
        );
        for zone in ZONES {
            text += &format!("  - domain: {zone}\n    master: dnsd\n    acl: [told, asked]\n");
        }
        let config = folder.join("knot.conf");
        fs::write(&config, text).unwrap();
        let mut command = cluster.wire.node2.command(tool("knotd"));
        command.arg("-c").arg(config);
        Secondary { address: KNOT, _process: Process::start("knotd", command, &folder.join("log")) }
    }

    /// What dnsd gives to a client that may copy.
    fn copy(&self, cluster: &Cluster, zone: &str) -> BTreeSet<String> {
        let key = format!("hmac-sha256:{KEY}:{SECRET}");
        let key = if self.signed { vec!["-y", &key] } else { Vec::new() };
        dig(&cluster.wire.node1, &SERVER.to_string(), zone, "AXFR", &key)
    }
}

impl Secondary {
    /// What it gives to a client on its own machine.
    fn copy(&self, cluster: &Cluster, zone: &str) -> BTreeSet<String> {
        let machine = if self.address == NSD { &cluster.wire.node1 } else { &cluster.wire.node2 };
        dig(machine, self.address, zone, "AXFR", &[])
    }
}

fn folder(cluster: &Cluster, name: &str) -> PathBuf {
    let folder = cluster.folder().join(name);
    fs::create_dir(&folder).unwrap();
    folder
}

/// Records of an answer, or none; what cannot be verified is none as well.
fn dig(machine: &Namespace, server: &str, name: &str, kind: &str, more: &[&str]) -> BTreeSet<String> {
    let mut command = machine.command(tool("dig"));
    let server = format!("@{server}");
    command.args([&server, name, kind, "+noall", "+answer", "+onesoa", "+tries=1", "+time=3"]).args(more);
    let (_, said) = finish(&mut command, Duration::from_secs(30));
    let is_bad = said.contains("verify") || said.contains("ailed");
    let lines = said.lines().filter(|line| !is_bad && !line.starts_with(';') && !line.trim().is_empty());
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()).collect()
}

/// dnsd's.
fn serial(cluster: &Cluster, zone: &str) -> u32 {
    let answer = dig(&cluster.wire.node1, &SERVER.to_string(), zone, "SOA", &[]);
    let serial = answer.first().and_then(|line| line.split(' ').nth(6)?.parse().ok());
    serial.unwrap_or_else(|| panic!("{zone} has no serial: {answer:?}"))
}

fn done(cluster: &Cluster) -> f64 {
    cluster.metric("dnsd", "dnsd_transfers_total{result=\"done\"}").unwrap_or_default()
}

fn told(cluster: &Cluster) -> f64 {
    cluster.metric("dnsd", "dnsd_notifies_total{result=\"done\"}").unwrap_or_default()
}

/// Both hold what dnsd does, within the time that takes.
fn check_copies(scene: &Scene, cluster: &Cluster, secondaries: &[Secondary; 2], holds: &str) {
    for zone in ZONES {
        let copies = || {
            let ours = scene.copy(cluster, zone);
            let theirs: Vec<_> = secondaries.iter().map(|it| it.copy(cluster, zone)).collect();
            (ours, theirs)
        };
        let mut last = copies();
        let until = std::time::Instant::now() + COPIED;
        let same = |(ours, theirs): &(BTreeSet<String>, Vec<BTreeSet<String>>)| {
            let there = zone != ZONES[0] || ours.iter().any(|line| line.contains(holds));
            there && !ours.is_empty() && theirs.iter().all(|copy| copy == ours)
        };
        while !same(&last) {
            assert!(std::time::Instant::now() < until, "{zone} with {holds}: {last:#?}");
            std::thread::sleep(Duration::from_millis(200));
            last = copies();
        }
    }
}

fn secondaries_follow(scene: &Scene) {
    need_tools(&["nsd", "knotd", "dig"]);
    let mut cluster = scene.start(scene::inventory());
    let both = [scene.nsd(&cluster), scene.knot(&cluster)];
    check_copies(scene, &cluster, &both, NODE1.address);

    let before = told(&cluster);
    scene::add(&cluster, NEWCOMER);
    check_copies(scene, &cluster, &both, NEWCOMER.address);
    within(COPIED, "both are told", || (told(&cluster) >= before + 2.0).then_some(()));
    assert!(cluster.smd().set_addresses(NODE1.mac, &["172.16.0.99"]));
    check_copies(scene, &cluster, &both, "172.16.0.99");
    let serials = ZONES.map(|zone| serial(&cluster, zone));

    // Started again with nothing changed: the serials stay, and who has them does not copy again.

    cluster.kill("dnsd");
    cluster.start_program("dnsd");
    cluster.wait_ready("dnsd");
    within(COPIED, "both are told of both zones", || (told(&cluster) >= 4.0).then_some(()));
    std::thread::sleep(SILENCE); // what must not happen
    assert_eq!(ZONES.map(|zone| serial(&cluster, zone)), serials);
    assert_eq!(done(&cluster), 0.0, "nobody copies what has not changed");

    // Another smd-cache, which knows nothing of the serials there were.
    cluster.kill("smd-cache");
    fs::remove_file(cluster.var().join("snapshot")).unwrap();
    cluster.start_program("smd-cache");
    cluster.wait_ready("smd-cache");
    assert!(cluster.smd().set_addresses(NODE1.mac, &["172.16.0.98"]));
    check_copies(scene, &cluster, &both, "172.16.0.98");
    assert!(ZONES.iter().zip(serials).all(|(zone, before)| serial(&cluster, zone) > before));
}

#[test]
fn nsd_and_knot_follow_dnsd() {
    secondaries_follow(&Scene { signed: false });
}

#[test]
fn nsd_and_knot_follow_dnsd_with_a_key() {
    secondaries_follow(&Scene { signed: true });
}

/// Enough names for several messages.
const MANY: usize = 2000;

#[test]
fn dig_and_kdig_verify_a_big_zone_message_by_message() {
    need_tools(&["dig", "kdig"]);
    let scene = Scene { signed: true };
    let cluster = scene.start(testkit::smd::generate(MANY, 1));
    let server = format!("@{SERVER}");
    let key = format!("hmac-sha256:{KEY}:{SECRET}");
    let ask = |program: &str, more: &[&str]| {
        let mut command = cluster.wire.node1.command(tool(program));
        command.args([&server, ZONES[0], "+tcp"]).args(more);
        finish(&mut command, Duration::from_secs(60)).1
    };
    let all = |said: &str| said.lines().filter(|line| line.contains("IN\tA\t")).count();
    for (program, flaw) in [("dig", "verify"), ("kdig", ";; ERROR")] {
        let said = ask(program, &["AXFR", "-y", &key]);
        assert!(!said.contains(flaw), "{program}: {}", &said[said.len().saturating_sub(500)..]);
        assert!(all(&said) > 2 * MANY, "{program} got {}: by host name and by xname", all(&said));
        let unsigned = ask(program, &["AXFR"]);
        assert!(all(&unsigned) == 0, "{program} without the key: {unsigned}");
        let wrong = format!("hmac-sha256:{KEY}:{}", SECRET.replace('c', "d"));
        let said = ask(program, &["AXFR", "-y", &wrong]);
        assert!(all(&said) == 0, "{program} with another secret: {said}");
    }
    let serial = serial(&cluster, ZONES[0]);
    for (has, whole) in [(serial - 1, true), (serial, false)] {
        let said = ask("dig", &[&format!("IXFR={has}"), "-y", &key]);
        assert_eq!(all(&said) > MANY, whole, "IXFR={has}: {}", &said[..said.len().min(1000)]);
        assert!(said.contains("SOA"), "IXFR={has}: {}", &said[..said.len().min(1000)]);
    }
}
