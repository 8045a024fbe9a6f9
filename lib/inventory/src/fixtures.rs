//! Messages for tests.

use crate::Replica;
use proto::v1;

/// An interface as Put carries it: without its component.
pub(crate) fn interface(mac: &str, id: &str, addresses: &[(&str, &[&str])]) -> v1::Interface {
    let address = |(address, names): &(&str, &[&str])| v1::Address {
        address: address.to_string(),
        fqdn: names.first().unwrap_or(&"").to_string(),
        names: names.iter().map(|name| name.to_string()).collect(),
        ..Default::default()
    };
    v1::Interface {
        mac: mac.into(),
        component_id: id.into(),
        addresses: addresses.iter().map(address).collect(),
        ..Default::default()
    }
}

pub(crate) fn component(id: &str, names: &[&str]) -> v1::Component {
    v1::Component {
        id: id.into(),
        r#type: "Node".into(),
        role: "Compute".into(),
        names: names.iter().map(|name| name.to_string()).collect(),
        ..Default::default()
    }
}

/// `instance` at `generation`, not stale, with a digest that only they make.
pub(crate) fn fresh(instance: &str, generation: u64) -> v1::Freshness {
    v1::Freshness {
        instance: instance.into(),
        generation,
        read_at: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 0 }),
        whole_read_at: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 0 }),
        stale: false,
        digest: format!("{instance}-{generation}"),
    }
}

pub(crate) fn replica_of(
    generation: u64,
    interfaces: Vec<v1::Interface>,
    components: Vec<v1::Component>,
) -> Replica {
    Replica::from_messages("cluster.local", vec![], interfaces, components, fresh("a", generation))
}
