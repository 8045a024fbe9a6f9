use super::{asking::MAX_ASKED, believed::Hashes, reads::News, turn::retry_after, *};
use crate::{
    naming::Naming,
    records::{BadBody, Decoded, Read, decode_components, decode_interfaces},
    smd::Groups,
    snapshot::{Bearer, Snapshot},
};
use futures::FutureExt;
use prometheus_client::registry::Registry;
use tokio::sync::oneshot;

mod model;

const LIMITS: Limits = Limits { max_shrink: 50, confirmations: 3 };

fn owner() -> (Refresher, Owner) {
    let config = Arc::new(Config::default());
    let settings = Settings::of(&config);
    let state = Arc::new(State::new(settings.stale_after));
    let metrics = Metrics::register(&mut Registry::default(), &state);
    let (refresher, inbox) = Refresher::new();
    let (_, reload) = watch::channel(config);
    (refresher, Owner::new(settings, state, metrics, inbox, reload).unwrap())
}

fn naming(file: &str) -> Arc<Naming> {
    Settings::of(&::config::parse(file).unwrap()).naming
}

fn believed(file: &str) -> Believed {
    Believed::new(naming(file), LIMITS)
}

#[tokio::test(start_paused = true)]
async fn what_other_settings_ask_for_is_read_though_a_read_is_under_way() {
    let (minute, begun) = (Duration::from_secs(60), Instant::now());
    let mut turn = Turn::default();
    turn.begin();
    turn.ended(begun, minute, true, begun);
    assert_eq!(turn.due(), Some(begun + minute));
    turn.begin();
    turn.at_once(begun);
    turn.ended(begun, minute, true, begun);
    assert_eq!(turn.due(), Some(begun), "what ended was begun by the old settings");
    turn.begin();
    turn.ended(begun, minute, true, begun);
    assert_eq!(turn.due(), Some(begun + minute), "once");
}

#[tokio::test(start_paused = true)]
async fn a_file_on_its_way_to_the_disk_is_waited_for_at_the_end() {
    let (_, mut owner) = owner();
    let now = Instant::now();
    owner.keep.begin((1, 1), now);
    let (written, mut on_disk) = oneshot::channel();
    owner.reads.spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let _ = written.send(());
        (now, Arrived::Kept(Ok(())))
    });
    owner.reads.spawn(std::future::pending());
    owner.keep_at_the_end().await;
    assert!(on_disk.try_recv().is_ok(), "else it would replace the one that is written last");
}

#[tokio::test]
async fn a_read_that_is_lost_stops_no_writing() {
    let (_, mut owner) = owner();
    let now = Instant::now();
    owner.keep.begin((1, 1), now);
    let lost = tokio::spawn(async { panic!("a bug, on purpose") }).await.unwrap_err();
    owner.lost(lost);
    assert!(owner.keep.due((1, 1), now).is_some());
}

#[tokio::test]
async fn a_forced_refresh_is_not_over_before_its_own_read() {
    let (_, mut owner) = owner();
    let (answer, mut answered) = oneshot::channel();
    owner.forcing.waiting.push(answer);
    owner.whole.begin();
    owner.learn_confirmed(Ok(Confirmed::default())).await;
    assert!(answered.try_recv().is_err(), "what was in doubt before is confirmed, no more");
    owner.whole.under_way = false;
    owner.learn_confirmed(Ok(Confirmed::default())).await;
    assert!(answered.try_recv().unwrap().is_ok());
}

#[tokio::test]
async fn whole_reads_on_demand_are_no_confirmations() {
    let (_, mut owner) = owner();
    let (start, refresh) = (Instant::now(), owner.settings.refresh);
    for (after, expected) in [
        (Duration::ZERO, Occasion::Whole),
        (refresh / 10, Occasion::Other),
        (refresh / 5, Occasion::Other),
        (refresh, Occasion::Whole),
        (refresh + refresh / 10, Occasion::Other),
        (2 * refresh, Occasion::Whole),
    ] {
        assert_eq!(owner.confirmation(start + after), expected, "{after:?}");
    }
}

#[test]
fn retries_come_later_and_later_but_never_later_than_a_refresh() {
    let refresh = Duration::from_secs(10);
    let most = [(1, 250), (2, 500), (3, 1_000), (6, 8_000), (7, 10_000), (100, 10_000), (u32::MAX, 10_000)];
    for (failures, most) in most {
        let most = Duration::from_millis(most);
        for _ in 0..100 {
            let delay = retry_after(failures, refresh);
            assert!(delay >= most / 2 && delay <= most, "{failures}: {delay:?}");
        }
    }
}

