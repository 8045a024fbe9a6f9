//! `dhcpd explain`: what the running dhcpd would answer to a packet that is made up, and why.
//!
//! The packet goes through the same `wire::parse`, the same look-up and the same `decide` as a real one; only the shell's
//! sending, counting and remembering are left out. So what is explained is what is served.

mod lent;
mod made_up;
mod words;

#[cfg(test)]
mod tests;

pub use lent::lent;
pub use made_up::{Heard, Place, arrival, packet};

use crate::decide::{Decision, Outcome, Silent};
use inventory::{Explanation, Interface, Lookup};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;
use values::Mac;

/// What is asked: the query of admin HTTP's `/explain`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// In any spelling.
    pub mac: String,
    /// giaddr: as if it came through this relay.
    pub relay: Option<Ipv4Addr>,
    /// As if it was heard on this interface.
    pub interface: Option<String>,
    /// Option 93.
    pub arch: Option<u16>,
    /// Option 77; `iPXE` is the one that matters.
    pub user_class: Option<String>,
    /// Message type.
    #[serde(default)]
    pub message: Kind,
    /// Option 50; ciaddr of who renews, rebinds or informs.
    pub requested: Option<Ipv4Addr>,
    /// Option 55, as numbers with commas between; absent: as if it asked for all.
    pub options: Option<String>,
}

/// Messages that can be explained: those that may get an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A machine that starts.
    #[default]
    Discover,
    /// One that remembers an address, as after a reboot.
    Request,
    /// One that takes our offer.
    Select,
    /// One that keeps its address, and asks us.
    Renew,
    /// One that keeps its address, and asks everybody.
    Rebind,
    /// One that has an address and wants the rest.
    Inform,
}

impl Kind {
    /// As in the query.
    pub fn label(self) -> &'static str {
        match self {
            Kind::Discover => "discover",
            Kind::Request => "request",
            Kind::Select => "select",
            Kind::Renew => "renew",
            Kind::Rebind => "rebind",
            Kind::Inform => "inform",
        }
    }
}

/// The page `/explain`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explained {
    /// Whose packet it would have been.
    pub mac: String,
    /// `discover`, `request`, `select`, `renew`, `rebind`, `inform`.
    pub message: String,
    /// The answer; `null`: silence.
    pub answer: Option<Answer>,
    /// Why there is none: the label of `dhcpd_silent_total`.
    pub silent: Option<String>,
    /// What an operator would be told of in the log.
    pub notes: Vec<String>,
    /// What the inventory says of the MAC: `found`, `unknown`, `unavailable`.
    pub inventory: String,
    /// The inventory's word may be old.
    pub stale: bool,
    /// Names of the rules that matched what is given.
    pub rules: Vec<String>,
    /// What is wrong with SMD's records and concerns it, as smd-cache says.
    pub problems: Vec<Problem>,
    /// What it holds of the pools, and what concerns them.
    pub leases: Vec<String>,
    /// The same as sentences: the verdict, then why.
    pub text: Vec<String>,
}

/// The reply that would be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// `offer`, `ack`, `nak`.
    pub kind: String,
    /// yiaddr.
    pub address: Option<Ipv4Addr>,
    /// Seconds; 4294967295: for ever.
    pub lease_time: Option<u32>,
    /// Option 12.
    pub name: Option<String>,
    /// Option 15.
    pub domain: Option<String>,
    /// Option 67.
    pub boot_file: Option<String>,
    /// siaddr.
    pub next_server: Option<Ipv4Addr>,
    /// Option 3.
    pub routers: Vec<Ipv4Addr>,
    /// Option 1.
    pub netmask: Option<Ipv4Addr>,
    /// Option 6.
    pub dns: Vec<Ipv4Addr>,
    /// Where it would go, from which address of ours.
    pub destination: String,
    /// All of it in one line, every option by its number.
    pub line: String,
}

/// A problem with SMD's records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// As in `smd_cache_problems`.
    pub reason: String,
    /// A sentence.
    pub message: String,
}

/// Everything that is said of a decision.
pub struct Known<'a> {
    /// Whose packet.
    pub mac: Mac,
    /// What was asked.
    pub asked: &'a Asked,
    /// Where it was heard.
    pub heard: &'a Heard,
    /// What the inventory said.
    pub lookup: &'a Lookup<Interface>,
    /// What the hosts file says, where that counts.
    pub host: Option<&'a Interface>,
    /// What `decide` said.
    pub decision: &'a Decision,
    /// What the pools say.
    pub lent: Vec<String>,
    /// What smd-cache says; `None`: it cannot be asked.
    pub explanation: Option<Explanation>,
}

/// The inventory's record, usable or not.
pub fn record(lookup: &Lookup<Interface>) -> Option<&Interface> {
    match lookup {
        Lookup::Found(interface, _) => Some(interface),
        Lookup::Unknown | Lookup::Unavailable => None,
    }
}

/// Puts it into words.
pub fn explain(known: Known<'_>) -> Explained {
    let text = words::sentences(&known);
    let Known { mac, asked, lookup, decision, explanation, heard, lent, .. } = known;
    let (answer, silent) = match &decision.outcome {
        Outcome::Reply(reply) => (Some(words::answer(reply, heard)), None),
        Outcome::Silent(reason) => (None, Some(reason.label().to_owned())),
    };
    let problems = explanation.unwrap_or_default().problems.into_iter();
    Explained {
        mac: mac.to_string(),
        message: asked.message.label().to_owned(),
        rules: words::rules(lookup, answer.as_ref().and_then(|answer| answer.address)),
        answer,
        silent,
        notes: decision.notes.iter().map(ToString::to_string).collect(),
        inventory: words::outcome(lookup).to_owned(),
        stale: matches!(lookup, Lookup::Found(_, freshness) if freshness.stale),
        leases: lent,
        problems: problems.map(|(reason, message)| Problem { reason, message }).collect(),
        text,
    }
}

impl Explained {
    /// For scripts: 0 answered, 3 silent, 4 silent because nobody can tell.
    pub fn exit_code(&self) -> u8 {
        match self.silent.as_deref() {
            None => 0,
            Some(reason) if reason == Silent::Unavailable.label() => 4,
            Some(_) => 3,
        }
    }
}
