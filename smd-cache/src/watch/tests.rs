use super::*;
use crate::{
    naming::Naming,
    records::{Read, Records, decode_components, decode_interfaces},
    snapshot,
};
use futures::StreamExt;
use jiff::Timestamp;

/// A state that can be given any number of interfaces.
struct Inventory {
    state: Arc<State>,
    snapshot: Option<Arc<Snapshot>>,
}

impl Inventory {
    fn new() -> Inventory {
        Inventory { state: Arc::new(State::new(Duration::from_secs(30))), snapshot: None }
    }

    /// A whole read that brings interfaces with these numbers, and their components.
    fn read(&mut self, numbers: impl Iterator<Item = u32> + Clone) {
        let interface = |number| {
            let (high, low) = (number / 256, number % 256);
            format!(
                r#"{{"ID":"02000000{high:02x}{low:02x}","Description":"","MACAddress":"02:00:00:00:{high:02x}:{low:02x}",
                "LastUpdate":"2026-11-23T00:00:00Z","ComponentID":"x1c0s{number}b0n0","Type":"Node",
                "IPAddresses":[{{"IPAddress":"10.0.{high}.{low}"}}]}}"#
            )
        };
        let component = |number| format!(r#"{{"ID":"x1c0s{number}b0n0","Type":"Node","NID":{number}}}"#);
        let list = |items: Vec<String>| items.join(",");
        let interfaces = format!("[{}]", list(numbers.clone().map(interface).collect()));
        let components = format!("{{\"Components\":[{}]}}", list(numbers.map(component).collect()));
        let moment = self.state.begin_read();
        let mut records = Records::new();
        records.apply_whole_interfaces(moment.read, decode_interfaces(interfaces.as_bytes()).unwrap());
        records.apply_whole_components(moment.read, decode_components(components.as_bytes()).unwrap());
        let naming = Naming::from_config(&config::parse("domain: cluster.local").unwrap());
        let (built, _) = snapshot::build(&records, &naming, self.snapshot.as_deref(), Timestamp::now());
        let snapshot = Arc::new(built);
        self.snapshot = Some(snapshot.clone());
        self.state.publish(View {
            snapshot: Some(snapshot),
            whole: Some(moment),
            read: Some(moment),
            settled: Some(moment),
            ..View::default()
        });
    }

    fn session(&self, held: Option<v1::Freshness>) -> Session {
        let request = v1::WatchRequest { freshness: held, snapshot: true, ..v1::WatchRequest::default() };
        Session::new(request, &self.state)
    }

    fn freshness(&self) -> v1::Freshness {
        self.state.freshness(&self.state.view())
    }
}

/// Steps until there is nothing to do: `h`ello, `s`ynced, `p`ut, `c`omplete, change `+`, cut off `!`.
fn run(session: &mut Session, state: &State) -> String {
    let mut transcript = String::new();
    loop {
        let mark = match session.step(state) {
            Step::Wait => return transcript,
            Step::Cut(_) => return transcript + "!",
            Step::Send(Event::Hello(_)) => 'h',
            Step::Send(Event::Synced(_)) => 's',
            Step::Send(Event::Put(put)) => {
                assert!(put.interfaces.len() + put.components.len() <= PUT_ITEMS);
                'p'
            }
            Step::Send(Event::Complete(_)) => 'c',
            Step::Send(Event::Change(_)) => '+',
            Step::Send(Event::Heartbeat(_)) => unreachable!("the feeder beats"),
        };
        transcript.push(mark);
    }
}

#[test]
fn a_picture_comes_in_small_pieces() {
    let mut inventory = Inventory::new();
    let mut session = inventory.session(None);
    assert_eq!(run(&mut session, &inventory.state), "h");
    inventory.read(1..=250);
    assert_eq!(run(&mut session, &inventory.state), "spppppc", "250 interfaces and 250 components");
    inventory.read(1..=251);
    inventory.read(1..=252);
    assert_eq!(run(&mut session, &inventory.state), "++");
}

#[test]
fn an_empty_picture_is_complete_too() {
    let mut inventory = Inventory::new();
    inventory.read(0..0);
    assert_eq!(run(&mut inventory.session(None), &inventory.state), "hc");
}

#[test]
fn what_changes_while_a_picture_is_sent_follows_it() {
    let mut inventory = Inventory::new();
    inventory.read(1..=250);
    let mut session = inventory.session(None);
    for _ in 0..3 {
        assert!(matches!(session.step(&inventory.state), Step::Send(_)));
    }
    inventory.read(1..=251);
    assert_eq!(run(&mut session, &inventory.state), "pppc+");
}

