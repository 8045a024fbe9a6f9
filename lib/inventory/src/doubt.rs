//! What an answer is worth that comes from a smd-cache which may know less than what is held. Pure.
//!
//! The client that moved to another smd-cache, or whose own was restarted, is not served by it until it is `synced`: what is
//! held goes on being served, marked stale, and only MACs that are not held are asked for. Such an answer may be older than
//! what is held: a machine that was removed since would come back to life. So it counts where it can be told that it is not:
//!
//! | a server that is not synced says | used |
//! |---|---|
//! | anything, and its last whole read began after what is held was got | yes |
//! | FOUND for a MAC whose record SMD wrote after what is held was got | yes: it is new |
//! | FOUND for another MAC | no: what is held may be newer and does not have it; Unavailable |
//! | UNKNOWN for a MAC | yes: what is held says so, too |
//! | anything about names, addresses, ids | no: what is held answers for these |
//!
//! A client without a whole snapshot has nothing to compare with (`inventory.replica: false`, or its first seconds): it uses
//! every answer, marked stale, except that what its cache still holds is preferred.

use proto::v1::{self, Outcome};
use std::time::{Duration, SystemTime};

/// Clocks are within a second of each other (DESIGN: NTP).
pub(crate) const CLOCKS: Duration = Duration::from_secs(1);

/// Whom the answers are compared with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standard {
    /// The server that is asked is synced: what it says is not older than what is held.
    pub(crate) synced: bool,
    /// Of the whole snapshot that is held, if there is one.
    pub(crate) held: Option<Held>,
}

/// Where the snapshot that is held came from, and when.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) instance: String,
    /// When it was read, or its last change was got, whichever is later.
    pub(crate) as_of: Option<SystemTime>,
}

/// What to do with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Worth {
    /// As good as what is held, or better.
    Good,
    /// Used, and marked stale.
    Stale,
    /// It may be older than what is held.
    None,
}

/// What matters of an answer.
#[derive(Debug)]
pub(crate) struct Said<'a> {
    pub(crate) outcome: Outcome,
    pub(crate) instance: &'a str,
    pub(crate) whole_read_at: Option<SystemTime>,
    /// Asked for a MAC.
    pub(crate) of_mac: bool,
    /// When SMD wrote the record of that MAC.
    pub(crate) written_at: Option<SystemTime>,
}

impl Standard {
    /// Something was got at that time.
    pub(crate) fn since(mut self, got: Option<SystemTime>) -> Standard {
        if let Some(held) = &mut self.held {
            held.as_of = held.as_of.max(got);
        }
        self
    }

    /// `follows`: it is of the instance that is being followed now.
    pub(crate) fn worth(&self, said: &Said<'_>, follows: bool) -> Worth {
        if self.synced && follows {
            return Worth::Good;
        }
        let Some(held) = &self.held else { return Worth::Stale };
        // Within one instance nothing goes back.
        if held.instance == said.instance {
            return Worth::Good;
        }
        let Some(as_of) = held.as_of else { return Worth::Stale };
        let later = said.whole_read_at.is_some_and(|whole| whole > as_of + CLOCKS);
        let is_new = said.written_at.is_some_and(|written| written > as_of + CLOCKS);
        let denied_twice = said.of_mac && said.outcome == Outcome::Unknown;
        match later || is_new || denied_twice {
            true => Worth::Stale,
            false => Worth::None,
        }
    }
}

/// When SMD wrote the record of this MAC, as far as the reply says.
pub(crate) fn written_at(reply: &v1::LookupReply, mac: &str) -> Option<SystemTime> {
    let record = reply.interfaces.iter().find(|interface| interface.mac == mac)?;
    record.last_update.and_then(|stamp| SystemTime::try_from(stamp).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Option<SystemTime> {
        Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
    }

    #[test]
    fn what_a_server_that_is_not_synced_says_counts_where_it_cannot_be_older() {
        use Outcome::{Found, Unknown};
        let held = |instance: &str| Some(Held { instance: instance.into(), as_of: at(100) });
        let said = |outcome, whole, of_mac, written| Said {
            outcome,
            instance: "b",
            whole_read_at: at(whole),
            of_mac,
            written_at: at(written),
        };
        let (old, new) = (99, 102);
        for (case, synced, held, said, expected) in [
            ("synced", true, held("a"), said(Found, old, true, old), Worth::Good),
            ("the instance that is held", false, held("b"), said(Found, old, true, old), Worth::Good),
            ("nothing is held", false, None, said(Found, old, false, old), Worth::Stale),
            ("read later", false, held("a"), said(Found, new, true, old), Worth::Stale),
            ("read later, a name", false, held("a"), said(Unknown, new, false, 0), Worth::Stale),
            ("within the clocks' second", false, held("a"), said(Found, 101, true, old), Worth::None),
            ("a removed machine", false, held("a"), said(Found, old, true, old), Worth::None),
            ("a new machine", false, held("a"), said(Found, old, true, new), Worth::Stale),
            ("new, within the clocks' second", false, held("a"), said(Found, old, true, 101), Worth::None),
            ("an unknown machine", false, held("a"), said(Unknown, old, true, 0), Worth::Stale),
            ("an unknown name", false, held("a"), said(Unknown, old, false, 0), Worth::None),
            ("a known name", false, held("a"), said(Found, old, false, 0), Worth::None),
        ] {
            let standard = Standard { synced, held };
            assert_eq!(standard.worth(&said, true), expected, "{case}");
        }
    }

    #[test]
    fn a_reply_that_was_on_its_way_while_the_client_moved_is_no_better_than_one_of_a_stranger() {
        let held = Some(Held { instance: "a".into(), as_of: at(100) });
        let said = Said {
            outcome: Outcome::Found,
            instance: "b",
            whole_read_at: at(50),
            of_mac: true,
            written_at: None,
        };
        assert_eq!(Standard { synced: true, held }.worth(&said, false), Worth::None);
    }
}
