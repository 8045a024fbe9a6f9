//! The third layer: calls to smd-cache, one at a time for each key.
//!
//! A call is a task of its own and outlives those who asked: a client that gave up asks again soon, and finds the answer in
//! the cache. Whoever asks while it is under way waits for the same answer, unless Watch brought a change since it began.

use crate::{
    Freshness,
    cache::{Answers, Entry},
    clock,
    doubt::{self, Said, Worth},
    keys::{AnyAnswer, AnyKey},
    metrics::Metrics,
    parse,
    watch::MadeOf,
};
use arc_swap::ArcSwapOption;
use proto::v1::{self, Outcome, smd_cache_client::SmdCacheClient};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::{
    sync::{Notify, Semaphore, watch},
    time::{Instant, timeout},
};
use tokio_util::task::TaskTracker;
use tonic::{Code, Request, Response, Status, transport::Channel};

pub(crate) type Client = SmdCacheClient<Channel>;

/// Below the look-up's 300 ms and above the 150 ms that smd-cache waits for SMD (DESIGN, lib/inventory).
pub(crate) const CALL_DEADLINE: Duration = Duration::from_millis(200);

/// Keys asked for at the same time: half the streams that smd-cache allows a connection, so that none has to wait for
/// one. With a dead smd-cache each place is taken for the call deadline, so this is 1,280 unknown keys a second.
pub(crate) const MAX_CALLS: usize = 256;

/// Calls in a row that run into their deadline and count as a lost heartbeat (DESIGN). In a row: each began after the one
/// before had ended, for of many at once one moment's hold-up stops all.
const TIMEOUTS_THAT_COUNT: u32 = 3;

/// What a call said.
#[derive(Debug, Clone)]
pub(crate) enum Called {
    Found(AnyAnswer, Freshness),
    Unknown(Freshness),
    Unavailable,
}

/// A call under way, begun at a [`Answers::moment`].
struct Flight {
    moment: u64,
    outcome: watch::Receiver<Option<Called>>,
}

/// What was got last: no server may follow that has read SMD before. A read may have seen what happened after it began, so
/// this is when it came here.
#[derive(Debug)]
struct Newest {
    got: SystemTime,
    /// Whose it is; `None`: several servers'.
    instance: Option<String>,
}

/// Calls in a row that were not answered.
#[derive(Debug, Default)]
struct Silence {
    calls: u32,
    since: Option<Instant>,
}

impl Silence {
    /// One more that was not answered; whether that is enough, and then it begins anew.
    fn grows(&mut self, began: Instant, ended: Instant) -> bool {
        if self.since.is_some_and(|before| began < before) {
            return false;
        }
        self.calls += 1;
        self.since = Some(ended);
        let enough = self.calls >= TIMEOUTS_THAT_COUNT;
        if enough {
            *self = Silence::default();
        }
        enough
    }
}

pub(crate) struct Calls {
    answers: Arc<Answers>,
    metrics: Arc<Metrics>,
    client: ArcSwapOption<Client>,
    flights: Mutex<HashMap<AnyKey, Flight>>,
    places: Arc<Semaphore>,
    silence: Mutex<Silence>,
    /// When and from whom the newest was got, by a call or by Watch.
    newest: Mutex<Option<Newest>>,
    /// Notified when calls in a row ran into their deadline.
    pub(crate) too_many_timeouts: Notify,
    tasks: TaskTracker,
}

impl Calls {
    pub(crate) fn new(answers: Arc<Answers>, metrics: Arc<Metrics>, tasks: TaskTracker) -> Calls {
        Calls {
            answers,
            metrics,
            client: ArcSwapOption::empty(),
            flights: Mutex::default(),
            places: Arc::new(Semaphore::new(MAX_CALLS)),
            silence: Mutex::default(),
            newest: Mutex::default(),
            too_many_timeouts: Notify::new(),
            tasks,
        }
    }

