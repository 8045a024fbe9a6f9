//! What the rules would call something, whether or not it is called so.

use super::{Scene, trace::Judged};
use crate::{
    naming::Hostname,
    snapshot::{Component, Snapshot},
};
use values::Name;

/// What comes of the rule that names it.
pub enum Wish {
    /// This, if nobody else has it.
    Name(Name),
    /// Text that is no DNS name.
    Bad(String),
    /// The pattern needs a NID.
    NoNid,
    /// No rule names it.
    Unnamed,
}

/// `None`: without a component nothing is named.
pub fn wish(scene: &Scene<'_>, judged: &Judged<'_>) -> Option<Wish> {
    let (snapshot, component) = (scene.snapshot?, judged.component?);
    let nid = node_number(snapshot, component);
    Some(match scene.naming.hostname(&judged.verdict, &component.id, nid) {
        Hostname::Unnamed => Wish::Unnamed,
        Hostname::NoNid => Wish::NoNid,
        Hostname::Given(host) => {
            let name = match scene.naming.domain_of(&judged.verdict) {
                Some(domain) => domain.below(&host),
                None => host.parse(),
            };
            name.map_or(Wish::Bad(host), Wish::Name)
        }
    })
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
