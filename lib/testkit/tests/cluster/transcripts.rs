//! What READMEs show as typed at a shell is typed at a shell here, and what they show as the answer is the answer.
//!
//! A block ```` ```console ```` holds commands (`$ ...`), each followed by what it prints; a line `...` stands for lines that
//! are left out. Times, serials, instances and digests may differ; everything else may not.

use crate::explain;
use std::time::Duration;
use testkit::cluster::{Cluster, finish, need_tools, tool};

const READMES: [(&str, &str); 3] = [
    ("smd-cache/README.md", include_str!("../../../../smd-cache/README.md")),
    ("dhcpd/README.md", include_str!("../../../../dhcpd/README.md")),
    ("dnsd/README.md", include_str!("../../../../dnsd/README.md")),
];

/// A command and what it prints.
struct Transcript {
    command: String,
    lines: Vec<String>,
}

fn transcripts(readme: &str) -> Vec<Transcript> {
    let mut found: Vec<Transcript> = Vec::new();
    let mut inside = false;
    for line in readme.lines() {
        match (inside, line) {
            (false, "```console") => inside = true,
            (true, "```") => inside = false,
            (true, line) => match line.strip_prefix("$ ") {
                Some(command) => found.push(Transcript { command: command.to_owned(), lines: Vec::new() }),
                None => found.last_mut().expect("a block begins with a command").lines.push(line.to_owned()),
            },
            (false, _) => {}
        }
    }
    found
}

/// Types it at a shell on the server's machine, where the programs and grpcurl are in the path.
fn typed(cluster: &Cluster, command: &str) -> Vec<String> {
    let mut shell = cluster.wire.server.command("sh");
    let folders = [cluster.programs_folder(), tool("grpcurl").parent().expect("a folder").to_owned()];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(folders.into_iter().chain(std::env::split_paths(&path))).expect("a path");
    shell.args(["-c", command]).env("PATH", path).env("RUNTIME_DIR", cluster.runtime_folder());
    let (_, said) = finish(&mut shell, Duration::from_secs(20));
    said.lines().map(ToOwned::to_owned).collect()
}

/// Without what differs from run to run.
fn normal(line: &str) -> String {
    let mut before = "";
    let words = line.split(' ').filter(|word| !word.is_empty()).map(|word| {
        let bare = word.trim_matches(|c: char| "\"',.;:()".contains(c));
        let is_hex = |length| bare.len() == length && bare.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_number = !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_digit());
        let is_time = bare.len() >= 20 && bare.starts_with("20") && bare.ends_with('Z');
        let is_socket = bare.starts_with("unix:") && bare.ends_with("/smd-cache.sock");
        let counts = before.trim_matches(|c: char| "\"(:".contains(c)) == "generation";
        before = word;
        match () {
            () if is_number && counts => word.replace(bare, "N"),
            () if is_hex(16) => word.replace(bare, "INSTANCE"),
            () if is_hex(32) => word.replace(bare, "DIGEST"),
            () if is_time => word.replace(bare, "TIME"),
            () if is_socket => word.replace(bare, "SOCKET"),
            () if is_number && bare.len() == 10 => word.replace(bare, "SERIAL"),
            () => word.to_owned(),
        }
    });
    let indent = line.len() - line.trim_start().len();
    let line = format!("{}{}", " ".repeat(indent), words.collect::<Vec<_>>().join(" "));
    without_ages(&without_ages(&line, " ago"), " good")
}

/// `3 s ago`, `12 good`: the number and its unit.
fn without_ages(line: &str, end: &str) -> String {
    let mut parts: Vec<String> = line.split(end).map(ToOwned::to_owned).collect();
    let last = parts.len() - 1;
    for part in &mut parts[..last] {
        let kept = part.trim_end_matches(|c: char| c.is_ascii_lowercase() && end == " ago").trim_end();
        let kept = kept.trim_end_matches(|c: char| c.is_ascii_digit());
        *part = format!("{kept}N");
    }
    parts.join(end)
}

/// Whether the lines are those, where `...` stands for any number of lines.
fn fits(wanted: &[String], said: &[String]) -> bool {
    match wanted.split_first() {
        None => said.is_empty(),
        Some((first, rest)) if first.trim() == "..." => {
            (0..=said.len()).any(|skipped| fits(rest, &said[skipped..]))
        }
        Some((first, rest)) => {
            said.split_first().is_some_and(|(line, after)| normal(first) == normal(line) && fits(rest, after))
        }
    }
}

#[test]
fn readmes_show_what_the_programs_say() {
    need_tools(&["grpcurl"]);
    let cluster = explain::cluster();
    let mut wrong = Vec::new();
    for (file, readme) in READMES {
        let transcripts = transcripts(readme);
        assert!(transcripts.len() >= 2, "{file} has no transcripts");
        for Transcript { command, lines } in transcripts {
            let said = typed(&cluster, &command);
            if !fits(&lines, &said) {
                wrong.push(format!("{file} is not what comes of\n$ {command}\n{}", said.join("\n")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn a_transcript_fits_whenever_it_is_taken_and_only_then() {
    let lines = |text: &str| text.lines().map(ToOwned::to_owned).collect::<Vec<_>>();
    for (wanted, said, fit) in [
        ("a\nb", "a\nb", true),
        ("a\nb", "a\nc", false),
        ("a\nb", "a", false),
        ("a\n...\nd", "a\nb\nc\nd", true),
        ("...", "", true),
        ("a\n...\nd", "a\nb\nc", false),
        ("read 3 s ago (12 good, 0 failed)", "read 12 min ago (3 good, 0 failed)", true),
        ("read 3 s ago", "read never", false),
        ("(generation 3).", "(generation 4).", true),
        (r#""generation": "3","#, r#""generation":  "4","#, true),
        (r#"  "readAt": "2026-11-25T03:02:45.14Z","#, r#"  "readAt":  "2027-01-01T00:00:00.1Z","#, true),
        ("zones     c.local (serial 1795575764)", "zones     c.local (serial 1795575765)", true),
        ("at unix:/run/coresmd/smd-cache.sock: ready", "at unix:/tmp/x/smd-cache.sock: ready", true),
        (
            "started   1 s ago, instance 43dfdfae18907695",
            "started   1 s ago, instance 43dfdfae18907600",
            true,
        ),
        ("has 172.16.0.11.", "has 172.16.0.12.", false),
        ("  a", "a", false),
    ] {
        assert_eq!(fits(&lines(wanted), &lines(said)), fit, "{wanted} / {said}");
    }
}
