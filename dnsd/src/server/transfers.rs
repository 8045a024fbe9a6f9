//! Transfers and signatures around the decision: the key, the serials and their file, and zones on their way out.
//!
//! A zone is written by a thread of its own, so that a million names hold up nobody else; it hands one message at a time to the
//! connection, and waits when that does.

use super::Service;
use crate::{
    access::{Client, Rights},
    decide, explain,
    metrics::{Count, Labelled, TransferResult},
    transfer::{
        self, Asked, key,
        messages::{self, Head, Sent, Stopped},
        serials::{Serials, SerialsFile},
        tsig::{Key, Signature},
    },
    wire::{self, Message, Rcode, Transport},
    zones::Zones,
};
use anyhow::Context;
use arc_swap::ArcSwapOption;
use config::{Config, Tsig};
use futures::Stream;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    task::spawn_blocking,
    time::{Instant, sleep_until},
};

/// Transfers at once, a thread and two messages each; more get SERVFAIL and try again. A guess: a handful of secondaries that are
/// all told at the same time.
pub const MAX_TRANSFERS: usize = 16;

/// How long after the start what the replica's file has may be older than what was served before: smd-cache, where it can be
/// reached, says the rest within a second. A guess.
const SETTLING: Duration = Duration::from_secs(10);

/// Messages written ahead of the connection.
const AHEAD: usize = 1;

/// What transfers need beside the zones.
#[derive(Debug)]
pub(super) struct Copying {
    key: ArcSwapOption<Key>,
    numbering: Mutex<Numbering>,
    permits: Arc<Semaphore>,
    begun: Instant,
    /// Told when zones were built.
    renewed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Numbering {
    serials: Serials,
    file: Option<SerialsFile>,
    /// Said once, until it works again.
    failing: bool,
}

impl Default for Copying {
    fn default() -> Copying {
        Copying {
            key: ArcSwapOption::empty(),
            numbering: Mutex::default(),
            permits: Arc::new(Semaphore::new(MAX_TRANSFERS)),
            begun: Instant::now(),
            renewed: watch::Sender::new(()),
        }
    }
}

impl Copying {
    /// How a query is signed.
    pub(super) fn signature(&self, query: &[u8], message: &Message) -> Signature {
        match message.tsig {
            Some(_) => Signature::of(query, message, self.key.load().as_ref(), now()),
            None => Signature::Absent,
        }
    }

    /// Signs with this from now on.
    ///
    /// # Errors
    /// The secret cannot be read; the key is the one before.
    pub(super) fn read_key(&self, tsig: Option<&Tsig>) -> anyhow::Result<()> {
        let Some(tsig) = tsig else {
            self.key.store(None);
            return Ok(());
        };
        let file = tsig.secret_file.display();
        let found = key::read(tsig).with_context(|| format!("dnsd.transfer.tsig.secret_file {file}"))?;
        if found.open_to_all {
            tracing::warn!(%file, "the secret of dnsd.transfer.tsig can be read by everybody on this machine");
        }
        self.key.store(Some(Arc::new(found.key)));
        Ok(())
    }

    /// No key: whatever is signed is turned away.
    pub(super) fn forget_key(&self) {
        self.key.store(None);
    }

    pub(super) fn key(&self) -> Option<Arc<Key>> {
        self.key.load_full()
    }

    /// Keeps serials in this file, and goes on from those in it. Blocks.
    pub(super) fn keep_serials(&self, file: SerialsFile) {
        let held = file.load();
        for sentence in held.aside {
            tracing::warn!("{sentence}; serials go on from smd-cache's and the time");
        }
        let mut numbering = self.numbering.lock().unwrap_or_else(PoisonError::into_inner);
        numbering.serials.merge(held.serials);
        numbering.file = Some(file);
    }

    /// Gives zones their serials. Blocks: these are on disk before they are served, for a serial must not come back with other
    /// records.
    pub(super) fn number(&self, zones: &mut Zones) {
        let mut numbering = self.numbering.lock().unwrap_or_else(PoisonError::into_inner);
        let Numbering { serials, file, failing } = &mut *numbering;
        let settling = zones.replica().freshness().stale && self.begun.elapsed() < SETTLING;
        if !serials.number(zones, settling) {
            return;
        }
        let Some(file) = file else { return };
        match (file.save(serials), *failing) {
            (Ok(()), _) => *failing = false,
            (Err(_), true) => {}
            (Err(error), false) => {
                *failing = true;
                tracing::warn!(%error, "serials cannot be kept: after a restart they may go back to smd-cache's");
            }
        }
    }

    /// Returns when zones are to be numbered whatever they hold.
    pub(super) async fn settled(&self) {
        sleep_until(self.begun + SETTLING).await;
    }

    pub(super) fn renewed(&self) -> watch::Receiver<()> {
        self.renewed.subscribe()
    }

    pub(super) fn renew(&self) {
        self.renewed.send_replace(());
    }
}

/// A zone on its way out: messages, in order.
pub struct Transfer {
    messages: mpsc::Receiver<Vec<u8>>,
    counts: Labelled<TransferResult>,
    /// It was written to its end; else it is being, or could not be.
    written: Arc<AtomicBool>,
    result: TransferResult,
    /// Absent where there was none.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Transfer {
    /// The next message; `None`: that was all.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        let message = self.messages.recv().await;
        if message.is_none() && self.written.load(Relaxed) {
            self.result = TransferResult::Done;
        }
        message
    }
}

