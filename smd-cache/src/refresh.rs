//! The one owner of what is believed: reads SMD, builds, publishes.
//!
//! ```text
//!   every `refresh` ─┐   interfaces ▶ groups ▶ components ▶ components that were missing ▶ build ▶ publish
//!   Refresh rpc ─────┼─▶    │                      │                                                          │
//!   new settings ────┘      └── failed ───┴──▶ the old picture stays, again soon, later and later      └▶ next
//! ```
//! Decoding and building happen off the reactor, so that no look-up waits for them.

mod believed;
#[cfg(test)]
mod tests;

use crate::{
    config::Settings,
    metrics::Metrics,
    records::{BadBody, Problem, Read, Reason},
    smd::{self, Body, Client, Groups, ReadError, Source},
    snapshot::Snapshot,
    state::{Moment, State, View},
};
use ::config::Config;
use believed::{Believed, Fetched, News};
use proto::v1;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// After a read that failed; doubled with each one that fails, up to `refresh`. A guess: SMD's own start takes 0.3 s.
const FIRST_RETRY: Duration = Duration::from_millis(250);

/// People and scripts that wait for a read at the same time. A guess.
const MAX_ASKED: usize = 64;

/// The loop says that it is alive this often; lib/daemon wants it once a second.
const BEAT: Duration = Duration::from_millis(500);

/// Requests for missing components in one cycle: 10,000 of them, which SMD answers in some 100 ms. A guess.
const MAX_MISSING_REQUESTS: usize = 10;

/// Asks the owner for a read that begins after this.
#[derive(Debug)]
pub struct Ask(oneshot::Sender<Result<v1::Freshness, String>>);

/// The way to the owner; cheap to clone.
#[derive(Debug, Clone)]
pub struct Refresher(mpsc::Sender<Ask>);

/// Why a read that was asked for did not come about.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// [`MAX_ASKED`] wait already.
    #[error("{MAX_ASKED} callers wait for a read already")]
    TooMany,
    /// SMD could not be read; what is held stays.
    #[error("{0}")]
    Failed(String),
    /// The program ends.
    #[error("smd-cache ends")]
    Ending,
}

impl Refresher {
    /// A pair: for those who ask, and for the owner.
    pub fn new() -> (Refresher, mpsc::Receiver<Ask>) {
        let (sender, receiver) = mpsc::channel(MAX_ASKED);
        (Refresher(sender), receiver)
    }

    /// Waits for a whole read that begins after this call. Callers that come during one share the next.
    pub async fn refresh(&self) -> Result<v1::Freshness, AskError> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(Ask(answer)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => AskError::TooMany,
            mpsc::error::TrySendError::Closed(_) => AskError::Ending,
        })?;
        answered.await.map_err(|_| AskError::Ending)?.map_err(AskError::Failed)
    }
}

/// The owner.
pub struct Owner {
    settings: Settings,
    client: Client,
    state: Arc<State>,
    metrics: Metrics,
    asks: mpsc::Receiver<Ask>,
    reload: watch::Receiver<Arc<Config>>,
    believed: Believed,
    failures: u32,
}