fn moment(sequence: u64) -> Moment {
    let read =
        Read { sequence, started_at: Timestamp::from_second(1_800_000_000 + sequence as i64).unwrap() };
    Moment { read, begun: Some(Instant::now()) }
}

fn news<R>(
    sequence: u64,
    last: Option<u128>,
    (text, hash): (&str, u128),
    decode: fn(&[u8]) -> Result<Decoded<R>, BadBody>,
) -> News<R> {
    let decoded = (last != Some(hash)).then(|| decode(text.as_bytes()).unwrap());
    News { read: moment(sequence).read, hash, decoded }
}

/// A whole read taken in; bodies of the same hash are the same to it.
fn learn(believed: &mut Believed, sequence: u64, bodies: [(&str, u128); 2]) -> bool {
    let Hashes { interfaces, components, .. } = believed.hashes();
    let interfaces = news(sequence, interfaces, bodies[0], decode_interfaces);
    let components = news(sequence + 1, components, bodies[1], decode_components);
    let moment = moment(sequence);
    believed.learn(Whole { moment, interfaces, groups: None, components, missing: Vec::new(), date: None })
}

const COMPONENTS: &str = r#"{"Components":[{"ID":"x1000c0s0b0n0","Type":"Node","NID":1}]}"#;

fn interfaces(held: bool) -> String {
    let interface = r#"{"ID":"020000000001","MACAddress":"02:00:00:00:00:01","ComponentID":"x1000c0s0b0n0",
        "LastUpdate":"2026-11-23T00:00:00Z","IPAddresses":[{"IPAddress":"10.0.0.1"}]}"#;
    format!("[{}]", if held { interface } else { "" })
}

/// SMD is asked for what is missing, and has nothing of it.
fn confirm_missing(believed: &mut Believed, sequence: u64) {
    let Some(doubt) = believed.missing() else { return };
    let read = moment(sequence).read;
    let nothing = Asked {
        read,
        asked: doubt.interfaces,
        answer: Decoded { records: Vec::new(), rejected: Vec::new() },
    };
    let no_component = Asked {
        read,
        asked: doubt.components,
        answer: Decoded { records: Vec::new(), rejected: Vec::new() },
    };
    believed.confirm(Confirmed { interfaces: vec![nothing], components: vec![no_component] });
}

fn shown(believed: &mut Believed, occasion: Occasion) -> Picture {
    believed.picture(occasion, Timestamp::from_second(1_800_000_000).unwrap())
}

fn holds_the_machine(snapshot: &Snapshot) -> bool {
    snapshot.interface("02:00:00:00:00:01".parse().unwrap()).is_some()
}

#[tokio::test]
async fn a_panic_while_building_costs_only_that_read() {
    let (_, mut owner) = owner();
    let first = owner.off_reactor(|believed| {
        learn(believed, 1, [(&interfaces(true), 1), (COMPONENTS, 2)]);
        shown(believed, Occasion::Whole).snapshot
    });
    let before = first.await.unwrap();
    let panics = owner.off_reactor(|_| -> () { panic!("a bug, on purpose") });
    let failed = panics.await.unwrap_err();
    assert_eq!((failed.1.label(), failed.1.to_string().contains("on purpose")), ("bug", true));
    let again = owner.off_reactor(|believed| {
        assert!(believed.hashes().interfaces.is_none(), "bodies are decoded whatever they are");
        learn(believed, 3, [(&interfaces(true), 1), (COMPONENTS, 2)]);
        shown(believed, Occasion::Whole).snapshot
    });
    let again = again.await.unwrap();
    assert_eq!(again.generation(), before.generation(), "holders, generation and serials are still known");
    let gap = owner.off_reactor(|believed| {
        learn(believed, 5, [(&interfaces(false), 3), (COMPONENTS, 2)]);
        holds_the_machine(&shown(believed, Occasion::Whole).snapshot)
    });
    assert!(gap.await.unwrap(), "missing once");
}

