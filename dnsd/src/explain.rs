//! `dnsd explain`: what the running dnsd answers to a question, and why.
//!
//! The question goes through the same `wire::read`, `plan`, look-up and `decide` as a real one; only what counts and sends is
//! left out. So what is explained is what is served.

mod forwarded;
mod question;
mod records;
mod words;

#[cfg(test)]
mod tests;

pub use forwarded::{Forwarded, explain as explain_forwarded};
pub use question::Question;
pub use records::{line_of as record_text, name as name_text};

use crate::{
    decide::{Held, Reply},
    zones::Zones,
};
use inventory::{Explanation, Name};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What is asked: the query of admin HTTP's `/explain`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// A name, or an address for its reverse name.
    pub name: String,
    /// A, AAAA ... or a number; default: A, for an address PTR.
    pub r#type: Option<String>,
}

/// The page `/explain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    /// The name that was asked for, in full.
    pub name: String,
    /// The type.
    pub r#type: String,
    /// `noerror`, `nxdomain` ... as in `dnsd_replies_total`.
    pub rcode: String,
    /// AA.
    pub authoritative: bool,
    /// As in a zone file.
    pub answers: Vec<String>,
    /// Likewise.
    pub authority: Vec<String>,
    /// The zone of ours that the question is in.
    pub zone: Option<String>,
    /// What the inventory said: `found`, `unknown`, `unavailable`; `null`: it did not have to be asked.
    pub inventory: Option<String>,
    /// What is wrong with SMD's records and concerns it, as smd-cache says.
    pub problems: Vec<Problem>,
    /// The same as sentences: the verdict, then why.
    pub text: Vec<String>,
}

/// A problem with SMD's records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// As in `smd_cache_problems`.
    pub reason: String,
    /// A sentence.
    pub message: String,
}

/// What the inventory was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sought {
    /// Who bears it.
    Name(Name),
    /// Who holds it.
    Address(IpAddr),
    /// Something without an entry of its own: a part of an address, or what is no host name.
    Other,
}

/// Everything that is said of an answer.
pub struct Known<'a> {
    /// What was asked.
    pub question: &'a Question,
    /// By which it was answered.
    pub zones: &'a Zones,
    /// The answer.
    pub reply: &'a Reply<'a>,
    /// Who may copy zones, as a sentence.
    pub copies: String,
    /// What the inventory was asked for, and what it said; `None`: the configuration alone says all.
    pub asked: Option<(Sought, Held)>,
    /// What smd-cache says; `None`: it cannot be asked, or knows nothing of such a key.
    pub explanation: Option<Explanation>,
}

/// Puts it into words.
pub fn explain(known: Known<'_>) -> Explained {
    let Known { question, zones, reply, .. } = &known;
    let zone = zones.find(&question.name);
    Explained {
        name: records::name(&question.name),
        r#type: question.kind_text.clone(),
        rcode: reply.rcode.as_str().to_owned(),
        authoritative: reply.authoritative,
        answers: records::answers(&question.name, reply),
        authority: records::authority(reply),
        zone: zone.map(|zone| records::name(&zone.apex)),
        inventory: known.asked.as_ref().map(|(_, held)| words::outcome(held).to_owned()),
        text: words::sentences(&known),
        problems: known
            .explanation
            .unwrap_or_default()
            .problems
            .into_iter()
            .map(|(reason, message)| Problem { reason, message })
            .collect(),
    }
}

impl Explained {
    /// For scripts: 0 there are records, 3 there are none, 4 it cannot be told.
    pub fn exit_code(&self) -> u8 {
        match (self.rcode.as_str(), self.answers.is_empty()) {
            ("noerror", false) => 0,
            ("servfail", _) => 4,
            _ => 3,
        }
    }
}
