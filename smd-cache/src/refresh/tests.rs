use super::*;
use crate::{naming::Naming, snapshot::Bearer};
use futures::FutureExt;
use prometheus_client::registry::Registry;

fn owner() -> (Refresher, Owner) {
    let config = Arc::new(Config::default());
    let settings = Settings::of(&config);
    let state = Arc::new(State::new(settings.stale_after));
    let metrics = Metrics::register(&mut Registry::default(), &state);
    let (refresher, asks) = Refresher::new();
    let (_, reload) = watch::channel(config);
    (refresher, Owner::new(settings, state, metrics, asks, reload).unwrap())
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

/// A whole read taken in; bodies of the same hash are the same to it.
fn learn(believed: &mut Believed, sequence: u64, bodies: [(&str, u128); 2]) {
    let [interfaces, components] = bodies.map(|(text, hash)| Body { bytes: text.to_owned().into(), hash });
    let read = |sequence| Read { sequence, started_at: jiff::Timestamp::now() };
    let interfaces = believed.decode_interfaces(read(sequence), &interfaces).unwrap();
    let components = believed.decode_components(read(sequence + 1), &components).unwrap();
    believed.learn(interfaces, components);
}

const COMPONENTS: &str = r#"{"Components":[{"ID":"x1000c0s0b0n0","Type":"Node","NID":1}]}"#;

fn interfaces(held: bool) -> String {
    let interface = r#"{"ID":"020000000001","MACAddress":"02:00:00:00:00:01","ComponentID":"x1000c0s0b0n0","IPAddresses":[]}"#;
    format!("[{}]", if held { interface } else { "" })
}

/// One whole read of a machine that is there or not; whether it is served afterwards.
async fn read(owner: &mut Owner, sequence: u64, held: bool) -> bool {
    let learnt = owner.off_reactor(move |believed| {
        learn(believed, sequence, [(&interfaces(held), held.into()), (COMPONENTS, 2)]);
        Ok(believed.build().0.interface("02:00:00:00:00:01".parse().expect("a MAC")).is_some())
    });
    learnt.await.unwrap()
}

#[tokio::test]
async fn after_a_panic_while_building_a_removal_still_takes_two_reads() {
    let (_, mut owner) = owner();
    assert!(read(&mut owner, 1, true).await);
    let before = owner.believed.snapshot.clone().unwrap();
    let panics = owner.off_reactor(|_| -> Result<(), Failed> { panic!("a bug, on purpose") });
    let failed = panics.await.unwrap_err();
    assert_eq!((failed.1.label(), failed.1.to_string().contains("on purpose")), ("bug", true));
    let kept = owner.believed.snapshot.clone().unwrap();
    assert!(Arc::ptr_eq(&kept, &before), "holders, generation and serials are still known");
    assert!(read(&mut owner, 3, false).await, "missing once");
    assert!(!read(&mut owner, 5, false).await, "missing twice");
}

#[test]
fn groups_that_were_read_outlive_other_rules() {
    let naming = |file: &str| Settings::of(&::config::parse(file).unwrap()).naming;
    let mut believed = Believed::new(naming("rules: ['group:blue,hostname:blue{04d}']\ndomain: a"));
    let node = "x1000c0s0b0n0".parse().unwrap();
    let groups = Groups::from([(node, vec!["blue".to_owned()])]);
    let bodies: [(&str, u128); 2] = [(&interfaces(true), 1), (COMPONENTS, 2)];
    believed.learn_groups(1, groups);
    learn(&mut believed, 1, bodies);
    let names = |believed: &mut Believed| {
        let snapshot = believed.build().0;
        ["blue0001.a", "red0001.a"]
            .map(|name| !matches!(snapshot.by_name(&name.parse().unwrap()), Bearer::Nobody))
    };
    assert_eq!(names(&mut believed), [true, false]);
    believed.rename(naming("rules: ['group:blue,hostname:red{04d}']\ndomain: a"));
    assert!(!believed.is_settled());
    learn(&mut believed, 3, bodies);
    assert_eq!(names(&mut believed), [false, true]);
    believed.forget_groups();
    learn(&mut believed, 5, bodies);
    assert_eq!(names(&mut believed), [false, false], "no rule wanted them any more");
}

#[test]
fn nothing_is_built_anew_while_records_and_rules_are_the_same() {
    let naming = |domain: &str| Naming::new(Vec::new(), domain.parse().ok(), Vec::new());
    let mut believed = Believed::new(naming("a"));
    assert!(!believed.is_settled());
    let none = interfaces(false);
    let machine = interfaces(true);
    let gone: [(&str, u128); 2] = [(&none, 0), (COMPONENTS, 2)];
    let here: [(&str, u128); 2] = [(&machine, 1), (COMPONENTS, 2)];
    let mut sequence = 1;
    // Whether there is something to build after a read.
    let mut after = |believed: &mut Believed, bodies| {
        learn(believed, sequence, bodies);
        sequence += 2;
        let settled = believed.is_settled();
        believed.build();
        !settled
    };
    for (case, bodies, expected) in [
        ("the first", here, true),
        ("the same", here, false),
        ("missing once", gone, false),
        ("missing twice", gone, true),
        ("as before", gone, false),
        ("back", here, true),
        ("the same again", here, false),
    ] {
        assert_eq!(after(&mut believed, bodies), expected, "{case}");
    }
    believed.rename(naming("a"));
    assert!(!after(&mut believed, here), "equal rules");
    believed.rename(naming("b"));
    assert!(after(&mut believed, here), "other rules");
    believed.doubt();
    assert!(after(&mut believed, here), "a panic");
}

#[test]
fn what_was_asked_for_by_name_does_not_stop_whole_reads_from_counting() {
    let mut believed = Believed::new(Naming::new(Vec::new(), None, Vec::new()));
    let machine = interfaces(true);
    let bodies: [(&str, u128); 2] = [(&machine, 1), (r#"{"Components":[]}"#, 2)];
    learn(&mut believed, 1, bodies);
    let read = Read { sequence: 3, started_at: jiff::Timestamp::now() };
    let asked = ["x1000c0s0b0n0".parse().unwrap()];
    believed.learn_some(read, &asked, &Body { bytes: COMPONENTS.into(), hash: 3 }).unwrap();
    for (sequence, held) in [(4, 1), (6, 0)] {
        learn(&mut believed, sequence, bodies);
        assert_eq!(believed.records.components().count(), held, "{sequence}");
    }
}

#[tokio::test]
async fn more_callers_than_may_wait_are_told_so() {
    let (refresher, owner) = owner();
    let mut waiting: Vec<_> = (0..MAX_ASKED).map(|_| Box::pin(refresher.refresh())).collect();
    assert!(waiting.iter_mut().all(|caller| caller.now_or_never().is_none()));
    assert!(matches!(refresher.refresh().await, Err(AskError::TooMany)));
    drop(owner);
    for caller in waiting {
        assert!(matches!(caller.await, Err(AskError::Ending)));
    }
}