#[test]
fn groups_that_were_read_outlive_other_rules() {
    let file = |hostname: &str| format!("rules: ['group:blue,hostname:{hostname}{{04d}}']\ndomain: a");
    let mut believed = believed(&file("blue"));
    let node = "x1000c0s0b0n0".parse().unwrap();
    let groups = Groups::from([(node, vec!["blue".to_owned()])]);
    let bodies: [(&str, u128); 2] = [(&interfaces(true), 1), (COMPONENTS, 2)];
    let whole = Whole {
        moment: moment(1),
        interfaces: news(1, None, bodies[0], decode_interfaces),
        groups: Some((1, groups)),
        components: news(2, None, bodies[1], decode_components),
        missing: Vec::new(),
        date: None,
    };
    assert!(believed.learn(whole));
    let names = |believed: &mut Believed| {
        let snapshot = shown(believed, Occasion::Whole).snapshot;
        ["blue0001.a", "red0001.a"]
            .map(|name| !matches!(snapshot.by_name(&name.parse().unwrap()), Bearer::Nobody))
    };
    assert_eq!(names(&mut believed), [true, false]);
    believed.rename(naming(&file("red")));
    learn(&mut believed, 3, bodies);
    assert_eq!(names(&mut believed), [false, true]);
    believed.forget_groups();
    learn(&mut believed, 5, bodies);
    assert_eq!(names(&mut believed), [false, false], "no rule wanted them any more");
}

#[test]
fn nothing_is_built_anew_while_records_and_rules_are_the_same() {
    let mut believed = believed("domain: a");
    let none = interfaces(false);
    let machine = interfaces(true);
    let gone: [(&str, u128); 2] = [(&none, 0), (COMPONENTS, 2)];
    let here: [(&str, u128); 2] = [(&machine, 1), (COMPONENTS, 2)];
    let mut sequence = 1;
    let mut last: Option<Arc<Snapshot>> = None;
    // Whether something is built after a read.
    let mut after = |believed: &mut Believed, bodies| {
        learn(believed, sequence, bodies);
        sequence += 2;
        let snapshot = shown(believed, Occasion::Whole).snapshot;
        let before = last.replace(snapshot.clone());
        before.is_none_or(|before| !Arc::ptr_eq(&before, &snapshot))
    };
    for (case, bodies, expected) in [
        ("the first", here, true),
        ("the same", here, false),
        ("missing", gone, false),
        ("still missing", gone, false),
        ("back", here, false),
    ] {
        assert_eq!(after(&mut believed, bodies), expected, "{case}");
    }
    believed.rename(naming("domain: a"));
    assert!(!after(&mut believed, here), "equal rules");
    believed.rename(naming("domain: b"));
    assert!(after(&mut believed, here), "other rules");
    believed.doubt_everything();
    assert!(after(&mut believed, here), "a panic");
}

#[test]
fn the_last_machine_stays_until_an_operator_says_otherwise() {
    let mut believed = believed("domain: a");
    learn(&mut believed, 1, [(&interfaces(true), 1), (COMPONENTS, 2)]);
    assert!(shown(&mut believed, Occasion::Whole).held_back.is_none());
    for sequence in (3..43).step_by(4) {
        learn(&mut believed, sequence, [("[]", 3), (COMPONENTS, 2)]);
        confirm_missing(&mut believed, sequence + 2);
        let picture = shown(&mut believed, Occasion::Whole);
        let held_back = picture.held_back.expect("nothing would be left");
        assert_eq!((held_back.left, held_back.of, held_back.needed), (0, 1, None));
        assert!(holds_the_machine(&picture.snapshot));
        let said: Vec<_> = picture.problems.iter().map(|problem| problem.message.as_str()).collect();
        assert!(said.iter().any(|text| text.contains("02:00:00:00:00:01 would be lost")), "{said:?}");
        assert!(said.iter().any(|text| text.contains("refresh --force")), "{said:?}");
    }
    let picture = shown(&mut believed, Occasion::Forced);
    assert!(picture.held_back.is_none() && !holds_the_machine(&picture.snapshot));
    assert_eq!(picture.problems.len(), 0);
}

#[test]
fn additions_go_on_while_losses_are_held_back() {
    let mut believed = believed("domain: a");
    learn(&mut believed, 1, [(&interfaces(true), 1), (COMPONENTS, 2)]);
    shown(&mut believed, Occasion::Whole);
    learn(&mut believed, 3, [("[]", 3), (COMPONENTS, 2)]);
    confirm_missing(&mut believed, 5);
    assert!(shown(&mut believed, Occasion::Whole).held_back.is_some());
    let newcomer = interfaces(true).replace("01\"", "02\"").replace("10.0.0.1", "10.0.0.2");
    let newcomer = decode_interfaces(newcomer.as_bytes()).unwrap();
    believed.learn_some(moment(6).read, newcomer, Vec::new());
    let picture = shown(&mut believed, Occasion::Other);
    assert!(picture.snapshot.interface("02:00:00:00:00:02".parse().unwrap()).is_some());
    assert!(holds_the_machine(&picture.snapshot) == picture.held_back.is_some());
}

