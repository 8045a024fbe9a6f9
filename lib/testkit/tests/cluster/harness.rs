//! The harness itself: nothing of a cluster outlives it, whatever happens.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    process::{Command, Stdio},
    time::Duration,
};
use testkit::{
    cluster::{Cluster, within},
    smd::Inventory,
};

fn namespaces() -> String {
    let output = Command::new("ip").args(["netns", "list"]).output().expect("ip, of package iproute2");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn runs(pid: u32) -> bool {
    std::path::Path::new("/proc").join(pid.to_string()).exists()
}

#[test]
fn a_panicking_test_leaves_no_namespace_and_no_program_behind() {
    let mut left = (Vec::new(), 0);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let mut cluster = Cluster::bare();
        cluster.start_smd(Inventory::default());
        cluster.start_program("smd-cache");
        cluster.wait_ready("smd-cache");
        left = (
            vec![cluster.wire.server.name().to_owned(), cluster.wire.node3.name().to_owned()],
            cluster.pid("smd-cache"),
        );
        assert!(runs(left.1), "the id is that of the program");
        std::panic::resume_unwind(Box::new("as if a check had failed"));
    }));
    assert!(panicked.is_err());
    let (names, pid) = left;
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
