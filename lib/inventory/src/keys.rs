//! What can be asked for, and for each: where the replica has it, how it is called for, what a reply makes of it.

use crate::{
    Bearers, Holders, Replica, names,
    parse::Parser,
    text::Common,
    types::{Component, Interface, Machine},
    watch::MadeOf,
};
use proto::v1;
use std::{fmt, net::IpAddr, sync::Arc};
use values::{Mac, Name, Xname};

/// What can be asked for: `Mac`, `IpAddr`, `Name`, `Xname`; nothing else, as the types of the hidden methods cannot be
/// named outside.
pub trait Key: Clone + Send + Sync + 'static {
    /// What answers it.
    type Answer: Send + Sync + 'static;

    /// A complete replica without it means Unknown. Not for MACs: smd-cache may pull one through that no snapshot has.
    #[doc(hidden)]
    const CLOSED: bool;
    #[doc(hidden)]
    fn held(&self, replica: &Replica) -> Option<Arc<Self::Answer>>;
    #[doc(hidden)]
    fn any(&self) -> AnyKey;
    #[doc(hidden)]
    fn pick(answer: &AnyAnswer) -> Option<Arc<Self::Answer>>;
}

/// Any of the keys, for the one cache and the one table of calls.
#[derive(Clone, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // not reachable from outside
pub enum AnyKey {
    Mac(Mac),
    Address(IpAddr),
    Name(Name),
    Id(Xname),
}

/// The answer to an [`AnyKey`] that is known.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // not reachable from outside
pub enum AnyAnswer {
    Mac(Arc<Interface>),
    Address(Arc<Holders>),
    Name(Arc<Bearers>),
    Id(Arc<Machine>),
}

impl Key for Mac {
    type Answer = Interface;
    const CLOSED: bool = false;

    fn held(&self, replica: &Replica) -> Option<Arc<Interface>> {
        replica.mac(self).cloned()
    }
    fn any(&self) -> AnyKey {
        AnyKey::Mac(*self)
    }
    fn pick(answer: &AnyAnswer) -> Option<Arc<Interface>> {
        if let AnyAnswer::Mac(found) = answer { Some(found.clone()) } else { None }
    }
}

impl Key for IpAddr {
    type Answer = Holders;
    const CLOSED: bool = true;

    fn held(&self, replica: &Replica) -> Option<Arc<Holders>> {
        replica.address(self)
    }
    fn any(&self) -> AnyKey {
        AnyKey::Address(*self)
    }
    fn pick(answer: &AnyAnswer) -> Option<Arc<Holders>> {
        if let AnyAnswer::Address(found) = answer { Some(found.clone()) } else { None }
    }
}

impl Key for Name {
    type Answer = Bearers;
    const CLOSED: bool = true;

    fn held(&self, replica: &Replica) -> Option<Arc<Bearers>> {
        replica.name(self.as_str())
    }
    fn any(&self) -> AnyKey {
        AnyKey::Name(self.clone())
    }
    fn pick(answer: &AnyAnswer) -> Option<Arc<Bearers>> {
        if let AnyAnswer::Name(found) = answer { Some(found.clone()) } else { None }
    }
}

impl Key for Xname {
    type Answer = Machine;
    const CLOSED: bool = true;

    fn held(&self, replica: &Replica) -> Option<Arc<Machine>> {
        replica.machine(self.as_str())
    }
    fn any(&self) -> AnyKey {
        AnyKey::Id(self.clone())
    }
    fn pick(answer: &AnyAnswer) -> Option<Arc<Machine>> {
        if let AnyAnswer::Id(found) = answer { Some(found.clone()) } else { None }
    }
}

impl AnyKey {
    /// What a FOUND reply says about this key, and the records that says it; `None`: it does not speak of it, so it is
    /// no answer.
    pub(crate) fn answer(&self, reply: v1::LookupReply) -> Option<(AnyAnswer, MadeOf)> {
        let mut common = Common::default();
        let mut parser = Parser::new(&|_| None, &mut common);
        let components: Vec<_> =
            reply.components.into_iter().filter_map(|c| parser.component(c)).map(Arc::new).collect();
        let mut interfaces: Vec<_> =
            reply.interfaces.into_iter().filter_map(|i| parser.interface(i)).collect();
        interfaces.iter_mut().for_each(|interface| adopt(interface, &components));
        interfaces.sort_by_key(|interface| interface.mac);
        let interfaces: Vec<_> = interfaces.into_iter().map(Arc::new).collect();
        let made_of = MadeOf {
            macs: interfaces.iter().map(|held| held.mac).collect(),
            ids: components
                .iter()
                .map(|held| held.id.clone())
                .chain(interfaces.iter().filter_map(|held| held.component_id.clone()))
                .collect(),
        };
        let answer = self.pick(interfaces, components, reply.empty_non_terminal)?;
        Some((answer, made_of))
    }

    fn pick(
        &self,
        mut interfaces: Vec<Arc<Interface>>,
        components: Vec<Arc<Component>>,
        empty_non_terminal: bool,
    ) -> Option<AnyAnswer> {
        match self {
            AnyKey::Mac(mac) => interfaces.into_iter().find(|held| held.mac == *mac).map(AnyAnswer::Mac),
            AnyKey::Address(address) => {
                interfaces.retain(|held| held.address(*address).is_some());
                (!interfaces.is_empty()).then(|| AnyAnswer::Address(Arc::new(Holders { interfaces })))
            }
            AnyKey::Name(name) => {
                let found = names::bearers(name.as_str(), &interfaces, &components);
                let speaks = found.empty_non_terminal == empty_non_terminal;
                speaks.then(|| AnyAnswer::Name(Arc::new(found)))
            }
            AnyKey::Id(id) => {
                interfaces.retain(|held| held.component_id.as_ref() == Some(id));
                let component = components.into_iter().find(|held| held.id == *id)?;
                Some(AnyAnswer::Id(Arc::new(Machine { component, interfaces })))
            }
        }
    }
}

/// The owner beside the interface in a reply is its owner.
fn adopt(interface: &mut Interface, components: &[Arc<Component>]) {
    if let Some(id) = &interface.component_id
        && let Some(owner) = components.iter().find(|component| component.id == *id)
    {
        interface.component = Some(owner.clone());
    }
}

impl fmt::Display for AnyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AnyKey::Mac(mac) => mac.fmt(f),
            AnyKey::Address(address) => address.fmt(f),
            AnyKey::Name(name) => name.fmt(f),
            AnyKey::Id(id) => id.fmt(f),
        }
    }
}

impl fmt::Debug for AnyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
