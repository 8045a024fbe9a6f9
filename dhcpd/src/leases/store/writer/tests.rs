use super::*;
use crate::leases::store::{
    State,
    testing::{address, put, row},
};
use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{Arc, Condvar, Mutex},
};

mod files;

/// More than anything here takes.
const SOON: Duration = Duration::from_secs(20);

/// A disk in memory, with a cache that is lost when the power goes.
#[derive(Clone, Default)]
struct Fake(Arc<(Mutex<Disk>, Condvar)>);

#[derive(Default)]
struct Disk {
    synced: BTreeMap<Ipv4Addr, Row>,
    /// What the next things that are done to it come to; then all is well.
    faults: Vec<Fault>,
    /// Nothing is committed until it is let.
    held: bool,
    /// Commits that have begun, by how many changes.
    commits: Vec<usize>,
    closed: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    Open,
    OpenPanics,
    /// Written, not synced; the power goes.
    Commit,
    CommitPanics,
}

struct FakeStore(Fake);

impl Fake {
    fn with(faults: &[Fault]) -> Fake {
        let fake = Fake::default();
        fake.disk().faults = faults.to_vec();
        fake
    }

    fn disk(&self) -> std::sync::MutexGuard<'_, Disk> {
        self.0.0.lock().unwrap()
    }

    fn next_fault(&self) -> Fault {
        let faults = &mut self.disk().faults;
        if faults.is_empty() { Fault::None } else { faults.remove(0) }
    }

    fn hold(&self, yes: bool) {
        self.disk().held = yes;
        self.0.1.notify_all();
    }

    fn start<T: Send + 'static>(&self) -> (Writer<T>, mpsc::Receiver<Event<T>>, Health) {
        let (fake, health) = (self.clone(), Health::default());
        let open = move || match fake.next_fault() {
            Fault::Open => Err(StoreError("no such disk".into())),
            Fault::OpenPanics => panic!("open failed badly"),
            _ => Ok(Box::new(FakeStore(fake.clone())) as Box<dyn Store>),
        };
        let (writer, events) = Writer::start(open, health.clone()).unwrap();
        (writer, events, health)
    }
}

impl Store for FakeStore {
    fn load(&mut self) -> Result<Vec<Row>, StoreError> {
        Ok(self.0.disk().synced.values().cloned().collect())
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let fault = self.0.next_fault();
        let (disk, changed) = &*self.0.0;
        let mut disk = disk.lock().unwrap();
        disk.commits.push(changes.len());
        let mut disk = changed.wait_while(disk, |disk| disk.held).unwrap();
        match fault {
            Fault::Commit => return Err(StoreError("no power".into())),
            Fault::CommitPanics => {
                drop(disk);
                panic!("commit failed badly")
            }
            _ => {}
        }
        for change in changes {
            match change {
                Change::Put(row) => disk.synced.insert(row.address, row.clone()),
                Change::Remove(address) => disk.synced.remove(address),
            };
        }
        Ok(())
    }
}

impl Drop for FakeStore {
    fn drop(&mut self) {
        self.0.disk().closed += 1;
    }
}

async fn next<T>(events: &mut mpsc::Receiver<Event<T>>) -> Event<T> {
    timeout(SOON, events.recv()).await.expect("an event comes soon").expect("the thread lives")
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(SOON, wait).await.unwrap_or_else(|_| panic!("never so: {what}"));
}

#[tokio::test]
async fn rows_come_first_and_then_what_was_submitted_in_order() {
    let fake = Fake::default();
    fake.disk().synced.insert(address(1), row(1, 1, 100));
    let (writer, mut events, health) = fake.start();
    assert_eq!(next(&mut events).await, Event::Opened(vec![row(1, 1, 100)]));
    writer.submit(vec![put(2, 2, 100), Change::Remove(address(1))], "a").unwrap();
    assert_eq!(next(&mut events).await, Event::Committed(vec!["a"]));
    assert_eq!(fake.disk().synced.values().collect::<Vec<_>>(), [&row(2, 2, 100)]);
    writer.submit(vec![], "nothing to write").unwrap();
    assert_eq!(next(&mut events).await, Event::Committed(vec!["nothing to write"]));
    let status = health.status();
    assert_eq!((status.state, status.rows), (State::Open, 1));
    assert!(status.last_commit.is_some());
}

#[tokio::test]
async fn what_queues_up_meanwhile_is_one_commit_and_one_event() {
    let fake = Fake::default();
    let (writer, mut events, _health) = fake.start();
    assert_eq!(next(&mut events).await, Event::Opened(vec![]));
    fake.hold(true);
    writer.submit(vec![put(0, 0, 100)], 0).unwrap();
    until("the first is on its way", || fake.disk().commits == [1]).await;
    for number in 1..=1000 {
        writer.submit(vec![put(number, number, 100)], number).unwrap();
    }
    assert!(events.try_recv().is_err(), "nothing is promised before it is on disk");
    fake.hold(false);
    assert_eq!(next(&mut events).await, Event::Committed(vec![0]));
    assert_eq!(next(&mut events).await, Event::Committed((1..=1000).collect()));
    assert_eq!(fake.disk().commits, [1, 1000]);
}

