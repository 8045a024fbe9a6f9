//! What the rules would call something, whether or not it is called so.

use super::{Scene, trace::Judged};
use crate::{
    naming::{Hostname, nics},
    snapshot::{Address, Component, Interface, Snapshot},
};
use config::{Filling, Lacking, Nic};
use std::sync::Arc;
use values::{Mac, Name};

/// What comes of the rule that names it.
pub enum Wish {
    /// This, if nobody else has it.
    Name(Name),
    /// Text that is no DNS name.
    Bad(String),
    /// The pattern needs what is not there.
    Lacks(Lacking),
    /// No rule names it.
    Unnamed,
}

/// `None`: without a component nothing is named.
pub fn wish(scene: &Scene<'_>, judged: &Judged<'_>) -> Option<Wish> {
    let (snapshot, component) = (scene.snapshot?, judged.component?);
    let nid = node_number(snapshot, component);
    let network = judged.address.map(|address| &*address.network);
    let label = network.and_then(nics::label);
    let number = label.as_deref().and_then(|label| nic_number(snapshot, component, judged.mac?, label));
    let nic = label.as_deref().zip(number).map(|(network, number)| Nic { network, number });
    let filling = Filling { id: &component.id, nid, nic };
    Some(match scene.naming.hostname(&judged.verdict, &filling) {
        Hostname::Unnamed => Wish::Unnamed,
        Hostname::Lacks(lacking) => Wish::Lacks(lacking),
        Hostname::Given(host) => {
            let name = match scene.naming.domain_of(&judged.verdict, network) {
                Some(domain) => domain.below(&host),
                None => host.parse(),
            };
            name.map_or(Wish::Bad(host), Wish::Name)
        }
    })
}

/// As `snapshot::build` has it: among the interfaces of this component that are on the network.
fn nic_number(snapshot: &Snapshot, component: &Component, mac: Mac, label: &str) -> Option<u32> {
    let is_on = |address: &Address| nics::label(&address.network).as_deref() == Some(label);
    let on_it = |interface: &&Arc<Interface>| interface.addresses.iter().any(is_on);
    let interfaces: Vec<&Arc<Interface>> = snapshot.interfaces_of(&component.id).filter(on_it).collect();
    let numbers = nics::numbers(label, interfaces.iter().map(|interface| &*interface.description));
    let place = interfaces.iter().position(|interface| interface.mac == mac)?;
    numbers.get(place).copied()
}

/// As `snapshot::build` has it: a NodeBMC has the lowest among the Nodes right below it.
fn node_number(snapshot: &Snapshot, component: &Component) -> Option<i64> {
    let is = |component: &Component, kind: &str| component.kind.eq_ignore_ascii_case(kind);
    if !is(component, "NodeBMC") {
        return component.nid;
    }
    let id = component.id.as_str();
    let nodes = snapshot.components().filter(|below| below.id.as_str().starts_with(id) && is(below, "Node"));
    let right_below = nodes.filter(|node| node.id.parent().as_ref() == Some(&component.id));
    right_below.filter_map(|node| node.nid).min().or(component.nid)
}
