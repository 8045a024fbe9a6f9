//! The task that keeps the Watch: connects, feeds what arrives to [`Session`], carries out what it says, and begins again, at
//! the same smd-cache or the next.

use crate::{
    Layers, Who,
    calls::Client,
    dial::{describe, dial},
    endpoints::{End, Endpoints, Named, jittered},
    file::ReplicaFile,
    keeper::{self, Keeper},
    metrics::{Loss, Metrics},
    others::{Others, Standing},
    watch::{Effect, Session},
};
use config::{ClientTls, Endpoint};
use futures::{FutureExt, Stream, StreamExt, stream};
use proto::v1;
use std::{pin::Pin, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Status};

/// Three heartbeats of smd-cache (DESIGN: no heartbeat for 6 s).
pub(crate) const SILENCE_LIMIT: Duration = Duration::from_secs(6);

/// From the first packet to the greeting while there are others that were not tried yet: half of the time after which dnsd
/// opens its sockets with nothing to answer from.
const FIRST_ROUND_LIMIT: Duration = Duration::from_secs(1);

type Event = Result<v1::WatchEvent, Status>;
type Events = Pin<Box<dyn Stream<Item = Event> + Send>>;

/// Keeps what it feeds fresh until `shutdown`.
pub(crate) struct Watcher {
    pub(crate) endpoints: Endpoints,
    pub(crate) tls: Option<ClientTls>,
    pub(crate) who: Who,
    pub(crate) session: Session,
    pub(crate) layers: Arc<Layers>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) shutdown: CancellationToken,
}

impl Watcher {
    pub(crate) async fn run(mut self) {
        let shutdown = self.shutdown.clone();
        shutdown.run_until_cancelled(self.keep_watching()).await;
        self.layers.calls.set_client(None);
    }

    /// The same with a replica that is kept on disk, and read before anybody is asked.
    pub(crate) async fn run_with_file(mut self, file: ReplicaFile, max_stale: Option<Duration>) {
        let loaded = keeper::load(&file, &self.metrics).await;
        let written = loaded.as_ref().map(|(replica, _)| replica.origin().clone());
        if let Some((replica, written_at)) = loaded {
            self.layers.calls.got(&replica.origin().instance, written_at);
            self.session = Session::new(replica, true);
            let effect = self.session.lost();
            self.carry_out(Effect { wake: true, ..effect });
        }
        let keeper = Keeper {
            file,
            layers: self.layers.clone(),
            metrics: self.metrics.clone(),
            max_stale,
            written,
            failing: false,
            shutdown: self.shutdown.clone(),
        };
        tokio::join!(self.run(), keeper.run());
    }

    async fn keep_watching(&mut self) {
        while let Some(endpoint) = self.endpoints.current().cloned() {
            let name = Named(&endpoint).to_string();
            self.layers.set_endpoint(name.clone());
            let end = self.watch(&endpoint).await;
            let wait = self.endpoints.turn(&end);
            self.layers.lost(end.loss, format!("smd-cache at {name}: {}", end.text));
            if let Some(next) = self.endpoints.current().filter(|next| **next != endpoint) {
                self.metrics.moved(end.loss);
                tracing::debug!(from = %name, to = %Named(next), reason = end.loss.label(), "another smd-cache is asked");
            }
            sleep(jittered(wait)).await;
        }
    }

    /// One Watch from beginning to end.
    async fn watch(&mut self, endpoint: &Endpoint) -> End {
        let end = match self.start(endpoint).await {
            Err(text) => End { loss: Loss::Refused, text, followed: Duration::ZERO, to: None },
            Ok((client, events)) => self.follow(Some(client), events).await,
        };
        self.layers.calls.set_client(None);
        let effect = self.session.lost();
        self.carry_out(effect);
        end
    }

