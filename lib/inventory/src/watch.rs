//! The client's half of Watch: what each event does to what is held. Pure: no socket, no clock, no task.
//!
//! ```text
//!  Away ──Hello──▶ Waiting ──Synced──▶ Receiving ──Complete──▶ Following ──Change──┐
//!   ▲                │ (Hello synced)     ▲  Put, Put ...       ▲ ▲ ▲───────────────┘
//!   │                ├────────────────────┴─ resumed, equal ────┘ │ the last change that was missing
//!   │                └──── resumed, changes are missing ───▶ Resuming ──Change──┐
//!   │                                                           ▲───────────────┘
//!   └──── lost: from anywhere; what is held goes on being served, marked stale, and a snapshot half received is dropped
//! ```
//! What is held is answered from in every phase and is stale in all but Following. Without a replica only domain, zones and
//! freshness are held, and the cache follows the changes.
//!
//! Waiting is where a client would go back in time: the server may know less than what is held. So it is told when what is
//! held was read, also where that cannot be continued, and nothing it sends before Synced is believed.

mod touched;

pub(crate) use touched::{MadeOf, Touched};

use crate::{
    Replica,
    doubt::{Held, Standard},
    metrics::Loss,
    parse,
    replica::Patch,
};
use proto::v1::{self, watch_event::Event};
use std::time::SystemTime;

/// How the state is doing, beside the replica.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Link {
    /// Greeted, and heard from since.
    pub(crate) connected: bool,
    /// It has read SMD later than what is held was read.
    pub(crate) synced: bool,
    /// What is held is continued by this connection.
    pub(crate) following: bool,
    /// smd-cache says that it is stale itself.
    pub(crate) server_stale: bool,
}

/// Generations count within an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) instance: String,
    pub(crate) generation: u64,
}

/// What the cache forgets.
#[derive(Debug, Default)]
pub(crate) enum Forget {
    #[default]
    Nothing,
    /// Every entry is to be asked for again, and served stale if nobody answers.
    AskAgain,
    /// The replica has all that was known when it was read: what was got before is dropped, the rest to be asked again.
    Replaced(Option<SystemTime>),
    /// What a change speaks of.
    Touched(Touched),
}

/// What is to be done after an event, in this order.
#[derive(Debug, Default)]
pub(crate) struct Effect {
    pub(crate) forget: Forget,
    /// From here on the cache follows; replies that are older are not kept.
    pub(crate) position: Option<Position>,
    /// The replica to swap in.
    pub(crate) publish: Option<Replica>,
    /// It has new content.
    pub(crate) wake: bool,
    /// What was got before, from whatever server, is in what is held now, or was older.
    pub(crate) caught_up: bool,
    /// The connection is of no more use; `request` says what to ask for on the next one.
    pub(crate) restart: Option<Loss>,
}

/// The state across connections.
#[derive(Debug)]
pub(crate) struct Session {
    wants_snapshot: bool,
    replica: Replica,
    /// What can be continued.
    held: Option<v1::Freshness>,
    server_stale: bool,
    /// Another server was greeted since what is held was followed last: the cache may have its answers.
    strayed: bool,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Away,
    Waiting(v1::Hello),
    /// The next replica, so far.
    Receiving(Box<Replica>),
    /// Changes up to this generation are on their way: what is held is older than the server's by them.
    Resuming(u64),
    Following,
}

impl Session {
    /// Holding `replica`, which may be the empty one or one read from disk.
    pub(crate) fn new(replica: Replica, wants_snapshot: bool) -> Session {
        let held = replica.is_complete().then(|| replica.origin().clone());
        Session { wants_snapshot, replica, held, server_stale: false, strayed: false, phase: Phase::Away }
    }

    /// What to send smd-cache, apart from who asks.
    pub(crate) fn request(&self) -> v1::WatchRequest {
        v1::WatchRequest { freshness: self.held.clone(), snapshot: self.wants_snapshot, ..Default::default() }
    }

    /// Where and when the whole snapshot that is held was read.
    pub(crate) fn standard(&self) -> Standard {
        let held = self.replica.is_complete().then(|| Held {
            instance: self.replica.origin().instance.clone(),
            as_of: self.replica.freshness().read_at,
        });
        Standard { synced: self.link().synced, held }
    }

    /// There should be a whole snapshot to answer from, and there is none.
    pub(crate) fn is_empty_handed(&self) -> bool {
        self.wants_snapshot && !self.replica.is_complete()
    }

