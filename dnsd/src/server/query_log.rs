//! `dnsd.query_log`: a line for each query, on tracing's target `dnsd::queries`.
//!
//! ```text
//!   answering ──note──▶ QUEUE ──▶ thread ──▶ the log
//!                 └─ full, or too many in this second: counted, and the count is a line each second
//! ```
//! Whoever answers never waits: a log that is read slowly, or not at all, costs lines and not answers. Off, it is one look at a flag.
//! What got no answer has no line; `dnsd_dropped_total` counts it.

use crate::{
    access::Client,
    wire::{HEADER, Rcode, WireName, text},
};
use hickory_proto::rr::RecordType;
use prometheus_client::metrics::counter::Counter;
use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::{sync::oneshot, time::timeout};

/// Lines in a second. A guess: enough to see what a cluster asks, and at 200 bytes each 17 GB a day at the worst.
pub const MAX_LINES: u32 = 1000;

/// Lines that wait for the log: those of one second.
const QUEUE: usize = MAX_LINES as usize;

const SECOND: Duration = Duration::from_secs(1);

/// At the end, what is queued is written within this time, or not at all.
const LAST_LINES: Duration = Duration::from_millis(500);

/// Where answers are noted.
#[derive(Debug)]
pub struct QueryLog {
    on: AtomicBool,
    bound: Arc<Bound>,
    writer: Mutex<Option<SyncSender<Noted>>>,
}

#[derive(Debug)]
struct Bound {
    /// Lines that may still be written in this second.
    left: AtomicU32,
    /// Since this was last told.
    left_out: AtomicU64,
    /// Ever.
    unlogged: Counter,
}

#[derive(Debug)]
enum Noted {
    Query(Entry),
    /// Nothing comes after it.
    End(oneshot::Sender<()>),
}

/// What a line is made of, before anything is made of it.
#[derive(Debug)]
struct Entry {
    client: Client,
    rcode: Rcode,
    /// Header and question of the answer.
    head: Vec<u8>,
    size: usize,
    took: Duration,
}

impl QueryLog {
    /// Off. `unlogged` counts what was left out.
    pub fn new(unlogged: Counter) -> QueryLog {
        let bound = Bound { left: AtomicU32::new(MAX_LINES), left_out: AtomicU64::new(0), unlogged };
        QueryLog { on: AtomicBool::new(false), bound: Arc::new(bound), writer: Mutex::default() }
    }

    /// Whether answers are to be noted; then it is worth looking at the clock.
    pub fn is_on(&self) -> bool {
        self.on.load(Relaxed)
    }

    /// On or off. The thread that writes is started when it is first needed.
    pub fn switch(&self, on: bool) {
        if on {
            self.start(|line| line.tell());
        }
        self.on.store(on, Relaxed);
    }

    fn start(&self, write: impl Fn(Line) + Send + 'static) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.is_some() {
            return;
        }
        let (sender, queue) = sync_channel(QUEUE);
        let bound = self.bound.clone();
        let started =
            thread::Builder::new().name("query-log".into()).spawn(move || run(&queue, &bound, write));
        match started {
            Ok(_) => *writer = Some(sender),
            Err(error) => tracing::error!(%error, "there is no thread for the query log: it stays empty"),
        }
    }

    /// An answer was made, in so much time.
    pub fn note(&self, client: Client, rcode: Rcode, answer: &[u8], took: Duration) {
        if !self.is_on() {
            return;
        }
        let may = self.bound.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
        let entry = || {
            let head = answer.get(..question_end(answer)).unwrap_or_default().to_vec();
            Noted::Query(Entry { client, rcode, head, size: answer.len(), took })
        };
        if !may || !self.send(entry()) {
            self.bound.left_out.fetch_add(1, Relaxed);
            self.bound.unlogged.inc();
        }
    }

    fn send(&self, noted: Noted) -> bool {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.as_ref().is_some_and(|writer| writer.try_send(noted).is_ok())
    }

    /// Writes what is queued, within reason; nothing is noted any more.
    pub async fn finish(&self) {
        self.on.store(false, Relaxed);
        let (told, written) = oneshot::channel();
        if self.send(Noted::End(told)) {
            _ = timeout(LAST_LINES, written).await;
        }
    }
}

/// The thread. It ends with the log.
fn run(queue: &Receiver<Noted>, bound: &Bound, write: impl Fn(Line)) {
    let mut second = Instant::now();
    loop {
        let noted = queue.recv_timeout(SECOND.saturating_sub(second.elapsed()));
        if second.elapsed() >= SECOND {
            second = Instant::now();
            bound.left.store(MAX_LINES, Relaxed);
            tell_left_out(bound, &write);
        }
        match noted {
            Ok(Noted::Query(entry)) => write(Line::of(&entry)),
            Ok(Noted::End(told)) => {
                tell_left_out(bound, &write);
                _ = told.send(());
                return;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn tell_left_out(bound: &Bound, write: &impl Fn(Line)) {
    let count = bound.left_out.swap(0, Relaxed);
    if count > 0 {
        write(Line::LeftOut(count));
    }
}

/// The end of the question, or of the header where there is none.
fn question_end(answer: &[u8]) -> usize {
    let asked = answer.get(4..6) == Some(&[0, 1]);
    let name = asked.then(|| WireName::read(answer, HEADER)).flatten();
    name.map_or(HEADER, |(_, end)| end + 4)
}

/// A line.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Query {
        client: IpAddr,
        transport: &'static str,
        /// As it was asked, upper and lower case.
        name: String,
        kind: String,
        rcode: &'static str,
        flags: String,
        size: usize,
        microseconds: u64,
    },
    LeftOut(u64),
}

impl Line {
    fn of(Entry { client, rcode, head, size, took }: &Entry) -> Line {
        let (name, kind) = match head.get(HEADER..).and_then(|question| question.split_last_chunk::<4>()) {
            Some((name, [high, low, ..])) => {
                (text(name), RecordType::from(u16::from_be_bytes([*high, *low])).to_string())
            }
            None => ("-".into(), "-".into()),
        };
        Line::Query {
            client: client.address,
            transport: client.transport.as_str(),
            name,
            kind,
            rcode: rcode.as_str(),
            flags: flags(head),
            size: *size,
            microseconds: took.as_micros() as u64,
        }
    }

    fn tell(self) {
        match self {
            Line::Query { client, transport, name, kind, rcode, flags, size, microseconds } => {
                tracing::info!(
                    target: "dnsd::queries",
                    %client, transport, name, "type" = kind, rcode, flags, size, microseconds, "query"
                )
            }
            Line::LeftOut(count) => tracing::info!(
                target: "dnsd::queries",
                count, "queries that have no line: too many in a second, or the log is slow"
            ),
        }
    }
}

/// The flags of the answer, as dig writes them; `rd` and `cd` are the query's.
fn flags(head: &[u8]) -> String {
    let [high, low] = [2, 3].map(|at| head.get(at).copied().unwrap_or(0));
    let all = [
        (high & 0x04, "aa"),
        (high & 0x02, "tc"),
        (high & 0x01, "rd"),
        (low & 0x80, "ra"),
        (low & 0x20, "ad"),
        (low & 0x10, "cd"),
    ];
    let set: Vec<&str> = all.into_iter().filter(|(bit, _)| *bit != 0).map(|(_, name)| name).collect();
    set.join(" ")
}

#[cfg(test)]
mod tests;
