//! The contract's messages become types here, once. What cannot be read is left out and counted, never an error: one
//! bad record takes down nothing but itself.

use crate::{
    Freshness,
    text::{Common, Text},
    types::{Address, Component, DhcpOption, Interface, Policy, Terms, Traits},
};
use proto::v1;
use std::{str::FromStr, sync::Arc, time::SystemTime};
use values::{Name, Xname};

/// Reads messages; `skipped` counts the parts that were left out.
pub(crate) struct Parser<'a> {
    /// A name that is held already, so that equal names share their text.
    pub(crate) held_name: &'a dyn Fn(&str) -> Option<Name>,
    pub(crate) common: &'a mut Common,
    pub(crate) skipped: u64,
}

impl<'a> Parser<'a> {
    pub(crate) fn new(held_name: &'a dyn Fn(&str) -> Option<Name>, common: &'a mut Common) -> Self {
        Parser { held_name, common, skipped: 0 }
    }

    /// An interface; its owner only if the message carries it.
    pub(crate) fn interface(&mut self, message: v1::Interface) -> Option<Interface> {
        let mac = self.text(&message.mac)?;
        let addresses = exact(message.addresses, |address| self.address(address));
        Some(Interface {
            mac,
            description: self.common.text(message.description),
            component_id: self.optional(&message.component_id),
            component: message.component.and_then(|c| self.component(c)).map(Arc::new),
            addresses,
            policy: self.policy(message.policy),
            contested: message.contested,
        })
    }

    pub(crate) fn component(&mut self, message: v1::Component) -> Option<Component> {
        let id: Xname = self.text(&message.id)?;
        let traits = Traits {
            kind: self.common.text(message.r#type),
            role: self.common.text(message.role),
            sub_role: self.common.text(message.sub_role),
            arch: self.common.text(message.arch),
            class: self.common.text(message.class),
            state: self.common.text(message.state),
            flag: self.common.text(message.flag),
            enabled: message.enabled,
            groups: exact(message.groups, |group| Some(self.common.text(group))),
        };
        let (traits, names) = (self.common.traits(traits), self.names(message.names));
        Some(Component { id, nid: message.nid, traits, names })
    }

    pub(crate) fn zones(&mut self, messages: Vec<v1::Zone>) -> Arc<[(Name, u32)]> {
        messages.into_iter().filter_map(|zone| Some((self.name(&zone.name)?, zone.serial))).collect()
    }

    /// `None` for empty text too, which is not counted.
    pub(crate) fn optional<T: FromStr>(&mut self, text: &str) -> Option<T> {
        if text.is_empty() { None } else { self.text(text) }
    }

    pub(crate) fn text<T: FromStr>(&mut self, text: &str) -> Option<T> {
        let parsed = text.parse().ok();
        self.skipped += u64::from(parsed.is_none());
        parsed
    }

    fn name(&mut self, text: &str) -> Option<Name> {
        (self.held_name)(text).or_else(|| self.text(text))
    }

    fn names(&mut self, texts: Vec<String>) -> Arc<[Name]> {
        exact(texts, |text| self.name(&text)).into()
    }

    fn address(&mut self, message: v1::Address) -> Option<Address> {
        let address = self.text(&message.address)?;
        let names = self.names(message.names);
        // Mostly the canonical name, whose text it shares.
        let named = names.iter().find(|name| name.as_str() == message.fqdn).cloned();
        Some(Address {
            address,
            network: self.common.text(message.network),
            hostname: message.hostname.into(),
            domain: self.common.text(message.domain),
            fqdn: named.map_or_else(|| message.fqdn.into(), Text::from),
            names,
            policy: self.policy(message.policy),
        })
    }

    fn policy(&mut self, message: Option<v1::Policy>) -> Policy {
        let Some(message) = message else { return Policy::default() };
        let terms = Terms {
            routers: exact(message.routers, |router| self.text(&router)),
            prefix_length: message.prefix_length.and_then(|length| self.number(length)),
            ignore: message.ignore,
            boot_file: given(message.boot_file),
            next_server: self.optional(&message.next_server),
            script_url: given(message.script_url),
            options: exact(message.options, |option| self.option(option)),
            rules: exact(message.rules, Some),
        };
        self.common.policy(terms.into())
    }

    fn option(&mut self, message: v1::DhcpOption) -> Option<DhcpOption> {
        Some(DhcpOption { code: self.number(message.code)?, value: message.value })
    }

    fn number(&mut self, number: u32) -> Option<u8> {
        let fits = number.try_into().ok();
        self.skipped += u64::from(fits.is_none());
        fits
    }
}

/// The freshness that daemons see of the one in a message.
pub(crate) fn freshness(message: &v1::Freshness) -> Freshness {
    let time =
        |stamp: Option<prost_types::Timestamp>| stamp.and_then(|stamp| SystemTime::try_from(stamp).ok());
    Freshness {
        generation: message.generation,
        read_at: time(message.read_at),
        whole_read_at: time(message.whole_read_at),
        stale: message.stale,
    }
}

fn given(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// In a list of its own, without spare room: there are many of these and none will grow. `collect` would shrink the list
/// of the messages in place, which leaves a hole behind each that nothing fits into: 17 of 44 MB at 10,000 nodes.
fn exact<M, T>(messages: Vec<M>, mut read: impl FnMut(M) -> Option<T>) -> Vec<T> {
    let mut list = Vec::new();
    list.reserve_exact(messages.len());
    list.extend(messages.into_iter().filter_map(&mut read));
    list
}
