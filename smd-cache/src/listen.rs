//! gRPC on every TCP address, with TLS or without, and on a Unix socket, with its limits.
//!
//! ```text
//!   accept ─▶ place ─▶ TLS handshake ─▶ connection ─▶ HTTP/2 ─▶ admission ─▶ service
//!             places   tls               greets or     its own    each kind its
//!             in all,  at the same       goes          bounds     own bound and
//!             a host   time                                       deadline
//! ```

mod admission;
mod connection;
mod gathering;
mod places;
mod refused;
mod socket;

pub use places::{MAX_CONNECTIONS, MAX_LOCAL, MAX_PER_ADDRESS};
pub use refused::Refused;

use crate::{caller::Caller, config::Socket, service::Service, tls::Tls};
use admission::Admission;
use anyhow::{Context, bail};
use connection::Connection;
use futures::{Stream, StreamExt, future::BoxFuture, stream};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use places::{Free, Place, Places};
use proto::v1::smd_cache_server::SmdCacheServer;
use socket::SocketFile;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream, UnixListener},
    time::sleep,
};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::{Router, Server};
use tonic_health::server::{HealthReporter, HealthService};
use tower::{layer::util::Identity, layer::util::Stack};

/// Calls and Watches of one connection. A daemon has one Watch and at most 256 look-ups at once (lib/inventory).
const MAX_STREAMS: u32 = 512;

/// The largest request is a Watch: below 1 kB.
const MAX_REQUEST: usize = 64 * 1024;

/// Headers of one call: real ones have 300 bytes.
const MAX_HEADERS: u32 = 8 * 1024;

/// A connection whose other end vanished is noticed within the 15 s that these make together.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// After an accept that failed, out of file descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Descriptors besides those of connections: SMD, admin HTTP, files, the runtime. A guess.
const OTHER_DESCRIPTORS: u64 = 200;

/// Sockets that listen already.
#[derive(Debug)]
pub struct Listeners {
    tcp: Vec<TcpListener>,
    unix: Option<(UnixListener, SocketFile)>,
}

impl Listeners {
    /// Binds everything, or says what cannot be bound.
    pub async fn bind(
        listen: &[SocketAddr],
        socket: &Socket,
        group: Option<&str>,
    ) -> anyhow::Result<Listeners> {
        let mut tcp = Vec::new();
        for address in listen {
            let listener = TcpListener::bind(address).await;
            tcp.push(listener.with_context(|| format!("smd_cache.listen: cannot listen on {address}"))?);
        }
        let unix = socket::bind(socket, group).await?;
        if tcp.is_empty() && unix.is_none() {
            bail!("smd_cache.listen is empty and there is no Unix socket: nobody could ask");
        }
        Ok(Listeners { tcp, unix })
    }

    /// Where they listen, port 0 replaced by the real one.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.tcp.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// The Unix socket, if there is one.
    pub fn socket(&self) -> Option<&Path> {
        self.unix.as_ref().map(|(_, file)| file.path())
    }

    /// Serves until `shutdown`, then drains. Ends with an error as soon as one of the listeners dies.
    pub async fn serve(
        self,
        service: Service,
        tls: Option<Arc<Tls>>,
        health: HealthReporter,
        refused: Refused,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        raise_descriptors();
        let door = Door { places: Places::default(), tls, refused: refused.clone() };
        let router = |bounds| router(service.clone(), health.clone(), bounds);
        let (tcp, local) = (router(Admission::new(refused.clone()))?, router(Admission::new(refused))?);
        let mut servers: Vec<BoxFuture<'static, Result<(), tonic::transport::Error>>> = Vec::new();
        for listener in self.tcp {
            let (router, stop) = (tcp.clone(), shutdown.clone().cancelled_owned());
            servers.push(match door.tls {
                Some(_) => Box::pin(router.serve_with_incoming_shutdown(door.encrypted(listener), stop)),
                None => Box::pin(router.serve_with_incoming_shutdown(door.plain(listener), stop)),
            });
        }
        let mut file = None;
        if let Some((listener, socket)) = self.unix {
            file = Some(socket);
            let stop = shutdown.clone().cancelled_owned();
            servers.push(Box::pin(local.serve_with_incoming_shutdown(door.local(listener), stop)));
        }
        let ended = futures::future::try_join_all(servers.into_iter().map(|server| async {
            server.await.context("a gRPC listener ended")?;
            match shutdown.is_cancelled() {
                true => Ok(()),
                false => bail!("a gRPC listener ended"),
            }
        }));
        ended.await?;
        drop(file);
        Ok(())
    }
}

type Bounded = Stack<Admission, Identity>;

