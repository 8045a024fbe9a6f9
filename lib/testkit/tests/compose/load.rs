//! Clients that ask dnsd all the time, each question from a new port, as a cluster's stub resolvers do: one that gets no answer
//! is asked once more.

use crate::stack::{NODE1, NODE3, SERVER, Stack};
use hickory_proto::rr::RecordType;
use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use testkit::{cluster::Inside, packets::dns};
use tokio::task::JoinHandle;

/// Clients at a time, and between two questions of one: some 1,500 a second, which load nobody.
const CLIENTS: usize = 8;
const PACE: Duration = Duration::from_millis(5);
/// How long a client waits for an answer. glibc: 5 s.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs until it is stopped.
pub struct Load {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Report>>,
    place: Inside,
}

/// What the clients saw.
#[derive(Debug, Default)]
pub struct Report {
    pub answered: usize,
    /// Of those, so many at the second attempt.
    pub asked_again: usize,
    pub unanswered: usize,
    pub wrong: usize,
    /// The longest a client waited for an answer, its second attempt included.
    pub longest: Duration,
}

impl Load {
    /// From the engine's machine, straight to the servers' address.
    pub fn start(stack: &Stack) -> Load {
        let (stop, place) = (Arc::new(AtomicBool::new(false)), stack.engine().inside());
        let tasks = (0..CLIENTS).map(|_| place.spawn(ask(stop.clone()))).collect();
        Load { stop, tasks, place }
    }

    pub fn stop(self) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        let tasks = self.tasks;
        self.place.run(async move {
            let mut all = Report::default();
            for task in tasks {
                let one = task.await.expect("a client does not panic");
                all.answered += one.answered;
                all.asked_again += one.asked_again;
                all.unanswered += one.unanswered;
                all.wrong += one.wrong;
                all.longest = all.longest.max(one.longest);
            }
            all
        })
    }
}

async fn ask(stop: Arc<AtomicBool>) -> Report {
    let mut report = Report::default();
    while !stop.load(Ordering::Relaxed) {
        let node = if report.answered % 2 == 0 { NODE1 } else { NODE3 };
        let (began, mut attempts) = (Instant::now(), 0);
        let answer = loop {
            attempts += 1;
            let answer = dns::ask(SocketAddr::from((SERVER, 53)), node.fqdn, RecordType::A, PATIENCE).await;
            match answer.ok().flatten() {
                // Also where the kernel said at once that nobody listens: a client with one server waits for its timer.
                None if attempts < 2 => tokio::time::sleep_until((began + PATIENCE).into()).await,
                answer => break answer,
            }
        };
        let addresses: Option<Vec<String>> =
            answer.map(|answer| answer.answers.iter().map(|record| record.data.to_string()).collect());
        match addresses {
            None => report.unanswered += 1,
            Some(found) if found == [node.address] => {
                report.answered += 1;
                report.asked_again += usize::from(attempts > 1);
                report.longest = report.longest.max(began.elapsed());
            }
            Some(_) => report.wrong += 1,
        }
        tokio::time::sleep(PACE).await;
    }
    report
}

impl Report {
    /// Everything was answered, with the truth: at the latest at the second attempt.
    #[track_caller]
    pub fn check(&self) {
        println!("  dnsd, new clients: {self}");
        assert!(self.answered > 0 && self.unanswered == 0 && self.wrong == 0, "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { answered, asked_again, unanswered, wrong, longest } = self;
        write!(
            f,
            "{answered} questions answered, {asked_again} of them at the second attempt, {unanswered} unanswered, \
             {wrong} wrong, the longest wait {longest:.1?}"
        )
    }
}
