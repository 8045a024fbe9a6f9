//! Whether one rule matches one machine in one place, and if not, why.

use config::Match;
use std::net::IpAddr;
use values::Xname;

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

fn one_of(list: &[String], value: &str) -> bool {
    !value.is_empty() && list.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
}
