//! A conversation over a stream (RFC 7766), plain or encrypted: any number of queries, also pipelined.
//!
//! ```text
//!              ┌── whole queries ── answered in place ──┐
//!   stream ──▶ │                                        ├──▶ one write
//!              └── those that take waiting ──▶ waiting ─┘     (out of order: RFC 7766 §6.2.1.1)
//! ```
//! Between queries a connection holds no buffer: it is read, answered and written in buffers of the thread, and only what is left over is
//! copied. While answers lie unsent nothing is read, so what a client makes us hold is bounded.

use super::{
    Outcome, Service,
    places::{Leave, Place},
};
use crate::{
    access::Client,
    metrics::{Count, Dropped},
};
use futures::{
    FutureExt, StreamExt,
    stream::{self, BoxStream, SelectAll},
};
use std::{
    cell::RefCell,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    sync::Semaphore,
    time::{Instant, Sleep, sleep_until, timeout},
};

/// Queries have one question and a few options: far below. A longer one ends the connection.
pub(super) const MAX_QUERY: usize = 4096;

/// From the first byte of a query to its last: two segments, and one of them lost twice. A guess; a byte a second does not help.
const ARRIVAL: Duration = Duration::from_secs(5);

/// How long a client may leave answers lying that were written at once: the time of a retransmission or three (RFC 6298).
const UNREAD: Duration = Duration::from_secs(10);

/// When the program ends, a connection is read so much longer: queries that are on their way, or here without our having been told, are
/// answered still. A guess: a round trip in a cluster and a busy machine; well within the time that draining has.
const LINGER: Duration = Duration::from_millis(100);

/// Answers of one connection that are waited for at a time; past it nothing is read until one is there. A guess: resolvers have some
/// dozens out on a connection.
const MAX_WAITING: usize = 64;

/// Read in one call. A measurement of nobody: at 50 bytes a query, some 300 of them.
const READ: usize = 16 * 1024;

/// Once so much is to be sent it is sent before more is answered: bounds what answers to one read add up to.
const WRITE: usize = 64 * 1024;

/// One in so many reads is timed, for `dnsd_answer_seconds`.
const TIMED: u32 = 64;

/// How answers are waited for, whoever makes them: one message, several (a transfer), or `None` for the end of the connection.
type Coming<'s> = BoxStream<'s, Option<Vec<u8>>>;

/// Buffers of a thread.
struct Scratch {
    read: Box<[u8]>,
    reply: Vec<u8>,
    /// Answers with their lengths before them.
    framed: Vec<u8>,
    reads: u32,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        read: vec![0; READ].into(),
        reply: Vec::with_capacity(512),
        framed: Vec::with_capacity(READ),
        reads: 0,
    });
}

/// How a conversation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The client is done, or we are: what is there is sent.
    Done,
    /// It sent what is no query.
    Nonsense,
    /// For this reason.
    Dropped(Dropped),
}

/// One connection, to its end. `waiting` bounds the answers that all connections wait for.
pub async fn converse<S>(service: &Service, stream: S, client: Client, place: &Place, waiting: &Semaphore)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut conversation = Conversation::new(service, stream, client, place, waiting);
    let end = poll_fn(|context| conversation.poll(context)).await;
    match end {
        End::Done => _ = timeout(UNREAD, conversation.stream.shutdown()).await,
        End::Nonsense => {}
        End::Dropped(reason) => service.metrics.dropped(reason),
    }
}

/// What a connection is doing; each has its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// The next query may come.
    Idle,
    /// Part of a query is here.
    Arriving,
    /// Answers are waited for; they have deadlines of their own.
    Waiting,
    /// Answers lie unsent.
    Sending,
}

struct Conversation<'s, S> {
    service: &'s Service,
    stream: S,
    client: Client,
    place: &'s Place,
    permits: &'s Semaphore,
    /// What was read and is not answered: part of a query, and whole ones while there are too many waiting. At most [`READ`].
    rest: Vec<u8>,
    unsent: Vec<u8>,
    /// Something was written that is not known to have left (TLS).
    unflushed: bool,
    waiting: Option<SelectAll<Coming<'s>>>,
    /// Nothing more is read.
    over: bool,
    /// A whole query was taken, or all that was unsent has left, since this was last looked at; single bytes are none.
    progress: bool,
    doing: Doing,
    since: Instant,
    timer: Pin<Box<Sleep>>,
    /// Since the program ends.
    linger: Option<Pin<Box<Sleep>>>,
}

