use super::*;
use crate::{fixtures::*, watch::Touched};
use proto::v1;

fn at(instance: &str, generation: u64) -> Option<Position> {
    Some(Position { instance: instance.into(), generation })
}

fn follow(answers: &Answers, forget: Forget, position: Option<Position>) {
    answers.follow(forget, position, Standard { synced: true, held: None });
}

fn following() -> Answers {
    let answers = Answers::new();
    follow(&answers, Forget::AskAgain, at("a", 5));
    answers
}

fn key(text: &str) -> AnyKey {
    match text {
        _ if text.contains(':') => AnyKey::Mac(text.parse().unwrap()),
        _ if text.starts_with("172") => AnyKey::Address(text.parse().unwrap()),
        _ if text.starts_with('x') => AnyKey::Id(text.parse().unwrap()),
        _ => AnyKey::Name(text.parse().unwrap()),
    }
}

const MAC: &str = "02:00:00:00:00:01";
const ID: &str = "x1000c0s0b0n0";

/// Node 1 as smd-cache would answer for the key.
fn keep(answers: &Answers, text: &str, generation: u64) {
    let reply = v1::LookupReply {
        interfaces: vec![interface(MAC, ID, &[("172.16.0.1", &["nid0001.cluster.local"])])],
        components: vec![component(ID, &["nid0001.cluster.local"])],
        ..Default::default()
    };
    let reply = match text {
        "cluster.local" => v1::LookupReply { empty_non_terminal: true, ..Default::default() },
        _ => reply,
    };
    let (answer, made_of) = key(text).answer(reply).unwrap_or_else(|| panic!("{text} is answered"));
    answers.keep(key(text), "a", Entry::new(Some(answer), made_of, with(generation)));
}

fn deny(answers: &Answers, text: &str) {
    answers.keep(key(text), "a", Entry::new(None, MadeOf::default(), with(5)));
}

fn with(generation: u64) -> Freshness {
    Freshness { generation, ..Freshness::default() }
}

fn held(answers: &Answers, text: &str) -> &'static str {
    match answers.hit(&key(text)) {
        Some(Hit::Current(entry)) if entry.answer.is_some() => "found",
        Some(Hit::Current(_)) => "unknown",
        Some(Hit::Old(_)) => "old",
        None => "nothing",
    }
}

#[tokio::test(start_paused = true)]
async fn found_lives_a_minute_and_unknown_three_seconds() {
    let answers = following();
    keep(&answers, MAC, 5);
    deny(&answers, "172.16.0.9");
    for (after, found, unknown) in [
        (0, "found", "unknown"),
        (2, "found", "unknown"),
        (1, "found", "nothing"),
        (56, "found", "nothing"),
        (1, "nothing", "nothing"),
    ] {
        tokio::time::advance(Duration::from_secs(after)).await;
        assert_eq!((held(&answers, MAC), held(&answers, "172.16.0.9")), (found, unknown), "{after} s later");
    }
}

#[test]
fn only_what_is_not_older_than_the_last_change_is_kept() {
    for (instance, generation, expected) in
        [("a", 4, "nothing"), ("a", 5, "found"), ("a", 6, "found"), ("b", 9, "nothing")]
    {
        let answers = following();
        let reply = v1::LookupReply { interfaces: vec![interface(MAC, ID, &[])], ..Default::default() };
        let (answer, made_of) = key(MAC).answer(reply).unwrap();
        answers.keep(key(MAC), instance, Entry::new(Some(answer), made_of, with(generation)));
        assert_eq!(held(&answers, MAC), expected, "{instance}/{generation}");
    }
    let never_greeted = Answers::new();
    keep(&never_greeted, MAC, 5);
    assert_eq!(held(&never_greeted, MAC), "nothing");
}

