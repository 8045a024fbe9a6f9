use super::*;
use crate::{fixture::query, wire::Transport};
use std::sync::mpsc::channel;

const CLIENT: Client =
    Client { address: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), transport: Transport::Udp };
const WAIT: Duration = Duration::from_secs(10);

/// A log that is on and writes where the test reads.
fn log() -> (QueryLog, Receiver<Line>, Counter) {
    let unlogged = Counter::default();
    let log = QueryLog::new(unlogged.clone());
    let (sender, lines) = channel();
    log.start(move |line| _ = sender.send(line));
    log.switch(true);
    (log, lines, unlogged)
}

fn answer(question: &str) -> Vec<u8> {
    let mut answer = query(question);
    (answer[2], answer[3]) = (0x85, 0x90);
    answer
}

#[test]
fn a_line_says_who_asked_for_what_and_what_came_of_it() {
    let (log, lines, _) = log();
    let answer = answer("NID0001.cluster.local. AAAA");
    log.note(CLIENT, Rcode::NxDomain, &answer, Duration::from_micros(7));
    let wanted = Line::Query {
        client: CLIENT.address,
        transport: "udp",
        name: "NID0001.cluster.local".into(),
        kind: "AAAA".into(),
        rcode: "nxdomain",
        flags: "aa rd ra cd".into(),
        size: answer.len(),
        microseconds: 7,
    };
    assert_eq!(lines.recv_timeout(WAIT).unwrap(), wanted);
}

#[test]
fn answers_without_a_question_have_a_line_too() {
    let (log, lines, _) = log();
    for bytes in [&[0; HEADER][..], &[0; 3]] {
        log.note(CLIENT, Rcode::FormErr, bytes, Duration::ZERO);
        let Line::Query { name, kind, rcode, .. } = lines.recv_timeout(WAIT).unwrap() else { panic!() };
        assert_eq!((name.as_str(), kind.as_str(), rcode), ("-", "-", "formerr"));
    }
}

#[test]
fn names_cannot_break_out_of_their_field() {
    let mut bytes = vec![0, 0, 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    bytes.extend_from_slice(b"\x06a\n\x1b[\".\x01\xff\0\0\x01\0\x01");
    let (log, lines, _) = log();
    log.note(CLIENT, Rcode::Refused, &bytes, Duration::ZERO);
    let Line::Query { name, .. } = lines.recv_timeout(WAIT).unwrap() else { panic!() };
    assert_eq!(name, r#"a\010\027[\"\..\255"#);
}

#[test]
fn a_log_that_stands_still_costs_lines_and_not_answers() {
    let unlogged = Counter::default();
    let log = QueryLog::new(unlogged.clone());
    let (go, gate) = channel::<()>();
    let (sender, lines) = channel();
    log.start(move |line| {
        // Stuck in its first line until the test ends.
        _ = gate.recv();
        _ = sender.send(line);
    });
    log.switch(true);
    let many = u64::from(MAX_LINES) * 3;
    for _ in 0..many {
        log.note(CLIENT, Rcode::NoError, &answer("a.b. A"), Duration::ZERO);
    }
    // One may be in the hand of the writer, and a second may have gone by before it got stuck.
    let left_out = unlogged.get();
    assert!(left_out >= many - 2 * u64::from(MAX_LINES) - 1, "{left_out} of {many} were left out");
    drop(go);
    let told: u64 = lines
        .iter()
        .map_while(|line| match line {
            Line::Query { .. } => Some(0),
            Line::LeftOut(count) => Some(count),
        })
        .find(|count| *count > 0)
        .unwrap();
    assert_eq!(told, left_out, "those who read the log learn of it");
}

#[test]
fn off_it_is_silent() {
    let (log, lines, unlogged) = log();
    log.switch(false);
    log.note(CLIENT, Rcode::NoError, &answer("a.b. A"), Duration::ZERO);
    drop(log);
    assert_eq!(lines.iter().count(), 0);
    assert_eq!(unlogged.get(), 0);
}

#[tokio::test]
async fn the_last_lines_are_written() {
    let (log, lines, _) = log();
    for _ in 0..10 {
        log.note(CLIENT, Rcode::NoError, &answer("a.b. A"), Duration::ZERO);
    }
    log.finish().await;
    assert_eq!(lines.try_iter().count(), 10);
}
