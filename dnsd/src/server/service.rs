//! From a query's bytes to an answer's, whatever carries them.

use super::{
    query_log::QueryLog,
    transfers::{Copying, sign},
};
use crate::{
    access::{Access, Client, Rights},
    decide::{self, Decision, Held, Key, Plan, Reply},
    files::{BadLine, Files},
    forward::Forwarding,
    limit::{Kind, Limiter, Verdict},
    metrics::{Count, Metrics, Slot, TransferResult},
    ready::{self, Burst, Placed},
    transfer::tsig::Signature,
    wire::{self, HostText, Message, Rcode},
    zones::{Zone, Zones},
};
use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use config::Config;
use daemon::State;
use inventory::{Health, Inventory, Lookup, Name};
use std::{future::Future, path::PathBuf, sync::Arc, thread, time::Duration};
use tokio::time::{Instant, timeout};

/// A packet that waits longer gets SERVFAIL; stub resolvers ask again after 1 s at the earliest (DESIGN: packet deadline).
const PACKET_DEADLINE: Duration = Duration::from_millis(400);

/// Everything an answer is made of.
pub struct Service {
    pub(super) inventory: Inventory,
    pub(super) zones: ArcSwap<Zones>,
    pub(super) access: ArcSwap<Access>,
    limiter: ArcSwapOption<Limiter>,
    started: Instant,
    files: ArcSwap<Files>,
    pub(super) forwarding: Arc<Forwarding>,
    pub(super) copying: Copying,
    /// Counters.
    pub metrics: Metrics,
    /// A line for each query, where it is wanted.
    pub queries: QueryLog,
}

/// What came of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The answer is in the buffer.
    Reply,
    /// There is none.
    Silent,
    /// The inventory must be waited for, or a zone comes as a stream.
    Wait,
}

/// The zones of one moment.
pub struct Moment<'s> {
    service: &'s Service,
    zones: Guard<Arc<Zones>>,
    access: Guard<Arc<Access>>,
    /// The zones are of an inventory that is complete and may be served.
    in_place: bool,
    /// That inventory may be behind SMD.
    stale: bool,
    /// Each answer is noted in the query log.
    logged: bool,
    /// What limits answers, and the time by its clock.
    limiter: Option<(Arc<Limiter>, u64)>,
}

impl Moment<'_> {
    /// Answers from what is held in this process, into an empty buffer.
    pub fn answer(&self, query: &[u8], client: Client, out: &mut Vec<u8>, count: &impl Count) -> Outcome {
        let began = self.logged.then(Instant::now);
        let in_place = || ready::answer(&self.zones, query, client.transport, out);
        let placed = self.is_in_place(client).then(in_place).flatten();
        self.placed_or_decided(placed, began, query, client, out, count)
    }

    /// Reads queries that are answered together.
    pub fn read<'q>(&self, burst: &mut Burst, queries: impl Iterator<Item = &'q [u8]>) {
        if self.in_place {
            burst.read(&self.zones, queries);
        }
    }

    /// The same for a query of a burst that this moment has read.
    pub fn answer_of(
        &self,
        (burst, number): (&Burst, usize),
        query: &[u8],
        client: Client,
        out: &mut Vec<u8>,
        count: &impl Count,
    ) -> Outcome {
        let began = self.logged.then(Instant::now);
        let in_place = || burst.answer(number, &self.zones, query, client.transport, out);
        let placed = self.is_in_place(client).then(in_place).flatten();
        self.placed_or_decided(placed, began, query, client, out, count)
    }

    /// Who may not ask is told so by `decide`.
    fn is_in_place(&self, client: Client) -> bool {
        self.in_place && self.access.may_ask(client)
    }

    fn placed_or_decided(
        &self,
        placed: Option<Placed>,
        began: Option<Instant>,
        query: &[u8],
        client: Client,
        out: &mut Vec<u8>,
        count: &impl Count,
    ) -> Outcome {
        let Some(placed) = placed else {
            out.clear();
            return self.service.decide_now(query, client, out);
        };
        if self.access.recursion(client) {
            wire::set_recursion_available(out);
        }
        count.query(client.transport, placed.kind);
        count.reply(placed.slot, placed.rcode);
        if self.stale {
            count.stale();
        }
        if let Some(began) = began {
            self.service.queries.note(client, placed.rcode, out, began.elapsed());
        }
        Outcome::Reply
    }

    /// Whether an answer that was made goes out over UDP; it may become a shorter one.
    pub fn admit(&self, query: &[u8], client: Client, out: &mut Vec<u8>) -> bool {
        let Some((limiter, now)) = &self.limiter else { return true };
        let kind = out
            .get(3)
            .and_then(|byte| Rcode::ALL.into_iter().find(|code| code.code() == u16::from(byte & 0xf)));
        match limiter.verdict(client.address, kind.map_or(Kind::Failure, Kind::from), *now) {
            Verdict::Send => true,
            Verdict::Slip => {
                self.service.metrics.slipped.inc();
                wire::truncate(query, out)
            }
            Verdict::Drop => {
                self.service.metrics.limited.inc();
                false
            }
        }
    }
}

