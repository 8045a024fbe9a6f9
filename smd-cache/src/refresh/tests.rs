use super::*;
use crate::snapshot::Bearer;
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

fn fetched(sequence: u64, body: &str) -> Fetched {
    let read = crate::records::Read { sequence, started_at: jiff::Timestamp::now() };
    let moment = crate::state::Moment { read, begun: Instant::now() };
    let body = smd::Body { bytes: body.to_owned().into(), hash: u128::from(fastrand::u64(..)) };
    Fetched { moment, took: Duration::ZERO, body }
}

const COMPONENTS: &str = r#"{"Components":[{"ID":"x1000c0s0b0n0","Type":"Node","NID":1}]}"#;

fn interfaces(held: bool) -> String {
    let interface = r#"{"ID":"020000000001","MACAddress":"02:00:00:00:00:01","ComponentID":"x1000c0s0b0n0","IPAddresses":[]}"#;
    format!("[{}]", if held { interface } else { "" })
}

/// One whole read of a machine that is there or not; whether it is served afterwards.
async fn read(owner: &mut Owner, sequence: u64, held: bool) -> bool {
    let (some, others) = (fetched(sequence, &interfaces(held)), fetched(sequence + 1, COMPONENTS));
    let learnt = owner.off_reactor(move |believed| {
        believed.learn(some, others, None)?;
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
    believed.learn(fetched(1, &interfaces(true)), fetched(2, COMPONENTS), Some((1, groups))).unwrap();
    let names = |believed: &mut Believed| {
        let snapshot = believed.build().0;
        ["blue0001.a", "red0001.a"]
            .map(|name| !matches!(snapshot.by_name(&name.parse().unwrap()), Bearer::Nobody))
    };
    assert_eq!(names(&mut believed), [true, false]);
    believed.rename(naming("rules: ['group:blue,hostname:red{04d}']\ndomain: a"));
    assert!(!believed.is_settled());
    believed.learn(fetched(3, &interfaces(true)), fetched(4, COMPONENTS), None).unwrap();
    assert_eq!(names(&mut believed), [false, true]);
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
