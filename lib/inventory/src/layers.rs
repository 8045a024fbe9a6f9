//! The three layers as one: replica, cache, call. What Watch says goes to all of them, here and in this order.

use crate::{
    Bearers, Freshness, Health, Lookup, Name, Replica,
    cache::{Answers, Hit},
    calls::{Called, Calls},
    clock,
    doubt::Standard,
    keys::Key,
    metrics::{Layer, Loss, Metrics},
    watch::{Effect, Link},
};
use arc_swap::ArcSwap;
use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};
use tokio::{sync::watch, time::timeout};
use tokio_util::task::TaskTracker;

/// Above the call's 200 ms, below the 400 ms a packet may take (DESIGN, lib/inventory).
pub(crate) const LOOKUP_DEADLINE: Duration = Duration::from_millis(300);

/// Different reasons that are said once each: some for each of a few endpoints.
const MAX_TROUBLES: usize = 16;

pub(crate) struct Layers {
    replica: ArcSwap<Replica>,
    answers: Arc<Answers>,
    pub(crate) calls: Arc<Calls>,
    metrics: Arc<Metrics>,
    link: ArcSwap<Link>,
    /// Why connections were lost since there was a good one, the last one last; empty while there is one.
    trouble: Mutex<Vec<String>>,
    /// The endpoint that is asked, as the configuration writes it.
    endpoint: ArcSwap<String>,
    /// Nothing older is served.
    max_stale: Option<Duration>,
    changed: watch::Sender<u64>,
}

impl Layers {
    pub(crate) fn new(
        replica: Replica,
        max_stale: Option<Duration>,
        metrics: Arc<Metrics>,
        tasks: TaskTracker,
    ) -> Layers {
        let answers = Arc::new(Answers::new());
        Layers {
            calls: Arc::new(Calls::new(answers.clone(), metrics.clone(), tasks)),
            answers,
            metrics,
            link: ArcSwap::default(),
            trouble: Mutex::new(vec!["smd-cache was not reached yet".into()]),
            endpoint: ArcSwap::default(),
            max_stale,
            changed: watch::Sender::new(replica.freshness().generation),
            replica: ArcSwap::from_pointee(replica),
        }
    }

    /// Of an inventory that is never anything else.
    pub(crate) fn fix(&self) {
        let server_stale = self.replica.load().freshness().stale;
        self.link.store(Arc::new(Link { connected: true, synced: true, following: true, server_stale }));
        self.trouble().clear();
    }

    pub(crate) fn peek<K: Key>(&self, key: &K) -> Option<Lookup<K::Answer>> {
        self.in_replica(key).or_else(|| self.in_cache(key))
    }

    /// `peek` for a name in lower case, without making a key of it where the replica answers.
    pub(crate) fn peek_name(&self, name: &str) -> Option<Lookup<Bearers>> {
        let held = self.counted(Name::CLOSED, |replica| replica.name(name));
        held.or_else(|| self.in_cache(&name.parse::<Name>().ok()?))
    }

    /// Calls smd-cache for what `peek` did not answer.
    pub(crate) async fn lookup<K: Key>(&self, key: K) -> Lookup<K::Answer> {
        let called = timeout(LOOKUP_DEADLINE, self.calls.ask(key.any())).await.unwrap_or(Called::Unavailable);
        self.conclude(key, called)
    }

    /// What is answered after a call.
    pub(crate) fn conclude<K: Key>(&self, key: K, called: Called) -> Lookup<K::Answer> {
        // What came by Watch meanwhile is at least as new.
        if let Some(answer) = self.in_replica(&key) {
            return answer;
        }
        let answer = match called {
            Called::Found(answer, freshness) if !self.is_too_old(&freshness) => {
                K::pick(&answer).map(|found| Lookup::Found(found, freshness))
            }
            Called::Unknown(freshness) if !self.is_too_old(&freshness) && self.may_deny(&key) => {
                Some(Lookup::Unknown)
            }
            Called::Found(..) | Called::Unknown(_) | Called::Unavailable => None,
        };
        if let Some(answer) = answer {
            self.metrics.answered(Layer::Call, is_stale(&answer));
            return answer;
        }
        self.outdated(&key).unwrap_or_else(|| self.unavailable())
    }

    /// What is held but too old to be served is not denied by a server that knows less.
    fn may_deny<K: Key>(&self, key: &K) -> bool {
        self.link.load().synced || key.held(&self.replica.load()).is_none()
    }

