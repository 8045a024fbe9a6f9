//! gRPC on every TCP address and on a Unix socket, with its limits.

use crate::{config::Socket, service::Service};
use anyhow::{Context, bail};
use futures::{Stream, future::BoxFuture, stream};
use proto::v1::smd_cache_server::SmdCacheServer;
use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{self, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep},
};
use tokio_util::sync::CancellationToken;
use tonic::transport::server::{Connected, Router, Server};
use tower::{layer::util::Identity, layer::util::Stack, limit::GlobalConcurrencyLimitLayer};

/// For who waits longest: Refresh, which reads three sources and must not end before they do.
const REQUEST_DEADLINE: Duration = Duration::from_secs(100);

/// Calls in flight, of all connections: look-ups take microseconds, so this many mean that something waits. A guess.
const MAX_CALLS: usize = 1_024;

/// Calls and Watches of one connection. A daemon has one Watch and at most 256 look-ups at once (lib/inventory).
const MAX_STREAMS: u32 = 512;

/// Connections: one for each Watch that may be open and some for people. A guess.
const MAX_CONNECTIONS: usize = crate::watch::MAX_WATCHERS + 200;

/// The largest request is a Watch: below 1 kB.
const MAX_REQUEST: usize = 64 * 1024;

/// A connection whose other end vanished is noticed within the 15 s that these make together.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection says in so long that it is HTTP/2, or loses its place; after that keepalive watches it. A client sends that
/// with its first packet.
const GREETING_DEADLINE: Duration = Duration::from_secs(5);
/// What every HTTP/2 client sends first (RFC 9113 §3.4).
const GREETING: usize = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();

/// After an accept that failed, out of file descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// For the owner and the group of the service.
const SOCKET_MODE: u32 = 0o660;

/// Sockets that listen already.
#[derive(Debug)]
pub struct Listeners {
    tcp: Vec<TcpListener>,
    unix: Option<(UnixListener, SocketFile)>,
}

/// The file of a Unix socket, removed when dropped.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Listeners {
    /// Binds everything, or says what cannot be bound.
    pub async fn bind(listen: &[SocketAddr], socket: &Socket) -> anyhow::Result<Listeners> {
        let mut tcp = Vec::new();
        for address in listen {
            let listener = TcpListener::bind(address).await;
            tcp.push(listener.with_context(|| format!("smd_cache.listen: cannot listen on {address}"))?);
        }
        let unix = match socket {
            Socket::Given(path) => Some(bind_unix(path).await.context("smd_cache.socket")?),
            Socket::Default(path) => bind_unix(path).await.inspect_err(warn_about_default).ok(),
        };
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
        self.unix.as_ref().map(|(_, file)| file.0.as_path())
    }

    /// Serves until `shutdown`, then drains. Ends with an error as soon as one of the listeners dies.
    pub async fn serve(
        self,
        service: Service,
        health: tonic_health::server::HealthReporter,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let router = router(service, health)?;
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut servers: Vec<BoxFuture<'static, Result<(), tonic::transport::Error>>> = Vec::new();
        for listener in self.tcp {
            let incoming = incoming(listener, places.clone());
            let stop = shutdown.clone().cancelled_owned();
            servers.push(Box::pin(router.clone().serve_with_incoming_shutdown(incoming, stop)));
        }
        let mut file = None;
        if let Some((listener, socket)) = self.unix {
            file = Some(socket);
            let incoming = incoming(listener, places);
            let stop = shutdown.clone().cancelled_owned();
            servers.push(Box::pin(router.serve_with_incoming_shutdown(incoming, stop)));
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

type Limited = Stack<GlobalConcurrencyLimitLayer, Identity>;

fn router(service: Service, health: tonic_health::server::HealthReporter) -> anyhow::Result<Router<Limited>> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let health = tonic_health::server::HealthService::from_health_reporter(health);
    Ok(Server::builder()
        .timeout(REQUEST_DEADLINE)
        .load_shed(true)
        .max_concurrent_streams(MAX_STREAMS)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .layer(GlobalConcurrencyLimitLayer::new(MAX_CALLS))
        .add_service(SmdCacheServer::new(service).max_decoding_message_size(MAX_REQUEST))
        .add_service(tonic_health::pb::health_server::HealthServer::new(health))
        .add_service(reflection().build_v1().context("server reflection")?)
        .add_service(reflection().build_v1alpha().context("server reflection")?))
}

async fn bind_unix(path: &Path) -> anyhow::Result<(UnixListener, SocketFile)> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    }
    remove_stale(path).await?;
    let listener =
        UnixListener::bind(path).with_context(|| format!("cannot listen on {}", path.display()))?;
    let file = SocketFile(path.to_owned());
    fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE))
        .with_context(|| format!("{} cannot be given mode {SOCKET_MODE:o}", path.display()))?;
    Ok((listener, file))
}

