//! Pulling through: a MAC that the picture does not hold is asked of SMD before it is called unknown.
//!
//! ```text
//!   look-ups ──▶ [absent a moment ago?] ──▶ waiting, one place a MAC ──▶ `?ID=` for up to 100 at once ──▶ refresh takes it in
//!                                                   ▲                                                      │
//!        at most PULL_WAIT, then by the table ◀─────┴───────────────── told ◀──────────────────────────────┘
//! ```
//! A flood of unknown MACs costs SMD at most [`MAX_REQUESTS`] requests at a time and one every [`REQUEST_GAP`]; those who
//! come in between share the next.

use crate::refresh::{Reader, Refresher};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use values::Mac;

/// Below the 200 ms that lib/inventory waits for a call (DESIGN, lib/inventory).
pub const PULL_WAIT: Duration = Duration::from_millis(150);

/// How long SMD's word that it does not have a MAC holds without asking again. A machine asks again after some 4 s.
const ABSENT_FOR: Duration = Duration::from_secs(3);

/// MACs remembered as absent. With more, SMD is asked again: some 4 MB. A guess.
const MAX_ABSENT: usize = 65_536;

/// Requests to SMD at the same time. It answers one in some 0.5 ms; more than one are needed only while it is slow.
const MAX_REQUESTS: usize = 4;

/// Between the starts of two requests: at most 200 a second, a tenth of what SMD can do.
const REQUEST_GAP: Duration = Duration::from_millis(5);

/// MACs in one request, each in two spellings: 4 kB of URL.
const MAX_TOGETHER: usize = 100;

/// MACs that wait to be asked for. With more, a look-up is answered by what is known. A guess.
const MAX_WAITING: usize = 4_096;

/// What SMD said; also a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It has it, and it can be looked up now.
    TakenIn,
    /// It does not have it.
    Absent,
    /// Nothing, in time.
    Unanswered,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Outcome; 3] = [Outcome::TakenIn, Outcome::Absent, Outcome::Unanswered];

    /// `taken_in`, `absent`, `unanswered`.
    pub fn label(self) -> &'static str {
        match self {
            Outcome::TakenIn => "taken_in",
            Outcome::Absent => "absent",
            Outcome::Unanswered => "unanswered",
        }
    }
}

/// The way to ask; cheap to clone.
#[derive(Debug, Clone)]
pub struct Puller {
    asks: mpsc::Sender<Ask>,
    absent: Arc<Mutex<Absent>>,
}

#[derive(Debug)]
struct Ask {
    mac: Mac,
    answer: oneshot::Sender<Outcome>,
}

/// MACs that SMD did not have, and when it was asked.
#[derive(Debug, Default)]
struct Absent(HashMap<Mac, Instant>);

impl Absent {
    fn holds(&self, mac: Mac, now: Instant) -> bool {
        self.0.get(&mac).is_some_and(|asked| now < *asked + ABSENT_FOR)
    }

    fn add(&mut self, macs: impl IntoIterator<Item = Mac>, asked: Instant) {
        self.0.extend(macs.into_iter().map(|mac| (mac, asked)));
        if self.0.len() > MAX_ABSENT {
            self.0.retain(|_, before| asked < *before + ABSENT_FOR);
        }
        if self.0.len() > MAX_ABSENT {
            self.0.clear();
        }
    }
}

/// The task that asks.
pub struct Pulling {
    asks: mpsc::Receiver<Ask>,
    absent: Arc<Mutex<Absent>>,
    reader: Reader,
    refresher: Refresher,
    waiting: HashMap<Mac, Vec<oneshot::Sender<Outcome>>>,
    /// In the order in which they are to be asked for.
    queue: Vec<Mac>,
    asked: HashMap<Mac, Vec<oneshot::Sender<Outcome>>>,
    requests: JoinSet<Vec<(Mac, Outcome)>>,
    not_before: Instant,
}

impl Puller {
    /// Waits for SMD's word on a MAC, at most [`PULL_WAIT`]. The request outlives who asks.
    pub async fn pull(&self, mac: Mac) -> Outcome {
        if locked(&self.absent).holds(mac, Instant::now()) {
            return Outcome::Absent;
        }
        let (answer, answered) = oneshot::channel();
        if self.asks.try_send(Ask { mac, answer }).is_err() {
            return Outcome::Unanswered;
        }
        match timeout(PULL_WAIT, answered).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) | Err(_) => Outcome::Unanswered,
        }
    }
}