fn router(service: Service, health: HealthReporter, bounds: Admission) -> anyhow::Result<Router<Bounded>> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let health = HealthService::from_health_reporter(health);
    Ok(Server::builder()
        .max_concurrent_streams(MAX_STREAMS)
        .http2_max_header_list_size(MAX_HEADERS)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .layer(bounds)
        .add_service(SmdCacheServer::new(service).max_decoding_message_size(MAX_REQUEST))
        .add_service(tonic_health::pb::health_server::HealthServer::new(health))
        .add_service(reflection().build_v1().context("server reflection")?)
        .add_service(reflection().build_v1alpha().context("server reflection")?))
}

/// The usual limit of 1,024 descriptors is below the places there are; up to the hard one every process may go.
fn raise_descriptors() {
    let wanted = (MAX_CONNECTIONS + MAX_LOCAL) as u64 + OTHER_DESCRIPTORS;
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if soft < wanted {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard);
    }
    if hard < wanted {
        tracing::warn!(
            allowed = hard,
            wanted,
            "few file descriptors are allowed: connections may have to wait"
        );
    }
}

/// What every connection comes through.
#[derive(Clone)]
struct Door {
    places: Places,
    tls: Option<Arc<Tls>>,
    refused: Refused,
}

impl Door {
    fn plain(
        &self,
        listener: TcpListener,
    ) -> impl Stream<Item = io::Result<Connection<TcpStream>>> + Send + use<> {
        let refused = self.refused.clone();
        self.tcp(listener).map(move |(stream, host, place)| {
            Ok(Connection::new(stream, Caller::Tcp { host }, place, refused.clone()))
        })
    }

    /// Handshakes go on at the same time, as many as there are places: one that is slow holds nobody up.
    fn encrypted(
        &self,
        listener: TcpListener,
    ) -> impl Stream<Item = io::Result<Connection<TlsStream<TcpStream>>>> + Send + use<> {
        let door = self.clone();
        let handshakes =
            self.tcp(listener).map(move |(stream, host, place)| door.clone().greet(stream, host, place));
        handshakes.buffer_unordered(MAX_CONNECTIONS).filter_map(async |connection| connection.map(Ok))
    }

    async fn greet(
        self,
        stream: TcpStream,
        host: IpAddr,
        place: Place,
    ) -> Option<Connection<TlsStream<TcpStream>>> {
        let tls = self.tls?;
        let leave = place.leave();
        let Some(accepted) = leave.run_until_cancelled(tls.accept(stream)).await else {
            self.refused.connection(refused::Connection::Silent);
            return None;
        };
        match accepted {
            Ok(stream) => {
                let caller = tls.caller(&stream, host);
                Some(Connection::new(stream, caller, place, self.refused))
            }
            Err(refusal) => {
                tls.tell(host, refusal);
                self.refused.connection(refused::Connection::Tls(refusal));
                None
            }
        }
    }

    fn local(
        &self,
        listener: UnixListener,
    ) -> impl Stream<Item = io::Result<Connection<tokio::net::UnixStream>>> + Send + use<> {
        stream::unfold((self.clone(), listener), async |(door, listener)| {
            loop {
                let free = door.places.local().await;
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let Some(place) = free.take(None) else { continue };
                        let connection = Connection::new(stream, Caller::Local, place, door.refused.clone());
                        return Some((Ok(connection), (door, listener)));
                    }
                    Err(error) => pause(&error).await,
                }
            }
        })
    }

    /// Connections in their places. Without a free one nothing is accepted: the kernel's queue holds them back. Whose
    /// address has its share already is turned away at once, else those would fill the queue.
    fn tcp(&self, listener: TcpListener) -> impl Stream<Item = (TcpStream, IpAddr, Place)> + Send + use<> {
        stream::unfold((self.clone(), listener), async |(door, listener)| {
            loop {
                let free = door.places.tcp().await;
                match listener.accept().await {
                    Ok((stream, peer)) => {
                        if let Some(accepted) = door.seat(stream, peer.ip(), free) {
                            return Some((accepted, (door, listener)));
                        }
                    }
                    Err(error) => pause(&error).await,
                }
            }
        })
    }

    fn seat(&self, stream: TcpStream, host: IpAddr, free: Free) -> Option<(TcpStream, IpAddr, Place)> {
        let Some(place) = free.take(Some(host)) else {
            tracing::debug!(%host, "a connection is refused: its address has {MAX_PER_ADDRESS} that are in use");
            self.refused.connection(refused::Connection::TooMany);
            return None;
        };
        // It fails where the other end has gone already.
        stream.set_nodelay(true).ok()?;
        Some((stream, host.to_canonical(), place))
    }
}

async fn pause(error: &io::Error) {
    tracing::debug!(%error, "a connection was not accepted");
    sleep(ACCEPT_PAUSE).await;
}
