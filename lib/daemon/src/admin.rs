//! Admin HTTP: `/live`, `/ready`, `/metrics`, `/version`, and what a program adds.

mod bounded;

use crate::{
    readiness::{Liveness, Readiness},
    runtime,
    version::Version,
};
use anyhow::Context;
use axum::{Json, Router, http::StatusCode, http::header, response::IntoResponse, routing::get};
use prometheus_client::registry::Registry;
use std::{collections::BTreeSet, io, iter::once, net::SocketAddr, sync::Arc};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How many ports are tried, from the configured one on: replicas on one host share the service port, not this one. A guess: more
/// replicas than that do not fit on a host.
const PORTS_TRIED: usize = 32;

/// The text format Prometheus asks for first.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the pages are made of.
pub struct Pages {
    /// Who this is.
    pub version: Version,
    /// `/ready`.
    pub readiness: Readiness,
    /// `/live`.
    pub liveness: Liveness,
    /// `/metrics`.
    pub registry: Registry,
}

impl Pages {
    fn router(self) -> Router {
        let pages = Arc::new(self);
        let (live, ready, metrics) = (pages.clone(), pages.clone(), pages.clone());
        Router::new()
            .route("/live", get(async move || page(live.liveness.report())))
            .route("/ready", get(async move || page(ready.readiness.report())))
            .route("/metrics", get(async move || exposition(&metrics.registry)))
            .route("/version", get(async move || Json(pages.version.clone())))
    }
}

fn page((well, text): (bool, String)) -> impl IntoResponse {
    (if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, text)
}

fn exposition(registry: &Registry) -> impl IntoResponse + use<> {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, registry) {
        Ok(()) => (StatusCode::OK, [(header::CONTENT_TYPE, OPENMETRICS)], text),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "text/plain")], error.to_string())
        }
    }
}

/// A bound listener that does not answer yet.
pub struct Bound(TcpListener);

impl Bound {
    /// Binds to `listen`, or to the next free port that is not `promised` to somebody.
    pub async fn to(listen: SocketAddr, promised: &BTreeSet<u16>) -> anyhow::Result<Bound> {
        let bound = bind(listen, promised).await;
        bound.map(Bound).with_context(|| format!("admin HTTP cannot listen on {listen}"))
    }

    /// Where it really is.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// Writes the address file and serves until `shutdown`. A listener that dies cancels `shutdown`: it ends the program.
pub fn start(
    Bound(listener): Bound,
    pages: Pages,
    extra: Router,
    shutdown: CancellationToken,
) -> anyhow::Result<SocketAddr> {
    let program = pages.version.program;
    let address = listener.local_addr()?;
    runtime::write_admin_address(program, address);
    tracing::info!(%address, "admin HTTP is listening");
    let router = pages.router().merge(extra);
    tokio::spawn(async move {
        let drained = shutdown.clone();
        let served = axum::serve(bounded::Bounded::new(listener), router)
            .with_graceful_shutdown(async move { drained.cancelled().await })
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "admin HTTP ended");
            shutdown.cancel();
        }
        runtime::remove_admin_address(program, address);
    });
    Ok(address)
}

async fn bind(listen: SocketAddr, promised: &BTreeSet<u16>) -> io::Result<TcpListener> {
    let mut tried = listen;
    for port in ports(listen.port(), promised) {
        tried.set_port(port);
        match TcpListener::bind(tried).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            other => return other,
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// The program's own port, whoever else was promised it, and those after it that nobody was promised: a second dnsd that is started
/// before tftpd must not sit where people look for tftpd.
fn ports(own: u16, promised: &BTreeSet<u16>) -> impl Iterator<Item = u16> {
    let others = (own..=u16::MAX).skip(1).filter(|port| !promised.contains(port));
    once(own).chain(others).take(PORTS_TRIED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health;

    /// The system chooses a port.
    const FREE: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

    fn pages() -> Pages {
        let mut registry = Registry::default();
        registry.register(
            "test_answers",
            "Answers",
            prometheus_client::metrics::counter::Counter::<u64>::default(),
        );
        Pages {
            version: Version::of("test"),
            readiness: Readiness::default(),
            liveness: Liveness::default(),
            registry,
        }
    }

    async fn fetch(address: SocketAddr, path: &'static str) -> (u16, String) {
        tokio::task::spawn_blocking(move || health::fetch(address, path)).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn the_four_pages_answer_and_so_does_what_a_program_adds() {
        let shutdown = CancellationToken::new();
        let readiness = Readiness::default();
        let pages = Pages { readiness: readiness.clone(), ..pages() };
        let extra = Router::new().route("/unknown", get(async || "none"));
        let address =
            start(Bound(bind(FREE.into(), &BTreeSet::new()).await.unwrap()), pages, extra, shutdown.clone())
                .unwrap();
        assert_eq!(fetch(address, "/live").await, (200, "live\n".into()));
        assert_eq!(fetch(address, "/ready").await, (200, "ready\n".into()));
        assert!(fetch(address, "/metrics").await.1.contains("test_answers_total 0"));
        assert!(fetch(address, "/version").await.1.contains(r#""program":"test""#));
        assert_eq!(fetch(address, "/unknown").await, (200, "none".into()));
        readiness.add("inventory", || crate::State::Missing("no snapshot".into()));
        assert_eq!(fetch(address, "/ready").await.0, 503);
        shutdown.cancel();
    }

    #[tokio::test]
    async fn a_taken_port_means_the_next_free_one_that_nobody_was_promised() {
        let first = bind(FREE.into(), &BTreeSet::new()).await.unwrap();
        let taken = first.local_addr().unwrap();
        let promised = (taken.port()..=taken.port().saturating_add(2)).collect();
        let second = bind(taken, &promised).await.unwrap().local_addr().unwrap();
        assert!(second.port() > taken.port() && !promised.contains(&second.port()), "{taken}, {second}");
    }

    #[test]
    fn ports_of_others_are_passed_over_and_there_is_a_bound() {
        // smd-cache's gRPC, then the four programs in turn.
        let promised = (27780..=27784).collect();
        for own in 27781..=27784 {
            let tried: Vec<u16> = ports(own, &promised).collect();
            assert_eq!(tried[..3], [own, 27785, 27786], "{own}");
            assert_eq!(tried.len(), PORTS_TRIED);
        }
        assert_eq!(ports(u16::MAX - 1, &promised).collect::<Vec<_>>(), [u16::MAX - 1, u16::MAX]);
    }
}
