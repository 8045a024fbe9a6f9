//! `zones`: which names are ours.

use crate::{
    pattern::Pattern,
    reader::{Field, Section},
    rules, scalars,
};
use values::Name;

/// A DNS zone.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone {
    /// Its apex; a reverse zone ends in in-addr.arpa or ip6.arpa.
    pub name: Name,
    /// Names every Node in this zone, besides the xname.
    pub nodes: Option<Pattern>,
    /// Only addresses on these networks of SMD are named in it, compared without case; empty: all.
    pub networks: Vec<String>,
    /// What a name that is not in it gets.
    pub missing: Missing,
}

/// What a name gets that is in a zone of ours and that nobody bears.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missing {
    /// NXDOMAIN.
    #[default]
    Nxdomain,
    /// Those of `dnsd.forward` are asked.
    Forward,
}

impl Zone {
    /// Whether it names addresses instead of machines.
    pub fn is_reverse(&self) -> bool {
        is_below(&self.name, V4_ROOT) || is_below(&self.name, V6_ROOT)
    }
}

/// RFC 1035 §3.5.
const V4_ROOT: &str = "in-addr.arpa";
/// RFC 3596 §2.5.
const V6_ROOT: &str = "ip6.arpa";

fn is_below(name: &Name, root: &str) -> bool {
    name.is_in(&root.parse().expect("a literal name"))
}

pub(super) fn read(root: &Section) -> Vec<Zone> {
    let mut zones: Vec<(Zone, usize)> = Vec::new();
    root.list("zones", |field| {
        field.section(|section| zone(section, field))?.map(|zone| (zone, field.clone()))
    })
    .unwrap_or_default()
    .into_iter()
    .for_each(|(zone, field)| match zones.iter().find(|(earlier, _)| earlier.name == zone.name) {
        Some((earlier, line)) => field.mistake(format!("{} is listed on line {line} already", earlier.name)),
        None => zones.push((zone, field.place().line)),
    });
    zones.into_iter().map(|(zone, _)| zone).collect()
}

fn zone(section: &Section, field: &Field) -> Option<Zone> {
    let name = section.required("name", scalars::name);
    let nodes = section.get("nodes", rules::hostname);
    let networks = section.get("network", |field| rules::each_word(field, scalars::text)).unwrap_or_default();
    let missing = section.get("missing", missing).unwrap_or_default();
    let zone = Zone { name: name?, nodes, networks, missing };
    if zone.is_reverse() && zone.nodes.is_some() {
        section.mistake("nodes", "a reverse zone names addresses, not nodes");
    }
    if zone.is_reverse() && !zone.networks.is_empty() {
        section.mistake("network", "a reverse zone names addresses by what they are, on whatever network");
    }
    if !labels_can_be(&zone.name) {
        field.mistake(format!("no address has a name in {}", zone.name));
    }
    Some(zone)
}

fn missing(field: &Field) -> Option<Missing> {
    field.parse("nxdomain or forward", |text| match text {
        "nxdomain" => Ok(Missing::Nxdomain),
        "forward" => Ok(Missing::Forward),
        _ => Err("nxdomain or forward".into()),
    })
}

/// Labels of a reverse zone are octets or nibbles, and no more than an address has.
fn labels_can_be(name: &Name) -> bool {
    let labels = |root: &str| {
        let rest = name.as_str().strip_suffix(root)?.trim_end_matches('.').to_owned();
        Some(rest.split('.').filter(|label| !label.is_empty()).map(str::to_owned).collect::<Vec<_>>())
    };
    if is_below(name, V4_ROOT) {
        labels(V4_ROOT)
            .is_none_or(|labels| labels.len() <= 4 && labels.iter().all(|label| label.parse::<u8>().is_ok()))
    } else if is_below(name, V6_ROOT) {
        let is_nibble = |label: &String| label.len() == 1 && u8::from_str_radix(label, 16).is_ok();
        labels(V6_ROOT).is_none_or(|labels| labels.len() <= 32 && labels.iter().all(is_nibble))
    } else {
        true
    }
}