    /// Nothing that old is served (`inventory.max_stale`). What was read at the last whole read counts: removals are not
    /// noticed by any other.
    fn is_too_old(&self, freshness: &Freshness) -> bool {
        let Some(max_stale) = self.max_stale else { return false };
        freshness.whole_read_at.is_none_or(|read_at| age(read_at) > max_stale)
    }

    /// The whole snapshot is held and too old to be served.
    pub(crate) fn is_expired(&self) -> bool {
        let replica = self.replica.load();
        replica.is_complete() && self.is_too_old(&replica.freshness())
    }

    /// What is held may be behind SMD: nobody says that it is not, or SMD itself cannot be read.
    pub(crate) fn is_stale(&self) -> bool {
        is_behind(&self.link.load(), &self.replica.load())
    }

    /// The last word of an inventory that calls nobody.
    pub(crate) fn without_calls<T>(&self) -> Lookup<T> {
        let replica = self.replica.load();
        match replica.is_complete() && !replica.freshness().stale {
            true => Lookup::Unknown,
            false => self.unavailable(),
        }
    }

    fn in_replica<K: Key>(&self, key: &K) -> Option<Lookup<K::Answer>> {
        self.counted(K::CLOSED, |replica| key.held(replica))
    }

    fn counted<T>(&self, closed: bool, held: impl FnOnce(&Replica) -> Option<Arc<T>>) -> Option<Lookup<T>> {
        let replica = self.replica.load();
        let freshness = replica.freshness();
        let answer = match held(&replica) {
            Some(found) => Lookup::Found(found, freshness),
            None if closed && replica.is_complete() => Lookup::Unknown,
            None => return None,
        };
        if self.is_too_old(&freshness) {
            return None;
        }
        self.metrics.answered(Layer::Replica, freshness.stale);
        Some(answer)
    }

    fn in_cache<K: Key>(&self, key: &K) -> Option<Lookup<K::Answer>> {
        let link = self.link.load();
        let entry = match self.answers.hit(&key.any())? {
            Hit::Current(entry) => entry,
            // A server that may know less is not asked for what is known.
            Hit::Old(entry) if link.connected && !link.synced => entry,
            Hit::Old(_) => return None,
        };
        if self.is_too_old(&entry.freshness) {
            return None;
        }
        let mut freshness = entry.freshness;
        freshness.stale = !link.synced || link.server_stale;
        let answer = match entry.answer {
            Some(answer) => Lookup::Found(K::pick(&answer)?, freshness),
            None => Lookup::Unknown,
        };
        self.metrics.answered(Layer::Cache, freshness.stale);
        Some(answer)
    }

    /// An answer that was to be asked for again, when nobody answers.
    fn outdated<K: Key>(&self, key: &K) -> Option<Lookup<K::Answer>> {
        let (Hit::Old(entry) | Hit::Current(entry)) = self.answers.hit(&key.any())?;
        let mut freshness = entry.freshness;
        if self.is_too_old(&freshness) {
            return None;
        }
        freshness.stale = true;
        self.metrics.answered(Layer::Cache, true);
        Some(Lookup::Found(K::pick(&entry.answer?)?, freshness))
    }

    fn unavailable<T>(&self) -> Lookup<T> {
        self.metrics.unavailable.inc();
        if self.is_expired() {
            self.metrics.too_old.inc();
        }
        Lookup::Unavailable
    }

    /// Carries out what an event means. First the cache forgets, then the replica is swapped: a key that moves from one
    /// to the other is asked for once too often, but never answered with what it was.
    pub(crate) fn take(&self, effect: Effect, link: Link, standard: Standard) {
        match &effect.position {
            Some(at) if effect.caught_up => self.calls.caught_up(&at.instance),
            Some(at) if effect.wake => self.calls.got(&at.instance, clock::now()),
            _ => {}
        }
        self.answers.follow(effect.forget, effect.position, standard.since(self.calls.got_at()));
        self.metrics.connected.set(link.connected.into());
        if link.following && !self.link.load().following {
            self.trouble().clear();
            tracing::info!(endpoint = %self.endpoint.load(), "smd-cache is connected and keeps the inventory fresh");
        }
        self.link.store(Arc::new(link));
        if let Some(replica) = effect.publish {
            self.publish(replica);
        }
        if effect.wake {
            self.changed.send_replace(self.replica.load().freshness().generation);
        }
    }

