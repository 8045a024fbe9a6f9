//! dnsd beside NSD and Knot: the same zones, the same questions to all three. Every difference has its reason in
//! `tests/judges/peers_justified.py`, which `docs/dns-peers.md` shows as a table.

use crate::judges::judge;
use dnsd::{
    wire::{self, suffixes},
    zones::{Zone, Zones},
};
use hickory_proto::rr::{RData, RecordType};
use inventory::{Inventory, Replica, Who};
use std::{
    fmt::Write,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};
use testkit::{
    cluster::{Cluster, Process, finish, need_tools, tool, within},
    packets::dns,
};
use tokio_util::sync::CancellationToken;

/// All questions take half a minute; a busy machine has all this.
const ANSWERS: Duration = Duration::from_secs(300);
const START: Duration = Duration::from_secs(20);
/// Of the programs; `FOLDER` is the cluster's.
const CONFIG: &str = include_str!("../judges/peers.yaml");
const INVENTORY: &str = include_str!("../../golden/dns-inventory.json");

/// smd-cache and dnsd, ready.
pub fn served() -> Cluster {
    let mut cluster = Cluster::bare();
    let config = CONFIG.replace("FOLDER", &cluster.folder().display().to_string());
    fs::write(cluster.config_file(), config).unwrap();
    cluster.start_smd(serde_json::from_str(INVENTORY).unwrap());
    for name in ["smd-cache", "dnsd"] {
        cluster.start_program(name);
        cluster.wait_ready(name);
    }
    cluster
}

/// What smd-cache sends to a daemon.
fn replica(cluster: &Cluster, config: &config::Config) -> Arc<Replica> {
    let settings = config.inventory.clone();
    cluster.inside().run(async move {
        let who = Who { name: "judge", version: "0", admin_port: 0 };
        let inventory = Inventory::start(&settings, who, &mut Default::default(), CancellationToken::new());
        let mut changes = inventory.changes();
        while !inventory.snapshot().is_complete() {
            changes.changed().await.expect("it goes on");
        }
        inventory.snapshot()
    })
}

/// The serial of a zone: dnsd keeps one for each.
fn serial(cluster: &Cluster, apex: &str) -> u32 {
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, 53));
    let apex = apex.to_owned();
    let asked = async move { dns::ask(server, &apex, RecordType::SOA, START).await };
    let answer = cluster.inside().run(asked).unwrap().expect("dnsd is ready");
    match &answer.answers[0].data {
        RData::SOA(soa) => soa.serial,
        other => panic!("{other} is no SOA"),
    }
}

/// Writes each zone into a file of its own, as records of unknown types are written (RFC 3597 §5), and says which there are.
fn export(cluster: &Cluster, folder: &Path) -> Vec<(String, PathBuf)> {
    let config = config::parse(&fs::read_to_string(cluster.config_file()).unwrap()).expect("it serves");
    let zones = Zones::build(&config, &replica(cluster, &config), 1);
    fs::create_dir(folder).unwrap();
    let mut files = Vec::new();
    for zone in zones.iter() {
        let apex = text(&zone.apex);
        let mut lines = String::new();
        let soa = zone.soa.as_ref().expect("a serial is known");
        let mut soa_data = soa.data[0].clone();
        // The first of the five numbers at its end (RFC 1035 §3.3.13).
        let at = soa_data.len() - 20;
        soa_data[at..at + 4].copy_from_slice(&serial(cluster, &apex).to_be_bytes());
        let sets = zones.ready.nodes_of(zone).flat_map(|(owner, node)| {
            node.sets().flat_map(move |set| set.data().map(move |data| (owner, set.kind(), set.ttl(), data)))
        });
        for (owner, kind, ttl, data) in [(&*zone.apex, soa.kind, soa.ttl, &*soa_data)].into_iter().chain(sets)
        {
            let hex = data.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
            writeln!(lines, "{} {ttl} IN TYPE{kind} \\# {} {hex}", text(owner), data.len()).unwrap();
        }
        for inner in zones.iter().filter(|inner| is_right_above(&zones, zone, inner)) {
            // Without this a secondary of the outer zone alone would deny the inner one.
            for server in &inner.ns.data {
                writeln!(lines, "{} {} IN NS {}", text(&inner.apex), inner.ns.ttl, text(server)).unwrap();
            }
        }
        let file = folder.join(format!("{apex}zone"));
        fs::write(&file, lines).unwrap();
        files.push((apex, file));
    }
    files
}

