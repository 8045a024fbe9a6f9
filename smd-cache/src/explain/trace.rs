//! Every rule, and what became of it.

use crate::{
    naming::{Fate, Naming, Place, Subject, Verdict, why},
    snapshot::{Address, Component, Interface},
};
use proto::v1::RuleTrace;
use std::{net::IpAddr, sync::Arc};
use values::{Mac, Xname};

/// All rules put to one thing: an address, an interface apart from its addresses, or a component without any.
pub struct Judged<'a> {
    pub mac: Option<Mac>,
    pub address: Option<&'a Address>,
    /// Where it exists.
    pub component: Option<&'a Component>,
    pub verdict: Verdict,
    pub fates: Vec<Fate>,
    subject: Subject<'a>,
}

impl<'a> Judged<'a> {
    pub fn interface(
        naming: &Naming,
        interface: &'a Interface,
        owner: Option<&'a Arc<Component>>,
        address: Option<&'a Address>,
    ) -> Judged<'a> {
        let subject = owner.map_or_else(|| ownerless(interface), |owner| subject(owner));
        let place = address.map(place);
        Judged {
            mac: Some(interface.mac),
            address,
            component: owner.map(|owner| &**owner),
            verdict: naming.evaluate(&subject, place),
            fates: naming.trace(&subject, place),
            subject,
        }
    }

    pub fn component(naming: &Naming, component: &'a Component) -> Judged<'a> {
        let subject = subject(component);
        Judged {
            mac: None,
            address: None,
            component: Some(component),
            verdict: naming.evaluate(&subject, None),
            fates: naming.trace(&subject, None),
            subject,
        }
    }

    /// As the contract says it.
    pub fn traces<'j>(&'j self, naming: &'j Naming) -> impl Iterator<Item = RuleTrace> + use<'j, 'a> {
        self.fates.iter().enumerate().map(move |(position, fate)| RuleTrace {
            rule: naming.rules()[position].name.clone(),
            mac: self.mac.map(|mac| mac.to_string()).unwrap_or_default(),
            address: self.address.map(|address| address.address.to_string()).unwrap_or_default(),
            matched: *fate == Fate::Matched,
            reason: self.reason(naming, position).unwrap_or_default(),
            component_id: self.subject.id.map(Xname::to_string).unwrap_or_default(),
        })
    }

    /// Why a rule did not match; `None`: it did.
    pub fn reason(&self, naming: &Naming, position: usize) -> Option<String> {
        let rules = naming.rules();
        match self.fates[position] {
            Fate::Matched => None,
            Fate::Mismatched(mismatch) => {
                Some(why(mismatch, &rules[position].matches, &self.subject, self.address.map(place)))
            }
            Fate::NotReached { after } => {
                let ended = &rules[after];
                let end = if ended.ignore { "says ignore" } else { "does not say continue" };
                Some(format!("rule {} matched before it and {end}", ended.name))
            }
        }
    }

    pub fn ip(&self) -> Option<IpAddr> {
        self.address.map(|address| address.address)
    }
}

fn place(address: &Address) -> Place<'_> {
    Place { address: address.address, network: &address.network }
}

fn subject(component: &Component) -> Subject<'_> {
    Subject {
        id: Some(&component.id),
        kind: &component.kind,
        role: &component.role,
        sub_role: &component.sub_role,
        arch: &component.arch,
        class: &component.class,
        enabled: component.enabled,
        groups: &component.groups,
    }
}

/// What the interface itself says.
fn ownerless(interface: &Interface) -> Subject<'_> {
    Subject {
        id: interface.component_id.as_ref(),
        kind: &interface.kind,
        role: "",
        sub_role: "",
        arch: "",
        class: "",
        enabled: None,
        groups: &[],
    }
}