    fn publish(&self, replica: Replica) {
        let freshness = replica.freshness();
        self.metrics.generation.set(freshness.generation.try_into().unwrap_or(i64::MAX));
        self.metrics.read_at(freshness.read_at);
        let before = self.replica.swap(Arc::new(replica));
        let now = self.replica.load();
        if now.is_complete()
            && (!before.is_complete() || before.freshness().generation != freshness.generation)
        {
            tracing::info!(
                generation = freshness.generation,
                interfaces = now.interface_count(),
                "the inventory is replaced by a newer one"
            );
        }
        // A new snapshot counts from zero.
        let skipped = now.skipped().checked_sub(before.skipped()).unwrap_or(now.skipped());
        if skipped > 0 {
            self.metrics.skipped.inc_by(skipped);
            tracing::warn!(parts = skipped, "parts of smd-cache's messages cannot be read and are left out");
        }
    }

    /// Counts and logs the end of a Watch, loudly when it was one that worked.
    pub(crate) fn lost(&self, loss: Loss, text: String) {
        self.metrics.lost(loss);
        let mut trouble = self.trouble();
        let known = trouble.iter().position(|said| *said == text);
        match known.map(|place| trouble.remove(place)) {
            None => {
                let held = match self.replica.load().is_complete() {
                    true => "what is held goes on being served",
                    false => "nothing is held yet",
                };
                tracing::warn!(reason = loss.label(), "{text}; {held}");
            }
            Some(_) => tracing::debug!(reason = loss.label(), "still: {text}"),
        }
        if trouble.len() == MAX_TROUBLES {
            trouble.remove(0);
        }
        trouble.push(text);
    }

    /// Which endpoint is asked from now on.
    pub(crate) fn set_endpoint(&self, endpoint: String) {
        self.endpoint.store(Arc::new(endpoint));
    }

    pub(crate) fn snapshot(&self) -> Arc<Replica> {
        self.replica.load_full()
    }

    #[cfg(test)]
    pub(crate) fn answers_held(&self) -> u64 {
        self.answers.count()
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(crate) fn health(&self) -> Health {
        let replica = self.replica.load();
        let link = self.link.load();
        let freshness = replica.freshness();
        Health {
            endpoint: self.endpoint.load().to_string(),
            expired: self.is_expired(),
            complete: replica.is_complete(),
            connected: link.connected,
            stale: is_behind(&link, &replica),
            generation: freshness.generation,
            reason: self.reason(&link, &replica),
        }
    }

    fn reason(&self, link: &Link, replica: &Replica) -> String {
        let why = self.why_stale(link, replica);
        match self.max_stale.filter(|_| self.is_expired()) {
            None => why,
            Some(limit) => {
                let ago = ago(replica.freshness().whole_read_at);
                let limit = limit.as_secs();
                let not_served =
                    format!("what is held is older than inventory.max_stale ({limit} s) and is not served");
                let why = if why.is_empty() { why } else { format!("; {why}") };
                format!("{not_served}: SMD was read whole {ago}{why}")
            }
        }
    }

    fn why_stale(&self, link: &Link, replica: &Replica) -> String {
        let whole_read_at = replica.freshness().whole_read_at;
        let trouble = self.trouble();
        let server = format!("smd-cache at {}", self.endpoint.load());
        match link {
            Link { connected: false, .. } => match trouble.last() {
                Some(text) => text.clone(),
                None => format!("{server} is out of reach"),
            },
            Link { synced: false, server_stale: true, .. } if replica.is_complete() => {
                format!("{server} cannot see SMD and knows nothing newer than what is held")
            }
            Link { following: false, .. } if whole_read_at.is_none() => {
                format!("{server} has not read SMD yet")
            }
            Link { following: false, .. } if !replica.is_complete() => {
                format!("the snapshot of {server} has not arrived yet")
            }
            Link { following: false, synced: true, .. } => {
                format!("what {server} has that is newer has not all arrived yet")
            }
            Link { following: false, .. } => {
                format!("{server} has not sent anything newer than what is held yet")
            }
            Link { server_stale: true, .. } => {
                format!("the last whole read of SMD by {server} was {}", ago(whole_read_at))
            }
            _ => String::new(),
        }
    }

    fn trouble(&self) -> MutexGuard<'_, Vec<String>> {
        self.trouble.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn is_behind(link: &Link, replica: &Replica) -> bool {
    replica.freshness().stale || !link.following || link.server_stale
}

fn is_stale<T>(answer: &Lookup<T>) -> bool {
    matches!(answer, Lookup::Found(_, freshness) if freshness.stale)
}

/// Zero after the clock was set back.
fn age(read_at: SystemTime) -> Duration {
    clock::now().duration_since(read_at).unwrap_or_default()
}

fn ago(read_at: Option<SystemTime>) -> String {
    match read_at {
        Some(read_at) => format!("{} s ago", age(read_at).as_secs()),
        None => "never".into(),
    }
}