impl Owner {
    /// Holds nothing yet. `reload` may bring other rules, another SMD, another period.
    pub fn new(
        settings: Settings,
        state: Arc<State>,
        metrics: Metrics,
        asks: mpsc::Receiver<Ask>,
        reload: watch::Receiver<Arc<Config>>,
    ) -> anyhow::Result<Owner> {
        let client = Client::new(&settings.smd)?;
        let believed = Believed::new(settings.naming.clone());
        state.configure(&settings.naming);
        Ok(Owner { settings, client, state, metrics, asks, reload, believed, failures: 0 })
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
            () = shutdown.cancelled() => {}
            () = beating => {}
            () = self.read_for_ever() => {}
        }
    }

    async fn read_for_ever(&mut self) {
        let mut waiting = Vec::new();
        loop {
            // Who asks from here on is not answered by this read, which began before.
            while let Ok(Ask(answer)) = self.asks.try_recv() {
                waiting.push(answer);
            }
            let begun = Instant::now();
            let outcome = self.read_whole().await;
            self.remark();
            for answer in waiting.drain(..) {
                let _ = answer.send(self.answer(&outcome));
            }
            let next = self.next_read(begun, outcome.is_ok());
            tokio::select! {
                () = sleep_until(next) => {}
                Some(Ask(answer)) = self.asks.recv() => waiting.push(answer),
                Ok(()) = self.reload.changed() => self.configure(),
            }
        }
    }

    fn answer(&self, outcome: &Result<(), Failed>) -> Result<v1::Freshness, String> {
        match outcome {
            Ok(()) => Ok(self.state.freshness(&self.state.view())),
            Err(Failed(source, error)) => Err(format!("reading {source} failed: {error}")),
        }
    }

    fn next_read(&mut self, begun: Instant, succeeded: bool) -> Instant {
        if succeeded {
            self.failures = 0;
            return begun + self.settings.refresh;
        }
        self.failures += 1;
        Instant::now() + retry_after(self.failures, self.settings.refresh)
    }

    /// One whole read. After a failure everything is as it was.
    async fn read_whole(&mut self) -> Result<(), Failed> {
        let (whole, interfaces) = self.read(Source::Interfaces, Believed::decode_interfaces).await?;
        // Without groups everything else goes on.
        if self.settings.groups
            && let Some((hash, groups)) = self.fetch_groups().await
        {
            self.believed.learn_groups(hash, groups);
        }
        let (_, components) = self.read(Source::Components, Believed::decode_components).await?;
        let started = Instant::now();
        let learning = self.off_reactor(move |believed| {
            believed.learn(interfaces, components);
            Ok(())
        });
        learning.await?;
        self.ask_for_missing().await;
        let (snapshot, problems) = match self.believed.is_settled() {
            true => self.as_it_was(),
            false => self.off_reactor(|believed| Ok(believed.build())).await?,
        };
        self.metrics.built(started.elapsed());
        let view = View { snapshot: Some(snapshot), problems, read: Some(whole), whole: Some(whole) };
        self.report(&view);
        self.state.publish(view);
        Ok(())
    }

    fn as_it_was(&self) -> (Arc<Snapshot>, Arc<Vec<Problem>>) {
        let view = self.state.view();
        let snapshot = view.snapshot.clone().expect("settled means built, and what is built is published");
        (snapshot, view.problems.clone())
    }

    /// Fetches a source whole and decodes it, so that no two bodies are held at a time. Nothing is believed yet.
    async fn read<R: Send + 'static>(
        &mut self,
        source: Source,
        decode: fn(&Believed, Read, &Body) -> Result<News<R>, BadBody>,
    ) -> Result<(Moment, News<R>), Failed> {
        let Fetched { moment, took, body } = self.fetch(source).await?;
        let decoding = self.off_reactor(move |believed| {
            decode(believed, moment.read, &body).map_err(|error| Failed(source, ReadError::Malformed(error)))
        });
        let news = decoding.await;
        self.note(source, took, news.as_ref().map(|_| ()).map_err(|Failed(_, error)| error));
        Ok((moment, news?))
    }

    /// A failure is noted at once; a success only when the body turned out to be of use.
    async fn fetch(&self, source: Source) -> Result<Fetched, Failed> {
        let moment = self.state.begin_read();
        let answer = self.client.whole(source).await;
        let took = moment.begun.elapsed();
        match answer {
            Ok(body) => Ok(Fetched { moment, took, body }),
            Err(error) => {
                self.note(source, took, Err(&error));
                Err(Failed(source, error))
            }
        }
    }

    async fn fetch_groups(&self) -> Option<(u128, Groups)> {
        let Fetched { took, body, .. } = self.fetch(Source::Groups).await.ok()?;
        let groups = smd::decode_groups(&body);
        self.note(Source::Groups, took, groups.as_ref().map(|_| ()));
        Some((body.hash, groups.ok()?))
    }

    /// SMD often has an interface before its component.
    async fn ask_for_missing(&mut self) {
        let missing = self.believed.records.missing_components();
        for ids in missing.chunks(smd::IDS_IN_ONE_REQUEST).take(MAX_MISSING_REQUESTS) {
            let moment = self.state.begin_read();
            let answer = self.client.components(ids).await;
            let took = moment.begun.elapsed();
            let learnt = match answer {
                Ok(body) => {
                    let ids = ids.to_vec();
                    self.off_reactor(move |believed| believed.learn_some(moment.read, &ids, &body)).await
                }
                Err(error) => Err(Failed(Source::Components, error)),
            };
            match learnt {
                Ok(()) => self.note(Source::Components, took, Ok(())),
                Err(Failed(source, error)) => return self.note(source, took, Err(&error)),
            }
        }
    }

    /// Runs on a thread that may block. A panic there costs the process nothing: the picture that is published and the
    /// records stay, so that no machine is taken for removed, and the next read is decoded whatever its body is.
    async fn off_reactor<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Believed) -> Result<T, Failed> + Send + 'static,
    ) -> Result<T, Failed> {
        let afresh = Believed::new(self.believed.naming.clone());
        let mut believed = std::mem::replace(&mut self.believed, afresh);
        let done = tokio::task::spawn_blocking(move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| work(&mut believed)));
            (believed, outcome)
        });
        let (believed, outcome) = done.await.map_err(|error| bug(error.to_string()))?;
        self.believed = believed;
        outcome.unwrap_or_else(|panic| {
            self.believed.doubt();
            let said = panic.downcast_ref::<&str>().map(ToString::to_string);
            let said = said.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            tracing::error!(said, "building the snapshot failed: this is a bug, please report it");
            Err(bug(said))
        })
    }

    fn note(&self, source: Source, took: Duration, outcome: Result<(), &ReadError>) {
        let failing = self.state.sources()[source as usize].failures_in_a_row;
        match outcome {
            Err(error) => self.log_failure(source, failing + 1, error),
            Ok(()) if failing > 0 => tracing::info!(source = source.label(), "SMD can be read again"),
            Ok(()) => {}
        }
        self.metrics.read(source, outcome, took);
        self.state.note(source, outcome);
    }

    /// Once when it begins, then at each doubling: an outage of a night is a dozen lines.
    fn log_failure(&self, source: Source, in_a_row: u64, error: &ReadError) {
        if in_a_row.is_power_of_two() {
            let (source, smd) = (source.label(), self.client.host());
            match self.believed.snapshot {
                Some(_) => {
                    tracing::warn!(source, in_a_row, smd, %error, "SMD cannot be read; what is known goes on being served");
                }
                None => {
                    tracing::warn!(source, in_a_row, smd, %error, "SMD cannot be read: nothing is known yet")
                }
            }
        } else {
            tracing::debug!(source = source.label(), %error, "SMD cannot be read");
        }
    }

    fn report(&self, view: &View) {
        let old = self.state.view();
        let Some(snapshot) = &view.snapshot else { return };
        let counts = snapshot.counts();
        let (interfaces, components, problems) = (counts.interfaces, counts.components, view.problems.len());
        let generation = snapshot.generation();
        match old.snapshot {
            None => tracing::info!(generation, interfaces, components, problems, "SMD was read: serving"),
            Some(_) if old.generation() != generation => {
                tracing::info!(generation, interfaces, components, problems, "the inventory changed");
            }
            Some(_) => tracing::debug!(generation, interfaces, components, problems, "SMD was read"),
        }
        let known = |reason| old.problems.iter().filter(|problem| problem.reason == reason).count();
        for reason in Reason::ALL {
            let now = view.problems.iter().filter(|problem| problem.reason == reason);
            let (count, before) = (now.clone().count(), known(reason));
            if let Some(example) = now.clone().next().filter(|_| count > before) {
                let reason = reason.label();
                tracing::warn!(reason, count, example = example.message, "SMD has records with a problem");
            }
        }
    }

    fn remark(&self) {
        let groups_fail = self.state.sources()[Source::Groups as usize].failures_in_a_row > 0;
        let groups = groups_fail.then(|| match self.believed.has_groups() {
            true => "Rules that match on groups go by the groups that were read last.".to_owned(),
            false => {
                "Rules that match on groups match nothing: SMD's groups cannot be read (they want a token)."
                    .to_owned()
            }
        });
        self.state.set_remarks(groups.into_iter().chain(self.client.token_problem()).collect());
    }

    /// A bad certificate leaves everything as it was.
    fn configure(&mut self) {
        let settings = Settings::of(&self.reload.borrow_and_update());
        match Client::new(&settings.smd) {
            Ok(client) => {
                self.client = client;
                self.state.configure(&settings.naming);
                self.believed.rename(settings.naming.clone());
                if !settings.groups {
                    self.believed.forget_groups();
                }
                self.settings = settings;
            }
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "the new configuration is not taken over")
            }
        }
    }
}

fn bug(said: String) -> Failed {
    Failed(Source::Interfaces, ReadError::Bug(said))
}

/// Which source failed, and why.
#[derive(Debug)]
pub struct Failed(Source, ReadError);

/// Between half and all of a delay that doubles: replicas that lost SMD together do not come back together.
fn retry_after(failures: u32, most: Duration) -> Duration {
    let doubled = FIRST_RETRY.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(most).mul_f64(0.5 + fastrand::f64() / 2.0)
}
