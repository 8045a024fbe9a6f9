//! Items as messages of the contract.

use super::{Address, Component, Interface, Snapshot};
use crate::naming::Policy;
use jiff::Timestamp;
use proto::v1;

impl Snapshot {
    /// The message of an interface as look-ups answer it: with its component, where that exists.
    pub fn with_component(&self, interface: &Interface) -> v1::Interface {
        let owner = interface.component_id.as_ref().and_then(|id| self.component(id));
        v1::Interface { component: owner.map(|owner| v1::Component::from(&**owner)), ..interface.into() }
    }
}

impl From<&Interface> for v1::Interface {
    /// Without the component, as `Watch` sends it.
    fn from(interface: &Interface) -> v1::Interface {
        v1::Interface {
            mac: interface.mac.to_string(),
            description: interface.description.to_string(),
            component_id: text(interface.component_id.as_ref()),
            component: None,
            addresses: interface.addresses.iter().map(v1::Address::from).collect(),
            last_update: interface.last_update.map(timestamp),
            policy: Some((&*interface.policy).into()),
            contested: interface.contested,
        }
    }
}

impl From<&Address> for v1::Address {
    fn from(address: &Address) -> v1::Address {
        v1::Address {
            address: address.address.to_string(),
            network: address.network.to_string(),
            hostname: address.hostname().to_owned(),
            domain: text(address.domain.as_ref()),
            fqdn: text(address.fqdn.as_ref()),
            names: address.names.iter().map(ToString::to_string).collect(),
            policy: Some((&*address.policy).into()),
        }
    }
}

impl From<&Policy> for v1::Policy {
    fn from(policy: &Policy) -> v1::Policy {
        v1::Policy {
            routers: policy.routers.iter().map(ToString::to_string).collect(),
            prefix_length: policy.prefix_length.map(u32::from),
            ignore: policy.ignore,
            boot_file: policy.boot_file.clone().unwrap_or_default(),
            next_server: text(policy.next_server),
            script_url: policy.script_url.clone().unwrap_or_default(),
            options: policy.options.iter().map(option).collect(),
            rules: policy.rules.clone(),
        }
    }
}

impl From<&Component> for v1::Component {
    fn from(component: &Component) -> v1::Component {
        v1::Component {
            id: component.id.to_string(),
            r#type: component.kind.to_string(),
            nid: component.nid,
            role: component.role.to_string(),
            sub_role: component.sub_role.to_string(),
            arch: component.arch.to_string(),
            class: component.class.to_string(),
            state: component.state.to_string(),
            flag: component.flag.to_string(),
            enabled: component.enabled,
            groups: component.groups.clone(),
            names: component.names.iter().map(ToString::to_string).collect(),
        }
    }
}

impl From<&super::ZoneSerial> for v1::Zone {
    fn from(zone: &super::ZoneSerial) -> v1::Zone {
        v1::Zone { name: zone.name.to_string(), serial: zone.serial }
    }
}

fn option((code, value): (&u8, &Vec<u8>)) -> v1::DhcpOption {
    v1::DhcpOption { code: u32::from(*code), value: value.clone() }
}

/// An instant as the contract writes it.
pub fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() }
}

fn text(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}