    /// Up to the greeting, in time.
    async fn start(&self, endpoint: &Endpoint) -> Result<(Client, Events), String> {
        if !self.endpoints.is_first_round() {
            return self.greet(endpoint).await;
        }
        let late = |_| format!("no greeting within {} s", FIRST_ROUND_LIMIT.as_secs());
        timeout(FIRST_ROUND_LIMIT, self.greet(endpoint)).await.map_err(late)?
    }

    async fn greet(&self, endpoint: &Endpoint) -> Result<(Client, Events), String> {
        let mut client = dial(endpoint, self.tls.as_ref()).await?;
        let asked = self.session.request();
        let request = v1::WatchRequest {
            freshness: self.layers.calls.told(asked.freshness),
            client_name: self.who.name.into(),
            client_version: self.who.version.into(),
            admin_port: self.who.admin_port.into(),
            ..asked
        };
        let reply = timeout(SILENCE_LIMIT, client.watch(Request::new(request)))
            .await
            .map_err(|_| format!("no answer to Watch within {} s", SILENCE_LIMIT.as_secs()))?;
        let mut events = reply.map_err(|status| describe(&status))?.into_inner();
        let greeting = timeout(SILENCE_LIMIT, events.next())
            .await
            .map_err(|_| format!("no greeting within {} s", SILENCE_LIMIT.as_secs()))?;
        Ok((client, Box::pin(stream::iter(greeting).chain(events))))
    }

    /// `client`: whom to call once it has greeted. Not before: an answer counts by what is known of who gives it.
    async fn follow(&mut self, mut client: Option<Client>, events: impl Stream<Item = Event>) -> End {
        let layers = self.layers.clone();
        let mut events = std::pin::pin!(events);
        // What an earlier connection was guilty of does not count.
        let _ = layers.calls.too_many_timeouts.notified().now_or_never();
        let (standing, followed_standing) = watch::channel(Standing::default());
        let others = Others { endpoints: self.endpoints.others(), tls: self.tls.clone() };
        let mut better = std::pin::pin!(others.look_out(followed_standing));
        let mut following: Option<Instant> = None;
        loop {
            let end = |loss, text: &str, to| {
                let followed = following.map(|since| since.elapsed()).unwrap_or_default();
                End { loss, text: text.to_owned(), followed, to }
            };
            let next = tokio::select! {
                next = timeout(SILENCE_LIMIT, events.next()) => next,
                () = layers.calls.too_many_timeouts.notified() => {
                    return end(Loss::Calls, "it does not answer look-ups in time", None);
                }
                place = &mut better => {
                    return end(Loss::Stale, "it cannot see SMD, and another one can", Some(place));
                }
            };
            let event = match next {
                Err(_) => return end(Loss::Silent, &silence(), None),
                Ok(None) => return end(Loss::Ended, "it ended the Watch", None),
                Ok(Some(Err(status))) if status.code() == Code::ResourceExhausted => {
                    return end(Loss::Slow, &describe(&status), None);
                }
                Ok(Some(Err(status))) => return end(Loss::Ended, &describe(&status), None),
                Ok(Some(Ok(event))) => event.event,
            };
            // An event of a later release.
            let Some(event) = event else { continue };
            let effect = self.session.event(event);
            if let Some(loss) = self.carry_out(effect) {
                let gap = "what it sent does not continue what is held; the whole snapshot is asked for";
                return end(loss, gap, None);
            }
            if let Some(client) = client.take() {
                layers.calls.set_client(Some(client));
            }
            let link = self.session.link();
            following = link.following.then(|| following.unwrap_or_else(Instant::now));
            let empty_handed = self.session.is_empty_handed();
            standing.send_modify(|held| *held = held.after(link.server_stale, empty_handed, Instant::now()));
        }
    }

    fn carry_out(&self, effect: Effect) -> Option<Loss> {
        let restart = effect.restart;
        self.layers.take(effect, self.session.link(), self.session.standard());
        restart
    }
}

fn silence() -> String {
    format!("no heartbeat for {} s", SILENCE_LIMIT.as_secs())
}

#[cfg(test)]
mod tests;
