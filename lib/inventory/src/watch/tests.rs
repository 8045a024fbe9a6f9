use super::*;
use crate::fixtures::*;
use std::fmt::Write;

/// Plays events and writes down, after each, what a daemon would see.
struct Play {
    session: Session,
    published: Replica,
    transcript: String,
}

impl Play {
    fn new(wants_snapshot: bool) -> Play {
        Play::holding(Replica::default(), wants_snapshot)
    }

    fn holding(replica: Replica, wants_snapshot: bool) -> Play {
        Play {
            session: Session::new(replica.clone(), wants_snapshot),
            published: replica,
            transcript: "\n".into(),
        }
    }

    fn event(&mut self, event: Event) -> Effect {
        let text = describe(&event);
        let effect = self.session.event(event);
        self.note(&text, &effect);
        self.see(effect)
    }

    fn lost(&mut self) -> Effect {
        let effect = self.session.lost();
        self.note("connection lost", &effect);
        self.see(effect)
    }

    fn see(&mut self, mut effect: Effect) -> Effect {
        if let Some(replica) = effect.publish.take() {
            self.published = replica;
        }
        effect
    }

    fn note(&mut self, what: &str, effect: &Effect) {
        let seen = effect.publish.as_ref().unwrap_or(&self.published);
        let _ = write!(self.transcript, "{what:<42} → {}", state(seen));
        if !matches!(effect.forget, Forget::Nothing) {
            let forget = format!("{:?}", effect.forget);
            let _ =
                write!(self.transcript, ", cache: {}", forget.split(['(', ' ']).next().unwrap_or_default());
        }
        if effect.wake {
            self.transcript.push_str(", wakes");
        }
        if let Some(loss) = effect.restart {
            let _ = write!(self.transcript, ", restarts: {loss:?}");
        }
        self.transcript.push('\n');
    }

    #[track_caller]
    fn sees(&self, expected: &str) {
        assert_eq!(state(&self.published), expected, "{}", self.transcript);
    }