#[test]
fn a_picture_in_which_all_have_one_address_is_left_as_it_was() {
    let body = |one_address: bool| {
        let row = |number: u32| {
            let address = if one_address { 1 } else { number };
            format!(
                r#"{{"ID":"0200000000{number:02x}","MACAddress":"0200000000{number:02x}","ComponentID":"x0c0s{number}b0n0",
                "IPAddresses":[{{"IPAddress":"10.0.0.{address}"}}]}}"#
            )
        };
        format!("[{}]", (1..=40).map(row).collect::<Vec<_>>().join(","))
    };
    let component = |number| format!(r#"{{"ID":"x0c0s{number}b0n0","Type":"Node","NID":{number}}}"#);
    let components =
        format!("{{\"Components\":[{}]}}", (1..=40).map(component).collect::<Vec<_>>().join(","));
    let mut believed = believed("domain: a");
    learn(&mut believed, 1, [(&body(false), 1), (&components, 2)]);
    assert_eq!(shown(&mut believed, Occasion::Whole).snapshot.counts().servable_interfaces, 40);
    for (sequence, reads) in [(3, 1), (5, 2)] {
        learn(&mut believed, sequence, [(&body(true), 3), (&components, 2)]);
        let picture = shown(&mut believed, Occasion::Whole);
        assert_eq!(picture.snapshot.counts().servable_interfaces, 40);
        assert_eq!(picture.held_back.map(|held| (held.left, held.reads)), Some((1, reads)));
    }
    learn(&mut believed, 7, [(&body(true), 3), (&components, 2)]);
    let picture = shown(&mut believed, Occasion::Whole);
    assert_eq!(
        (picture.snapshot.counts().servable_interfaces, picture.held_back),
        (1, None),
        "three in a row"
    );
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// Forty nodes, their addresses given by number, and their components.
fn forty(addresses: impl Fn(u32) -> Vec<u32>) -> [String; 2] {
    let row = |number: u32| {
        let addresses = addresses(number).into_iter();
        let addresses: Vec<_> = addresses.map(|n| format!(r#"{{"IPAddress":"10.0.0.{n}"}}"#)).collect();
        format!(
            r#"{{"ID":"0200000000{number:02x}","MACAddress":"0200000000{number:02x}","ComponentID":"x0c0s{number}b0n0",
            "IPAddresses":[{}]}}"#,
            addresses.join(",")
        )
    };
    let component = |number| format!(r#"{{"ID":"x0c0s{number}b0n0","Type":"Node","NID":{number}}}"#);
    let list = |items: Vec<String>| items.join(",");
    let components = list((1..=40).map(component).collect());
    [format!("[{}]", list((1..=40).map(row).collect())), format!("{{\"Components\":[{components}]}}")]
}

fn servable(picture: &Picture) -> usize {
    picture.snapshot.counts().servable_interfaces
}

#[test]
fn an_outage_longer_than_the_guard_remembers_does_not_disarm_it() {
    let [full, components] = forty(|number| vec![number]);
    for [emptied, _] in [forty(|_| Vec::new()), forty(|_| vec![1])] {
        let mut believed = believed("domain: a");
        learn(&mut believed, 1, [(&full, 1), (&components, 2)]);
        assert_eq!(servable(&believed.picture(Occasion::Whole, at(0))), 40);
        // Two hours in which SMD could not be read.
        learn(&mut believed, 3, [(&emptied, 3), (&components, 2)]);
        let picture = believed.picture(Occasion::Whole, at(7_200));
        assert_eq!((servable(&picture), picture.held_back.is_some()), (40, true));
    }
}

#[test]
fn a_loss_beside_it_lets_no_wipe_pass() {
    let [full, components] = forty(|number| vec![number]);
    // One claims every address, and all others one that it holds: as many MACs and addresses as before.
    let [hoarded, _] = forty(|number| if number == 1 { (1..=40).collect() } else { vec![1] });
    let mut believed = believed("domain: a");
    learn(&mut believed, 1, [(&full, 1), (&components, 2)]);
    shown(&mut believed, Occasion::Whole);
    let without_last = hoarded.replace(r#""ComponentID":"x0c0s40b0n0""#, r#""ComponentID":"""#);
    learn(&mut believed, 3, [(&without_last, 3), (&components, 2)]);
    let picture = shown(&mut believed, Occasion::Whole);
    assert_eq!((servable(&picture), picture.held_back.is_some()), (40, true));
}

#[test]
fn what_the_guard_does_not_believe_is_not_kept_for_a_restart() {
    let [full, components] = forty(|number| vec![number]);
    let [one_address, _] = forty(|_| vec![1]);
    let mut believed = believed("domain: a");
    assert!(!believed.can_be_kept(), "nothing was read");
    learn(&mut believed, 1, [(&full, 1), (&components, 2)]);
    shown(&mut believed, Occasion::Whole);
    assert!(believed.can_be_kept());
    learn(&mut believed, 3, [(&one_address, 3), (&components, 2)]);
    assert!(shown(&mut believed, Occasion::Other).held_back.is_some());
    assert!(!believed.can_be_kept(), "what the file holds is better");
    learn(&mut believed, 5, [(&full, 1), (&components, 2)]);
    assert!(shown(&mut believed, Occasion::Whole).held_back.is_none());
    assert!(believed.can_be_kept());
}

#[test]
fn changes_are_asked_for_by_smds_clocks() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let mut believed = believed("domain: a");
    assert_eq!(believed.changes_since(), Timestamp::UNIX_EPOCH, "all that there is");
    learn(&mut believed, 1, [(&interfaces(true), 1), (COMPONENTS, 2)]);
    assert_eq!(believed.changes_since(), at("2026-11-22T23:59:50Z"), "the greatest LastUpdate, with overlap");
    let later = interfaces(true).replace("2026-11-23T00:00:00Z", "2199-01-01T00:00:00Z");
    let delta = Delta {
        moment: moment(3),
        interfaces: decode_interfaces(later.as_bytes()).unwrap(),
        components: Vec::new(),
        date: Some(at("2026-11-23T01:00:00Z")),
    };
    believed.learn_delta(delta);
    assert_eq!(believed.changes_since(), at("2026-11-23T00:59:50Z"), "a row from the future hides nothing");
}

#[test]
fn components_that_nobody_has_are_asked_for_in_turn() {
    let row = |number: u32| {
        format!(
            r#"{{"ID":"02000000{:02x}{:02x}","MACAddress":"02000000{:02x}{:02x}","ComponentID":"x0c0s{number}b0n0"}}"#,
            number / 256,
            number % 256,
            number / 256,
            number % 256
        )
    };
    let body = format!("[{}]", (0..1_500).map(row).collect::<Vec<_>>().join(","));
    let mut believed = believed("domain: a");
    learn(&mut believed, 1, [(&body, 1), (r#"{"Components":[]}"#, 2)]);
    assert_eq!(believed.wanted().len(), 1_500);
    let asked: Vec<usize> = (0..3).map(|_| believed.some_wanted().len()).collect();
    assert_eq!(asked, [1_000, 500, 1_000]);
}

#[tokio::test]
async fn more_callers_than_may_wait_are_told_so() {
    let (refresher, owner) = owner();
    let mut waiting: Vec<_> = (0..MAX_ASKED).map(|_| Box::pin(refresher.refresh(Kind::Whole))).collect();
    assert!(waiting.iter_mut().all(|caller| caller.now_or_never().is_none()));
    assert!(matches!(refresher.refresh(Kind::Whole).await, Err(AskError::TooMany)));
    drop(owner);
    for caller in waiting {
        assert!(matches!(caller.await, Err(AskError::Ending)));
    }
}

#[test]
fn a_body_that_was_not_decoded_and_is_overtaken_must_be_read_again() {
    let mut believed = believed("domain: a");
    let machine = interfaces(true);
    let bodies: [(&str, u128); 2] = [(&machine, 1), (COMPONENTS, 2)];
    assert!(learn(&mut believed, 1, bodies));
    // While the next body, the same once more, was on its way:
    let moved = decode_interfaces(machine.replace("10.0.0.1", "10.0.0.2").as_bytes()).unwrap();
    let interfaces = News { read: moment(3).read, hash: 1, decoded: None };
    let components = News { read: moment(4).read, hash: 2, decoded: None };
    believed.learn_some(moment(2).read, moved, Vec::new());
    let whole =
        Whole { moment: moment(3), interfaces, groups: None, components, missing: Vec::new(), date: None };
    assert!(!believed.learn(whole));
    assert!(learn(&mut believed, 5, bodies), "now it is decoded");
    let address =
        shown(&mut believed, Occasion::Whole).snapshot.by_address("10.0.0.1".parse().unwrap()).count();
    assert_eq!(address, 1, "SMD has it so again");
}
