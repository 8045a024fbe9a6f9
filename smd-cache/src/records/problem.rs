//! What is wrong with a record, as something an operator can act on.

use proto::v1;
use std::net::IpAddr;
use values::{Mac, Name, Xname};

/// Why a record, or a part of one, was refused or is in doubt. The label is also the metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The record does not have the shape of SMD's.
    BadRecord,
    /// The MAC is none.
    BadMac,
    /// The MAC is all zeros or a group address.
    UnusableMac,
    /// The xname is none.
    BadXname,
    /// The address does not parse, or no machine can have it.
    BadAddress,
    /// An address without text.
    EmptyAddress,
    /// The NID is neither a number nor the text of one, or is negative.
    BadNid,
    /// `LastUpdate` is no instant.
    BadTime,
    /// A text was cut.
    LongText,
    /// Two rows with one `ID` in one answer.
    DuplicateId,
    /// SMD ties the interface to no component, or to one it does not have.
    NoComponent,
    /// A pattern needs a NID and the component has none.
    NoNid,
    /// A pattern needs a network and SMD says none for the address.
    NoNetwork,
    /// What a pattern gives is no DNS name.
    BadName,
    /// One MAC, several components.
    DuplicateMac,
    /// One address, several components.
    DuplicateAddress,
    /// One name, several components.
    DuplicateName,
    /// SMD does not have it (so) any more, and the wipe guard does not believe that.
    HeldBack,
}

impl Reason {
    /// Every reason, for metrics that start at zero.
    pub const ALL: [Reason; 18] = [
        Reason::BadRecord,
        Reason::BadMac,
        Reason::UnusableMac,
        Reason::BadXname,
        Reason::BadAddress,
        Reason::EmptyAddress,
        Reason::BadNid,
        Reason::BadTime,
        Reason::LongText,
        Reason::DuplicateId,
        Reason::NoComponent,
        Reason::NoNid,
        Reason::NoNetwork,
        Reason::BadName,
        Reason::DuplicateMac,
        Reason::DuplicateAddress,
        Reason::DuplicateName,
        Reason::HeldBack,
    ];

    /// `bad_mac`, `no_component` ...
    pub fn label(self) -> &'static str {
        match self {
            Reason::BadRecord => "bad_record",
            Reason::BadMac => "bad_mac",
            Reason::UnusableMac => "unusable_mac",
            Reason::BadXname => "bad_xname",
            Reason::BadAddress => "bad_address",
            Reason::EmptyAddress => "empty_address",
            Reason::BadNid => "bad_nid",
            Reason::BadTime => "bad_time",
            Reason::LongText => "long_text",
            Reason::DuplicateId => "duplicate_id",
            Reason::NoComponent => "no_component",
            Reason::NoNid => "no_nid",
            Reason::NoNetwork => "no_network",
            Reason::BadName => "bad_name",
            Reason::DuplicateMac => "duplicate_mac",
            Reason::DuplicateAddress => "duplicate_address",
            Reason::DuplicateName => "duplicate_name",
            Reason::HeldBack => "held_back",
        }
    }
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Problem {
    /// What kind.
    pub reason: Reason,
    /// The interface, where known.
    pub mac: Option<Mac>,
    /// The component, where known.
    pub component_id: Option<Xname>,
    /// The address, where it is one.
    pub address: Option<IpAddr>,
    /// The name, where it is one.
    pub name: Option<Name>,
    /// A sentence for an operator.
    pub message: String,
}

impl Problem {
    /// A problem of which only the sentence is known so far.
    pub fn new(reason: Reason, message: impl Into<String>) -> Problem {
        Problem { reason, mac: None, component_id: None, address: None, name: None, message: message.into() }
    }

    /// Names the interface.
    pub fn of_mac(mut self, mac: Mac) -> Problem {
        self.mac = Some(mac);
        self
    }

    /// Names the component, where there is one.
    pub fn of_component(mut self, id: Option<&Xname>) -> Problem {
        self.component_id = id.cloned();
        self
    }

    /// Names the address.
    pub fn of_address(mut self, address: IpAddr) -> Problem {
        self.address = Some(address);
        self
    }

    /// Names the DNS name.
    pub fn of_name(mut self, name: &Name) -> Problem {
        self.name = Some(name.clone());
        self
    }
}

impl From<&Problem> for v1::Problem {
    fn from(problem: &Problem) -> v1::Problem {
        fn text(value: Option<impl ToString>) -> String {
            value.map(|value| value.to_string()).unwrap_or_default()
        }
        v1::Problem {
            reason: problem.reason.label().to_owned(),
            message: problem.message.clone(),
            mac: text(problem.mac),
            component_id: text(problem.component_id.as_ref()),
            address: text(problem.address),
            name: text(problem.name.as_ref()),
        }
    }
}
