use super::*;
use crate::{Replica, fixtures::*, metrics};
use proto::v1;
use std::{fs, time::Duration};

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn file(directory: &tempfile::TempDir) -> ReplicaFile {
    ReplicaFile::new(&directory.path().join("replica-{program}"), "dnsd")
}

fn node(number: usize) -> v1::Interface {
    let mac = format!("02:00:00:00:{:02x}:{:02x}", number / 256, number % 256);
    let address = format!("172.16.{}.{}", number / 256, number % 256);
    let name = format!("nid{number:04}.cluster.local");
    let mut interface =
        interface(&mac, &format!("x{number}c0s0b0n0"), &[(&address, &[&name, "all.cluster.local"])]);
    interface.description = format!("node {number}");
    interface.contested = number.is_multiple_of(7);
    interface.policy = Some(v1::Policy { ignore: number.is_multiple_of(5), ..Default::default() });
    interface.addresses[0].network = "HSN".into();
    interface.addresses[0].hostname = format!("nid{number:04}");
    interface.addresses[0].domain = "cluster.local".into();
    interface.addresses[0].policy = Some(v1::Policy {
        routers: vec!["172.16.0.254".into()],
        prefix_length: Some(16),
        boot_file: "boot.efi".into(),
        next_server: "172.16.0.253".into(),
        script_url: "http://172.16.0.253/{mac}".into(),
        options: vec![v1::DhcpOption { code: 42, value: vec![10, 0, 0, 1] }],
        rules: vec!["a rule".into()],
        ..Default::default()
    });
    interface
}

fn owner(number: usize) -> v1::Component {
    v1::Component {
        nid: Some(number as i64),
        sub_role: "Worker".into(),
        arch: "X86".into(),
        class: "River".into(),
        state: "Ready".into(),
        flag: "OK".into(),
        enabled: Some(true),
        groups: vec!["blue".into()],
        ..component(&format!("x{number}c0s0b0n0"), &[&format!("x{number}c0s0b0n0.cluster.local")])
    }
}

fn replica(nodes: usize, generation: u64) -> Replica {
    let zones = vec![v1::Zone { name: "cluster.local".into(), serial: 7 }];
    let (interfaces, owners) = (0..nodes).map(|number| (node(number), owner(number))).unzip();
    Replica::from_messages("cluster.local", zones, interfaces, owners, fresh("a", generation))
}

/// Everything in it, as text.
fn content(replica: &Replica) -> String {
    let mut components: Vec<_> = replica.components().collect();
    components.sort_by(|a, b| a.id.cmp(&b.id));
    let interfaces: Vec<_> = replica.interfaces().collect();
    let (zones, domain) = (replica.zones(), replica.domain());
    format!("{:?} {zones:?} {domain:?}\n{components:?}\n{interfaces:?}", replica.origin())
}

fn loaded(file: &ReplicaFile) -> Replica {
    match load(file) {
        Loaded::Replica(replica, _) => *replica,
        other => panic!("{other:?}"),
    }
}

fn why_bad(file: &ReplicaFile) -> String {
    match load(file) {
        Loaded::Bad(why, Some(aside)) => {
            assert!(aside.exists() && !file.path().exists(), "it is set aside: {why}");
            why
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_written_is_read() {
    let (directory, held) = (directory(), replica(250, 5));
    let file = file(&directory);
    assert!(matches!(load(&file), Loaded::Nothing));
    assert_eq!(save(&file, &held).unwrap(), metrics::Write::Written);
    assert!(file.path().ends_with("replica-dnsd"));
    let read = loaded(&file);
    assert_eq!(content(&read), content(&held));
    assert!(read.is_complete() && read.freshness().stale, "what comes from disk is old");
    assert_eq!(read.skipped(), 0);
    let name = "nid0001.cluster.local";
    assert_eq!(read.name(name), held.name(name));
    assert!(read.name("cluster.local").is_some_and(|parent| parent.empty_non_terminal));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left lying about");
}

#[test]
fn an_empty_inventory_is_one_too() {
    let directory = directory();
    let held = Replica::from_messages("", vec![], vec![], vec![], fresh("a", 1));
    save(&file(&directory), &held).unwrap();
    let read = loaded(&file(&directory));
    assert!(read.is_complete() && read.interface_count() == 0 && read.domain().is_none());
}

#[test]
fn what_another_program_wrote_is_set_aside_with_its_reason() {
    let directory = directory();
    let file = file(&directory);
    save(&ReplicaFile { program: "dhcpd", ..file.clone() }, &replica(3, 5)).unwrap();
    assert!(why_bad(&file).contains("written by dhcpd: give each program its own"));
}

#[test]
fn one_without_its_end_is_no_replica_however_well_kept() {
    let directory = directory();
    let file = file(&directory);
    let whose = v1::WatchRequest { client_name: "dnsd".into(), ..Default::default() };
    let mut writer = file.kept.write().unwrap().unwrap();
    writer.put(&whose).unwrap();
    writer.end().unwrap().place().unwrap();
    assert!(why_bad(&file).contains("no end"));
}

#[test]
fn who_finds_another_writing_leaves_it_to_that_one() {
    let directory = directory();
    let file = file(&directory);
    let other = file.kept.write().unwrap().unwrap();
    assert_eq!(save(&file, &replica(3, 5)).unwrap(), metrics::Write::Busy);
    drop(other);
    assert_eq!(save(&file, &replica(3, 5)).unwrap(), metrics::Write::Written);
}

#[test]
fn an_older_replica_does_not_replace_a_newer_one() {
    let directory = directory();
    let file = file(&directory);
    let read_at = |seconds: i64, generation| {
        let mut held = replica(3, generation);
        let at = Some(prost_types::Timestamp { seconds, nanos: 0 });
        held.set_freshness(v1::Freshness { read_at: at, whole_read_at: at, ..fresh("a", generation) });
        held
    };
    save(&file, &read_at(1_700_000_100, 6)).unwrap();
    assert_eq!(save(&file, &read_at(1_700_000_000, 5)).unwrap(), metrics::Write::Newer);
    assert_eq!(loaded(&file).freshness().generation, 6);
    assert_eq!(save(&file, &read_at(1_700_000_100, 7)).unwrap(), metrics::Write::Written, "as new");
    let from_the_future = std::time::SystemTime::now() + Duration::from_secs(86_400);
    let seconds = from_the_future.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    save(&file, &read_at(seconds as i64, 8)).unwrap();
    assert_eq!(save(&file, &read_at(1_700_000_200, 9)).unwrap(), metrics::Write::Written, "a wrong clock");
}
