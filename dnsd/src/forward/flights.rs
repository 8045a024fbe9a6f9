//! Questions on their way to forwarders: one flight for all who ask the same, with its own task, which outlives those who wait.

use super::{
    Answer, Asker, Entry, Forwarding, MAX_FLIGHTS, Question, Source, TOTAL_WAIT,
    query::{letters, spell},
    upstream::Upstream,
};
use crate::wire::kind;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

/// How often the forwarders are gone through: packets get lost. [`TOTAL_WAIT`] ends it as well.
const MAX_ROUNDS: usize = 3;

/// Letters from which on a spelling cannot be another's by chance: 1 in 1024. Of shorter names, only if it comes from a forwarder's
/// address; that alone says nothing, as a forwarder on this host has the address of its clients.
const TELLING: usize = 10;

/// Between two warnings of a loop.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// What comes of a flight.
pub type Landed = watch::Receiver<Option<Arc<Entry>>>;

struct Flight {
    spelled: Arc<[u8]>,
    landed: Landed,
}

/// All that are in the air.
#[derive(Default)]
pub struct Flights {
    by_question: Mutex<HashMap<Box<[u8]>, Flight>>,
    warned: Mutex<Option<Instant>>,
}

impl Flights {
    fn lock(&self) -> MutexGuard<'_, HashMap<Box<[u8]>, Flight>> {
        self.by_question.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_time_to_warn(&self) -> bool {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let due = warned.is_none_or(|last| now.duration_since(last) >= WARN_EVERY);
        if due {
            *warned = Some(now);
        }
        due
    }
}

/// Takes a flight out of the list, also when its task is cut off.
struct Landing {
    forwarding: Arc<Forwarding>,
    question: Question,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.forwarding.flights.lock().remove(self.question.key());
    }
}

impl Forwarding {
    /// The flight for a question: the one that is in the air, or another. An error says why there is none.
    pub(super) fn board(self: &Arc<Self>, question: &Question, asker: Asker<'_>) -> Result<Landed, Source> {
        let mut flights = self.flights.lock();
        if let Some(flight) = flights.get(question.key()) {
            if self.is_back(flight, asker) {
                drop(flights);
                self.warn_of_loop(asker);
                return Err(Source::Loop);
            }
            return Ok(flight.landed.clone());
        }
        if flights.len() >= MAX_FLIGHTS || self.tasks.are_stopped() {
            return Err(Source::Busy);
        }
        let (sender, landed) = watch::channel(None);
        let spelled: Arc<[u8]> = spell(question.name()).into();
        flights.insert(question.key().into(), Flight { spelled: spelled.clone(), landed: landed.clone() });
        drop(flights);
        let landing = Landing { forwarding: self.clone(), question: *question };
        self.tasks.spawn(fly(landing, spelled, sender));
        Ok(landed)
    }

    /// Our own question: somebody spells it as we do.
    fn is_back(&self, flight: &Flight, asker: Asker<'_>) -> bool {
        let from_forwarder =
            || self.upstreams.load().iter().any(|upstream| upstream.forwarder.address.ip() == asker.address);
        let mixed = asker.spelled.iter().any(u8::is_ascii_uppercase);
        mixed && *asker.spelled == *flight.spelled && (letters(asker.spelled) >= TELLING || from_forwarder())
    }

    fn warn_of_loop(&self, asker: Asker<'_>) {
        if self.flights.is_time_to_warn() {
            tracing::warn!(
                from = %asker.address,
                "a question that we had asked of our forwarders came back to us: one of dnsd.forward leads here, and such names are \
                 SERVFAIL"
            );
        }
    }

    /// Asks forwarders in turn; those put aside only when there is no other. A refusal or a failure of one is passed on as it came when
    /// nobody has better.
    async fn ask_in_turn(&self, question: &Question, spelled: &[u8], best: &mut Option<(Answer, Arc<str>)>) {
        for _ in 0..MAX_ROUNDS {
            let upstreams = self.upstreams.load_full();
            let (up, down): (Vec<_>, Vec<_>) = upstreams.iter().partition(|upstream| upstream.is_up());
            let hopeless = up.is_empty();
            let mut may_pass = false;
            for upstream in if hopeless { down } else { up } {
                let (answer, needs_probing) = upstream.ask(question, spelled).await;
                if needs_probing {
                    self.probe(upstream);
                }
                match answer {
                    Ok(answer) => {
                        let done = !answer.is_failure();
                        *best = Some((answer, upstream.name.clone()));
                        if done {
                            return;
                        }
                    }
                    Err(failure) => may_pass |= !failure.is_lasting(),
                }
            }
            if hopeless || !may_pass || best.is_some() {
                return;
            }
        }
    }

    /// Asks it for the root's servers, less and less often, until it answers.
    fn probe(&self, upstream: &Arc<Upstream>) {
        let upstream = Arc::downgrade(upstream);
        self.tasks.spawn(async move {
            let root = Question::new(&[0], kind::NS, false, false);
            while let Some(wait) = upstream.upgrade().and_then(|upstream| upstream.next_probe()) {
                // Replicas that lost it together need not come back together.
                let wait = wait.mul_f64(0.75 + 0.5 * fastrand::f64());
                sleep(wait).await;
                let Some(upstream) = upstream.upgrade() else { return };
                // It remembers itself how it fared.
                _ = upstream.ask(&root, &[0]).await;
            }
        });
    }
}

/// A flight, from the first forwarder to what is kept of it.
async fn fly(landing: Landing, spelled: Arc<[u8]>, sender: watch::Sender<Option<Arc<Entry>>>) {
    let Landing { forwarding, question } = &landing;
    let mut best = None;
    let asked = timeout(TOTAL_WAIT, forwarding.ask_in_turn(question, &spelled, &mut best));
    // What it found by then counts.
    _ = asked.await;
    let (answer, from) = match best {
        Some((answer, from)) => (answer, Some(from)),
        None => (Answer::servfail(question), None),
    };
    let entry = Arc::new(Entry::new(answer, from, Instant::now()));
    forwarding.cache.keep(question, entry.clone());
    let (entries, bytes) = forwarding.cache.size();
    forwarding.metrics.entries.set(entries as i64);
    forwarding.metrics.bytes.set(bytes as i64);
    // Kept first: who comes now finds it there, or boards the next.
    drop(landing);
    sender.send_replace(Some(entry));
}