impl Service {
    /// Builds the zones at once.
    pub fn new(inventory: Inventory, config: &Config, configured_at: u32, metrics: Metrics) -> Service {
        let mut zones = Zones::build(config, &inventory.snapshot(), configured_at);
        zones.count_in(&metrics);
        let access = ArcSwap::from_pointee(Access::new(config));
        let files = ArcSwap::default();
        let queries = QueryLog::new(metrics.unlogged.clone());
        let forwarding = Arc::new(Forwarding::new(metrics.forward.clone()));
        let service = Service {
            inventory,
            zones: ArcSwap::from_pointee(zones),
            access,
            files,
            limiter: ArcSwapOption::empty(),
            started: Instant::now(),
            forwarding,
            copying: Copying::default(),
            metrics,
            queries,
        };
        service.configure(config);
        service
    }

    /// Takes a new configuration or generation up.
    pub fn rebuild(&self, config: &Config, configured_at: u32) {
        let (before, files) = (self.zones.load_full(), self.files.load());
        let replica = self.inventory.snapshot();
        let mut zones = Zones::with_files(Some(&before), config, &files, &replica, configured_at);
        self.copying.number(&mut zones);
        zones.count_in(&self.metrics);
        self.zones.store(Arc::new(zones));
        self.access.store(Arc::new(Access::new(config)));
        self.configure(config);
        self.copying.renew();
        give_back(before);
    }

    /// What a configuration switches besides zones and rights.
    fn configure(&self, config: &Config) {
        self.forwarding.configure(config);
        self.queries.switch(config.dnsd.query_log);
        self.limit(config);
    }

    /// New buckets only where the rates are others.
    fn limit(&self, config: &Config) {
        let wanted = &config.dnsd.rate_limit;
        let held = self.limiter.load();
        if held.as_ref().map(|limiter| limiter.limit()) != wanted.as_ref() {
            self.limiter.store(wanted.clone().map(|limit| Arc::new(Limiter::new(limit))));
        }
    }