impl<'s, S: AsyncRead + AsyncWrite + Unpin> Conversation<'s, S> {
    fn new(
        service: &'s Service,
        stream: S,
        client: Client,
        place: &'s Place,
        permits: &'s Semaphore,
    ) -> Conversation<'s, S> {
        let since = Instant::now();
        Conversation {
            service,
            stream,
            client,
            place,
            permits,
            rest: Vec::new(),
            unsent: Vec::new(),
            unflushed: false,
            waiting: None,
            over: false,
            progress: false,
            doing: Doing::Idle,
            since,
            timer: Box::pin(sleep_until(since + place.places().idle_allowed())),
            linger: None,
        }
    }

    fn poll(&mut self, context: &mut Context) -> Poll<End> {
        if let Err(end) = self.go_on(context) {
            return Poll::Ready(end);
        }
        match self.place.told(context) {
            Some(Leave::Now) => return Poll::Ready(End::Dropped(Dropped::Evicted)),
            Some(Leave::Drain) => self.over |= self.has_lingered(context),
            None => {}
        }
        let doing = self.doing_now();
        if self.over && doing == Doing::Idle {
            return Poll::Ready(End::Done);
        }
        if std::mem::take(&mut self.progress) || doing != self.doing {
            (self.doing, self.since) = (doing, Instant::now());
        }
        self.mind_the_time(context)
    }

    /// The program ends, and what came until now was read.
    fn has_lingered(&mut self, context: &mut Context) -> bool {
        let linger = self.linger.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + LINGER)));
        linger.poll_unpin(context).is_ready()
    }

    /// Sends, collects and reads until each of them would wait.
    fn go_on(&mut self, context: &mut Context) -> Result<(), End> {
        while self.send(context)?.is_ready() {
            if !self.collect(context)? && !self.take_in(context)? {
                break;
            }
        }
        Ok(())
    }

    /// Sends what is unsent.
    fn send(&mut self, context: &mut Context) -> Result<Poll<()>, End> {
        let mut sent = 0;
        let failed = |_| End::Dropped(Dropped::SendFailed);
        while sent < self.unsent.len() {
            match Pin::new(&mut self.stream).poll_write(context, &self.unsent[sent..]) {
                Poll::Ready(Ok(0)) => return Err(End::Dropped(Dropped::SendFailed)),
                Poll::Ready(Ok(more)) => sent += more,
                Poll::Ready(Err(error)) => return Err(failed(error)),
                Poll::Pending => {
                    self.unsent.drain(..sent);
                    return Ok(Poll::Pending);
                }
            }
        }
        self.unflushed |= sent > 0;
        // Given back, not cleared: an idle connection holds nothing.
        self.unsent = Vec::new();
        if self.unflushed {
            match Pin::new(&mut self.stream).poll_flush(context) {
                Poll::Ready(flushed) => flushed.map_err(failed)?,
                Poll::Pending => return Ok(Poll::Pending),
            }
            self.unflushed = false;
            self.progress = true;
        }
        Ok(Poll::Ready(()))
    }

    /// Takes answers that were waited for. Whether there were any.
    fn collect(&mut self, context: &mut Context) -> Result<bool, End> {
        let Some(waiting) = &mut self.waiting else { return Ok(false) };
        while self.unsent.len() < WRITE {
            match waiting.poll_next_unpin(context) {
                Poll::Ready(Some(Some(answer))) => frame(&answer, &mut self.unsent),
                Poll::Ready(Some(None)) => return Err(End::Nonsense),
                Poll::Ready(None) => {
                    self.waiting = None;
                    self.place.heard();
                    break;
                }
                Poll::Pending => break,
            }
        }
        Ok(!self.unsent.is_empty())
    }

    /// Answers whole queries that are left over, else reads and answers. Whether there may be more to do.
    fn take_in(&mut self, context: &mut Context) -> Result<bool, End> {
        if !self.may_wait() {
            return Ok(false);
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let mut length = self.rest.len();
            scratch.read[..length].copy_from_slice(&self.rest);
            if matches!(whole(&scratch.read[..length]), Ok(None)) {
                match self.read(context, &mut scratch.read[length..]) {
                    Poll::Ready(more) => length += more?,
                    Poll::Pending => return Ok(false),
                }
            }
            let taken = self.answer(length, scratch)?;
            self.rest = scratch.read[taken..length].to_vec();
            self.send_at_once(context, &scratch.framed)?;
            Ok(taken > 0 || !self.over)
        })
    }

    /// Zero bytes are the end of what the client says; what it asked is answered still.
    fn read(&mut self, context: &mut Context, into: &mut [u8]) -> Poll<Result<usize, End>> {
        if self.over {
            return Poll::Pending;
        }
        let mut buffer = ReadBuf::new(into);
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer));
        let length = buffer.filled().len();
        self.over |= length == 0;
        Poll::Ready(read.map(|()| length).map_err(|_| End::Nonsense))
    }

    fn may_wait(&self) -> bool {
        self.waiting.as_ref().is_none_or(|waiting| waiting.len() < MAX_WAITING)
    }

    /// Answers the whole queries in the first `length` bytes into `framed`, as far as bounds allow; how many bytes they were.
    fn answer(&mut self, length: usize, scratch: &mut Scratch) -> Result<usize, End> {
        let Scratch { read, reply, framed, reads } = scratch;
        *reads = reads.wrapping_add(1);
        let began = (*reads % TIMED == 0).then(Instant::now);
        let service = self.service;
        let (moment, mut taken, mut answers) = (service.moment(), 0, 0);
        framed.clear();
        while let Some(query) = whole(&read[taken..length])? {
            if framed.len() >= WRITE || !self.may_wait() {
                break;
            }
            taken += 2 + query.len();
            reply.clear();
            match moment.answer(query, self.client, reply, &service.metrics) {
                Outcome::Reply => frame(reply, framed),
                Outcome::Silent => return Err(End::Nonsense),
                Outcome::Wait => self.wait(query),
            }
            answers += 1;
        }
        if let Some(began) = began.filter(|_| answers > 0) {
            service.metrics.took(self.client.transport, began.elapsed() / answers);
        }
        self.progress |= taken > 0;
        if taken > 0 && self.waiting.is_none() {
            self.place.heard();
        }
        Ok(taken)
    }

    fn wait(&mut self, query: &[u8]) {
        let (service, client, permits, query) = (self.service, self.client, self.permits, query.to_vec());
        self.place.busy();
        let waiting = self.waiting.get_or_insert_default();
        if let Some(zone) = service.transfer(&query, client) {
            return waiting.push(zone.into_stream().map(Some).boxed());
        }
        let answer = async move {
            // Never closed; in their order, so nobody waits for ever.
            let _permit = permits.acquire().await;
            let mut out = Vec::new();
            service.answer(&query, client, &mut out).await.then_some(out)
        };
        waiting.push(stream::once(answer).boxed());
    }

    /// Writes from the buffer of the thread; what does not go is copied.
    fn send_at_once(&mut self, context: &mut Context, framed: &[u8]) -> Result<(), End> {
        if framed.is_empty() {
            return Ok(());
        }
        let sent = match Pin::new(&mut self.stream).poll_write(context, framed) {
            Poll::Ready(Ok(sent)) => sent,
            Poll::Ready(Err(_)) => return Err(End::Dropped(Dropped::SendFailed)),
            Poll::Pending => 0,
        };
        self.unsent = framed[sent..].to_vec();
        self.unflushed = true;
        Ok(())
    }

    fn doing_now(&self) -> Doing {
        match () {
            () if !self.unsent.is_empty() || self.unflushed => Doing::Sending,
            () if self.waiting.is_some() => Doing::Waiting,
            () if !self.rest.is_empty() && !self.over => Doing::Arriving,
            () => Doing::Idle,
        }
    }

    /// Ends what takes too long. The timer is set anew only when it would ring too late or has rung, not for each query.
    fn mind_the_time(&mut self, context: &mut Context) -> Poll<End> {
        let (allowed, reason) = match self.doing {
            Doing::Idle => (self.place.places().idle_allowed(), Dropped::Idle),
            Doing::Arriving => (ARRIVAL, Dropped::Slow),
            Doing::Sending => (UNREAD, Dropped::Unread),
            Doing::Waiting => return Poll::Pending,
        };
        let deadline = self.since + allowed;
        loop {
            if self.timer.deadline() > deadline || self.timer.is_elapsed() {
                self.timer.as_mut().reset(deadline);
            }
            ready!(self.timer.poll_unpin(context));
            if Instant::now() >= deadline {
                return Poll::Ready(End::Dropped(reason));
            }
        }
    }
}

/// The first whole query of what was read; nothing while there is none. An error: longer than any we answer.
fn whole(read: &[u8]) -> Result<Option<&[u8]>, End> {
    let Some((length, rest)) = read.split_first_chunk() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes(*length));
    if length > MAX_QUERY {
        return Err(End::Nonsense);
    }
    Ok(rest.get(..length))
}

/// Length and message.
fn frame(answer: &[u8], framed: &mut Vec<u8>) {
    framed.extend_from_slice(&(answer.len() as u16).to_be_bytes());
    framed.extend_from_slice(answer);
}

#[cfg(test)]
mod tests;