/// Absolute.
fn text(name: &[u8]) -> String {
    wire::text(name) + "."
}

/// Whether a zone is the one that another one is cut out of.
fn is_right_above(zones: &Zones, outer: &Zone, inner: &Zone) -> bool {
    let above = suffixes(&inner.apex).nth(1).and_then(|above| zones.find(above));
    above.is_some_and(|above| above.apex == outer.apex)
}

/// NSD and Knot with these zones, on ports 5301 and 5302 of loopback.
fn peers(cluster: &Cluster, zones: &[(String, PathBuf)]) -> [Process; 2] {
    let folder = cluster.folder().display();
    let nsd = zones.iter().fold(
        format!(
            "server:
  ip-address: 127.0.0.1@5301
  server-count: 1
  username: \"\"
  database: \"\"
  zonesdir: \"{folder}\"
  pidfile: \"{folder}/nsd.pid\"
  xfrdfile: \"{folder}/nsd.xfrd\"
  xfrdir: \"{folder}\"
  zonelistfile: \"{folder}/nsd.zones\"
  rrl-ratelimit: 0
  minimal-responses: yes
  refuse-any: no
  hide-version: yes
  hide-identity: yes
remote-control:
  control-enable: no
"
        ),
        |text, (apex, file)| {
            text + &format!("zone:\n  name: \"{apex}\"\n  zonefile: \"{}\"\n", file.display())
        },
    );
    let knot = zones.iter().fold(
        format!(
            "server:
  rundir: {folder}
  listen: 127.0.0.1@5302
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
  identity: \"\"
  version: \"\"
database:
  storage: {folder}/knot
log:
  - target: stderr
    any: info
template:
  - id: default
    zonefile-load: whole
    zonefile-sync: -1
    journal-content: none
zone:
"
        ),
        |text, (apex, file)| text + &format!("  - domain: {apex}\n    file: {}\n", file.display()),
    );
    let start = |program: &str, config: String, arguments: &[&str], loaded: &dyn Fn(&str) -> bool| {
        let file = cluster.folder().join(format!("{program}.conf"));
        fs::write(&file, config).unwrap();
        let mut command = cluster.wire.server.command(tool(program));
        command.args(arguments).arg("-c").arg(&file);
        let mut process = Process::start(program, command, &cluster.folder().join(format!("{program}.log")));
        within(START, &format!("{program} serves"), || {
            assert!(process.ended().is_none(), "{}", process.log());
            loaded(&process.log()).then_some(())
        });
        process
    };
    let knot = start("knotd", knot, &[], &|log| log.matches("] loaded").count() == zones.len());
    let nsd = start("nsd", nsd, &["-d"], &|log| log.contains("nsd started"));
    [nsd, knot]
}

#[test]
fn zone_checkers_take_what_we_hold() {
    let checkers: [(&str, &[&str]); 3] = [
        ("named-checkzone", &["-i", "local", "APEX", "FILE"]),
        ("kzonecheck", &["-o", "APEX", "FILE"]),
        ("ldns-read-zone", &["FILE"]),
    ];
    need_tools(&checkers.map(|(program, _)| program));
    let cluster = served();
    for (apex, file) in export(&cluster, &cluster.folder().join("zones")) {
        for (program, arguments) in checkers {
            let file = file.display().to_string();
            let arguments = arguments.iter().map(|word| word.replace("APEX", &apex).replace("FILE", &file));
            let (status, said) = finish(Command::new(tool(program)).args(arguments), START);
            assert!(status.success() && !said.contains("illegal"), "{program} {apex}:\n{said}");
        }
    }
}

#[test]
fn dnsd_answers_as_nsd_and_knot_do_but_for_what_is_justified() {
    need_tools(&["nsd", "knotd"]);
    let cluster = served();
    let folder = cluster.folder().join("zones");
    let zones = export(&cluster, &folder);
    let _peers = peers(&cluster, &zones);
    let document =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/dns-peers.md").display().to_string();
    let arguments = [cluster.wire.server.name(), &folder.display().to_string(), &document];
    let (status, said) = finish(&mut judge("peers.py", &arguments), ANSWERS);
    println!("{said}");
    assert!(status.success(), "{said}");
}