#[test]
fn who_fell_behind_the_history_is_cut_off() {
    let mut inventory = Inventory::new();
    inventory.read(1..=1);
    let held = inventory.freshness();
    let mut behind = inventory.session(None);
    assert_eq!(run(&mut behind, &inventory.state), "hpc");
    for number in 2..=400 {
        inventory.read(number..=number);
    }
    let Step::Cut(status) = behind.step(&inventory.state) else { panic!("not cut off") };
    assert_eq!(status.code(), tonic::Code::ResourceExhausted);
    assert_eq!(run(&mut inventory.session(Some(held)), &inventory.state), "hpc", "and starts again");
}

#[test]
fn much_to_catch_up_on_is_a_picture_instead() {
    let mut inventory = Inventory::new();
    inventory.read(1..=1);
    let held = inventory.freshness();
    let mut close = inventory.session(None);
    assert_eq!(run(&mut close, &inventory.state), "hpc");
    inventory.read(1..=500);
    assert_eq!(run(&mut inventory.session(Some(held.clone())), &inventory.state), "h+", "998 records");
    inventory.read(1..=1_500);
    assert_eq!(run(&mut close, &inventory.state), "++", "who follows gets every change, however big");
    let again = run(&mut inventory.session(Some(held)), &inventory.state);
    assert!(again.starts_with("hpp") && again.ends_with("pc"), "{again}");
}

#[test]
fn a_change_too_big_for_a_message_is_a_picture_instead() {
    let mut inventory = Inventory::new();
    inventory.read(1..=1);
    let mut close = inventory.session(None);
    assert_eq!(run(&mut close, &inventory.state), "hpc");
    inventory.read(1..=2);
    let history = History::default();
    let removed_macs = vec![Mac([2; 6]); 50_001];
    let change = snapshot::Change { removed_macs, ..snapshot::Change::default() };
    history.push(change, inventory.snapshot.as_ref().unwrap(), inventory.freshness());
    assert!(matches!(history.after(1), Next::Gone));
    assert!(matches!(history.after(2), Next::None));
    assert_eq!(history.records_after(1, 2), None);
}

#[test]
fn a_generation_that_was_never_ours_is_not_continued() {
    let mut inventory = Inventory::new();
    inventory.read(1..=1);
    inventory.read(1..=2);
    let digest = String::new();
    for generation in [0, 3, u64::MAX] {
        let held = v1::Freshness { generation, digest: digest.clone(), ..inventory.freshness() };
        assert_eq!(run(&mut inventory.session(Some(held)), &inventory.state), "hpc", "{generation}");
    }
    let held = v1::Freshness { generation: 1, instance: "other".into(), digest, ..inventory.freshness() };
    let transcript = run(&mut inventory.session(Some(held)), &inventory.state);
    assert_eq!(transcript, "h", "not synced: another instance read SMD at the same time");
}