    pub(crate) fn link(&self) -> Link {
        Link {
            connected: !matches!(self.phase, Phase::Away),
            synced: matches!(self.phase, Phase::Receiving(_) | Phase::Resuming(_) | Phase::Following),
            following: matches!(self.phase, Phase::Following),
            server_stale: self.server_stale,
        }
    }

    pub(crate) fn event(&mut self, event: Event) -> Effect {
        match event {
            Event::Hello(hello) => self.hello(hello),
            Event::Heartbeat(beat) => self.heartbeat(beat.freshness.unwrap_or_default()),
            Event::Synced(synced) => self.synced(synced),
            Event::Put(put) => self.put(put),
            Event::Complete(complete) => self.complete(complete),
            Event::Change(change) => self.change(change),
        }
    }

    /// The connection is gone or given up.
    pub(crate) fn lost(&mut self) -> Effect {
        self.phase = Phase::Away;
        self.publish(false)
    }

    fn hello(&mut self, hello: v1::Hello) -> Effect {
        let freshness = hello.freshness.clone().unwrap_or_default();
        self.server_stale = freshness.stale;
        let news = !self.replica.is_complete();
        if news {
            self.replica.set_domain(&hello.domain);
            self.replica.set_zones(hello.zones.clone());
            self.replica.set_freshness(freshness.clone());
        }
        let (synced, resumed) = (hello.synced, hello.resumed);
        self.strayed |= self.held.as_ref().is_some_and(|held| held.instance != freshness.instance);
        self.phase = Phase::Waiting(hello);
        let effect = match synced {
            true => self.start(freshness, resumed),
            false => {
                Effect { forget: Forget::AskAgain, position: Some(at(&freshness)), ..self.publish(false) }
            }
        };
        Effect { wake: effect.wake || news, ..effect }
    }

    fn synced(&mut self, synced: v1::Synced) -> Effect {
        let freshness = synced.freshness.unwrap_or_default();
        self.server_stale = freshness.stale;
        let Phase::Waiting(hello) = &mut self.phase else { return Effect::default() };
        if let Some(domain) = synced.domain {
            hello.domain = domain;
        }
        if !synced.zones.is_empty() {
            hello.zones = synced.zones;
        }
        self.start(freshness, synced.resumed)
    }

    /// This server may replace what is held, and begins to, or continues it.
    fn start(&mut self, freshness: v1::Freshness, resumed: bool) -> Effect {
        let Phase::Waiting(hello) = std::mem::replace(&mut self.phase, Phase::Following) else {
            return Effect::default();
        };
        if resumed {
            return self.resume(freshness, hello);
        }
        if self.wants_snapshot {
            let mut next = Replica::default();
            next.set_domain(&hello.domain);
            let position = at(&freshness);
            self.phase = Phase::Receiving(Box::new(next));
            if !self.replica.is_complete() {
                self.replica.set_freshness(freshness.clone());
                self.answered_from(freshness);
            }
            return Effect { forget: Forget::AskAgain, position: Some(position), ..self.publish(false) };
        }
        // What was asked for since the greeting is of that generation or a later one, and is followed from there.
        let greeted = hello.freshness.map_or(0, |greeted| greeted.generation);
        let generation = if greeted > 0 { greeted } else { freshness.generation };
        let held = v1::Freshness { generation, ..freshness };
        self.replica.set_domain(&hello.domain);
        self.replica.set_zones(hello.zones);
        self.replica.set_freshness(held.clone());
        self.catch_up(held, Forget::AskAgain, true)
    }

    fn resume(&mut self, freshness: v1::Freshness, hello: v1::Hello) -> Effect {
        let Some(held) = self.held.clone().filter(|held| held.generation > 0) else {
            return self.ask_anew(Loss::Gap);
        };
        let same = at(&held) == at(&freshness);
        let equal = same || (!held.digest.is_empty() && held.digest == freshness.digest);
        if !equal && held.instance != freshness.instance {
            return self.ask_anew(Loss::Gap);
        }
        if !equal && freshness.generation < held.generation {
            return self.ask_anew(Loss::Gap);
        }
        let forget = if same { self.since_it_strayed() } else { Forget::AskAgain };
        self.replica.set_domain(&hello.domain);
        if !equal {
            self.phase = Phase::Resuming(freshness.generation);
            return self.hold(held, forget, false);
        }
        // Equal content, perhaps another instance's: its generations count from now on.
        self.replica.set_zones(hello.zones);
        self.replica.set_freshness(freshness.clone());
        self.catch_up(freshness, forget, !same)
    }