impl Transfer {
    /// All of them.
    pub fn into_stream(self) -> impl Stream<Item = Vec<u8>> {
        futures::stream::unfold(self, async |mut transfer| Some((transfer.next().await?, transfer)))
    }
}

impl Drop for Transfer {
    /// Who stops asking for messages has lost the client.
    fn drop(&mut self) {
        self.counts.inc(self.result);
    }
}

impl Service {
    /// Whether the answer may be more than one message.
    pub(super) fn takes_a_stream(&self, message: &Message, client: Client) -> bool {
        let streams = matches!(client.transport, Transport::Tcp | Transport::Tls);
        let kind = message.question.as_ref().map(|question| question.kind);
        streams && kind.is_some_and(wire::kind::is_transfer)
    }

    /// The zone that a query is to be answered with, where it may be and takes a stream of messages. `None`: anything else; then
    /// [`Service::answer`] answers.
    pub fn transfer(&self, query: &[u8], client: Client) -> Option<Transfer> {
        let message = wire::read(query).ok()?;
        if !self.takes_a_stream(&message, client) {
            return None;
        }
        let mut signature = self.copying.signature(query, &message);
        if signature.refused().is_some() {
            return None;
        }
        let rights = self.rights_of(client, &signature);
        let question = decide::question(&message, rights).ok()?;
        let zones = self.zones.load_full();
        let Some(Asked::Whole(zone, _)) = transfer::asked(&zones, &message, question, rights) else {
            return None;
        };
        self.metrics.query(client.transport, question.kind);
        let (sender, messages) = mpsc::channel(AHEAD);
        // What is too old to be served is too old to be copied.
        let expired = self.inventory.is_expired();
        let permit = || self.copying.permits.clone().try_acquire_owned().ok();
        let mut transfer = Transfer {
            messages,
            counts: self.metrics.transfers.clone(),
            written: Arc::default(),
            result: TransferResult::Broken,
            _permit: (!expired).then(permit).flatten(),
        };
        let rcode = match transfer._permit {
            Some(_) => {
                let (apex, written) = (zone.apex.clone(), transfer.written.clone());
                let job = Job { apex, zones: zones.clone(), head: Head::of(&message), signature, written };
                // Ends with the transfer: nobody takes its messages then.
                spawn_blocking(move || job.run(client, &sender));
                Rcode::NoError
            }
            None => {
                let mut failure = Vec::new();
                wire::write(&message, client.transport, &decide::failure(Rcode::ServFail), &mut failure);
                sign(&mut signature, &mut failure);
                _ = sender.try_send(failure);
                transfer.result = if expired { TransferResult::Refused } else { TransferResult::Busy };
                Rcode::ServFail
            }
        };
        self.count_reply(Some(zone), rcode);
        Some(transfer)
    }

    /// What transfers need from disk, before anything is served.
    ///
    /// # Errors
    /// The secret cannot be read.
    pub(super) fn begin_copying(&self, config: &Config) -> anyhow::Result<()> {
        let tsig = config.dnsd.transfer.as_ref().and_then(|transfer| transfer.tsig.as_ref());
        self.copying.read_key(tsig)?;
        if let Some(file) = &config.inventory.replica_file {
            self.copying.keep_serials(SerialsFile::beside(file));
        }
        Ok(())
    }

    /// What a client may, whose query is signed like this.
    pub(super) fn rights_of(&self, client: Client, signature: &Signature) -> Rights {
        let access = self.access.load();
        let rights = access.rights(client);
        Rights { transfer: rights.transfer && (signature.is_valid() || !access.signed), ..rights }
    }
}

/// What the thread of a transfer does.
struct Job {
    zones: Arc<Zones>,
    apex: Box<[u8]>,
    head: Head,
    signature: Signature,
    written: Arc<AtomicBool>,
}

impl Job {
    fn run(self, client: Client, to: &mpsc::Sender<Vec<u8>>) {
        let Some(zone) = self.zones.zone(&self.apex) else { return };
        let (name, address, serial) = (explain::name_text(&self.apex), client.address, zone.serial());
        let send = |message| to.blocking_send(message).is_ok();
        match messages::write(&self.zones, zone, self.head, self.signature, now, send) {
            Ok(Sent { records, messages }) => {
                self.written.store(true, Relaxed);
                tracing::info!(zone = name, serial, %address, records, messages, "zone copied");
            }
            Err(Stopped::Gone) => {
                tracing::info!(zone = name, serial, %address, "zone copied in part: the client is gone");
            }
            Err(Stopped::TooLong) => {
                tracing::error!(zone = name, %address, "zone not copied: a record in it is longer than a message");
            }
        }
    }
}

/// Adds to an answer what the query's signature calls for; mostly nothing, and then the clock is not looked at.
pub(super) fn sign(signature: &mut Signature, answer: &mut Vec<u8>) {
    if !matches!(signature, Signature::Absent) {
        signature.sign(answer, now());
    }
}

/// Unix seconds, as TSIG has them.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
