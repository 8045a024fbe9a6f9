//! What is asked: mixes of questions about one inventory, for dnsperf as a file and for our own load as messages.

use super::data::{Data, ZONE};
use anyhow::Context;
use hickory_proto::{
    op::{Message, Query},
    rr::{Name, RecordType},
};
use std::{fmt::Write, fs, net::IpAddr, path::Path, sync::Arc};

/// Questions of a mix: several times a server's caches of whatever kind, if it has any.
const QUESTIONS: usize = 50_000;
/// RCODEs.
const NO_ERROR: u8 = 0;
const NAME_ERROR: u8 = 3;

/// A kind of question; the names are random ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mix {
    /// Addresses of names that are there.
    KnownA,
    /// Names of addresses that are there.
    Ptr,
    /// IPv6 addresses of names that have one.
    KnownAaaa,
    /// IPv6 addresses of names that have only IPv4.
    NoData,
    /// Names that nobody bears, no two alike.
    NameError,
    /// Half known addresses, half names that nobody bears.
    HalfKnown,
}

/// What every answer of a mix must be.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    rcode: u8,
    answers: bool,
}

/// Questions in random order, again and again.
pub struct Questions {
    bodies: Arc<[Box<[u8]>]>,
    at: usize,
    /// None: they differ.
    pub expected: Option<Expected>,
}

impl Mix {
    pub const ALL: [Mix; 6] =
        [Mix::KnownA, Mix::Ptr, Mix::KnownAaaa, Mix::NoData, Mix::NameError, Mix::HalfKnown];

    pub fn name(self) -> &'static str {
        match self {
            Mix::KnownA => "known A",
            Mix::Ptr => "PTR",
            Mix::KnownAaaa => "AAAA",
            Mix::NoData => "AAAA, NODATA",
            Mix::NameError => "NXDOMAIN",
            Mix::HalfKnown => "half known A, half NXDOMAIN",
        }
    }

    /// CPU of an answer over that of the echo.
    pub fn aim(self) -> Option<f64> {
        match self {
            Mix::KnownA => Some(1.15),
            Mix::Ptr | Mix::KnownAaaa | Mix::NoData | Mix::NameError => Some(1.3),
            Mix::HalfKnown => None,
        }
    }

    fn expected(self) -> Option<Expected> {
        match self {
            Mix::KnownA | Mix::Ptr | Mix::KnownAaaa => Some(Expected { rcode: NO_ERROR, answers: true }),
            Mix::NoData => Some(Expected { rcode: NO_ERROR, answers: false }),
            Mix::NameError => Some(Expected { rcode: NAME_ERROR, answers: false }),
            Mix::HalfKnown => None,
        }
    }

    /// Names and types, the same in every run.
    pub fn list(self, data: &Data) -> anyhow::Result<Vec<(String, RecordType)>> {
        let mut random = fastrand::Rng::with_seed(self as u64);
        let mut some = |names: Vec<&String>, kind| -> anyhow::Result<Vec<_>> {
            (0..QUESTIONS)
                .map(|_| {
                    let name = random.choice(&names).context("there is such a name")?;
                    Ok((format!("{name}."), kind))
                })
                .collect()
        };
        Ok(match self {
            Mix::KnownA => some(data.names_with(IpAddr::is_ipv4), RecordType::A)?,
            Mix::KnownAaaa => some(data.names_with(IpAddr::is_ipv6), RecordType::AAAA)?,
            Mix::NoData => some(data.names_without(IpAddr::is_ipv6), RecordType::AAAA)?,
            Mix::Ptr => some(data.pointers().iter().collect(), RecordType::PTR)?,
            Mix::NameError => {
                let nobody = |_| (format!("n{:016x}.{ZONE}.", random.u64(..)), RecordType::A);
                (0..QUESTIONS).map(nobody).collect()
            }
            Mix::HalfKnown => {
                let (known, unknown) = (Mix::KnownA.list(data)?, Mix::NameError.list(data)?);
                let pairs = known.into_iter().zip(unknown).flat_map(|(known, unknown)| [known, unknown]);
                pairs.take(QUESTIONS).collect()
            }
        })
    }

    /// For our own load.
    pub fn questions(self, data: &Data) -> anyhow::Result<Questions> {
        Questions::new(&self.list(data)?, self.expected())
    }

    /// For dnsperf.
    pub fn write(self, data: &Data, file: &Path) -> anyhow::Result<()> {
        let mut text = String::new();
        for (name, kind) in self.list(data)? {
            writeln!(text, "{name} {kind}")?;
        }
        fs::write(file, text).with_context(|| file.display().to_string())
    }
}

impl Questions {
    pub fn new(list: &[(String, RecordType)], expected: Option<Expected>) -> anyhow::Result<Questions> {
        let body = |(name, kind): &(String, RecordType)| -> anyhow::Result<Box<[u8]>> {
            let mut query = Message::query();
            query.add_query(Query::query(Name::from_ascii(name)?, *kind));
            Ok(query.to_vec()?.split_off(2).into())
        };
        Ok(Questions { bodies: list.iter().map(body).collect::<anyhow::Result<_>>()?, at: 0, expected })
    }

    /// A's of these names, all of them known.
    pub fn known(names: impl Iterator<Item = String>) -> anyhow::Result<Questions> {
        let list: Vec<_> = names.map(|name| (name, RecordType::A)).collect();
        Questions::new(&list, Mix::KnownA.expected())
    }

    /// The same questions, from the first on.
    pub fn again(&self) -> Questions {
        Questions { bodies: self.bodies.clone(), at: 0, expected: self.expected }
    }

    /// The next so many, behind their ids.
    pub fn next(&mut self, count: usize) -> impl Iterator<Item = &[u8]> {
        let at = self.at;
        self.at = (at + count) % self.bodies.len();
        (at..at + count).map(|index| &*self.bodies[index % self.bodies.len()])
    }
}

impl Expected {
    /// Whether this message, at least a header, is such an answer.
    pub fn is_met(self, message: &[u8]) -> bool {
        let is_answer = message[2] & 0x80 != 0;
        is_answer && message[3] & 0x0f == self.rcode && (message[6..8] != [0, 0]) == self.answers
    }
}