#[test]
fn synced_means_that_no_client_goes_back() {
    let mut inventory = Inventory::new();
    inventory.read(1..=1);
    let whole = inventory.state.view().whole.unwrap().read.started_at;
    let at = |milliseconds: i64| {
        let at = whole + jiff::SignedDuration::from_millis(milliseconds);
        Some(snapshot::contract::timestamp(at))
    };
    let cases = [
        ("other", at(-1_001), true),
        ("other", at(-1_000), false),
        ("other", at(60_000), false),
        ("other", None, true),
    ];
    for (instance, read_at, synced) in cases {
        let held =
            v1::Freshness { instance: instance.into(), read_at, generation: 7, ..v1::Freshness::default() };
        let mut session = inventory.session(Some(held));
        let Step::Send(Event::Hello(hello)) = session.step(&inventory.state) else { panic!("no Hello") };
        assert_eq!(hello.synced, synced, "{read_at:?} against {whole}");
    }
    let mut session = inventory.session(Some(inventory.freshness()));
    assert_eq!(run(&mut session, &inventory.state), "h", "what came from here is never taken back");
    // Whatever the clocks say, a read that begins later will do; one that had begun before will not.
    let held = v1::Freshness { instance: "other".into(), read_at: at(60_000), ..v1::Freshness::default() };
    let began_before = inventory.state.begin_read();
    let mut session = inventory.session(Some(held));
    assert_eq!(run(&mut session, &inventory.state), "h");
    let View { snapshot, problems, read, .. } = &*inventory.state.view();
    let view = View {
        snapshot: snapshot.clone(),
        problems: problems.clone(),
        read: *read,
        whole: Some(began_before),
        settled: Some(began_before),
        ..View::default()
    };
    inventory.state.publish(view);
    assert_eq!(run(&mut session, &inventory.state), "");
    // One that leaves something in doubt will not do either: the client may know already that it is gone.
    let whole = Some(inventory.state.begin_read());
    let View { snapshot, problems, read, settled, .. } = &*inventory.state.view();
    let (snapshot, problems) = (snapshot.clone(), problems.clone());
    inventory.state.publish(View {
        snapshot,
        problems,
        read: *read,
        whole,
        settled: *settled,
        ..View::default()
    });
    assert_eq!(run(&mut session, &inventory.state), "");
    inventory.read(1..=2);
    assert_eq!(run(&mut session, &inventory.state), "spc");
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_takes_nothing_is_cut_off_and_holds_nothing() {
    let mut inventory = Inventory::new();
    inventory.read(1..=1_000);
    let (state, cut) = (inventory.state.clone(), Counter::default());
    let client = state.clients.register("slow", "1", None, 0).unwrap();
    let (task, mut events) =
        task(inventory.session(None), state.clone(), client, cut.clone(), CancellationToken::new());
    let begun = Instant::now();
    task.await;
    assert!(begun.elapsed() >= SEND_LIMIT && begun.elapsed() < SEND_LIMIT * 2, "{:?}", begun.elapsed());
    assert_eq!((cut.get(), state.clients.count()), (1, 0));
    let mut received = 0;
    let end = loop {
        match events.next().await {
            Some(Ok(_)) => received += 1,
            other => break other,
        }
    };
    assert_eq!(received, QUEUE, "no more than that was ever held for it");
    assert_eq!(end.unwrap().unwrap_err().code(), tonic::Code::ResourceExhausted);
    assert!(events.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn hearts_beat_while_a_picture_is_sent() {
    let mut inventory = Inventory::new();
    inventory.read(1..=1_000);
    let state = inventory.state.clone();
    let client = state.clients.register("steady", "1", None, 0).unwrap();
    let shutdown = CancellationToken::new();
    let (task, mut events) =
        task(inventory.session(None), state, client, Counter::default(), shutdown.clone());
    let feeding = tokio::spawn(task);
    let (mut beats, mut puts) = (0, 0);
    loop {
        match events.next().await.unwrap().unwrap().event.unwrap() {
            Event::Heartbeat(_) => beats += 1,
            Event::Put(_) => puts += 1,
            Event::Complete(_) => break,
            _ => {}
        }
        // A client that needs a second for each event.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(puts, 20);
    assert!(beats >= 10, "{beats}");
    shutdown.cancel();
    feeding.await.unwrap();
}

#[tokio::test]
async fn there_is_a_bound_on_watchers_and_a_place_is_free_again() {
    let clients = Clients::default();
    let mut all: Vec<_> = (0..MAX_WATCHERS).map(|_| clients.register("c", "", None, 0).unwrap()).collect();
    assert!(clients.register("c", "", None, 0).is_err());
    all.pop();
    assert!(clients.register("c", "", None, 0).is_ok());
}

#[test]
fn a_read_has_a_number_that_grows() {
    let state = State::new(Duration::from_secs(1));
    let Read { sequence: first, .. } = state.begin_read().read;
    let Read { sequence: second, .. } = state.begin_read().read;
    assert!(second > first && state.reads_begun() == second);
}

#[tokio::test(start_paused = true)]
async fn the_first_read_reaches_who_waits_for_it_at_once() {
    let mut inventory = Inventory::new();
    let state = inventory.state.clone();
    let client = state.clients.register("early", "1", None, 0).unwrap();
    let shutdown = CancellationToken::new();
    let (task, mut events) =
        task(inventory.session(None), state, client, Counter::default(), shutdown.clone());
    let feeding = tokio::spawn(task);
    let mut next = async || events.next().await.unwrap().unwrap().event.unwrap();
    assert!(matches!(next().await, Event::Hello(_)));
    tokio::time::sleep(HEARTBEAT / 2).await;
    let read = Instant::now();
    inventory.read(1..=1);
    let Event::Synced(synced) = next().await else { panic!("not synced") };
    assert!(matches!(next().await, Event::Put(_)));
    let Event::Complete(complete) = next().await else { panic!("not complete") };
    for (domain, zones) in [(synced.domain, synced.zones), (complete.domain, complete.zones)] {
        assert_eq!(domain.as_deref(), Some("cluster.local"));
        assert!(zones[0].name == "cluster.local" && zones[0].serial > 0, "{zones:?}");
    }
    inventory.read(1..=2);
    let Event::Change(change) = next().await else { panic!("no change") };
    assert_eq!(change.domain.as_deref(), Some("cluster.local"));
    assert!(read.elapsed() < Duration::from_millis(5), "{:?}: not at the next heartbeat", read.elapsed());
    shutdown.cancel();
    feeding.await.unwrap();
}
