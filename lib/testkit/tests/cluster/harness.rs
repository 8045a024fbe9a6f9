//! The harness itself: nothing of a cluster outlives it, whatever happens.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    process::{Command, Stdio},
    time::Duration,
};
use testkit::{
    cluster::{Cluster, Fate, Instance, Wall, need_tools, within},
    smd::Inventory,
};

fn namespaces() -> String {
    let output = Command::new("ip").args(["netns", "list"]).output().expect("ip, of package iproute2");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn mounts() -> String {
    fs::read_to_string("/proc/mounts").unwrap()
}

fn runs(pid: u32) -> bool {
    std::path::Path::new("/proc").join(pid.to_string()).exists()
}

#[test]
fn a_panicking_test_leaves_no_namespace_and_no_program_behind() {
    let mut left = (Vec::new(), 0, String::new());
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let mut cluster = Cluster::bare();
        let _disk = cluster.small_disk(256);
        cluster.start_smd(Inventory::default());
        cluster.start_program("smd-cache");
        cluster.wait_ready("smd-cache");
        cluster.pause("smd-cache");
        let _wall = Wall::around(&cluster.wire.server, None, 27780, Fate::Silence);
        left = (
            vec![cluster.wire.server.name().to_owned(), cluster.wire.node3.name().to_owned()],
            cluster.pid("smd-cache"),
            cluster.var().display().to_string(),
        );
        assert!(runs(left.1), "the id is that of the program");
        assert!(mounts().contains(&left.2));
        std::panic::resume_unwind(Box::new("as if a check had failed"));
    }));
    assert!(panicked.is_err());
    let (names, pid, folder) = left;
    assert!(!mounts().contains(&folder));
    let all = namespaces();
    assert!(names.len() == 2 && names.iter().all(|name| !all.contains(name.as_str())), "{all}");
    assert!(!runs(pid));
}

#[test]
fn what_a_killed_run_left_behind_is_cleared_by_the_next() {
    let mut dead = Command::new("true").spawn().unwrap();
    dead.wait().unwrap();
    let name = format!("coresmd-test-{}-0-srv", dead.id());
    assert!(
        Command::new("ip").args(["netns", "add", &name]).status().unwrap().success(),
        "root, and no such namespace"
    );
    let mut orphan = Command::new("ip");
    let mut orphan =
        orphan.args(["netns", "exec", &name, "sleep", "600"]).stdin(Stdio::null()).spawn().unwrap();
    within(Duration::from_secs(5), "it runs in there", || {
        let pids = Command::new("ip").args(["netns", "pids", &name]).output().unwrap();
        (!pids.stdout.is_empty()).then_some(())
    });
    drop(Cluster::bare());
    assert!(!namespaces().contains(&name));
    assert!(!orphan.wait().unwrap().success(), "it was killed");
}

/// Whether a TCP connection to smd-cache comes about; `None`: nobody says anything.
fn connects(cluster: &Cluster) -> Option<bool> {
    cluster.inside().run(async {
        let connect = tokio::net::TcpStream::connect("127.0.0.1:27780");
        tokio::time::timeout(Duration::from_millis(300), connect).await.ok().map(|it| it.is_ok())
    })
}

#[test]
fn a_wall_swallows_or_resets_until_it_is_gone() {
    need_tools(&["nft"]);
    let mut cluster = Cluster::bare();
    cluster.start_smd(Inventory::default());
    cluster.start_program("smd-cache");
    cluster.wait_ready("smd-cache");
    assert_eq!(connects(&cluster), Some(true));
    let wall = Wall::around(&cluster.wire.server, None, 27780, Fate::Silence);
    assert_eq!(connects(&cluster), None);
    drop(wall);
    assert_eq!(connects(&cluster), Some(true));
    let wall = Wall::around(&cluster.wire.server, None, 27780, Fate::Reset);
    assert_eq!(connects(&cluster), Some(false));
    drop(wall);
    let other = "127.0.0.2".parse().unwrap();
    let _wall = Wall::around(&cluster.wire.server, Some(other), 27780, Fate::Silence);
    assert_eq!(connects(&cluster), Some(true));
    assert_eq!(cluster.metric("smd-cache", "smd_cache_ready"), Some(1.0));
}

#[test]
fn a_small_disk_is_full_or_read_only_for_a_while() {
    let cluster = Cluster::bare();
    let disk = cluster.small_disk(64);
    let write = |name: &str| fs::write(cluster.var().join(name), "something to write");
    write("one").unwrap();
    disk.fill();
    assert!(write("two").is_err());
    disk.free();
    write("three").unwrap();
    disk.read_only(true);
    assert!(write("four").is_err());
    disk.read_only(false);
    write("five").unwrap();
    drop(disk);
    assert_eq!(fs::read_dir(cluster.var()).unwrap().count(), 0);
}

#[test]
fn a_clock_can_be_ahead() {
    let mut cluster = Cluster::bare();
    cluster.start_smd(Inventory::default());
    cluster.start_instance(&Instance { clock: 3600, ..Instance::of("smd-cache") });
    cluster.wait_ready("smd-cache");
    let status = crate::scene::status(&cluster, 27780).unwrap();
    let started = status.started_at.unwrap().seconds;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    assert!((3500..3700).contains(&(started - now)), "{}", started - now);
}
