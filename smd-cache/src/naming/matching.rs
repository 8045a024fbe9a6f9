//! Whether one rule matches one machine in one place, and if not, why.

use config::Match;
use std::{fmt, net::IpAddr};
use values::Xname;

/// Values of a list that a sentence names. A guess: enough to recognise the rule.
const MAX_LISTED: usize = 5;

/// What rules look at, apart from the address. Empty text is what SMD does not say: it matches no condition.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// xname.
    pub id: Option<&'a Xname>,
    /// Type.
    pub kind: &'a str,
    /// Role.
    pub role: &'a str,
    /// Sub-role.
    pub sub_role: &'a str,
    /// Architecture.
    pub arch: &'a str,
    /// Class.
    pub class: &'a str,
    /// Neither `true` nor `false` matches what SMD leaves out.
    pub enabled: Option<bool>,
    /// Groups.
    pub groups: &'a [String],
}

/// The address being named.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The address.
    pub address: IpAddr,
    /// SMD's `Network` of it.
    pub network: &'a str,
}

/// The first condition that does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// `type`
    Type,
    /// `subnet`
    Subnet,
    /// `id` or `id_set`
    Id,
    /// `role`
    Role,
    /// `sub_role`
    SubRole,
    /// `arch`
    Arch,
    /// `class`
    Class,
    /// `enabled`
    Enabled,
    /// `group`
    Group,
    /// `network`
    Network,
}

/// `None`: everything that is given holds. Without a place no condition on an address can hold.
pub fn mismatch(wanted: &Match, subject: &Subject<'_>, place: Option<Place<'_>>) -> Option<Mismatch> {
    let in_subnet =
        || place.is_some_and(|place| wanted.subnets.iter().any(|subnet| subnet.contains(&place.address)));
    let in_network = || place.is_some_and(|place| one_of(&wanted.networks, place.network));
    let in_set = |set: &config::IdSet| subject.id.is_some_and(|id| set.contains(id));
    let in_group = || subject.groups.iter().any(|group| one_of(&wanted.groups, group));
    let fails = |list: &[String], value: &str| !list.is_empty() && !one_of(list, value);
    [
        (fails(&wanted.types, subject.kind), Mismatch::Type),
        (!wanted.subnets.is_empty() && !in_subnet(), Mismatch::Subnet),
        (wanted.ids.as_ref().is_some_and(|set| !in_set(set)), Mismatch::Id),
        (fails(&wanted.roles, subject.role), Mismatch::Role),
        (fails(&wanted.sub_roles, subject.sub_role), Mismatch::SubRole),
        (fails(&wanted.archs, subject.arch), Mismatch::Arch),
        (fails(&wanted.classes, subject.class), Mismatch::Class),
        (wanted.enabled.is_some_and(|enabled| subject.enabled != Some(enabled)), Mismatch::Enabled),
        (!wanted.groups.is_empty() && !in_group(), Mismatch::Group),
        (!wanted.networks.is_empty() && !in_network(), Mismatch::Network),
    ]
    .into_iter()
    .find_map(|(fails, which)| fails.then_some(which))
}

/// The condition that does not hold, as a clause: what the rule wants, and what there is.
pub fn why(mismatch: Mismatch, wanted: &Match, subject: &Subject<'_>, place: Option<Place<'_>>) -> String {
    let clause = |key: &str, list: &[String], is: &str| {
        let is = if is.is_empty() { "SMD does not say".to_owned() } else { format!("it is {is}") };
        format!("it wants {key} {}, and {is}", alternatives(list))
    };
    let address = || place.map(|place| format!("{} is not in there", place.address));
    let network = || place.map(|place| place.network);
    match mismatch {
        Mismatch::Type => clause("type", &wanted.types, subject.kind),
        Mismatch::Subnet => {
            let is = address().unwrap_or_else(|| "there is no address".to_owned());
            format!("it wants subnet {}, and {is}", alternatives(&wanted.subnets))
        }
        Mismatch::Id => match subject.id {
            Some(id) => format!("{id} is not among the ids it wants"),
            None => "it wants certain ids, and SMD ties the interface to none".to_owned(),
        },
        Mismatch::Role => clause("role", &wanted.roles, subject.role),
        Mismatch::SubRole => clause("sub_role", &wanted.sub_roles, subject.sub_role),
        Mismatch::Arch => clause("arch", &wanted.archs, subject.arch),
        Mismatch::Class => clause("class", &wanted.classes, subject.class),
        Mismatch::Enabled => {
            let is = subject.enabled.map_or_else(String::new, |enabled| enabled.to_string());
            clause(
                "enabled",
                &wanted.enabled.map(|enabled| enabled.to_string()).into_iter().collect::<Vec<_>>(),
                &is,
            )
        }
        Mismatch::Group => match subject.groups {
            [] => format!("it wants group {}, and it is in none", alternatives(&wanted.groups)),
            groups => {
                format!(
                    "it wants group {}, and it is in {}",
                    alternatives(&wanted.groups),
                    listed(groups, "and")
                )
            }
        },
        Mismatch::Network => match network() {
            None => format!("it wants network {}, and there is no address", alternatives(&wanted.networks)),
            Some(network) => clause("network", &wanted.networks, network),
        },
    }
}

fn alternatives(list: &[impl fmt::Display]) -> String {
    listed(list, "or")
}

/// `a, b or c`; of a long list the beginning.
fn listed(list: &[impl fmt::Display], word: &str) -> String {
    let shown: Vec<String> = list.iter().take(MAX_LISTED).map(ToString::to_string).collect();
    match (&shown[..], list.len() - shown.len()) {
        ([], _) => String::new(),
        ([one], 0) => one.clone(),
        ([first @ .., last], 0) => format!("{} {word} {last}", first.join(", ")),
        (all, more) => format!("{} {word} {more} more", all.join(", ")),
    }
}

fn one_of(list: &[String], value: &str) -> bool {
    !value.is_empty() && list.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
}