impl Pulling {
    /// A pair: for look-ups, and the task.
    pub fn new(reader: Reader, refresher: Refresher) -> (Puller, Pulling) {
        let (asks, asked) = mpsc::channel(MAX_WAITING);
        let absent = Arc::<Mutex<Absent>>::default();
        let pulling = Pulling {
            asks: asked,
            absent: absent.clone(),
            reader,
            refresher,
            waiting: HashMap::new(),
            queue: Vec::new(),
            asked: HashMap::new(),
            requests: JoinSet::new(),
            not_before: Instant::now(),
        };
        (Puller { asks, absent }, pulling)
    }

    /// Asks until told to stop.
    pub async fn run(mut self, shutdown: CancellationToken) {
        shutdown.run_until_cancelled(self.ask_for_ever()).await;
    }

    async fn ask_for_ever(&mut self) {
        loop {
            let may_ask = !self.queue.is_empty() && self.requests.len() < MAX_REQUESTS;
            tokio::select! {
                Some(done) = self.requests.join_next() => match done {
                    Ok(outcomes) => self.tell(outcomes),
                    // A bug; nobody is to wait for ever for what will not come.
                    Err(_) => self.asked.clear(),
                },
                ask = self.asks.recv() => match ask {
                    Some(ask) => self.take(ask),
                    None => return,
                },
                () = sleep_until(self.not_before), if may_ask => self.request(),
            }
        }
    }

    fn take(&mut self, Ask { mac, answer }: Ask) {
        if let Some(askers) = self.asked.get_mut(&mac) {
            askers.push(answer);
        } else if let Some(askers) = self.waiting.get_mut(&mac) {
            askers.push(answer);
        } else if self.queue.len() < MAX_WAITING {
            self.waiting.insert(mac, vec![answer]);
            self.queue.push(mac);
        }
    }

    /// Those whose askers all gave up are left out: they come again.
    fn request(&mut self) {
        let mut macs = Vec::new();
        let together = self.queue.len().min(MAX_TOGETHER);
        for mac in self.queue.drain(..together) {
            let askers = self.waiting.remove(&mac).unwrap_or_default();
            if askers.iter().any(|asker| !asker.is_closed()) {
                self.asked.insert(mac, askers);
                macs.push(mac);
            }
        }
        if macs.is_empty() {
            return;
        }
        self.not_before = Instant::now() + REQUEST_GAP;
        let (reader, refresher, absent) = (self.reader.clone(), self.refresher.clone(), self.absent.clone());
        self.requests.spawn(request(reader, refresher, absent, macs));
    }

    fn tell(&mut self, outcomes: Vec<(Mac, Outcome)>) {
        for (mac, outcome) in outcomes {
            for asker in self.asked.remove(&mac).unwrap_or_default() {
                let _ = asker.send(outcome);
            }
        }
    }
}

async fn request(
    reader: Reader,
    refresher: Refresher,
    absent: Arc<Mutex<Absent>>,
    macs: Vec<Mac>,
) -> Vec<(Mac, Outcome)> {
    let begun = Instant::now();
    let Ok((read, interfaces, components)) = reader.by_mac(&macs).await else {
        return macs.into_iter().map(|mac| (mac, Outcome::Unanswered)).collect();
    };
    let found: HashSet<Mac> = interfaces.records.iter().map(|record| record.mac).collect();
    locked(&absent).add(macs.iter().copied().filter(|mac| !found.contains(mac)), begun);
    let nothing = found.is_empty() && interfaces.rejected.is_empty();
    let taken_in = nothing || refresher.take_in(read, interfaces, components).await;
    let outcome = |mac: Mac| match (found.contains(&mac), taken_in) {
        (false, _) => Outcome::Absent,
        (true, true) => Outcome::TakenIn,
        (true, false) => Outcome::Unanswered,
    };
    macs.into_iter().map(|mac| (mac, outcome(mac))).collect()
}

fn locked(absent: &Mutex<Absent>) -> MutexGuard<'_, Absent> {
    absent.lock().unwrap_or_else(PoisonError::into_inner)
}
