//! dhcpd beside Kea: the same requests to both, in the same place on the wire, one after the other. Every difference has its
//! reason in `tests/judges/justified.py`, which `docs/kea.md` shows as a table.

use crate::judges::{CONFIG, court, inventory, judge};
use std::{fs, path::Path, time::Duration};
use testkit::cluster::{Cluster, Process, finish, tool, within};

/// All requests take seconds; a busy machine has all this.
const ANSWERS: Duration = Duration::from_secs(120);
const START: Duration = Duration::from_secs(20);

/// Kea in dhcpd's place. It keeps nothing outside the test's folder.
fn kea(cluster: &Cluster, configuration: &[u8]) -> Process {
    let file = cluster.folder().join("kea.json");
    fs::write(&file, configuration).unwrap();
    // A copy, because AppArmor confines the one in /usr/sbin to folders that are not ours.
    let program = cluster.folder().join("kea-dhcp4");
    fs::copy(tool("kea-dhcp4"), &program).unwrap();
    let mut command = cluster.wire.server.command(&program);
    command.arg("-c").arg(&file);
    for folder in ["KEA_PIDFILE_DIR", "KEA_LOCKFILE_DIR"] {
        command.env(folder, cluster.folder());
    }
    let process = Process::start("kea-dhcp4", command, &cluster.folder().join("kea.log"));
    within(START, "Kea serves", || process.log().contains("DHCP4_STARTED").then_some(()));
    process
}

/// What whoever serves answers, written down.
fn answers(cluster: &Cluster, file: &str) -> String {
    let path = cluster.folder().join(file).display().to_string();
    let (client, relay) = (cluster.wire.node1.name(), cluster.wire.relay.name());
    let (status, said) = finish(&mut judge("kea.py", &["ask", client, relay, &path]), ANSWERS);
    assert!(status.success(), "{said}");
    path
}

#[test]
fn dhcpd_answers_as_kea_does_but_for_what_is_justified() {
    let config = CONFIG.replace("255.255.255.0", "255.255.0.0").replace("10.40.1.0/24", "10.40.0.0/16");
    let widen = |cluster: &Cluster| {
        let server = &cluster.wire.server;
        server.ip("addr flush dev srv0");
        server.ip("addr add 172.16.0.253/16 dev srv0");
        server.ip("route replace 10.40.0.0/16 via 172.16.0.2");
    };
    let mut cluster = court(inventory("kea.py"), &config, widen);
    let ours = answers(&cluster, "dhcpd.json");
    cluster.kill("dhcpd");
    let configuration = judge("kea.py", &["--config"]).output().expect("setpriv, of package util-linux");
    let _kea = kea(&cluster, &configuration.stdout);
    let keas = answers(&cluster, "kea-answers.json");

    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/kea.md").display().to_string();
    let (status, said) = finish(&mut judge("kea.py", &["compare", &ours, &keas, &document]), ANSWERS);
    println!("{said}");
    assert!(status.success(), "{said}");
}
