//! The one owner of what is believed: has SMD read, takes in what comes, builds, publishes.
//!
//! ```text
//!   every `refresh`, Refresh ────▶ whole read ──┐
//!   every `poll_changes` ────────▶ changes ─────┤    take in     guard      picture     publish
//!   a second after a gap ────────▶ by name ─────┼──▶ records ──▶ losses ──▶ in steps ──▶ view, watchers
//!   look-ups (`pull`) ───────────▶ `?ID=` ──────┘
//! ```
//! Reads are tasks of their own ([`reads`]), so that one that hangs holds up no other. Decoding and building happen off the
//! reactor, so that no look-up waits for them.

mod apart;
mod asking;
mod believed;
mod guard;
mod keep;
mod reads;
mod remember;
mod report;
#[cfg(test)]
mod tests;
mod turn;

pub use asking::{AskError, Inbox, Kind, Pulled, Refresher};
pub use guard::{HeldBack, Peak};
pub use reads::{Asked, Reader};

use crate::{
    config::Settings,
    metrics::Metrics,
    smd::{Client, Source},
    state::{Moment, State, View},
    store::Store,
};
use ::config::Config;
use apart::Apart;
use asking::{Answer, Ask, MAX_PULLED};
use believed::{Believed, Picture};
use guard::{Limits, Occasion};
use jiff::Timestamp;
use keep::Keep;
use proto::v1;
use reads::{Confirmed, Delta, Doubt, Failed, Whole};
use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tokio_util::sync::CancellationToken;
use turn::Turn;

/// The loop says that it is alive this often; lib/daemon wants it once a second.
const BEAT: Duration = Duration::from_millis(500);

/// SMD's re-discovery deletes and inserts in two steps: what a read lacked is asked for by name only then (DESIGN).
const DOUBT: Duration = Duration::from_secs(1);

/// With a SMD that cannot be asked by name for so long, what whole reads say is all there is: clients must not wait for ever
/// for something better. A guess: three of our own patience with one request.
const DOUBT_LIMIT: Duration = Duration::from_secs(30);

/// The longest that a forced Refresh waits for losses to be confirmed: three tries.
const FORCED_PATIENCE: Duration = Duration::from_secs(30);

/// What a task that reads brings.
enum Arrived {
    Whole(Box<Result<Whole, Failed>>),
    Delta(Result<Delta, Failed>),
    Confirmed(Result<Confirmed, Failed>),
    /// The snapshot file has its name.
    Kept(io::Result<()>),
}

/// Who wants everything to be believed, and until when they wait for it.
#[derive(Default)]
struct Forcing {
    waiting: Vec<Answer>,
    /// Came after the whole read under way had begun.
    coming: Vec<Answer>,
    until: Option<Instant>,
}

/// The owner.
pub struct Owner {
    settings: Settings,
    reader: Reader,
    state: Arc<State>,
    metrics: Metrics,
    inbox: Inbox,
    reload: watch::Receiver<Arc<Config>>,
    believed: Believed,
    reads: JoinSet<(Instant, Arrived)>,
    apart: Apart,
    whole: Turn,
    delta: Turn,
    forcing: Forcing,
    doubt: Option<(Instant, Doubt)>,
    /// Since when something is missing that was not asked for by name, or not answered about.
    in_doubt_since: Option<Instant>,
    confirming: bool,
    /// When a whole read last counted as a confirmation.
    counted: Option<Instant>,
    store: Option<Store>,
    keep: Keep,
}

impl Owner {
    /// Holds nothing yet. `reload` may bring other rules, another SMD, another period.
    pub fn new(
        settings: Settings,
        state: Arc<State>,
        metrics: Metrics,
        inbox: Inbox,
        reload: watch::Receiver<Arc<Config>>,
    ) -> anyhow::Result<Owner> {
        let client = Client::new(&settings.smd)?;
        let believed = Believed::new(settings.naming.clone(), limits(&settings));
        state.configure(&settings);
        Ok(Owner {
            reader: Reader::new(client, state.clone(), metrics.clone()),
            store: settings.snapshot_file.clone().map(Store::new),
            keep: Keep::default(),
            settings,
            state,
            metrics,
            inbox,
            reload,
            believed,
            reads: JoinSet::new(),
            apart: Apart::new()?,
            whole: Turn::starting(Instant::now()),
            delta: Turn::default(),
            forcing: Forcing::default(),
            doubt: None,
            in_doubt_since: None,
            confirming: false,
            counted: None,
        })
    }

    /// For those who pull through.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// Reads until told to stop; `beat` is called at least once a second.
    pub async fn run(mut self, beat: impl Fn() + Send, shutdown: CancellationToken) {
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let beating = async {
            loop {
                beats.tick().await;
                beat();
            }
        };
        tokio::select! {
            () = beating => {}
            () = self.own(shutdown) => {}
        }
    }

