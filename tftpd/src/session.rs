//! One transfer as plain state: no socket, no clock of its own.
//!
//! ```text
//!            options asked for            ACK 0
//!   RRQ ──▶ OACK sent ───────────────────────────▶ window sent ──ACK of the last block──▶ complete
//!     │        │ ERROR (edk2 only wanted the size)     │  ▲  │
//!     │        ▼                                       │  └──┘ ACK inside the window: the next window
//!     │      ended                                     ▼
//!     └── no options: the window at once           silence: again, slower each time, then given up
//! ```
//! Never answered: an ACK that was answered before (RFC 1123 §4.2.3.1, the "sorcerer's apprentice"), with one exception:
//! inside a window of several blocks it tells that the first one was lost (RFC 7440 §4), and is believed once per progress.

use bytes::Bytes;
use std::time::{Duration, Instant};

/// First wait for an ACK when the client asked for no timeout: firmware itself waits about as long.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Waits double up to this. A guess: ROMs give up after some ten seconds of silence.
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// A transfer without any progress for so long is given up. A guess that outlives every ROM's own patience.
const GIVE_UP: Duration = Duration::from_secs(30);

/// What the client and we agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Bytes a block.
    pub block_size: usize,
    /// Blocks that may be unacknowledged.
    pub window: u64,
    /// Wait for an ACK: the client's, or ours with growing waits.
    pub timeout: Option<Duration>,
}

/// A transfer that goes on.
#[derive(Debug, Clone)]
pub struct Session {
    content: Bytes,
    terms: Terms,
    /// The OACK that waits for ACK 0; gone once that came.
    option_ack: Option<Vec<u8>>,
    /// The last block that was acknowledged; 0: none. Counts on where the wire's 16 bits start again.
    acknowledged: u64,
    /// An old ACK was answered since the last progress.
    repeated: bool,
    wait: Duration,
    due: Instant,
    give_up_at: Instant,
}

/// What to do after an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Send what [`Session::outgoing`] says, for the first time.
    Send,
    /// Send it again.
    Repeat,
    /// Nothing.
    Wait,
    /// Everything arrived.
    Complete,
    /// The client is gone.
    GiveUp,
}

/// What is to be sent now.
pub enum Outgoing<'a> {
    /// The OACK.
    OptionAck(&'a [u8]),
    /// These blocks: number on the wire and payload.
    Blocks(Blocks<'a>),
}

/// The unacknowledged blocks of the window.
pub struct Blocks<'a> {
    session: &'a Session,
    next: u64,
    last: u64,
}

impl Session {
    /// A new transfer; `option_ack` is empty when no option was agreed on. Send [`Session::outgoing`] at once.
    pub fn new(content: Bytes, terms: Terms, option_ack: Vec<u8>, now: Instant) -> Session {
        let wait = terms.timeout.unwrap_or(FIRST_WAIT);
        let option_ack = (!option_ack.is_empty()).then_some(option_ack);
        Session {
            content,
            terms,
            option_ack,
            acknowledged: 0,
            repeated: false,
            wait,
            due: now + wait,
            give_up_at: now + GIVE_UP,
        }
    }

    /// Nothing but the OACK was sent: an ERROR now means that the client only wanted to know the size.
    pub fn has_only_announced(&self) -> bool {
        self.option_ack.is_some()
    }

    /// When [`Session::timed_out`] is to be called.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// Bytes acknowledged so far.
    pub fn acknowledged_bytes(&self) -> u64 {
        (self.acknowledged * self.terms.block_size as u64).min(self.content.len() as u64)
    }

    /// The client acknowledged a block.
    pub fn acknowledge(&mut self, block: u16, now: Instant) -> Step {
        if self.option_ack.is_some() {
            if block != 0 {
                return Step::Wait;
            }
            self.option_ack = None;
            return self.progress(now);
        }
        // How far beyond the last acknowledged block, modulo the wire's 16 bits.
        let ahead = u64::from(block.wrapping_sub(self.acknowledged as u16));
        match ahead {
            0 if self.terms.window > 1 && self.acknowledged > 0 && !self.repeated => {
                self.repeated = true;
                Step::Repeat
            }
            1.. if ahead <= self.last_sent() - self.acknowledged => {
                self.acknowledged += ahead;
                if self.acknowledged == self.blocks() { Step::Complete } else { self.progress(now) }
            }
            _ => Step::Wait,
        }
    }

    /// Nothing came until [`Session::due`]. `jitter` is between 0 and 1: nodes that started together must not stay in step.
    pub fn timed_out(&mut self, now: Instant, jitter: f32) -> Step {
        if now >= self.give_up_at {
            return Step::GiveUp;
        }
        if self.terms.timeout.is_none() {
            self.wait = (self.wait * 2).min(LONGEST_WAIT);
        }
        self.due = (now + self.wait.mul_f32(0.9 + 0.2 * jitter)).min(self.give_up_at);
        Step::Repeat
    }

