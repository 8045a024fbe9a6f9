use super::*;
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

#[tokio::test]
async fn a_panic_while_building_costs_what_was_believed_and_nothing_else() {
    let (_, mut owner) = owner();
    let (snapshot, _) = owner.off_reactor(|believed| Ok(believed.build())).await.unwrap();
    let failed =
        owner.off_reactor(|_| -> Result<(), Failed> { panic!("a bug, on purpose") }).await.unwrap_err();
    assert_eq!(failed.1.label(), "bug");
    let kept = owner.believed.snapshot.clone().unwrap();
    assert!(
        Arc::ptr_eq(&kept, &snapshot),
        "who holds contested keys, generation and serials are still known"
    );
    assert!(owner.off_reactor(|believed| Ok(believed.build())).await.is_ok());
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
