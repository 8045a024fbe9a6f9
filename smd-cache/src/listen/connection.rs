//! A connection: its bytes, its place, who is at the other end, and the deadline for its greeting.

use super::{
    gathering::Gathering,
    places::{Place, Seat},
    refused,
};
use crate::caller::Caller;
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{self, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::transport::server::Connected;

/// A connection says in so long that it is HTTP/2, or loses its place; after that keepalive watches it. A client sends that
/// with its first packet.
const GREETING_DEADLINE: Duration = Duration::from_secs(5);

/// What every HTTP/2 client sends first (RFC 9113 §3.4).
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection in its place.
pub struct Connection<S> {
    stream: Gathering<S>,
    caller: Caller,
    /// Until the greeting has come.
    awaited: Option<Awaited>,
    refused: refused::Refused,
    place: Place,
    /// Another one needs the place more.
    leave: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// What each call of a connection carries until it is admitted.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Who asks.
    pub caller: Caller,
    /// Where it sits.
    pub seat: Arc<Seat>,
}

/// The rest of the greeting, and when that is too late.
struct Awaited {
    missing: &'static [u8],
    end: Pin<Box<Sleep>>,
}

impl<S> Connection<S> {
    /// Starts to wait for the greeting.
    pub fn new(stream: S, caller: Caller, place: Place, refused: refused::Refused) -> Connection<S> {
        let awaited = Awaited { missing: GREETING, end: Box::pin(sleep(GREETING_DEADLINE)) };
        let leave = Box::pin(place.leave().cancelled_owned());
        let stream = Gathering::new(stream);
        Connection { stream, caller, awaited: Some(awaited), refused, place, leave }
    }

    /// Another greeting is for the HTTP/2 library to turn away; here it is counted.
    fn received(&mut self, bytes: &[u8]) {
        let Some(awaited) = &mut self.awaited else { return };
        let length = bytes.len().min(awaited.missing.len());
        let (expected, missing) = awaited.missing.split_at(length);
        if bytes[..length] != *expected {
            self.refused.connection(refused::Connection::NoGreeting);
        } else if !missing.is_empty() {
            awaited.missing = missing;
            return;
        }
        self.awaited = None;
    }

    /// Whether it has to go, and if so, why.
    fn has_to_go(&mut self, context: &mut task::Context<'_>) -> Option<refused::Connection> {
        if self.leave.as_mut().poll(context).is_ready() {
            return Some(refused::Connection::Silent);
        }
        let late = self.awaited.as_mut().is_some_and(|awaited| awaited.end.as_mut().poll(context).is_ready());
        late.then_some(refused::Connection::NoGreeting)
    }
}

impl<S> Connected for Connection<S> {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        Peer { caller: self.caller.clone(), seat: self.place.seat() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(self.stream.inner()).poll_read(context, buffer);
        if polled.is_pending()
            && let Some(reason) = self.has_to_go(context)
        {
            self.refused.connection(reason);
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        self.received(&buffer.filled()[before..]);
        polled
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
    use crate::listen::places::Places;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    async fn connection(stream: DuplexStream) -> Connection<DuplexStream> {
        let place = Places::default().local().await.take(None).unwrap();
        Connection::new(stream, Caller::Local, place, refused::Refused::default())
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_does_not_greet_is_ended() {
        for said in [0, GREETING.len() - 1] {
            let (mut client, server) = duplex(64);
            client.write_all(&GREETING[..said]).await.unwrap();
            let ended = connection(server).await.read_to_end(&mut Vec::new()).await;
            assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut, "{said} bytes");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_whose_place_is_needed_is_ended() {
        let (mut client, server) = duplex(64);
        let mut connection = connection(server).await;
        client.write_all(GREETING).await.unwrap();
        connection.read_exact(&mut [0; GREETING.len()]).await.unwrap();
        let leave = connection.place.leave();
        let (ended, ()) = tokio::join!(connection.read_u8(), async { leave.cancel() });
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_has_greeted_may_be_silent() {
        let (mut client, server) = duplex(64);
        let mut connection = connection(server).await;
        for part in [&GREETING[..5], &GREETING[5..]] {
            client.write_all(part).await.unwrap();
            connection.read_exact(&mut vec![0; part.len()]).await.unwrap();
        }
        let silent = tokio::time::timeout(GREETING_DEADLINE * 10, connection.read_u8()).await;
        assert!(silent.is_err(), "still open");
    }
}
