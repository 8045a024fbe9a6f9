//! Types become the contract's messages again, for the replica file. What `parse` reads from these is equal to what they
//! were made of.

use crate::types::{Address, Component, DhcpOption, Interface, Policy};
use proto::v1;
use std::fmt::Display;
use values::Name;

/// Without its component, as Put carries it.
pub(crate) fn interface(held: &Interface) -> v1::Interface {
    v1::Interface {
        mac: held.mac.to_string(),
        description: held.description.to_string(),
        component_id: text(held.component_id.as_ref()),
        component: None,
        addresses: held.addresses.iter().map(address).collect(),
        last_update: None,
        policy: policy(&held.policy),
        contested: held.contested,
    }
}

pub(crate) fn component(held: &Component) -> v1::Component {
    v1::Component {
        id: held.id.to_string(),
        r#type: held.kind.to_string(),
        nid: held.nid,
        role: held.role.to_string(),
        sub_role: held.sub_role.to_string(),
        arch: held.arch.to_string(),
        class: held.class.to_string(),
        state: held.state.to_string(),
        flag: held.flag.to_string(),
        enabled: held.enabled,
        groups: held.groups.iter().map(ToString::to_string).collect(),
        names: names(&held.names),
    }
}

pub(crate) fn zone((name, serial): &(Name, u32)) -> v1::Zone {
    v1::Zone { name: name.to_string(), serial: *serial }
}

fn address(held: &Address) -> v1::Address {
    v1::Address {
        address: held.address.to_string(),
        network: held.network.to_string(),
        hostname: held.hostname.to_string(),
        domain: held.domain.to_string(),
        fqdn: held.fqdn.to_string(),
        names: names(&held.names),
        policy: policy(&held.policy),
    }
}

fn policy(held: &Policy) -> Option<v1::Policy> {
    (*held != Policy::default()).then(|| v1::Policy {
        routers: held.routers.iter().map(ToString::to_string).collect(),
        prefix_length: held.prefix_length.map(u32::from),
        ignore: held.ignore,
        boot_file: held.boot_file.clone().unwrap_or_default(),
        next_server: text(held.next_server.as_ref()),
        script_url: held.script_url.clone().unwrap_or_default(),
        options: held.options.iter().map(option).collect(),
        rules: held.rules.clone(),
    })
}

fn option(held: &DhcpOption) -> v1::DhcpOption {
    v1::DhcpOption { code: held.code.into(), value: held.value.clone() }
}

fn names(held: &[Name]) -> Vec<String> {
    held.iter().map(ToString::to_string).collect()
}

fn text(held: Option<&impl Display>) -> String {
    held.map(ToString::to_string).unwrap_or_default()
}