    /// What queries are answered from at this moment. For a burst of them: not to be held across anything that waits.
    pub fn moment(&self) -> Moment<'_> {
        let zones = self.zones.load();
        let served = zones.complete && !self.inventory.is_expired();
        let stale = self.inventory.is_stale();
        let access = self.access.load();
        let logged = self.queries.is_on();
        let limiter = self.limiter.load_full().map(|limiter| (limiter, self.clock()));
        Moment { service: self, zones, access, in_place: served, stale, logged, limiter }
    }

    /// Milliseconds since the start.
    fn clock(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// Takes records of files up; the next [`Service::rebuild`] serves them.
    pub fn take_files(&self, files: Files) {
        self.files.store(Arc::new(files));
    }

    /// Records of files that are not served, and why.
    pub(super) fn left_out(&self) -> Vec<(PathBuf, Vec<BadLine>)> {
        self.zones.load().left_out(&self.files.load())
    }

    /// Answers from what is held in this process.
    pub fn answer_now(&self, query: &[u8], client: Client, out: &mut Vec<u8>) -> Outcome {
        self.moment().answer(query, client, out, &self.metrics)
    }

    fn decide_now(&self, query: &[u8], client: Client, out: &mut Vec<u8>) -> Outcome {
        let Some(message) = self.read(query) else { return Outcome::Silent };
        if self.takes_a_stream(&message, client) {
            return Outcome::Wait;
        }
        let began = self.queries.is_on().then(Instant::now);
        let mut signature = self.copying.signature(query, &message);
        let zones = self.zones.load();
        let rights = self.rights(client, &signature);
        let decision = match plan(&zones, &message, rights, &signature) {
            Plan::Done(decision) => decision,
            Plan::Ask(key, pending) => match self.peek(&key) {
                Some(held) => decide::decide(pending, held),
                None => return Outcome::Wait,
            },
        };
        let rcode = match decision {
            Decision::Reply(reply) => self.write(&zones, &message, client, rights, &reply, out),
            Decision::Forward(forward) => match self.forward_kept(&zones, &message, client, &forward, out) {
                Some(rcode) => rcode,
                None => return Outcome::Wait,
            },
        };
        sign(&mut signature, out);
        if let Some(began) = began {
            self.queries.note(client, rcode, out, began.elapsed());
        }
        Outcome::Reply
    }

    /// Answers, and waits for the inventory where it must. False: there is no answer.
    pub async fn answer(&self, query: &[u8], client: Client, out: &mut Vec<u8>) -> bool {
        let began = Instant::now();
        let Some(message) = self.read(query) else { return false };
        let mut signature = self.copying.signature(query, &message);
        let zones = self.zones.load_full();
        let rights = self.rights(client, &signature);
        let decision = match plan(&zones, &message, rights, &signature) {
            Plan::Done(decision) => decision,
            Plan::Ask(key, pending) => {
                let held = match self.peek(&key) {
                    Some(held) => held,
                    None => self.look_up(&key).await,
                };
                decide::decide(pending, held)
            }
        };
        let rcode = match decision {
            Decision::Reply(reply) => self.write(&zones, &message, client, rights, &reply, out),
            Decision::Forward(forward) => self.forward(&zones, &message, client, &forward, out).await,
        };
        sign(&mut signature, out);
        let took = began.elapsed();
        self.metrics.took(client.transport, took);
        self.queries.note(client, rcode, out, took);
        true
    }

    fn rights(&self, client: Client, signature: &Signature) -> Rights {
        let rights = self.rights_of(client, signature);
        if rights.denied {
            self.metrics.denied(client.transport);
        }
        rights
    }

    fn read<'q>(&self, query: &'q [u8]) -> Option<Message<'q>> {
        wire::read(query).inspect_err(|silent| self.metrics.dropped((*silent).into())).ok()
    }

    fn write(
        &self,
        zones: &Zones,
        message: &Message,
        client: Client,
        rights: Rights,
        reply: &Reply,
        out: &mut Vec<u8>,
    ) -> Rcode {
        if wire::write(message, client.transport, reply, out) {
            self.metrics.truncated();
        }
        if rights.recursion {
            wire::set_recursion_available(out);
        }
        self.count(zones, message, client, reply.rcode);
        reply.rcode
    }

    /// A query that was answered.
    pub(super) fn count(&self, zones: &Zones, message: &Message, client: Client, rcode: Rcode) {
        let question = message.question.as_ref();
        let zone = question.and_then(|question| zones.find(question.name.as_bytes()));
        let kind = question.map_or(0, |question| question.kind);
        self.metrics.query(client.transport, kind);
        self.count_reply(zone, rcode);
        if wire::kind::is_transfer(kind) {
            let soa = rcode == Rcode::NoError;
            self.metrics.transfers.inc(if soa { TransferResult::Soa } else { TransferResult::Refused });
        }
    }

    /// From this zone of ours, if from any.
    pub(super) fn count_reply(&self, zone: Option<&Zone>, rcode: Rcode) {
        self.metrics.reply(zone.map_or(Slot::NONE, |zone| zone.slot), rcode);
        if zone.is_some() && self.inventory.is_stale() {
            self.metrics.stale();
        }
    }

    /// `None`: it takes waiting.
    pub(super) fn peek(&self, key: &Key) -> Option<Held> {
        Some(match key {
            Key::Name(name) => match HostText::of(name) {
                None => Held::Bearers(Lookup::Unknown),
                Some(text) => Held::Bearers(self.inventory.peek_name(text.as_str())?),
            },
            Key::Address(address) => Held::Holders(self.inventory.peek(address)?),
            Key::Prefix(range) => {
                let replica = self.inventory.snapshot();
                let served = replica.is_complete() && !self.inventory.is_expired();
                Held::Below(served.then(|| replica.has_address_in(range.clone())))
            }
        })
    }

    pub(super) async fn look_up(&self, key: &Key<'_>) -> Held {
        match key {
            Key::Name(name) => match HostText::of(name).and_then(|text| text.as_str().parse::<Name>().ok()) {
                Some(name) => Held::Bearers(in_time(self.inventory.lookup(name)).await),
                None => Held::Bearers(Lookup::Unknown),
            },
            Key::Address(address) => Held::Holders(in_time(self.inventory.lookup(*address)).await),
            Key::Prefix(_) => Held::Below(None),
        }
    }

    /// Static records that no zone holds.
    pub(super) fn strays(&self, config: &Config) -> Vec<String> {
        self.zones.load().strays(config).into_iter().map(str::to_owned).collect()
    }

    pub(super) fn readiness(&self) -> State {
        let Health { complete, connected, stale, expired, reason, .. } = self.inventory.health();
        match (self.zones.load().loaded, connected && !stale) {
            (false, _) if reason.is_empty() => State::Missing("no snapshot yet".into()),
            (false, _) => State::Missing(format!("no snapshot yet: {reason}")),
            (true, false) if expired || (!complete && !connected) => State::Missing(reason),
            (true, false) => State::Degraded(reason),
            (true, true) => State::Ready,
        }
    }
}

/// What a wrong signature gets is decided before anything else is looked at.
fn plan<'a>(zones: &'a Zones, message: &'a Message, rights: Rights, signature: &Signature) -> Plan<'a> {
    match signature.refused() {
        Some(rcode) => decide::error(rcode),
        None => decide::plan(zones, message, rights),
    }
}

/// What is given back here, is not by a thread that answers: zones of a million names take it many milliseconds. Their last readers are
/// gone after a burst.
fn give_back(mut zones: Arc<Zones>) {
    for _ in 0..GIVE_BACK_TRIES {
        match Arc::try_unwrap(zones) {
            Ok(zones) => return drop(zones),
            Err(held) => zones = held,
        }
        thread::sleep(GIVE_BACK_PAUSE);
    }
}

/// So often it is looked whether nobody reads old zones any more. A transfer reads them for longer, and drops them on its own thread.
const GIVE_BACK_TRIES: u32 = 20;
/// Between two looks: longer than a burst takes.
const GIVE_BACK_PAUSE: Duration = Duration::from_millis(1);

async fn in_time<T>(lookup: impl Future<Output = Lookup<T>>) -> Lookup<T> {
    timeout(PACKET_DEADLINE, lookup).await.unwrap_or(Lookup::Unavailable)
}
