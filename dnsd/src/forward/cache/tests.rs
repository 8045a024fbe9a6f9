use super::*;
use crate::wire::{kind, to_wire};
use std::time::Duration;

fn question(name: &str) -> Question {
    Question::new(&to_wire(&name.parse().unwrap()), kind::A, false, false)
}

/// As from a forwarder, that holds for so many seconds; 5 for a failure.
fn entry(question: &Question, rcode: u16, seconds: u64, now: Instant) -> Arc<Entry> {
    let answer = Answer { rcode, ..Answer::servfail(question) };
    Arc::new(Entry { lifetime: Duration::from_secs(seconds), ..Entry::new(answer, None, now) })
}

fn found(cache: &Cache, question: &Question, now: Instant) -> &'static str {
    match cache.find(question, now) {
        Kept::Fresh(entry) if entry.answer.is_failure() => "failure",
        Kept::Fresh(_) => "fresh",
        Kept::StaleAndFailed(_) => "stale and failed",
        Kept::Stale(_) => "stale",
        Kept::Nothing => "nothing",
    }
}

#[test]
fn answers_hold_as_long_as_they_say_and_then_as_long_as_the_operator_says() {
    let asked = question("www.example.com");
    let start = Instant::now();
    let after = |seconds| start + Duration::from_secs(seconds);
    for (stale, table) in [
        (0, [(0, "fresh"), (59, "fresh"), (60, "nothing"), (61, "nothing"), (1000, "nothing")]),
        (100, [(0, "fresh"), (59, "fresh"), (60, "stale"), (159, "stale"), (160, "nothing")]),
    ] {
        let cache = Cache::default();
        cache.serve_stale(Duration::from_secs(stale));
        assert_eq!(found(&cache, &asked, start), "nothing");
        cache.keep(&asked, entry(&asked, 0, 60, start));
        for (seconds, wanted) in table {
            assert_eq!(found(&cache, &asked, after(seconds)), wanted, "{stale} {seconds}");
        }
    }
}

#[test]
fn a_failure_leaves_the_answer_that_it_could_not_renew() {
    let asked = question("www.example.com");
    let start = Instant::now();
    let after = |seconds| start + Duration::from_secs(seconds);
    let cache = Cache::default();
    cache.serve_stale(Duration::from_secs(100));
    cache.keep(&asked, entry(&asked, 2, 5, start));
    assert_eq!(found(&cache, &asked, after(4)), "failure");
    assert_eq!(found(&cache, &asked, after(5)), "nothing");
    cache.keep(&asked, entry(&asked, 0, 60, after(5)));
    assert_eq!(found(&cache, &asked, after(5)), "fresh", "an answer ends a failure");
    cache.keep(&asked, entry(&asked, 5, 5, after(70)));
    assert_eq!(found(&cache, &asked, after(70)), "stale and failed", "not asked again at once");
    assert_eq!(found(&cache, &asked, after(75)), "stale");
    cache.keep(&asked, entry(&asked, 3, 0, after(75)));
    assert_eq!(found(&cache, &asked, after(75)), "nothing", "what may not be kept replaces what was");
}

#[test]
fn each_question_has_its_own_answer() {
    let name = to_wire(&"www.example.com".parse().unwrap());
    let start = Instant::now();
    let cache = Cache::default();
    let one = Question::new(&name, kind::A, true, false);
    cache.keep(&one, entry(&one, 0, 60, start));
    assert_eq!(found(&cache, &one, start), "fresh");
    for other in [
        Question::new(&name, kind::AAAA, true, false),
        Question::new(&name, kind::A, false, false),
        Question::new(&name, kind::A, true, true),
        question("example.com"),
    ] {
        assert_eq!(found(&cache, &other, start), "nothing");
    }
    cache.clear();
    assert_eq!(found(&cache, &one, start), "nothing");
}

#[test]
fn a_hundred_thousand_names_weigh_no_more_than_the_bound() {
    let cache = Cache::default();
    let start = Instant::now();
    for number in 0..100_000 {
        let asked = question(&format!("name-{number}.a-domain.example.com"));
        cache.keep(&asked, entry(&asked, if number % 2 == 0 { 0 } else { 2 }, 60, start));
    }
    cache.settle();
    let (entries, bytes) = cache.size();
    assert!(bytes <= MAX_ANSWERS + MAX_FAILURES, "{bytes}");
    assert!(entries > 10_000, "and they are not thrown away without need: {entries}");
}