/// On a disk that takes no time at all.
#[tokio::test]
async fn a_stream_of_single_changes_is_a_few_hundred_commits_a_second_at_most() {
    let fake = Fake::default();
    let (writer, mut events, _health) = fake.start();
    assert_eq!(next(&mut events).await, Event::Opened(vec![]));
    let (began, mut committed) = (std::time::Instant::now(), 0);
    for number in 0..200 {
        writer.submit(vec![put(number, number, 100)], number).unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
        while let Ok(event) = events.try_recv() {
            let Event::Committed(group) = event else { panic!("{event:?}") };
            committed += group.len();
        }
    }
    while committed < 200 {
        let Event::Committed(group) = next(&mut events).await else { panic!("it cannot fail") };
        committed += group.len();
    }
    let (commits, most) =
        (fake.disk().commits.len(), began.elapsed().as_millis() / worker::PACE.as_millis() + 1);
    assert!(commits as u128 <= most, "{commits} commits in {:?}", began.elapsed());
}

#[tokio::test]
async fn queue_and_group_are_bounded_and_who_finds_it_full_is_told_at_once() {
    let fake = Fake::default();
    let (writer, mut events, _health) = fake.start();
    assert_eq!(next(&mut events).await, Event::Opened(vec![]));
    fake.hold(true);
    writer.submit(vec![put(0, 0, 100)], 0).unwrap();
    until("the first is on its way", || fake.disk().commits == [1]).await;
    let queued = (1..).find(|number| writer.submit(vec![put(1, 1, 100)], *number).is_err()).unwrap();
    assert_eq!(queued, QUEUE + 1);
    assert_eq!(writer.submit(vec![], 7), Err(7), "the ticket comes back");
    fake.hold(false);
    assert_eq!(next(&mut events).await, Event::Committed(vec![0]));
    for group in 0..QUEUE / GROUP {
        let first = 1 + group * GROUP;
        assert_eq!(next(&mut events).await, Event::Committed((first..first + GROUP).collect()));
    }
    assert_eq!(writer.submit(vec![], 8), Ok(()), "there is room again");
}

/// Whatever fails in whatever order: what was reported as committed, and only that, is behind the sync.
#[tokio::test]
async fn nothing_is_reported_as_committed_that_a_loss_of_power_undoes() {
    use Fault::{Commit, CommitPanics, None, Open, OpenPanics};
    let faults = [Open, None, None, Commit, OpenPanics, None, None, CommitPanics, Open, None, None, Commit];
    let fake = Fake::with(&faults);
    let (writer, mut events, _health) = fake.start();
    let (mut promised, mut told): (_, Vec<&str>) = (BTreeMap::new(), Vec::new());
    let mut number = 0;
    while told.iter().filter(|event| **event == "opened").count() < 4 || told.last() != Some(&"committed") {
        match timeout(Duration::from_millis(20), events.recv()).await.map(Option::unwrap) {
            Ok(Event::Opened(rows)) => {
                let rows: BTreeMap<_, _> = rows.into_iter().map(|row| (row.address, row)).collect();
                assert_eq!(rows, promised, "what the file has is what was promised");
                told.push("opened");
            }
            Ok(Event::Committed(rows)) => {
                promised.extend(rows.into_iter().map(|row: Row| (row.address, row)));
                told.push("committed");
            }
            Ok(Event::Failed(_, why)) => {
                assert!(!why.0.is_empty());
                told.push("failed");
            }
            Err(_) => {
                number += 1;
                writer.submit(vec![put(number, number, 1)], row(number, number, 1)).unwrap();
            }
        }
        assert!(promised.iter().all(|(address, row)| fake.disk().synced.get(address) == Some(row)));
    }
    told.dedup();
    let failures: Vec<_> = told.split(|event| *event == "opened").collect();
    assert_eq!(failures.len(), 5, "opened once after each of four stretches of failure: {told:?}");
    for stretch in &failures[1..] {
        assert_eq!(stretch[0], "committed", "{told:?}");
    }
}