    /// Where to call from now on; `None`: nowhere, every call is Unavailable at once.
    pub(crate) fn set_client(&self, client: Option<Client>) {
        self.heard();
        self.client.store(client.map(Arc::new));
    }

    /// The connection to call by; `None`: there is none.
    pub(crate) fn client(&self) -> Option<Arc<Client>> {
        self.client.load_full()
    }

    /// What the next server is to be told instead of what is held: its snapshot takes the place of everything that was got.
    /// Where several gave it, not even the one that what is held came from may go on before it has read SMD again.
    pub(crate) fn told(&self, held: Option<v1::Freshness>) -> Option<v1::Freshness> {
        let mut held = held?;
        if let Some(newest) = &*self.newest() {
            held.read_at = parse::freshness(&held).read_at.max(Some(newest.got)).map(Into::into);
            if newest.instance.as_ref() != Some(&held.instance) {
                held.instance.clear();
            }
        }
        Some(held)
    }

    /// When the newest was got.
    pub(crate) fn got_at(&self) -> Option<SystemTime> {
        self.newest().as_ref().map(|newest| newest.got)
    }

    /// Something was got from this instance, beside what was got before.
    pub(crate) fn got(&self, instance: &str, at: SystemTime) {
        let mut newest = self.newest();
        let same = newest.as_ref().is_none_or(|before| before.instance.as_deref() == Some(instance));
        *newest = Some(Newest { got: at, instance: same.then(|| instance.to_owned()) });
    }

    /// What is held is from this instance now, and newer than everything that was got before.
    pub(crate) fn caught_up(&self, instance: &str) {
        *self.newest() = Some(Newest { got: clock::now(), instance: Some(instance.to_owned()) });
    }

    fn newest(&self) -> MutexGuard<'_, Option<Newest>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks smd-cache, or waits for the answer to somebody who just did.
    pub(crate) async fn ask(self: &Arc<Self>, key: AnyKey) -> Called {
        let Some(mut outcome) = self.join(key) else { return Called::Unavailable };
        match outcome.wait_for(Option::is_some).await {
            Ok(called) => called.clone().unwrap_or(Called::Unavailable),
            Err(_) => Called::Unavailable,
        }
    }

    fn join(self: &Arc<Self>, key: AnyKey) -> Option<watch::Receiver<Option<Called>>> {
        let mut flights = self.flights();
        let moment = self.answers.moment();
        if let Some(flight) = flights.get(&key)
            && flight.moment == moment
            && flight.outcome.has_changed().is_ok()
        {
            return Some(flight.outcome.clone());
        }
        let client = self.client.load_full()?;
        let place = self.places.clone().try_acquire_owned().ok()?;
        let (sender, outcome) = watch::channel(None);
        flights.insert(key.clone(), Flight { moment, outcome: outcome.clone() });
        drop(flights);
        let calls = self.clone();
        self.tasks.spawn(async move {
            let _place = place;
            let called = calls.call((*client).clone(), &key).await;
            calls.land(&key, moment);
            sender.send_replace(Some(called));
        });
        Some(outcome)
    }

    /// Takes the flight out of the table, unless a newer one has its place.
    fn land(&self, key: &AnyKey, moment: u64) {
        let mut flights = self.flights();
        if flights.get(key).is_some_and(|flight| flight.moment == moment) {
            flights.remove(key);
        }
    }

    async fn call(&self, client: Client, key: &AnyKey) -> Called {
        self.metrics.in_flight.inc();
        let began = Instant::now();
        let reply = timeout(CALL_DEADLINE, send(client, key)).await;
        self.metrics.in_flight.dec();
        match reply {
            Ok(Ok(reply)) => {
                self.heard();
                self.understand(key, reply.into_inner())
            }
            Ok(Err(status)) if !is_deadline(&status) => {
                self.heard();
                tracing::debug!(%key, code = ?status.code(), message = status.message(), "smd-cache refuses a look-up");
                Called::Unavailable
            }
            Ok(Err(_)) | Err(_) => {
                self.timed_out(began);
                Called::Unavailable
            }
        }
    }

