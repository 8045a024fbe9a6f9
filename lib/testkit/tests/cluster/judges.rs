//! dhcpd before judges of other hands: packets that scapy builds and reads (`tests/judges`, in Python).

use std::{fs, path::Path, process::Command, time::Duration};
use testkit::{
    cluster::{Cluster, finish},
    smd::Inventory,
};

/// The whole table takes seconds; a busy machine has all this.
const VERDICT: Duration = Duration::from_secs(120);
/// Of the programs that are judged; `FOLDER` is the cluster's.
pub const CONFIG: &str = include_str!("../judges/dhcpd.yaml");

/// A judge, as a command.
pub fn judge(program: &str, arguments: &[&str]) -> Command {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/judges").join(program);
    let mut command = Command::new("setpriv");
    // Debian's own Python is the one that Debian's scapy is for; it writes no byte code into the tree.
    command.args(["--pdeathsig", "KILL", "/usr/bin/python3", "-B"]).arg(path).args(arguments);
    command
}

/// What SMD must hold for a judge.
pub fn inventory(program: &str) -> Inventory {
    let output = judge(program, &["--inventory"]).output().expect("setpriv, of package util-linux");
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{program} --inventory: {error}\n{said}"))
}

/// smd-cache and dhcpd, ready, on a wire to which something is done before.
pub fn court(inventory: Inventory, config: &str, prepare: impl FnOnce(&Cluster)) -> Cluster {
    assert!(
        Path::new("/usr/lib/python3/dist-packages/scapy").is_dir(),
        "scapy is missing: run `make tools`, or: apt-get install python3-scapy"
    );
    let mut cluster = Cluster::bare();
    prepare(&cluster);
    let config = config.replace("FOLDER", &cluster.folder().display().to_string());
    fs::write(cluster.config_file(), config).unwrap();
    cluster.start_smd(inventory);
    for name in ["smd-cache", "dhcpd"] {
        cluster.start_program(name);
        cluster.wait_ready(name);
    }
    cluster
}

/// Asks from the client's and the relay's side of the wire.
fn hear(cluster: &Cluster, table: &str) {
    let wire = &cluster.wire;
    let mut places = vec![table, wire.node1.name(), wire.relay.name()];
    if table == "pools" {
        places.push(wire.server.name());
    }
    let (status, said) = finish(&mut judge("conformance.py", &places), VERDICT);
    println!("{said}");
    assert!(status.success(), "the lines that say BROKEN:\n{said}");
}

#[test]
fn every_promise_to_known_machines_is_kept_in_the_eyes_of_scapy() {
    hear(&court(inventory("conformance.py"), CONFIG, |_| ()), "known");
}

#[test]
fn every_promise_to_unknown_machines_is_kept_in_the_eyes_of_scapy() {
    let config = [CONFIG, include_str!("../judges/pools.yaml")].concat();
    hear(&court(inventory("conformance.py"), &config, |_| ()), "pools");
}
