//! The demo as a stranger runs it: it tells its story, and leaves nothing behind however it ends.
//!
//! It starts the programs that stand beside it: `cargo build --workspace --bins` comes first, as in `make test`.

#![allow(clippy::unwrap_used)] // helpers of tests are not recognised as tests

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use testkit::cluster::need_tools;

/// The whole story takes two seconds; a guess that also holds on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);
const PROGRAMS: [&str; 5] = ["smd-sim", "smd-cache", "dhcpd", "dnsd", "tftpd"];

/// Each wants the same ports first.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whatever a killed one leaves behind goes with `temporary`.
fn demo(temporary: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
    command
        .env("TMPDIR", temporary.path())
        .args(["--nodes", "100"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

/// A demo that stays up, once it has told how to go on; ended when the test fails.
struct Staying {
    child: Child,
    story: String,
    rest: BufReader<ChildStdout>,
    _temporary: TempDir,
}

impl Staying {
    fn start() -> Staying {
        let temporary = tempfile::tempdir().unwrap();
        let mut child = demo(&temporary).stderr(Stdio::piped()).spawn().unwrap();
        let rest = BufReader::new(child.stdout.take().unwrap());
        let mut staying = Staying { child, story: String::new(), rest, _temporary: temporary };
        while !staying.story.ends_with("until Ctrl-C.\n") {
            let read = staying.rest.read_line(&mut staying.story).unwrap();
            if read == 0 {
                let why = staying.complaint();
                panic!("it ended:\n{}\n{why}", staying.story);
            }
        }
        staying
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// What it writes to standard error until it ends.
    fn complaint(&mut self) -> String {
        let mut text = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Staying {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processes whose parent this one is, by name. A zombie is none.
fn children(parent: Pid) -> Vec<(Pid, String)> {
    let numbers =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let child = |number: i32| {
        let (name, state, its_parent) = stat(number)?;
        (its_parent == parent.as_raw() && state != "Z").then_some((Pid::from_raw(number), name))
    };
    numbers.filter_map(child).collect()
}

/// Name, state and parent from `/proc/PID/stat`.
fn stat(number: i32) -> Option<(String, String, i32)> {
    let text = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    let (before, after) = text.rsplit_once(')')?;
    let mut fields = after.split_whitespace();
    let name = before.split_once('(')?.1.to_owned();
    Some((name, fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}

fn within(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < end, "within {LIMIT:?}: {what}");
        std::thread::sleep(POLL);
    }
}

fn is_gone(pid: Pid) -> bool {
    stat(pid.as_raw()).is_none_or(|(_, state, _)| state == "Z")
}

#[test]
fn the_story_is_told_from_discover_to_the_node_that_is_added() {
    let _turn = turn();
    let temporary = tempfile::tempdir().unwrap();
    let output = demo(&temporary).arg("--once").output().unwrap();
    let story = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{}\n{story}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    let landmarks = [
        "tftpd      ", // ready
        "What SMD has about x1000c0s0b0n0",
        "→ DISCOVER  from 02:10:00:00:00:00",
        "← OFFER     after",
        "your address (yiaddr)    172.16.0.10",
        "host name (12)           nid0001.openchami.cluster",
        "boot file (67)           ipxe-x86_64.efi",
        "→ REQUEST",
        "← ACK       after",
        "→ READ      ipxe-x86_64.efi, blksize 1432",
        "← OACK      blksize 1432, tsize 1048576",
        "← DATA      1048576 bytes in 733 blocks",
        "user class (77)          iPXE",
        "boot file (67)           http://127.0.0.1:8081/boot/v1/bootscript?mac=02:10:00:00:00:00",
        "for iPXE (175)           176=1",
        "← A         172.16.0.10",
        "→ PTR       10.0.16.172.in-addr.arpa",
        "← PTR       nid0001.openchami.cluster",
        "← NXDOMAIN",
        "→ LookupMac 02:10:00:00:00:00",
        "← OUTCOME_FOUND",
        "→ DISCOVER  from 02:de:00:00:00:01",
        "← nothing",
        "/unknown:",
        "→ POST",
        "← OFFER     172.16.0.251 after",
        "← A         172.16.0.251",
        "That took",
    ];
    let mut rest = story.as_str();
    for landmark in landmarks {
        let Some((_, after)) = rest.split_once(landmark) else {
            panic!("no {landmark:?} in what is left:\n{rest}")
        };
        rest = after;
    }
    assert!(!story.contains('\x1b'), "colour is for terminals");
    assert!(!story.contains("Ctrl-C"), "--once does not stay up");
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0, "something was left behind");
}

#[test]
fn it_stays_up_until_told_and_what_it_says_one_can_try_works() {
    need_tools(&["curl", "dig", "grpcurl"]);
    let _turn = turn();
    let mut demo = Staying::start();
    let children = children(demo.pid());
    let mut names: Vec<&str> = children.iter().map(|(_, name)| name.as_str()).collect();
    names.sort_unstable_by_key(|name| PROGRAMS.iter().position(|known| known == name));
    assert_eq!(names, PROGRAMS);
    let lines: Vec<&str> = demo.story.lines().map(str::trim).collect();
    for (start, part, wanted) in [
        ("curl http", "/ready", "relays only"),
        ("curl http", "/metrics", "smd_cache_"),
        ("RUNTIME_DIR=", "smd-cache explain", "nid0001 boots: "),
        ("RUNTIME_DIR=", "dhcpd explain", "with an OFFER of 172.16.0.10 "),
        ("RUNTIME_DIR=", "dnsd explain", "with 172.16.0.10."),
        ("RUNTIME_DIR=", "dhcpd unknown", "02:de:00:00:00:01"),
        ("dig", "nid0001", "172.16.0.10"),
        ("dig", "-x", "nid0001.openchami.cluster."),
        ("curl -so", "tftp://", ""),
        ("curl -d", "/control/node", ""),
        ("grpcurl", "list", "smdcache.v1.SmdCache"),
        ("grpcurl", "LookupMac", "nid0001.openchami.cluster"),
        ("grpcurl", "LookupName", "x1000c0s0b0n0"),
        ("grpcurl", "GetStatus", "servableInterfaces"),
    ] {
        let line = lines.iter().find(|line| line.starts_with(start) && line.contains(part));
        let line = line.unwrap_or_else(|| panic!("no line {start:?} ... {part:?}\n{}", demo.story));
        let line = line.replace("loader.efi", "/dev/null");
        let output = Command::new("sh").args(["-c", &line]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains(wanted), "{line}\n{said}\n{output:?}");
    }
    kill(demo.pid(), Signal::SIGINT).unwrap();
    let status = demo.child.wait().unwrap();
    let mut rest = String::new();
    demo.rest.read_to_string(&mut rest).unwrap();
    assert!(status.success(), "{status}\n{rest}");
    // It has waited for them before it ended.
    assert!(children.iter().all(|(pid, _)| is_gone(*pid)), "{children:?}");
}

#[test]
fn the_programs_end_with_a_demo_that_is_killed() {
    let _turn = turn();
    let mut demo = Staying::start();
    let children = children(demo.pid());
    assert_eq!(children.len(), PROGRAMS.len());
    demo.child.kill().unwrap();
    demo.child.wait().unwrap();
    within("all programs are gone", || children.iter().all(|(pid, _)| is_gone(*pid)));
}

#[test]
fn a_program_that_ends_is_named_and_ends_the_demo_with_its_log() {
    let _turn = turn();
    let mut demo = Staying::start();
    let (dnsd, _) = children(demo.pid()).into_iter().find(|(_, name)| name == "dnsd").unwrap();
    kill(dnsd, Signal::SIGKILL).unwrap();
    let said = demo.complaint();
    assert_eq!(demo.child.wait().unwrap().code(), Some(1), "{said}");
    assert!(said.contains("demo: dnsd ended by itself (signal: 9 (SIGKILL))"), "{said}");
    assert!(said.contains("the end of dnsd's log"), "{said}");
}

#[test]
fn programs_that_are_not_built_are_missed_in_one_sentence() {
    let directory = tempfile::tempdir().unwrap();
    let alone = directory.path().join("demo");
    fs::copy(env!("CARGO_BIN_EXE_demo"), &alone).unwrap();
    let output = Command::new(&alone).arg("--once").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    let wanted = format!("demo: {}/smd-sim is not there; `make demo` builds it", directory.path().display());
    assert_eq!(said.trim(), wanted);
}