    async fn own(&mut self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            self.begin_what_is_due();
            let wake =
                [self.whole.due(), self.delta.due(), self.doubt_due(), self.forcing.until, self.keep_due()];
            let next = wake.into_iter().flatten().min().unwrap_or_else(|| Instant::now() + BEAT);
            let mut pulled = Vec::new();
            tokio::select! {
                () = shutdown.cancelled() => {}
                Some(done) = self.reads.join_next() => match done {
                    Ok((begun, arrived)) => self.arrived(begun, arrived).await,
                    Err(error) => self.lost(error),
                },
                _ = self.inbox.pulled.recv_many(&mut pulled, MAX_PULLED) => self.take_in(pulled).await,
                Some(ask) = self.inbox.asks.recv() => self.asked(ask),
                Ok(()) = self.reload.changed() => self.configure().await,
                () = sleep_until(next) => {
                    if self.keep_due().is_some_and(|due| due <= Instant::now()) {
                        self.keep().await;
                    }
                }
            }
        }
        self.keep_at_the_end().await;
    }

    fn begin_what_is_due(&mut self) {
        let now = Instant::now();
        self.give_up_forcing(now);
        if self.whole.is_due(now) {
            self.whole.begin();
            self.forcing.waiting.append(&mut self.forcing.coming);
            let hashes = self.believed.hashes();
            let whole = self.reader.clone().whole(hashes, self.settings.groups, self.believed.wanted());
            self.read_apart(async move { (now, Arrived::Whole(Box::new(whole.await))) });
        }
        if self.delta.is_due(now) {
            self.delta.begin();
            let wanted = self.believed.some_wanted();
            let delta = self.reader.clone().delta(self.believed.changes_since(), wanted);
            self.read_apart(async move { (now, Arrived::Delta(delta.await)) });
        }
        if self.doubt_due().is_some_and(|due| due <= now)
            && let Some((_, doubt)) = self.doubt.take()
        {
            self.confirming = true;
            let confirmed = self.reader.clone().confirm(doubt);
            self.read_apart(async move { (now, Arrived::Confirmed(confirmed.await)) });
        }
    }

    fn read_apart(&mut self, read: impl Future<Output = (Instant, Arrived)> + Send + 'static) {
        self.reads.spawn_on(read, self.apart.handle());
    }

    fn doubt_due(&self) -> Option<Instant> {
        self.doubt.as_ref().filter(|_| !self.confirming).map(|(due, _)| *due)
    }

    fn asked(&mut self, Ask { kind, answer }: Ask) {
        let now = Instant::now();
        match kind {
            Kind::Changes if self.believed.is_whole() => self.delta.ask(answer, now),
            Kind::Changes | Kind::Whole => self.whole.ask(answer, now),
            Kind::Forced => {
                self.forcing.coming.push(answer);
                self.forcing.until = Some(now + FORCED_PATIENCE);
                self.whole.next = Some(now);
            }
        }
    }

    async fn arrived(&mut self, begun: Instant, arrived: Arrived) {
        match arrived {
            Arrived::Whole(outcome) => match *outcome {
                Ok(whole) => self.learn_whole(begun, whole).await,
                Err(failed) => self.whole_failed(begun, failed),
            },
            Arrived::Delta(outcome) => self.learn_delta(begun, outcome).await,
            Arrived::Confirmed(outcome) => self.learn_confirmed(outcome).await,
            Arrived::Kept(outcome) => self.kept(outcome),
        }
        self.remark();
    }

    async fn learn_whole(&mut self, begun: Instant, whole: Whole) {
        let moment = whole.moment;
        let learnt = self.off_reactor(move |believed| {
            let applied = believed.learn(whole);
            (applied, believed.missing())
        });
        let (applied, missing) = match learnt.await {
            Ok((true, missing)) => (true, missing),
            Ok((false, _)) => (false, None),
            Err(failed) => return self.whole_failed(begun, failed),
        };
        let settled = missing.is_none() && !self.confirming && self.doubt.is_none();
        if let Some(missing) = missing.filter(|_| self.doubt.is_none() && !self.confirming) {
            self.doubt = Some((Instant::now() + DOUBT, missing));
        }
        if !applied {
            return self.read_again(begun).await;
        }
        self.doubts(!settled);
        let occasion = match (settled, self.forcing.waiting.is_empty()) {
            (false, _) => Occasion::Other,
            (true, true) => self.confirmation(Instant::now()),
            (true, false) => Occasion::Forced,
        };
        let outcome = match self.publish(occasion, Some(moment), Some(moment)).await {
            Ok(()) => Ok(self.freshness()),
            Err(failed) => Err(failed.to_string()),
        };
        self.whole.tell(&outcome);
        if occasion == Occasion::Forced {
            self.end_forcing(&outcome);
        }
        let now = Instant::now();
        self.whole.ended(begun, self.settings.refresh, outcome.is_ok(), now);
        if !self.forcing.coming.is_empty() {
            self.whole.next = Some(now);
        }
        if self.delta.next.is_none() && !self.settings.poll_changes.is_zero() {
            self.delta.next = Some(begun + self.settings.poll_changes);
        }
    }

    /// Its body was that of the read before, and something else was learnt meanwhile: at once, and who waits goes on waiting.
    async fn read_again(&mut self, begun: Instant) {
        self.whole.coming.append(&mut self.whole.waiting);
        self.forcing.coming.append(&mut self.forcing.waiting);
        let now = Instant::now();
        self.whole.ended(begun, self.settings.refresh, true, now);
        self.whole.next = Some(now);
        // Some of it may have been taken in.
        let _ = self.publish(Occasion::Other, None, None).await;
    }

    fn whole_failed(&mut self, begun: Instant, failed: Failed) {
        let outcome = Err(failed.to_string());
        self.whole.tell(&outcome);
        self.end_forcing(&outcome);
        self.whole.ended(begun, self.settings.refresh, false, Instant::now());
    }

    async fn learn_delta(&mut self, begun: Instant, outcome: Result<Delta, Failed>) {
        let learnt = match outcome {
            Ok(delta) => {
                let moment = delta.moment;
                match self.off_reactor(move |believed| believed.learn_delta(delta)).await {
                    Ok(()) => self.publish(Occasion::Other, Some(moment), None).await,
                    Err(failed) => Err(failed),
                }
            }
            Err(failed) => Err(failed),
        };
        let told = match &learnt {
            Ok(()) => Ok(self.freshness()),
            Err(failed) => Err(failed.to_string()),
        };
        self.delta.tell(&told);
        let period = self.settings.poll_changes;
        self.delta.ended(begun, period, learnt.is_ok(), Instant::now());
        if period.is_zero() && self.delta.coming.is_empty() {
            self.delta.next = None;
        }
    }

    async fn learn_confirmed(&mut self, outcome: Result<Confirmed, Failed>) {
        self.confirming = false;
        let succeeded = outcome.is_ok();
        let confirmed = outcome.unwrap_or_default();
        let learnt = self.off_reactor(move |believed| {
            believed.confirm(confirmed);
            believed.missing()
        });
        let Ok(missing) = learnt.await else { return };
        let settled = missing.is_none();
        self.doubts(!settled);
        self.doubt = missing.map(|missing| (Instant::now() + DOUBT, missing));
        // Those who force wait for a read that began after they asked; this may have been in doubt before.
        let forced = !self.forcing.waiting.is_empty() && !self.whole.under_way;
        let occasion = match (settled && succeeded, forced) {
            (false, _) => Occasion::Other,
            (true, false) => self.confirmation(Instant::now()),
            (true, true) => Occasion::Forced,
        };
        let published = self.publish(occasion, None, None).await;
        if occasion == Occasion::Forced && published.is_ok() {
            let outcome = Ok(self.freshness());
            self.end_forcing(&outcome);
        }
    }

    /// Many at once cost one picture.
    async fn take_in(&mut self, pulled: Vec<Pulled>) {
        let mut told = Vec::with_capacity(pulled.len());
        let learnt = self.off_reactor(move |believed| {
            for Pulled { read, interfaces, components, done } in pulled {
                believed.learn_some(read, interfaces, components);
                told.push(done);
            }
            told
        });
        let Ok(told) = learnt.await else { return };
        if self.publish(Occasion::Other, None, None).await.is_ok() {
            for done in told {
                let _ = done.send(());
            }
        }
    }

    /// `read` and `whole`: what was read, if that says how fresh the picture is.
    async fn publish(
        &mut self,
        occasion: Occasion,
        read: Option<Moment>,
        whole: Option<Moment>,
    ) -> Result<(), Failed> {
        if !self.believed.can_show() {
            return Ok(());
        }
        let started = Instant::now();
        let old = self.state.view();
        let before = old.clone();
        let settled = self.is_settled();
        let made = self.off_reactor(move |believed| {
            let Picture { snapshot, problems, naming, held_back } =
                believed.picture(occasion, Timestamp::now());
            let whole = later(whole, before.whole);
            let view = View {
                snapshot: Some(snapshot),
                problems,
                naming,
                held_back,
                read: later(read, before.read),
                whole,
                settled: if settled { whole } else { before.settled },
                ..View::default()
            };
            let change = view.change_from(&before);
            (view, change)
        });
        let (view, change) = made.await?;
        self.metrics.built(started.elapsed());
        self.report(&old, &view);
        self.state.publish_change(view, change);
        Ok(())
    }

    /// What the whole reads lack was asked for by name, or cannot be.
    fn is_settled(&self) -> bool {
        self.in_doubt_since.is_none_or(|since| since.elapsed() >= DOUBT_LIMIT)
    }

    /// What a whole read is for the guard. Reads that people ask for between the regular ones do not count: whoever may
    /// call Refresh could have a wipe believed within seconds, without `force`.
    fn confirmation(&mut self, now: Instant) -> Occasion {
        let regular = self.counted.is_none_or(|counted| now >= counted + self.settings.refresh / 2);
        if !regular {
            return Occasion::Other;
        }
        self.counted = Some(now);
        Occasion::Whole
    }

    /// Something that a whole read lacks is to be asked for by name, or no longer.
    fn doubts(&mut self, yes: bool) {
        self.in_doubt_since = yes.then(|| self.in_doubt_since.unwrap_or_else(Instant::now));
    }

    fn freshness(&self) -> v1::Freshness {
        self.state.freshness(&self.state.view())
    }

    fn end_forcing(&mut self, outcome: &Result<v1::Freshness, String>) {
        for answer in self.forcing.waiting.drain(..) {
            let _ = answer.send(outcome.clone());
        }
        if self.forcing.coming.is_empty() {
            self.forcing.until = None;
        }
    }

    fn give_up_forcing(&mut self, now: Instant) {
        if self.forcing.until.is_some_and(|until| until <= now) {
            self.forcing.waiting.append(&mut self.forcing.coming);
            let why = "SMD did not confirm its losses one by one in time; try again".to_owned();
            self.end_forcing(&Err(why));
        }
    }

    /// A task that reads ended in a panic, which its own bodies cannot cause: they are decoded elsewhere.
    fn lost(&mut self, error: tokio::task::JoinError) {
        tracing::error!(%error, "a read of SMD ended unexpectedly: this is a bug, please report it");
        let now = Instant::now();
        self.reads.abort_all();
        self.reads = JoinSet::new();
        self.confirming = false;
        if self.keep.is_under_way() {
            self.kept(Err(io::Error::other("what was under way was broken off")));
        }
        self.whole_failed(now, bug(error.to_string()));
        self.delta.under_way = false;
    }

    /// Runs on a thread that may block. A panic there costs the process nothing: the picture that is published and the
    /// records stay, so that no machine is taken for removed, and the next read is decoded whatever its body is.
    async fn off_reactor<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Believed) -> T + Send + 'static,
    ) -> Result<T, Failed> {
        let afresh = Believed::new(self.believed.naming.clone(), self.believed.limits);
        let mut believed = std::mem::replace(&mut self.believed, afresh);
        let done = self.apart.handle().spawn_blocking(move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| work(&mut believed)));
            (believed, outcome)
        });
        let (believed, outcome) = done.await.map_err(|error| bug(error.to_string()))?;
        self.believed = believed;
        outcome.map_err(|panic| {
            self.believed.doubt_everything();
            let said = panic.downcast_ref::<&str>().map(ToString::to_string);
            let said = said.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            tracing::error!(said, "building the snapshot failed: this is a bug, please report it");
            bug(said)
        })
    }

    /// Other rules hold at once, also while SMD is away. A bad certificate leaves everything as it was.
    async fn configure(&mut self) {
        let settings = Settings::of(&self.reload.borrow_and_update());
        match Client::new(&settings.smd) {
            Ok(client) => {
                self.reader.ask(client);
                self.state.configure(&settings);
                self.believed.rename(settings.naming.clone());
                self.believed.limits = limits(&settings);
                if !settings.groups {
                    self.believed.forget_groups();
                }
                self.settings = settings;
                let now = Instant::now();
                self.whole.at_once(now);
                let polls = !self.settings.poll_changes.is_zero() && self.believed.is_whole();
                self.delta.next = polls.then_some(now);
                // Only a bug can make it fail, which is logged; the next read tries again.
                let _ = self.publish(Occasion::Other, None, None).await;
            }
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "the new configuration is not taken over")
            }
        }
    }
}

fn limits(settings: &Settings) -> Limits {
    Limits { max_shrink: settings.max_shrink, confirmations: settings.shrink_confirmations }
}

/// The one that began later.
fn later(new: Option<Moment>, old: Option<Moment>) -> Option<Moment> {
    match (new, old) {
        (Some(new), Some(old)) if old.read.sequence > new.read.sequence => Some(old),
        (new, old) => new.or(old),
    }
}

fn bug(said: String) -> Failed {
    Failed(Source::Interfaces, crate::smd::ReadError::Bug(said))
}