/// What a process that was killed left behind; the socket of one that lives stays.
async fn remove_stale(path: &Path) -> anyhow::Result<()> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        bail!("{} is in the way: it is no socket", path.display());
    }
    if UnixStream::connect(path).await.is_ok() {
        bail!("{} belongs to a running program", path.display());
    }
    fs::remove_file(path).with_context(|| format!("the old {} cannot be removed", path.display()))
}

fn warn_about_default(error: &anyhow::Error) {
    tracing::warn!(error = format!("{error:#}"), "there is no Unix socket; gRPC over TCP goes on");
}

/// Something that accepts.
trait Accept: Send + 'static {
    type Stream: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static;
    fn accept_one(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Accept for TcpListener {
    type Stream = TcpStream;
    async fn accept_one(&self) -> io::Result<TcpStream> {
        let (stream, _) = self.accept().await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Accept for UnixListener {
    type Stream = UnixStream;
    async fn accept_one(&self) -> io::Result<UnixStream> {
        Ok(self.accept().await?.0)
    }
}

/// Connections, each in one of the places. Without a place nothing is accepted: the kernel's queue holds them back.
fn incoming<L: Accept>(
    listener: L,
    places: Arc<Semaphore>,
) -> impl Stream<Item = io::Result<Connection<L::Stream>>> + Send {
    stream::unfold((listener, places), async |(listener, places)| {
        let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
        loop {
            match listener.accept_one().await {
                Ok(stream) => return Some((Ok(Connection::new(stream, place)), (listener, places))),
                Err(error) => {
                    tracing::debug!(%error, "a connection was not accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    })
}

/// A connection and its place.
struct Connection<S> {
    stream: S,
    /// Until the greeting has come: how much of it is missing, and when that is too late.
    awaited: Option<(usize, Pin<Box<Sleep>>)>,
    _place: OwnedSemaphorePermit,
}

impl<S> Connection<S> {
    fn new(stream: S, place: OwnedSemaphorePermit) -> Connection<S> {
        Connection { stream, awaited: Some((GREETING, Box::pin(sleep(GREETING_DEADLINE)))), _place: place }
    }

    fn received(&mut self, bytes: usize) {
        self.awaited = self
            .awaited
            .take()
            .filter(|(missing, _)| *missing > bytes)
            .map(|(missing, end)| (missing - bytes, end));
    }

    fn is_late(&mut self, context: &mut task::Context<'_>) -> bool {
        self.awaited.as_mut().is_some_and(|(_, end)| end.as_mut().poll(context).is_ready())
    }
}

impl<S: Connected> Connected for Connection<S> {
    type ConnectInfo = S::ConnectInfo;
    fn connect_info(&self) -> S::ConnectInfo {
        self.stream.connect_info()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Pending if self.is_late(context) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            polled => {
                self.received(buffer.filled().len() - before);
                polled
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    fn connection(stream: tokio::io::DuplexStream) -> Connection<tokio::io::DuplexStream> {
        let places = Arc::new(Semaphore::new(1));
        Connection::new(stream, places.try_acquire_owned().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_does_not_greet_is_ended() {
        for said in [0, GREETING - 1] {
            let (mut client, server) = duplex(64);
            client.write_all(&vec![b'P'; said]).await.unwrap();
            let ended = connection(server).read_to_end(&mut Vec::new()).await;
            assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut, "{said} bytes");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_has_greeted_may_be_silent() {
        let (mut client, server) = duplex(64);
        let mut connection = connection(server);
        client.write_all(&[b'P'; GREETING]).await.unwrap();
        connection.read_exact(&mut [0; GREETING]).await.unwrap();
        let silent = tokio::time::timeout(GREETING_DEADLINE * 10, connection.read_u8()).await;
        assert!(silent.is_err(), "still open");
    }
}