    #[track_caller]
    fn reads(&self, expected: &str) {
        let trimmed = |text: &str| {
            text.trim().lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(trimmed(&self.transcript), trimmed(expected), "{}", self.transcript);
    }
}

fn state(replica: &Replica) -> String {
    let freshness = replica.freshness();
    let macs: Vec<_> = replica.interfaces().map(|held| held.mac.to_string()[15..].to_owned()).collect();
    let kind = if replica.is_complete() { "complete" } else { "partial" };
    let age = if freshness.stale { "stale" } else { "fresh" };
    format!("{kind} {}/{} [{}] {age}", replica.origin().instance, freshness.generation, macs.join(" "))
}

fn describe(event: &Event) -> String {
    let at = |freshness: &Option<v1::Freshness>| {
        freshness.as_ref().map_or("?".into(), |at| format!("{}/{}", at.instance, at.generation))
    };
    match event {
        Event::Hello(hello) => {
            format!("Hello {} synced={} resumed={}", at(&hello.freshness), hello.synced, hello.resumed)
        }
        Event::Heartbeat(beat) => format!("Heartbeat {}", at(&beat.freshness)),
        Event::Synced(synced) => format!("Synced {} resumed={}", at(&synced.freshness), synced.resumed),
        Event::Put(put) => format!("Put {}", put.interfaces.len()),
        Event::Complete(complete) => format!("Complete {}", at(&complete.freshness)),
        Event::Change(change) => {
            let (put, removed) = (change.put_interfaces.len(), change.removed_macs.len());
            format!("Change {} +{put} -{removed}", at(&change.freshness))
        }
    }
}

fn hello(instance: &str, generation: u64, synced: bool, resumed: bool) -> Event {
    Event::Hello(v1::Hello {
        freshness: Some(fresh(instance, generation)),
        domain: "cluster.local".into(),
        zones: vec![v1::Zone { name: "cluster.local".into(), serial: 1 }],
        synced,
        resumed,
    })
}

fn synced(instance: &str, generation: u64, resumed: bool) -> Event {
    Event::Synced(v1::Synced { freshness: Some(fresh(instance, generation)), resumed, ..Default::default() })
}

fn put(last: &[u8]) -> Event {
    Event::Put(v1::Put { interfaces: last.iter().map(|last| node(*last)).collect(), components: vec![] })
}

fn node(last: u8) -> v1::Interface {
    interface(&format!("02:00:00:00:00:{last:02x}"), "", &[])
}

fn complete(instance: &str, generation: u64) -> Event {
    Event::Complete(v1::Complete { freshness: Some(fresh(instance, generation)), ..Default::default() })
}

fn change(instance: &str, generation: u64, put: &[u8], removed: &[u8]) -> Event {
    Event::Change(v1::Change {
        freshness: Some(fresh(instance, generation)),
        put_interfaces: put.iter().map(|last| node(*last)).collect(),
        removed_macs: removed.iter().map(|last| node(*last).mac).collect(),
        ..Default::default()
    })
}

fn heartbeat(instance: &str, generation: u64, stale: bool) -> Event {
    Event::Heartbeat(v1::Heartbeat {
        freshness: Some(v1::Freshness { stale, ..fresh(instance, generation) }),
    })
}

/// Holding generation 5 of instance a, with one machine.
fn settled() -> Play {
    let mut play = Play::holding(replica_of(5, vec![node(1)], vec![]), true);
    play.event(hello("a", 5, true, true));
    play.sees("complete a/5 [01] fresh");
    play
}

#[test]
fn a_first_start_receives_the_whole_and_then_each_change() {
    let mut play = Play::new(true);
    assert_eq!(play.session.request(), v1::WatchRequest { snapshot: true, ..Default::default() });
    play.event(hello("a", 5, true, false));
    play.event(put(&[1, 2]));
    play.event(heartbeat("a", 5, false));
    play.event(put(&[3]));
    play.event(complete("a", 5));
    play.event(change("a", 6, &[4], &[1]));
    play.event(heartbeat("a", 6, true));
    play.event(heartbeat("a", 6, false));
    play.lost();
    play.reads(
        "Hello a/5 synced=true resumed=false        → partial a/5 [] stale, cache: AskAgain, wakes
         Put 2                                      → partial a/5 [] stale
         Heartbeat a/5                              → partial a/5 [] stale
         Put 1                                      → partial a/5 [] stale
         Complete a/5                               → complete a/5 [01 02 03] fresh, cache: Replaced, wakes
         Change a/6 +1 -1                           → complete a/6 [02 03 04] fresh, cache: Touched, wakes
         Heartbeat a/6                              → complete a/6 [02 03 04] stale
         Heartbeat a/6                              → complete a/6 [02 03 04] fresh
         connection lost                            → complete a/6 [02 03 04] stale",
    );
    assert_eq!(play.session.request().freshness, Some(fresh("a", 6)));
}

#[test]
fn the_greeting_already_tells_domain_and_zones() {
    let mut play = Play::new(true);
    play.event(hello("a", 0, false, false));
    assert_eq!(play.published.domain().unwrap().as_str(), "cluster.local");
    assert_eq!(play.published.zones().len(), 1);
    assert!(!play.published.is_complete());
}

#[test]
fn until_a_server_is_synced_what_is_held_is_kept_and_stale() {
    let mut play = Play::holding(replica_of(5, vec![node(1)], vec![]), true);
    assert_eq!(play.session.request().freshness, Some(fresh("a", 5)));
    play.event(hello("b", 2, false, false));
    play.sees("complete a/5 [01] stale");
    play.event(heartbeat("b", 2, false));
    play.sees("complete a/5 [01] stale");
    play.event(synced("b", 3, false));
    play.event(put(&[7]));
    play.sees("complete a/5 [01] stale");
    play.event(complete("b", 3));
    play.sees("complete b/3 [07] fresh");
}

#[test]
fn a_snapshot_that_breaks_off_halfway_changes_nothing() {
    let mut play = settled();
    play.lost();
    play.event(hello("a", 90, true, false));
    play.event(put(&[7]));
    play.lost();
    play.sees("complete a/5 [01] stale");
    assert_eq!(play.session.request().freshness, Some(fresh("a", 5)));
    play.event(hello("a", 91, true, false));
    play.event(put(&[8]));
    play.event(complete("a", 91));
    play.sees("complete a/91 [08] fresh");
}

#[test]
fn what_is_resumed_goes_on_where_it_was_and_is_stale_until_the_last_missing_change() {
    let mut play = settled();
    play.lost();
    let resumed = play.event(hello("a", 7, true, true));
    assert!(!resumed.wake && !resumed.caught_up, "{}", play.transcript);
    assert!(play.session.link().synced && !play.session.link().following);
    let first = play.event(change("a", 6, &[2], &[]));
    let last = play.event(change("a", 7, &[], &[1]));
    assert!(!first.caught_up && last.caught_up, "{}", play.transcript);
    assert!(play.session.link().following);
    play.event(change("a", 8, &[3], &[]));
    play.reads(
        "Hello a/5 synced=true resumed=true         → complete a/5 [01] fresh
         connection lost                            → complete a/5 [01] stale
         Hello a/7 synced=true resumed=true         → complete a/5 [01] stale, cache: AskAgain
         Change a/6 +1 -0                           → complete a/6 [01 02] stale, cache: Touched, wakes
         Change a/7 +0 -1                           → complete a/7 [02] fresh, cache: Touched, wakes
         Change a/8 +1 -0                           → complete a/8 [02 03] fresh, cache: Touched, wakes",
    );
}

#[test]
fn a_connection_that_is_lost_between_missing_changes_is_resumed_at_the_last_that_came() {
    let mut play = settled();
    play.lost();
    play.event(synced("a", 7, true)); // without a greeting: nothing
    play.event(hello("a", 7, true, true));
    play.event(change("a", 6, &[2], &[]));
    play.lost();
    assert_eq!(play.session.request().freshness, Some(fresh("a", 6)));
    play.event(hello("a", 7, true, true));
    play.sees("complete a/6 [01 02] stale");
    play.event(change("a", 7, &[], &[1]));
    play.sees("complete a/7 [02] fresh");
}

#[test]
fn a_server_that_resumes_at_less_than_is_held_is_asked_anew() {
    let mut play = settled();
    play.lost();
    assert_eq!(play.event(hello("a", 4, true, true)).restart, Some(Loss::Gap), "{}", play.transcript);
    play.lost();
    play.sees("complete a/5 [01] stale");
}

#[test]
fn a_restarted_server_with_equal_content_is_resumed_under_its_own_numbers() {
    let mut play = settled();
    play.lost();
    let twin = v1::Freshness { digest: fresh("a", 5).digest, ..fresh("b", 1) };
    play.event(Event::Hello(v1::Hello {
        freshness: Some(twin),
        synced: true,
        resumed: true,
        ..Default::default()
    }));
    play.sees("complete b/1 [01] fresh");
    play.event(change("b", 2, &[2], &[]));
    play.sees("complete b/2 [01 02] fresh");
    assert_eq!(play.session.request().freshness.unwrap().instance, "b");
}

#[test]
fn a_change_that_does_not_continue_what_is_held_asks_for_everything() {
    let table = [
        ("a generation missing", change("a", 7, &[2], &[])),
        ("the same once more", change("a", 5, &[2], &[])),
        ("another instance", change("b", 6, &[2], &[])),
        ("no freshness", Event::Change(v1::Change::default())),
    ];
    for (case, event) in table {
        let mut play = settled();
        let effect = play.event(event);
        assert_eq!(effect.restart, Some(Loss::Gap), "{case}: {}", play.transcript);
        play.lost();
        play.sees("complete a/5 [01] stale");
        let asks = play.session.request().freshness.unwrap();
        assert_eq!((asks.generation, asks.digest.as_str()), (0, ""), "{case}: cannot be resumed");
        assert_eq!(
            (asks.instance.as_str(), asks.read_at),
            ("a", fresh("a", 5).read_at),
            "{case}: cannot go back"
        );
        play.event(hello("a", 8, true, false));
        play.event(put(&[9]));
        play.event(complete("a", 8));
        play.sees("complete a/8 [09] fresh");
    }
}

#[test]
fn a_change_before_the_snapshot_is_complete_is_refused() {
    let mut play = settled();
    play.lost();
    play.event(hello("b", 1, true, false));
    assert_eq!(play.event(change("b", 2, &[2], &[])).restart, Some(Loss::Gap));
    play.sees("complete a/5 [01] stale");
}

#[test]
fn a_server_that_resumes_what_nobody_holds_is_asked_anew() {
    for mut play in [Play::new(true), Play::holding(replica_of(5, vec![], vec![]), true)] {
        assert_eq!(play.event(hello("z", 1, true, true)).restart, Some(Loss::Gap), "{}", play.transcript);
    }
}

#[test]
fn a_heartbeat_that_overtakes_its_change_says_nothing_about_what_is_held() {
    let mut play = settled();
    play.event(heartbeat("a", 6, false));
    play.sees("complete a/5 [01] fresh");
    play.event(change("a", 6, &[2], &[]));
    play.sees("complete a/6 [01 02] fresh");
}

#[test]
fn a_server_may_send_everything_once_more() {
    let mut play = settled();
    play.event(put(&[3]));
    play.sees("complete a/5 [01] fresh");
    play.event(complete("a", 9));
    play.sees("complete a/9 [03] fresh");
}

#[test]
fn without_a_replica_only_the_cache_follows() {
    let mut play = Play::new(false);
    assert!(!play.session.request().snapshot);
    play.event(hello("a", 5, true, false));
    let effect = play.event(change("a", 6, &[1], &[]));
    assert!(matches!(effect.forget, Forget::Touched(_)), "{}", play.transcript);
    assert_eq!(effect.position, Some(Position { instance: "a".into(), generation: 6 }));
    play.sees("partial a/6 [] fresh");
    play.lost();
    let resumes = play.event(hello("a", 6, true, true));
    assert!(matches!(resumes.forget, Forget::Nothing), "{}", play.transcript);
    play.lost();
    let starts_over = play.event(hello("b", 1, true, false));
    assert!(matches!(starts_over.forget, Forget::AskAgain), "{}", play.transcript);
}

#[test]
fn without_a_replica_changes_are_followed_from_the_greeting_on() {
    let mut play = Play::new(false);
    play.event(hello("a", 5, false, false));
    play.event(synced("a", 8, false));
    for generation in 6..=8 {
        assert_eq!(play.event(change("a", generation, &[1], &[])).restart, None, "{}", play.transcript);
    }
}

#[test]
fn the_domain_is_the_one_said_last() {
    let mut session = Session::new(Replica::default(), true);
    let mut domain_after =
        |event| session.event(event).publish.and_then(|replica| replica.domain().map(ToString::to_string));
    let named = |domain: &str| Some(domain.to_string());
    assert_eq!(domain_after(hello("a", 0, false, false)), named("cluster.local"));
    let Event::Synced(message) = synced("a", 1, false) else { unreachable!() };
    domain_after(Event::Synced(v1::Synced { domain: named("second.local"), ..message }));
    let Event::Complete(message) = complete("a", 1) else { unreachable!() };
    assert_eq!(domain_after(Event::Complete(message)), named("second.local"), "left out: as before");
    let Event::Change(message) = change("a", 2, &[1], &[]) else { unreachable!() };
    assert_eq!(domain_after(Event::Change(message)), named("second.local"), "left out: as before");
    let Event::Change(message) = change("a", 3, &[2], &[]) else { unreachable!() };
    assert_eq!(
        domain_after(Event::Change(v1::Change { domain: named("third.local"), ..message })),
        named("third.local")
    );
    let Event::Change(message) = change("a", 4, &[3], &[]) else { unreachable!() };
    assert_eq!(domain_after(Event::Change(v1::Change { domain: named(""), ..message })), None);
}

#[test]
fn what_is_continued_after_the_first_read_has_the_serials_of_then() {
    for wants_snapshot in [true, false] {
        let mut play = Play::holding(replica_of(5, vec![node(1)], vec![]), wants_snapshot);
        let Event::Hello(greeting) = hello("b", 0, false, false) else { unreachable!() };
        let zone = |serial| v1::Zone { name: "cluster.local".into(), serial };
        play.event(Event::Hello(v1::Hello { zones: vec![zone(0)], ..greeting }));
        let twin = v1::Freshness { digest: fresh("a", 5).digest, ..fresh("b", 1) };
        let (freshness, zones) = (Some(twin), vec![zone(7)]);
        let domain = Some("second.local".into());
        play.event(Event::Synced(v1::Synced { freshness, resumed: wants_snapshot, domain, zones }));
        let serials: Vec<_> = play.published.zones().iter().map(|(_, serial)| *serial).collect();
        assert_eq!(serials, [7], "{}", play.transcript);
        assert_eq!(play.published.domain().unwrap().as_str(), "second.local", "{}", play.transcript);
    }
}

#[test]
fn a_client_without_a_snapshot_tells_when_it_was_answered_from() {
    let mut play = Play::new(true);
    play.event(hello("a", 5, false, false));
    assert_eq!(play.session.request().freshness, None, "not synced: nothing it says binds anybody");
    play.event(synced("a", 5, false));
    let later = Some(prost_types::Timestamp { seconds: 1_700_000_008, nanos: 0 });
    play.event(Event::Heartbeat(v1::Heartbeat {
        freshness: Some(v1::Freshness { read_at: later, ..fresh("a", 6) }),
    }));
    play.lost();
    let told = play.session.request().freshness.unwrap();
    assert_eq!((told.instance.as_str(), told.generation, told.digest.as_str()), ("a", 0, ""));
    assert_eq!(told.read_at, later);
    let resumed = play.event(hello("a", 0, true, true));
    assert_eq!(resumed.restart, Some(Loss::Gap), "there is nothing to resume: {}", play.transcript);
}

#[test]
fn who_strayed_to_another_server_asks_again_what_the_cache_holds() {
    let mut play = settled();
    play.lost();
    play.event(hello("b", 2, false, false));
    play.lost();
    let back = play.event(hello("a", 5, true, true));
    assert!(matches!(back.forget, Forget::AskAgain), "{}", play.transcript);
    play.lost();
    let again = play.event(hello("a", 5, true, true));
    assert!(matches!(again.forget, Forget::Nothing), "{}", play.transcript);
}
