//! Writes that are gathered, so that a burst of replies is one system call.
//!
//! h2 flushes after each frame of more than 256 bytes, and a reply and its trailers are two: at 100,000 look-ups a second the calls to
//! the kernel cost more than everything else. So a flush right behind a write only asks to be polled once more; what was written by
//! then goes out with the flush that ends that poll, behind which nothing was written.

use bytes::{Buf, BytesMut};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::AsyncWrite;

/// Held back at most, of one connection: some thirty replies. With more it is written first.
const MOST: usize = 16 * 1024;

/// A stream and what is to be written to it.
pub struct Gathering<S> {
    stream: S,
    held: BytesMut,
    /// Something was written since the last flush.
    fresh: bool,
}

impl<S> Gathering<S> {
    pub fn new(stream: S) -> Gathering<S> {
        Gathering { stream, held: BytesMut::new(), fresh: false }
    }

    /// For reading.
    pub fn inner(&mut self) -> &mut S {
        &mut self.stream
    }
}

impl<S: AsyncWrite + Unpin> Gathering<S> {
    fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(context, &self.held))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.held.advance(written),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathering<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.held.len() >= MOST {
            ready!(self.poll_drain(context))?;
        }
        let before = self.held.len();
        for part in parts {
            let room = MOST.saturating_sub(self.held.len());
            self.held.extend_from_slice(&part[..part.len().min(room)]);
        }
        self.fresh = true;
        Poll::Ready(Ok(self.held.len() - before))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.fresh) && self.held.len() < MOST {
            context.waker().wake_by_ref();
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_drain(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt, future::poll_fn};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    async fn flush(gathering: &mut Gathering<tokio::io::DuplexStream>) {
        poll_fn(|context| Pin::new(&mut *gathering).poll_flush(context)).await.unwrap();
    }

    #[tokio::test]
    async fn a_burst_goes_out_with_the_flush_behind_which_nothing_was_written() {
        let (mut client, server) = duplex(1 << 20);
        let mut gathering = Gathering::new(server);
        let mut arrived = [0; 64];
        for part in [b"one", b"two"] {
            gathering.write_all(part).await.unwrap();
            flush(&mut gathering).await;
            assert!(client.read(&mut arrived).now_or_never().is_none(), "not yet");
        }
        flush(&mut gathering).await;
        assert_eq!(client.read(&mut arrived).await.unwrap(), 6);
        assert_eq!(&arrived[..6], b"onetwo");
        flush(&mut gathering).await;
    }

    #[tokio::test]
    async fn whoever_flushes_until_nothing_wakes_it_leaves_nothing_behind() {
        let (mut client, server) = duplex(1 << 20);
        let task = tokio::spawn(async move {
            let mut gathering = Gathering::new(server);
            gathering.write_all(b"reply").await.unwrap();
            // As h2 does: a flush in each poll, and no end.
            poll_fn(|context| -> Poll<()> {
                let _ = Pin::new(&mut gathering).poll_flush(context);
                Poll::Pending
            })
            .await
        });
        let mut arrived = [0; 5];
        client.read_exact(&mut arrived).await.unwrap();
        assert_eq!(&arrived, b"reply");
        task.abort();
    }

    #[tokio::test]
    async fn no_more_than_a_bound_is_held_back_and_nothing_is_lost() {
        let (mut client, server) = duplex(100);
        let mut gathering = Gathering::new(server);
        let bytes: Vec<u8> = (0..100_000_u32).map(|number| number as u8).collect();
        let sent = bytes.clone();
        let task = tokio::spawn(async move {
            gathering.write_all(&sent).await.unwrap();
            assert!(gathering.held.len() <= MOST);
            gathering.shutdown().await.unwrap();
        });
        let mut arrived = Vec::new();
        client.read_to_end(&mut arrived).await.unwrap();
        assert!(arrived == bytes);
        task.await.unwrap();
    }

    #[tokio::test]
    async fn who_is_gone_is_an_error() {
        let (client, server) = duplex(100);
        drop(client);
        let mut gathering = Gathering::new(server);
        gathering.write_all(b"reply").await.unwrap();
        flush(&mut gathering).await;
        let gone = poll_fn(|context| Pin::new(&mut gathering).poll_flush(context)).await;
        assert!(gone.is_err());
    }
}
