//! What smd-cache keeps on disk: it serves from it at once, and nothing that is wrong with the disk costs more than the memory.

use crate::scene::{self, Dns, NEWCOMER, NODE1, NODE3, RELAYED, SOON};
use proto::v1::Outcome;
use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use testkit::{
    cluster::{Cluster, within},
    prober::{Asked, Prober},
    smd::Inventory,
};

/// The bench promises 200 ms for a release build and ten thousand nodes; this is a debug build on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(1);
/// How far apart the places are at which the file is cut.
const STEP: usize = 1024;
const DAEMONS: [Asked; 2] = [Asked::Dhcpd, Asked::Dnsd];

/// smd-cache has read this and written it down; then it is killed, and SMD is gone.
fn written(inventory: Inventory) -> (Cluster, PathBuf) {
    let mut cluster = Cluster::bare();
    cluster.start_smd(inventory);
    cluster.start_program("smd-cache");
    cluster.wait_ready("smd-cache");
    let file = cluster.var().join("snapshot");
    within(2 * SOON, "the snapshot is on disk", || file.exists().then_some(()));
    cluster.kill("smd-cache");
    cluster.stop_smd();
    (cluster, file)
}

/// smd-cache is started, asks SMD in vain (the file comes before that) and is killed again: what it says of a node that is
/// in the file, and of one that is not.
fn said(cluster: &mut Cluster) -> (Outcome, Outcome) {
    cluster.start_program("smd-cache");
    within(SOON, "smd-cache has asked SMD", || {
        let status = scene::status(cluster, 27780)?;
        status.sources.iter().any(|source| source.failures > 0).then_some(())
    });
    let known = scene::outcome(cluster, NODE3.mac).unwrap();
    let unknown = scene::outcome(cluster, NEWCOMER.mac).unwrap();
    cluster.kill("smd-cache");
    (known, unknown)
}

/// Nothing but the file itself is there.
fn leave_only(file: &Path, bytes: &[u8]) {
    for entry in fs::read_dir(file.parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("snapshot") {
            let _ = fs::remove_file(&path);
            let _ = fs::remove_dir_all(&path);
        }
    }
    fs::write(file, bytes).unwrap();
}

#[test]
fn started_with_smd_down_it_serves_what_it_wrote_at_once() {
    let (mut cluster, _) = written(scene::probed());
    let began = Instant::now();
    cluster.start_program("smd-cache");
    cluster.wait_ready("smd-cache");
    let ready = began.elapsed();
    println!("ready after {ready:?}");
    assert!(ready < AT_ONCE, "{ready:?}");
    assert_eq!(scene::outcome(&cluster, NODE3.mac), Some(Outcome::Found));
    assert_eq!(
        scene::outcome(&cluster, NEWCOMER.mac),
        Some(Outcome::Unavailable),
        "it may have been added since"
    );
    let status = scene::status(&cluster, 27780).unwrap();
    assert!(status.freshness.unwrap().stale && !status.warnings.is_empty(), "{:?}", status.warnings);
    for daemon in ["dhcpd", "dnsd"] {
        cluster.start_program(daemon);
    }
    let prober = {
        cluster.wait_ready("dhcpd");
        cluster.wait_ready("dnsd");
        Prober::start(&cluster, &RELAYED)
    };
    prober.watch_for(Duration::from_secs(1));
    cluster.start_smd(scene::probed());
    scene::add(&cluster, NEWCOMER);
    within(2 * SOON, "what SMD has now", || {
        (scene::address_of(&cluster, NEWCOMER.fqdn) == Dns::data(NEWCOMER.address)).then_some(())
    });
    let report = prober.stop();
    println!("{report}");
    report.check_nothing_lost(&[Asked::Dhcpd, Asked::Dnsd, Asked::SmdCache]);
}

#[test]
fn cut_anywhere_the_file_is_set_aside_and_nobody_is_called_unknown() {
    let (mut cluster, file) = written(scene::crowd(250));
    let whole = fs::read(&file).unwrap();
    assert_eq!(said(&mut cluster), (Outcome::Found, Outcome::Unavailable));
    let places: Vec<usize> = (0..whole.len()).step_by(STEP).chain([whole.len() - 1]).collect();
    println!("{} bytes, cut at {} places", whole.len(), places.len());
    for place in places {
        leave_only(&file, &whole[..place]);
        assert_eq!(said(&mut cluster), (Outcome::Unavailable, Outcome::Unavailable), "cut at {place}");
        let left: Vec<_> = fs::read_dir(cluster.var()).unwrap().map(|it| it.unwrap().file_name()).collect();
        assert!(
            left.iter().any(|name| name.to_string_lossy().starts_with("snapshot")),
            "set aside, not lost: {left:?}"
        );
    }
    leave_only(&file, &whole);
    assert_eq!(said(&mut cluster), (Outcome::Found, Outcome::Unavailable), "whole again");
}