#[tokio::test]
async fn while_the_store_is_not_open_jobs_fail_at_once_and_later_it_opens_by_itself() {
    let fake = Fake::with(&[Fault::Open, Fault::Open]);
    let (writer, mut events, health) = fake.start();
    let refused = StoreError("no such disk".into());
    until("it has failed once", || health.status().state == State::Failing(refused.clone())).await;
    let since = health.status().since;
    writer.submit(vec![put(1, 1, 100)], 1).unwrap();
    assert_eq!(next(&mut events).await, Event::Failed(vec![1], refused));
    assert_eq!(next(&mut events).await, Event::Opened(vec![]));
    writer.submit(vec![put(1, 1, 100)], 2).unwrap();
    assert_eq!(next(&mut events).await, Event::Committed(vec![2]));
    let status = health.status();
    assert!(status.state == State::Open && status.since > since);
}

#[tokio::test]
async fn a_panic_of_the_store_is_a_failure_that_says_so() {
    let fake = Fake::with(&[Fault::OpenPanics, Fault::None, Fault::CommitPanics]);
    let (writer, mut events, health) = fake.start();
    assert_eq!(next(&mut events).await, Event::Opened(vec![]));
    writer.submit(vec![put(1, 1, 100)], 1).unwrap();
    let Event::Failed(failed, why) = next(&mut events).await else { panic!("it cannot succeed") };
    assert_eq!(failed, [1]);
    assert_eq!(why.0, "the store panicked, a mistake of ours: commit failed badly");
    assert_eq!(health.status().state, State::Failing(why));
    assert_eq!(next(&mut events).await, Event::Opened(vec![]));
    writer.submit(vec![put(1, 1, 100)], 2).unwrap();
    assert_eq!(next(&mut events).await, Event::Committed(vec![2]));
}

#[tokio::test]
async fn a_close_has_everything_written_that_was_submitted() {
    let fake = Fake::default();
    let (writer, mut events, _health) = fake.start();
    assert_eq!(next(&mut events).await, Event::Opened(vec![]));
    fake.hold(true);
    for number in 0..2000 {
        writer.submit(vec![put(number, number, 100)], number).unwrap();
    }
    fake.hold(false);
    let reader = async {
        let mut tickets = Vec::new();
        while let Some(event) = events.recv().await {
            let Event::Committed(group) = event else { panic!("{event:?}") };
            tickets.extend(group);
        }
        tickets
    };
    let (closed, tickets) = tokio::join!(writer.close(SOON), reader);
    assert!(closed);
    assert!(tickets == (0..2000).collect::<Vec<_>>());
    let disk = fake.disk();
    assert_eq!((disk.synced.len(), disk.closed), (2000, 1));
}

#[tokio::test]
async fn a_close_ends_in_time_also_when_the_disk_does_not() {
    let fake = Fake::default();
    let (writer, mut events, _health) = fake.start();
    assert_eq!(next(&mut events).await, Event::Opened(vec![]));
    fake.hold(true);
    writer.submit(vec![put(1, 1, 100)], 1).unwrap();
    assert!(!writer.close(Duration::from_millis(50)).await);
    fake.hold(false);
    assert_eq!(next(&mut events).await, Event::Committed(vec![1]), "it ends in its own time");
    assert_eq!(timeout(SOON, events.recv()).await, Ok(None));
}

#[tokio::test]
async fn when_nobody_receives_any_more_it_is_written_all_the_same() {
    let fake = Fake::default();
    let (writer, events, _health) = fake.start();
    drop(events);
    for number in 0..100 {
        writer.submit(vec![put(number, number, 100)], number).unwrap();
    }
    assert!(writer.close(SOON).await);
    assert_eq!(fake.disk().synced.len(), 100);
}

#[test]
fn a_failure_is_news_once_and_its_end_once() {
    let health = Health::default();
    let (full, locked) = (StoreError("full".into()), StoreError("locked".into()));
    assert_eq!(health.opened(&[]), None);
    assert!(health.failed(&full));
    let since = health.status().since;
    assert!(!health.failed(&full));
    assert!(health.failed(&locked), "another reason is news");
    assert_eq!(health.status().since, since, "but it fails since the first one");
    assert_eq!(health.opened(&[row(1, 1, 1)]), Some(locked));
    assert_eq!(health.opened(&[row(1, 1, 1)]), None);
}

#[test]
fn the_metrics_say_what_happened() {
    let mut registry = prometheus_client::registry::Registry::default();
    let health = Health::default();
    health.register(registry.sub_registry_with_prefix("dhcpd"));
    health.opened(&[row(1, 1, 1)]);
    health.committed(&[put(2, 2, 2), put(2, 3, 2), Change::Remove(address(1))]);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for line in ["open 1", "rows 2", "commits_total 1", "changes_total 3", "failures_total 0"] {
        assert!(text.contains(&format!("\ndhcpd_lease_store_{line}\n")), "{line} in {text}");
    }
    health.failed(&StoreError("full".into()));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for line in ["open 0", "rows 2", "failures_total 1"] {
        assert!(text.contains(&format!("\ndhcpd_lease_store_{line}\n")), "{line} in {text}");
    }
}