    /// Back where it was: answers that another server gave meanwhile are to be asked for again.
    fn since_it_strayed(&self) -> Forget {
        if self.strayed { Forget::AskAgain } else { Forget::Nothing }
    }

    /// Without a whole snapshot there is nothing to continue. But calls are answered from this on, and no server that knows
    /// less may send its snapshot afterwards.
    fn answered_from(&mut self, freshness: v1::Freshness) {
        self.held = Some(v1::Freshness { generation: 0, digest: String::new(), ..freshness });
    }

    fn put(&mut self, put: v1::Put) -> Effect {
        if matches!(self.phase, Phase::Following | Phase::Resuming(_)) && self.wants_snapshot {
            // A server that sends everything once more.
            let mut next = Replica::default();
            next.set_domain(self.replica.domain().map_or("", |domain| domain.as_str()));
            self.phase = Phase::Receiving(Box::new(next));
        }
        let Phase::Receiving(next) = &mut self.phase else { return self.ask_anew(Loss::Gap) };
        next.apply(Patch { interfaces: put.interfaces, components: put.components, ..Patch::default() });
        Effect::default()
    }

    fn complete(&mut self, complete: v1::Complete) -> Effect {
        let Phase::Receiving(next) = std::mem::replace(&mut self.phase, Phase::Following) else {
            return self.ask_anew(Loss::Gap);
        };
        let freshness = complete.freshness.unwrap_or_default();
        self.server_stale = freshness.stale;
        self.replica = *next;
        if let Some(domain) = &complete.domain {
            self.replica.set_domain(domain);
        }
        self.replica.set_zones(complete.zones);
        self.replica.set_freshness(freshness.clone());
        self.replica.set_complete();
        let read_at = parse::freshness(&freshness).whole_read_at;
        self.catch_up(freshness, Forget::Replaced(read_at), true)
    }

    fn change(&mut self, change: v1::Change) -> Effect {
        let freshness = change.freshness.clone().unwrap_or_default();
        let next = self.held.as_ref().map(|held| Position { generation: held.generation + 1, ..at(held) });
        let wanted = match self.phase {
            Phase::Resuming(wanted) => Some(wanted),
            Phase::Following => None,
            _ => return self.ask_anew(Loss::Gap),
        };
        if next != Some(at(&freshness)) {
            return self.ask_anew(Loss::Gap);
        }
        self.server_stale = freshness.stale;
        let forget = Forget::Touched(Touched::by(&change));
        self.replica.change(change, self.wants_snapshot);
        if wanted.is_some_and(|wanted| wanted <= freshness.generation) {
            self.phase = Phase::Following;
            return self.catch_up(freshness, forget, true);
        }
        self.hold(freshness, forget, true)
    }

    fn heartbeat(&mut self, freshness: v1::Freshness) -> Effect {
        self.server_stale = freshness.stale;
        // One of a later generation overtook its change: what it says is not about what is held.
        if matches!(self.phase, Phase::Following) && self.held.as_ref().map(at) == Some(at(&freshness)) {
            self.replica.set_freshness(freshness.clone());
            self.held = Some(freshness);
        } else if matches!(self.phase, Phase::Receiving(_)) && !self.replica.is_complete() {
            self.answered_from(freshness);
        }
        self.publish(false)
    }

    /// A server that is synced is followed from here.
    fn catch_up(&mut self, freshness: v1::Freshness, forget: Forget, wake: bool) -> Effect {
        Effect { caught_up: true, ..self.hold(freshness, forget, wake) }
    }

    fn hold(&mut self, freshness: v1::Freshness, forget: Forget, wake: bool) -> Effect {
        let position = Some(at(&freshness));
        self.held = Some(freshness);
        self.strayed = false;
        Effect { forget, position, ..self.publish(wake) }
    }

    /// Asks for the whole snapshot on a new connection. Instance and read times are still told, so that no server that
    /// knows less begins to send.
    fn ask_anew(&mut self, why: Loss) -> Effect {
        if let Some(held) = &mut self.held {
            held.generation = 0;
            held.digest.clear();
        }
        Effect { restart: Some(why), ..Effect::default() }
    }

    fn publish(&self, wake: bool) -> Effect {
        let mut replica = self.replica.clone();
        replica.mark_stale(self.server_stale || !matches!(self.phase, Phase::Following));
        Effect { publish: Some(replica), wake, ..Effect::default() }
    }
}

fn at(freshness: &v1::Freshness) -> Position {
    Position { instance: freshness.instance.clone(), generation: freshness.generation }
}

#[cfg(test)]
mod tests;
