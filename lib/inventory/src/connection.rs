//! The task that keeps the Watch: connects, feeds what arrives to [`Session`], carries out what it says, and begins again.

use crate::{
    Layers, Who,
    calls::Client,
    metrics::Loss,
    watch::{Effect, Session},
};
use config::Endpoint;
use futures::{FutureExt, Stream, StreamExt};
use proto::v1;
use std::{fmt, sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status, transport};

/// Three heartbeats of smd-cache (DESIGN: no heartbeat for 6 s).
pub(crate) const SILENCE_LIMIT: Duration = Duration::from_secs(6);

/// Name resolution, TCP and the first HTTP/2 frames. Resolvers wait 5 s by default; a daemon should be trying again by then.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// The wait after the first failure, before jitter; doubled with each further one. A smd-cache that is started together with
/// its daemons listens within a few of these. A guess.
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// The longest wait, so that a smd-cache that is back is found within seconds.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// HTTP/2 pings notice a connection whose other end vanished; together with the wait for the answer no longer than
/// [`SILENCE_LIMIT`].
const PING_EVERY: Duration = Duration::from_secs(2);
const PING_LIMIT: Duration = Duration::from_secs(4);

/// A snapshot of 100k interfaces is some 60 MB; HTTP/2's 64 kB in flight would make it wait for every round trip.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 2 << 20;

/// The largest message believed: a Change that touches every one of 100k interfaces.
const MAX_MESSAGE: usize = 64 << 20;

/// Keeps what it feeds fresh until `shutdown`.
pub(crate) struct Watcher {
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) who: Who,
    pub(crate) session: Session,
    pub(crate) layers: Arc<Layers>,
    pub(crate) shutdown: CancellationToken,
}

impl Watcher {
    pub(crate) async fn run(mut self) {
        let shutdown = self.shutdown.clone();
        shutdown.run_until_cancelled(self.keep_watching()).await;
        self.layers.calls.set_client(None);
    }

    async fn keep_watching(&mut self) {
        let mut wait = FIRST_WAIT;
        for attempt in 0.. {
            let Some(endpoint) = self.endpoints.get(attempt % self.endpoints.len().max(1)).cloned() else {
                return;
            };
            let following = self.watch(&Named(&endpoint)).await;
            if following {
                wait = FIRST_WAIT;
            }
            sleep(jittered(wait)).await;
            wait = next_wait(wait);
        }
    }

    /// One Watch from beginning to end; whether it got as far as to continue what is held.
    async fn watch(&mut self, endpoint: &Named<'_>) -> bool {
        let (loss, text, following) = match self.start(endpoint).await {
            Err(why) => (Loss::Refused, why, false),
            Ok(stream) => {
                let (loss, text) = self.follow(stream).await;
                (loss, text, self.session.link().following)
            }
        };
        self.layers.calls.set_client(None);
        let effect = self.session.lost();
        self.carry_out(effect);
        self.layers.lost(loss, format!("smd-cache at {endpoint}: {text}"));
        following
    }

    async fn start(&mut self, endpoint: &Named<'_>) -> Result<tonic::Streaming<v1::WatchEvent>, String> {
        let mut client = timeout(CONNECT_LIMIT, connect(endpoint))
            .await
            .map_err(|_| format!("no connection within {} s", CONNECT_LIMIT.as_secs()))?
            .map_err(|error| root_cause(&error))?;
        let request = v1::WatchRequest {
            client_name: self.who.name.into(),
            client_version: self.who.version.into(),
            admin_port: self.who.admin_port.into(),
            ..self.session.request()
        };
        self.layers.calls.set_client(Some(client.clone()));
        let reply = timeout(SILENCE_LIMIT, client.watch(Request::new(request)))
            .await
            .map_err(|_| format!("no answer to Watch within {} s", SILENCE_LIMIT.as_secs()))?;
        Ok(reply.map_err(|status| describe(&status))?.into_inner())
    }

    async fn follow(&mut self, stream: impl Stream<Item = Result<v1::WatchEvent, Status>>) -> (Loss, String) {
        let layers = self.layers.clone();
        let mut stream = std::pin::pin!(stream);
        // What an earlier connection was guilty of does not count.
        let _ = layers.calls.too_many_timeouts.notified().now_or_never();
        loop {
            let next = tokio::select! {
                next = timeout(SILENCE_LIMIT, stream.next()) => next,
                () = layers.calls.too_many_timeouts.notified() => {
                    return (Loss::Calls, "it does not answer look-ups in time".into());
                }
            };
            let event = match next {
                Err(_) => return (Loss::Silent, format!("no heartbeat for {} s", SILENCE_LIMIT.as_secs())),
                Ok(None) => return (Loss::Ended, "it ended the Watch".into()),
                Ok(Some(Err(status))) => return (Loss::Ended, describe(&status)),
                Ok(Some(Ok(event))) => event.event,
            };
            // An event of a later release.
            let Some(event) = event else { continue };
            let effect = self.session.event(event);
            if let Some(loss) = self.carry_out(effect) {
                return (
                    loss,
                    "what it sent does not continue what is held; the whole snapshot is asked for".into(),
                );
            }
        }
    }

    fn carry_out(&self, effect: Effect) -> Option<Loss> {
        let restart = effect.restart;
        self.layers.take(effect, self.session.link());
        restart
    }
}

/// Between half and all of it: daemons that lost the same smd-cache do not come back all at once.
fn jittered(wait: Duration) -> Duration {
    wait / 2 + wait.mul_f64(fastrand::f64() / 2.0)
}

fn next_wait(wait: Duration) -> Duration {
    (wait * 2).min(LONGEST_WAIT)
}

async fn connect(endpoint: &Named<'_>) -> Result<Client, transport::Error> {
    let channel = transport::Endpoint::from_shared(endpoint.to_string())?
        .connect_timeout(CONNECT_LIMIT)
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_LIMIT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .connect()
        .await?;
    Ok(Client::new(channel).max_decoding_message_size(MAX_MESSAGE))
}

/// An endpoint as configuration and tonic write it.
struct Named<'a>(&'a Endpoint);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Endpoint::Tcp(url) => f.write_str(url),
            Endpoint::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

fn describe(status: &Status) -> String {
    match status.message() {
        "" => status.code().description().into(),
        message => message.into(),
    }
}

/// "transport error" helps nobody; "Connection refused" does.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests;
