//! Prometheus finds every program through smd-cache, replicas on one host too, and at its real port.

use crate::scene::{self, SOON};
use std::{collections::BTreeMap, time::Duration};
use testkit::{
    cluster::{Cluster, Instance, Settings, within},
    http,
};

/// From the end of a program until it is no target any more: its connection is closed by the kernel.
const GONE: Duration = Duration::from_secs(3);

/// As in containers that share a network: admin HTTP listens for everybody.
fn settings() -> Settings {
    let everybody = |port| format!("0.0.0.0:{port}");
    Settings::default()
        .smd_cache("admin", &everybody(27781))
        .dnsd("admin", &everybody(27783))
        .tftpd("admin", &everybody(27784))
}

fn start(cluster: &mut Cluster, name: &str, program: &str, admin: u16) {
    cluster.start_instance(&Instance { name, admin, ..Instance::of(program) });
    // Asks there, and nowhere else.
    cluster.wait_ready(name);
}

/// What `/targets` lists.
fn targets(cluster: &Cluster) -> Vec<String> {
    let (status, page) = cluster.admin("smd-cache", "/targets").unwrap();
    assert_eq!(status, 200, "{page}");
    let page: serde_json::Value = serde_json::from_str(&page).unwrap();
    assert_eq!(page.as_array().map(Vec::len), Some(1), "{page}");
    let listed = page[0]["targets"].as_array().unwrap().iter();
    listed.map(|target| target.as_str().unwrap().to_owned()).collect()
}

fn wait_for(cluster: &Cluster, ports: &[u16], time: Duration) {
    let wanted: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    within(time, &format!("/targets is {wanted:?}"), || (targets(cluster) == wanted).then_some(()));
}

/// Which program answers at each target.
fn programs(cluster: &Cluster) -> BTreeMap<String, String> {
    let ask = |target: String| {
        let get = http().get(format!("http://{target}/version"));
        let page = cluster.inside().run(async move { get.send().await.unwrap().text().await.unwrap() });
        let page: serde_json::Value = serde_json::from_str(&page).unwrap();
        (target, page["program"].as_str().unwrap().to_owned())
    };
    targets(cluster).into_iter().map(ask).collect()
}

#[test]
fn three_dnsds_and_the_others_are_targets_at_their_real_ports_as_long_as_they_run() {
    let mut cluster = Cluster::bare();
    cluster.configure(&settings());
    cluster.start_smd(scene::inventory());
    start(&mut cluster, "smd-cache", "smd-cache", 27781);
    start(&mut cluster, "dnsd", "dnsd", 27783);
    // The port of tftpd is free and stays so.
    start(&mut cluster, "dnsd-2", "dnsd", 27785);
    start(&mut cluster, "dnsd-3", "dnsd", 27786);
    start(&mut cluster, "tftpd", "tftpd", 27784);
    start(&mut cluster, "tftpd-2", "tftpd", 27787);
    start(&mut cluster, "dhcpd", "dhcpd", 27782);
    wait_for(&cluster, &[27782, 27783, 27784, 27785, 27786, 27787], SOON);
    let found = programs(&cluster).into_values().collect::<Vec<_>>();
    assert_eq!(found, ["dhcpd", "dnsd", "tftpd", "dnsd", "dnsd", "tftpd"]);

    cluster.kill("dnsd-2");
    wait_for(&cluster, &[27782, 27783, 27784, 27786, 27787], GONE);
    cluster.terminate("tftpd");
    wait_for(&cluster, &[27782, 27783, 27786, 27787], GONE);
    start(&mut cluster, "dnsd-2", "dnsd", 27785);
    start(&mut cluster, "tftpd", "tftpd", 27784);
    wait_for(&cluster, &[27782, 27783, 27784, 27785, 27786, 27787], SOON);

    cluster.kill("smd-cache");
    start(&mut cluster, "smd-cache", "smd-cache", 27781);
    wait_for(&cluster, &[27782, 27783, 27784, 27785, 27786, 27787], SOON);
}

#[test]
fn tftpd_is_ready_without_smd_cache_and_a_target_once_there_is_one() {
    let mut cluster = Cluster::bare();
    cluster.tftp_file("loader.efi", b"MZ");
    cluster.start_program("tftpd");
    cluster.wait_ready("tftpd");
    let (_, page) = cluster.admin("tftpd", "/ready").unwrap();
    assert!(page.starts_with("degraded\ninventory: ") && page.contains("smd-cache"), "{page}");
    assert!(page.contains("files are served all the same"), "{page}");

    cluster.start_smd(scene::inventory());
    cluster.start_program("smd-cache");
    cluster.wait_ready("smd-cache");
    wait_for(&cluster, &[27784], SOON);
    within(SOON, "tftpd is ready and nothing is said", || {
        (cluster.admin("tftpd", "/ready")?.1 == "ready\n").then_some(())
    });
    assert_eq!(cluster.metric("tftpd", "inventory_connected"), Some(1.0));
    assert_eq!(cluster.metric("smd-cache", "smd_cache_watchers"), Some(1.0));
}