    /// What has to be on its way now.
    pub fn outgoing(&self) -> Outgoing<'_> {
        match &self.option_ack {
            Some(packet) => Outgoing::OptionAck(packet),
            None => Outgoing::Blocks(Blocks {
                session: self,
                next: self.acknowledged + 1,
                last: self.last_sent(),
            }),
        }
    }

    fn progress(&mut self, now: Instant) -> Step {
        self.repeated = false;
        self.wait = self.terms.timeout.unwrap_or(FIRST_WAIT);
        self.due = now + self.wait;
        self.give_up_at = now + GIVE_UP;
        Step::Send
    }

    /// The last block is the first that is not full, and there always is one: a file of whole blocks ends in an empty one.
    fn blocks(&self) -> u64 {
        (self.content.len() / self.terms.block_size) as u64 + 1
    }

    fn last_sent(&self) -> u64 {
        (self.acknowledged + self.terms.window).min(self.blocks())
    }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        if self.next > self.last {
            return None;
        }
        let size = self.session.terms.block_size;
        let begin = (self.next - 1) as usize * size;
        let end = (begin + size).min(self.session.content.len());
        let block = self.next as u16;
        self.next += 1;
        Some((block, &self.session.content[begin..end]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCKSTEP: Terms = Terms { block_size: 512, window: 1, timeout: None };

    fn session(length: usize, terms: Terms, now: Instant) -> Session {
        Session::new(vec![7; length].into(), terms, Vec::new(), now)
    }

    fn sent(session: &Session) -> Vec<(u16, usize)> {
        match session.outgoing() {
            Outgoing::OptionAck(_) => Vec::new(),
            Outgoing::Blocks(blocks) => blocks.map(|(block, payload)| (block, payload.len())).collect(),
        }
    }

    #[test]
    fn blocks_follow_their_acks_and_the_short_one_is_the_last() {
        let now = Instant::now();
        for (length, last) in [(0, (1, 0)), (12, (1, 12)), (512, (2, 0)), (1000, (2, 488))] {
            let mut session = session(length, LOCKSTEP, now);
            while sent(&session) != [last] {
                let block = sent(&session)[0].0;
                assert_eq!(session.acknowledge(block, now), Step::Send);
            }
            assert_eq!(session.acknowledge(last.0, now), Step::Complete, "{length} bytes");
            assert_eq!(session.acknowledged_bytes(), length as u64);
        }
    }

    #[test]
    fn a_repeated_ack_repeats_no_block() {
        let now = Instant::now();
        let mut session = session(2000, LOCKSTEP, now);
        assert_eq!(session.acknowledge(1, now), Step::Send);
        for old_or_wild in [1, 0, 3, 40000] {
            assert_eq!(session.acknowledge(old_or_wild, now), Step::Wait);
        }
        assert_eq!(sent(&session), [(2, 512)]);
    }

    #[test]
    fn a_window_moves_on_from_what_arrived() {
        let now = Instant::now();
        let mut session = session(512 * 9, Terms { window: 4, ..LOCKSTEP }, now);
        assert_eq!(sent(&session).iter().map(|(block, _)| *block).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(session.acknowledge(2, now), Step::Send);
        assert_eq!(sent(&session).iter().map(|(block, _)| *block).collect::<Vec<_>>(), [3, 4, 5, 6]);
        // The client says again that 2 was the last in order: block 3 was lost. Once is enough.
        assert_eq!(session.acknowledge(2, now), Step::Repeat);
        assert_eq!(session.acknowledge(2, now), Step::Wait);
        assert_eq!(session.acknowledge(6, now), Step::Send);
        assert_eq!(sent(&session), [(7, 512), (8, 512), (9, 512), (10, 0)]);
        assert_eq!(session.acknowledge(10, now), Step::Complete);
    }

    #[test]
    fn block_numbers_start_again_after_65535() {
        let now = Instant::now();
        let mut session = session(8 * 70_000, Terms { block_size: 8, ..LOCKSTEP }, now);
        for block in 1..=70_000_u64 {
            assert_eq!(sent(&session)[0].0, block as u16);
            assert_eq!(session.acknowledge(block as u16, now), Step::Send);
        }
        assert_eq!(sent(&session), [(70_001_u64 as u16, 0)]);
    }

    #[test]
    fn silence_is_answered_more_and_more_slowly_and_then_given_up() {
        let start = Instant::now();
        let mut session = session(2000, LOCKSTEP, start);
        let mut waits = Vec::new();
        let mut now = start;
        loop {
            waits.push((session.due() - now).as_secs());
            now = session.due();
            match session.timed_out(now, 0.5) {
                Step::Repeat => assert_eq!(sent(&session), [(1, 512)]),
                other => break assert_eq!(other, Step::GiveUp),
            }
        }
        assert_eq!(waits, [1, 2, 4, 8, 8, 7]);
        assert_eq!(now - start, GIVE_UP);
    }

    #[test]
    fn the_clients_own_timeout_is_kept() {
        let start = Instant::now();
        let terms = Terms { timeout: Some(Duration::from_secs(3)), ..LOCKSTEP };
        let mut session = session(2000, terms, start);
        assert_eq!(session.due() - start, Duration::from_secs(3));
        let due = session.due();
        assert_eq!(session.timed_out(due, 0.5), Step::Repeat);
        assert_eq!((session.due() - due).as_secs_f32().round(), 3.0);
    }

    #[test]
    fn the_option_ack_waits_for_ack_0() {
        let now = Instant::now();
        let mut session = Session::new(vec![7; 12].into(), LOCKSTEP, vec![0, 6], now);
        assert!(session.has_only_announced());
        assert_eq!(session.acknowledge(1, now), Step::Wait);
        assert_eq!(session.acknowledge(0, now), Step::Send);
        assert!(!session.has_only_announced());
        assert_eq!(session.acknowledge(0, now), Step::Wait);
        assert_eq!(session.acknowledge(1, now), Step::Complete);
    }
}