#[test]
fn the_one_before_it_serves_where_the_last_one_is_damaged() {
    let (mut cluster, file) = written(scene::probed());
    let whole = fs::read(&file).unwrap();
    leave_only(&file, &whole[..whole.len() / 2]);
    fs::write(cluster.var().join("snapshot.previous"), &whole).unwrap();
    assert_eq!(said(&mut cluster), (Outcome::Found, Outcome::Unavailable));
    assert_eq!(said(&mut cluster), (Outcome::Found, Outcome::Unavailable), "and goes on doing so");
}

#[test]
fn flipped_bits_and_newer_versions_are_set_aside_as_well() {
    let (mut cluster, file) = written(scene::probed());
    let whole = fs::read(&file).unwrap();
    let places = [0, 8, 9, 10, 11, 12, 15, 16, whole.len() / 3, whole.len() / 2, whole.len() - 1];
    for place in places {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x55;
        leave_only(&file, &bytes);
        assert_eq!(said(&mut cluster), (Outcome::Unavailable, Outcome::Unavailable), "byte {place}");
    }
    leave_only(&file, b"");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert_eq!(
        said(&mut cluster),
        (Outcome::Unavailable, Outcome::Unavailable),
        "a folder where a file should be"
    );
}

#[test]
fn a_disk_that_is_full_or_read_only_costs_only_the_memory() {
    let mut cluster = Cluster::bare();
    let disk = cluster.small_disk(512);
    cluster.start_smd(scene::probed());
    for program in ["smd-cache", "dhcpd", "dnsd"] {
        cluster.start_program(program);
    }
    for program in ["smd-cache", "dhcpd", "dnsd"] {
        cluster.wait_ready(program);
    }
    let prober = Prober::start(&cluster, &RELAYED);
    let change = |last: u8| {
        let new = format!("172.16.0.{last}");
        assert!(cluster.smd().set_addresses(NODE1.mac, &[&new]));
        within(2 * SOON, "a change is served", || {
            (scene::address_of(&cluster, NODE1.fqdn) == Dns::data(&new)).then_some(())
        });
    };
    within(2 * SOON, "the snapshot is on disk", || cluster.var().join("snapshot").exists().then_some(()));
    disk.fill();
    change(151);
    within(4 * SOON, "smd-cache says that it cannot write", || {
        let status = scene::status(&cluster, 27780)?;
        status.warnings.iter().any(|text| text.contains("snapshot")).then_some(())
    });
    disk.free();
    change(152);
    within(4 * SOON, "it can write again", || {
        scene::status(&cluster, 27780)?.warnings.is_empty().then_some(())
    });
    disk.read_only(true);
    change(153);
    within(4 * SOON, "smd-cache says that it cannot write", || {
        let status = scene::status(&cluster, 27780)?;
        status.warnings.iter().any(|text| text.contains("snapshot")).then_some(())
    });
    disk.read_only(false);
    change(154);
    within(4 * SOON, "it can write again", || {
        scene::status(&cluster, 27780)?.warnings.is_empty().then_some(())
    });
    let report = prober.stop();
    println!("{report}");
    report.check_nothing_lost(&DAEMONS);
    drop(cluster);
    drop(disk);
}

#[test]
fn started_on_a_read_only_disk_it_serves_all_the_same() {
    let mut cluster = Cluster::bare();
    let disk = cluster.small_disk(512);
    disk.read_only(true);
    cluster.start_smd(scene::probed());
    for program in ["smd-cache", "dhcpd", "dnsd"] {
        cluster.start_program(program);
    }
    for program in ["smd-cache", "dhcpd", "dnsd"] {
        cluster.wait_ready(program);
    }
    assert_eq!(scene::address_of(&cluster, NODE1.fqdn), Dns::data(NODE1.address));
    drop(cluster);
}