    /// Any reply shows that smd-cache lives.
    fn heard(&self) {
        *self.silence() = Silence::default();
    }

    fn timed_out(&self, began: Instant) {
        self.metrics.timeouts.inc();
        if self.silence().grows(began, Instant::now()) {
            self.too_many_timeouts.notify_one();
        }
    }

    fn silence(&self) -> MutexGuard<'_, Silence> {
        self.silence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Found and Unknown are kept; the lack of an answer never is.
    pub(crate) fn understand(&self, key: &AnyKey, reply: v1::LookupReply) -> Called {
        let outcome = reply.outcome();
        let origin = reply.freshness.clone().unwrap_or_default();
        let mut freshness = parse::freshness(&origin);
        match self.worth(key, &reply, &origin, freshness) {
            Worth::Good => {}
            Worth::Stale => freshness.stale = true,
            Worth::None => return Called::Unavailable,
        }
        let (answer, made_of) = match outcome {
            Outcome::Found => match key.answer(reply) {
                Some((answer, made_of)) => (Some(answer), made_of),
                None => {
                    tracing::debug!(%key, "smd-cache found it and says nothing of it");
                    return Called::Unavailable;
                }
            },
            Outcome::Unknown if self.answers.found_after(key, freshness.read_at) => {
                return Called::Unavailable;
            }
            Outcome::Unknown => (None, MadeOf::default()),
            Outcome::Unavailable | Outcome::Unspecified => return Called::Unavailable,
        };
        self.got(&origin.instance, clock::now());
        self.answers.keep(key.clone(), &origin.instance, Entry::new(answer.clone(), made_of, freshness));
        match answer {
            Some(answer) => Called::Found(answer, freshness),
            None => Called::Unknown(freshness),
        }
    }

    fn worth(
        &self,
        key: &AnyKey,
        reply: &v1::LookupReply,
        origin: &v1::Freshness,
        freshness: Freshness,
    ) -> Worth {
        let mac = if let AnyKey::Mac(mac) = key { Some(mac.to_string()) } else { None };
        self.answers.worth(&Said {
            outcome: reply.outcome(),
            instance: &origin.instance,
            whole_read_at: freshness.whole_read_at,
            of_mac: mac.is_some(),
            written_at: mac.and_then(|mac| doubt::written_at(reply, &mac)),
        })
    }

    #[cfg(test)]
    pub(crate) fn under_way(&self) -> usize {
        self.flights().len()
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<AnyKey, Flight>> {
        self.flights.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

async fn send(mut client: Client, key: &AnyKey) -> Result<Response<v1::LookupReply>, Status> {
    match key {
        AnyKey::Mac(mac) => client.lookup_mac(timed(v1::LookupMacRequest { mac: mac.to_string() })).await,
        AnyKey::Address(address) => {
            client.lookup_address(timed(v1::LookupAddressRequest { address: address.to_string() })).await
        }
        AnyKey::Name(name) => {
            client.lookup_name(timed(v1::LookupNameRequest { name: name.to_string() })).await
        }
        AnyKey::Id(id) => {
            client.lookup_component(timed(v1::LookupComponentRequest { id: id.to_string() })).await
        }
    }
}

/// The server is told, too, so that it does not work for nobody.
fn timed<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL_DEADLINE);
    request
}

/// tonic's own timeout, on either side, is Cancelled or DeadlineExceeded.
fn is_deadline(status: &Status) -> bool {
    matches!(status.code(), Code::Cancelled | Code::DeadlineExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_hang_together_are_one_and_three_after_one_another_are_enough() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut silence = Silence::default();
        for began in 0..100 {
            assert!(!silence.grows(at(began), at(began + 200)), "all at once");
        }
        assert!(!silence.grows(at(300), at(500)));
        assert!(!silence.grows(at(300), at(501)));
        assert!(silence.grows(at(600), at(800)));
        assert!(!silence.grows(at(900), at(1100)), "counted anew");
    }
}