#[test]
fn a_change_drops_what_it_speaks_of_and_nothing_else() {
    let name = "nid0001.cluster.local";
    let put = |interface| v1::Change { put_interfaces: vec![interface], ..Default::default() };
    let other = "02:00:00:00:00:02";
    let table: [(_, _, &[&str]); 8] = [
        ("the interface, without its address", put(interface(MAC, ID, &[])), &[MAC, "172.16.0.1", name, ID]),
        (
            "the interface removed",
            v1::Change { removed_macs: vec![MAC.into()], ..Default::default() },
            &[MAC, "172.16.0.1", name, ID],
        ),
        (
            "the component",
            v1::Change { put_components: vec![component(ID, &[])], ..Default::default() },
            &[MAC, "172.16.0.1", name, ID],
        ),
        (
            "the component removed",
            v1::Change { removed_ids: vec![ID.into()], ..Default::default() },
            &[MAC, "172.16.0.1", name, ID],
        ),
        ("another with the same address", put(interface(other, "", &[("172.16.0.1", &[])])), &["172.16.0.1"]),
        ("another with the same name", put(interface(other, "", &[("172.16.0.2", &[name])])), &[name]),
        ("another of the same component", put(interface(other, ID, &[])), &[MAC, "172.16.0.1", name, ID]),
        (
            "a stranger",
            put(interface(other, "x9c0s0b0n0", &[("172.16.0.2", &["nid0002.cluster.local"])])),
            &[],
        ),
    ];
    for (case, change, gone) in table {
        let answers = following();
        for text in [MAC, "172.16.0.1", name, ID] {
            keep(&answers, text, 5);
        }
        follow(&answers, Forget::Touched(Touched::by(&change)), at("a", 6));
        for text in [MAC, "172.16.0.1", name, ID] {
            let expected = if gone.contains(&text) { "nothing" } else { "found" };
            assert_eq!(held(&answers, text), expected, "{case}: {text}");
        }
    }
}

#[test]
fn a_change_drops_the_denial_of_what_it_brings() {
    let answers = following();
    let brought = ["02:00:00:00:00:07", "172.16.0.7", "a.b.local", "b.local", "local", "x7c0s0b0n0"];
    for text in brought.iter().chain(&["172.16.0.8", "c.b.local"]) {
        deny(&answers, text);
    }
    keep(&answers, "cluster.local", 5);
    let change = v1::Change {
        put_interfaces: vec![interface(brought[0], brought[5], &[(brought[1], &[brought[2]])])],
        ..Default::default()
    };
    follow(&answers, Forget::Touched(Touched::by(&change)), at("a", 6));
    for text in brought {
        assert_eq!(held(&answers, text), "nothing", "{text}");
    }
    for text in ["172.16.0.8", "c.b.local"] {
        assert_eq!(held(&answers, text), "unknown", "{text}");
    }
    assert_eq!(held(&answers, "cluster.local"), "nothing", "its last child may have gone");
}

#[test]
fn after_a_greeting_that_does_not_resume_everything_is_to_be_asked_again() {
    let answers = following();
    keep(&answers, MAC, 5);
    deny(&answers, "172.16.0.9");
    follow(&answers, Forget::AskAgain, at("b", 1));
    assert_eq!((held(&answers, MAC), held(&answers, "172.16.0.9")), ("old", "nothing"));
}

#[test]
fn what_a_whole_snapshot_holds_is_not_held_twice() {
    let answers = following();
    keep(&answers, MAC, 5);
    let later = SystemTime::now() + 2 * CLOCKS;
    follow(&answers, Forget::Replaced(Some(later)), at("a", 6));
    assert_eq!(held(&answers, MAC), "nothing");
}

#[test]
fn what_was_got_after_a_snapshot_was_read_is_not_denied_by_it() {
    let answers = following();
    keep(&answers, MAC, 5);
    let earlier = SystemTime::now() - CLOCKS;
    follow(&answers, Forget::Replaced(Some(earlier)), at("b", 1));
    assert_eq!(held(&answers, MAC), "old", "to be asked again");
    assert!(answers.found_after(&key(MAC), Some(earlier)), "UNKNOWN of then is no news");
    assert!(answers.found_after(&key(MAC), None), "nor of who does not know when");
    assert!(!answers.found_after(&key(MAC), Some(earlier + 3 * CLOCKS)), "of now it is");
    assert!(!answers.found_after(&key("172.16.0.9"), Some(earlier)));
}
