//! The explanation as sentences: first the verdict, then why, then how sure it is.

use super::{
    Key, Scene,
    concern::is_refusal,
    missing,
    trace::Judged,
    wish::{Wish, wish},
};
use crate::{
    naming::Fate,
    records::{Problem, Reason},
    snapshot::{Address, Component, Interface},
};
use config::Lacking;
use jiff::Timestamp;
use proto::v1::{Freshness, LookupReply, Outcome};
use std::net::IpAddr;
use values::Name;

/// Problems told as sentences; all of them are in the reply's list.
const MAX_TOLD: usize = 10;

/// Addresses and names in one sentence. A guess.
const MAX_LISTED: usize = 6;

/// All of them, in the order in which one wants to know.
pub fn sentences(
    scene: &Scene<'_>,
    judged: &[Judged<'_>],
    problems: &[&Problem],
    found: &LookupReply,
    now: Timestamp,
) -> Vec<String> {
    let freshness = found.freshness.clone().unwrap_or_default();
    let age = Age::of(&freshness, now);
    let mut text = match (scene.is_held(), found.outcome()) {
        (true, _) => held(scene),
        (false, Outcome::Found) => {
            vec![format!(
                "SMD was just asked for {} and has it; it is explained once it is taken up.",
                scene.key
            )]
        }
        (false, outcome) => not_held(scene, outcome, problems, &age),
    };
    text.extend(problems.iter().take(MAX_TOLD).map(|problem| told(problem)));
    if problems.len() > MAX_TOLD {
        text.push(format!("{} more problems concern it.", problems.len() - MAX_TOLD));
    }
    if !scene.is_held() {
        text.extend(missing::hints(scene));
    }
    text.extend(scene.owners().map(|owner| describe(owner)));
    text.extend(namings(scene, judged));
    text.extend(rules(scene, judged));
    text.push(age.sentence(&freshness));
    text
}

fn told(problem: &Problem) -> String {
    let end = if problem.message.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("Problem ({}): {}{end}", problem.reason.label(), problem.message)
}

fn held(scene: &Scene<'_>) -> Vec<String> {
    let mut text = Vec::new();
    match scene.key {
        Key::Mac(_) => {}
        Key::Address(address) => {
            let holders = scene.interfaces.iter().map(|interface| called(scene, interface));
            text.push(format!("{address} belongs to {}.", listed(holders)));
        }
        Key::Name(name) => text.push(bearer(scene, name)),
        Key::Id(_) => {}
    }
    text.extend(scene.interfaces.iter().map(|interface| verdict(scene, interface)));
    if scene.left_out > 0 {
        text.push(format!("{} more interfaces of it are left out here.", scene.left_out));
    }
    if let (Key::Id(id), true) = (scene.key, scene.interfaces.is_empty()) {
        text.push(format!(
            "{id} has no interface in SMD: DHCP knows no MAC of it, and its names have no address."
        ));
    }
    text
}

fn bearer(scene: &Scene<'_>, name: &Name) -> String {
    let Some(component) = scene.component else {
        return format!(
            "Nobody is called {name}, but names below it exist: DNS answers that it has no address."
        );
    };
    let borne = scene.interfaces.iter().flat_map(|interface| &interface.addresses);
    let addresses: Vec<IpAddr> =
        borne.filter(|address| address.bears(name)).map(|address| address.address).collect();
    match addresses.is_empty() {
        true => format!("{name} is {}, which has no address under this name.", component.id),
        false => format!("{name} is {}: {}.", component.id, listed(addresses)),
    }
}

/// What DHCP makes of an interface; which of several addresses it gives, dhcpd alone knows.
fn verdict(scene: &Scene<'_>, interface: &Interface) -> String {
    let mac = interface.mac;
    let who = called(scene, interface);
    let unknown = |why: String| format!("DHCP treats {mac} as unknown: {why}.");
    if interface.policy.ignore {
        return silent(&who, &interface.policy.rules);
    }
    let Some(owner) = scene.owner(interface) else {
        return unknown(match &interface.component_id {
            Some(id) => format!("it belongs to {id}, which SMD does not have"),
            None => "SMD ties it to no component".to_owned(),
        });
    };
    if interface.addresses.is_empty() {
        let id = &owner.id;
        return unknown(match interface.contested {
            true => format!("others have what it claims, so that no address is left for it ({id})"),
            false => format!("SMD has no usable address for it ({id})"),
        });
    }
    let served: Vec<&Address> = interface.addresses.iter().filter(|one| !one.policy.ignore).collect();
    let Some(first) = served.first() else {
        return silent(&who, &interface.addresses[0].policy.rules);
    };
    let host = first.hostname();
    let verb = if owner.kind.eq_ignore_ascii_case("Node") { "boots" } else { "is served" };
    let addresses = listed(served.iter().map(|one| one.address));
    match served.iter().filter(|one| one.address.is_ipv4()).count() {
        0 => format!("{host} has IPv6 alone: {who} has {addresses}, and DHCPv4 treats it as unknown."),
        1 => format!("{host} {verb}: {who} has {addresses}."),
        _ => format!("{host} {verb}: {who} has {addresses}; DHCP gives the one that fits where it asks."),
    }
}

fn silent(who: &str, rules: &[String]) -> String {
    let rule = rules.last().map_or("a rule", String::as_str);
    format!("DHCP stays silent to {who}: rule {rule} says ignore.")
}

/// `02:00:00:00:00:01 (x1000c0s0b0n0)`
fn called(scene: &Scene<'_>, interface: &Interface) -> String {
    let mac = interface.mac;
    match (&interface.component_id, scene.owner(interface)) {
        (Some(id), Some(_)) => format!("{mac} ({id})"),
        (Some(id), None) => format!("{mac} ({id}, which SMD does not have)"),
        (None, _) => format!("{mac} (no component)"),
    }
}

fn describe(component: &Component) -> String {
    let nid = component.nid.map_or_else(|| "no NID".to_owned(), |nid| format!("NID {nid}"));
    let said = [("role", &component.role), ("sub-role", &component.sub_role), ("state", &component.state)];
    let said = said.iter().filter(|(_, value)| !value.is_empty());
    let said: String = said.map(|(what, value)| format!(", {what} {value}")).collect();
    let kind = if component.kind.is_empty() { "no type" } else { &component.kind };
    let groups = match component.groups.is_empty() {
        true => String::new(),
        false => format!(", in {}", listed(&component.groups)),
    };
    format!("SMD has {} as {kind}, {nid}{said}{groups}.", component.id)
}

/// How each address, or a component without one, came by its name and policy; once for those for which it is the same.
fn namings(scene: &Scene<'_>, judged: &[Judged<'_>]) -> Vec<String> {
    let mut told: Vec<(String, Vec<String>)> = Vec::new();
    for (what, said) in judged.iter().filter_map(|judged| naming(scene, judged)) {
        match told.iter_mut().find(|(held, _)| *held == said) {
            Some((_, all)) => all.push(what),
            None => told.push((said, vec![what])),
        }
    }
    let sentence = |(said, all): (String, Vec<String>)| {
        let verb = if all.len() == 1 { "is" } else { "are" };
        format!("{} {verb} called {said}.", listed(all))
    };
    let policies = judged.iter().filter_map(|judged| judged.address.and_then(policy));
    let outside = zones_apart(scene, judged);
    told.into_iter().map(sentence).chain(outside).chain(policies).collect()
}

/// Zones that are for other networks than those of the addresses.
fn zones_apart(scene: &Scene<'_>, judged: &[Judged<'_>]) -> Vec<String> {
    let zones = scene.naming.zones_by_address().filter(|zone| !zone.networks.is_empty());
    let apart = zones.filter_map(|zone| {
        let addresses = judged.iter().filter(|judged| judged.component.is_some());
        let addresses = addresses.filter_map(|judged| judged.address);
        let outside = addresses.filter(|address| !zone.takes(Some(&address.network)));
        let outside: Vec<IpAddr> = outside.map(|address| address.address).collect();
        let verb = if outside.len() == 1 { "is" } else { "are" };
        (!outside.is_empty()).then(|| {
            let networks = listed(&zone.networks);
            format!(
                "Zone {} is for network {networks}: {} {verb} not named there.",
                zone.name,
                listed(&outside)
            )
        })
    });
    apart.collect()
}

/// What it is, and what it is called for which reason.
fn naming(scene: &Scene<'_>, judged: &Judged<'_>) -> Option<(String, String)> {
    let component = judged.component?;
    let (what, is, names) = match judged.address {
        Some(address) => (address.address.to_string(), address.fqdn.as_ref(), &address.names),
        None if judged.mac.is_none() => (component.id.to_string(), component.names.first(), &component.names),
        None => return None,
    };
    let rule = judged.verdict.named_by.map(|position| scene.naming.rules()[position].name.as_str());
    let rule = rule.unwrap_or_default();
    let because = match wish(scene, judged) {
        Some(Wish::Name(name)) if is.is_none_or(|is| *is == name) => format!("rule {rule} says so"),
        Some(Wish::Name(name)) => format!("rule {rule} would call it {name}, which it does not get"),
        Some(Wish::Lacks(Lacking::Nid)) => format!("rule {rule} needs a NID, which it does not have"),
        Some(Wish::Lacks(Lacking::Network)) => format!("rule {rule} needs a network that can be in a name"),
        Some(Wish::Bad(text)) => format!("rule {rule} gives '{text}', which is no DNS name"),
        Some(Wish::Unnamed) | None => "no rule names it, so its xname does".to_owned(),
    };
    let is = is.map_or_else(|| "nothing in DNS".to_owned(), Name::to_string);
    let also: Vec<&Name> = names.iter().filter(|name| name.as_str() != is).collect();
    let also = if also.is_empty() { String::new() } else { format!("; also {}", listed(also)) };
    Some((what, format!("{is}: {because}{also}")))
}

fn policy(address: &Address) -> Option<String> {
    let policy = &address.policy;
    let routers = (!policy.routers.is_empty()).then(|| format!("routers {}", listed(&policy.routers)));
    let prefix = policy.prefix_length.map(|length| format!("prefix length {length}"));
    let boot_file = policy.boot_file.as_ref().map(|file| format!("boot file {file}"));
    let next_server = policy.next_server.map(|server| format!("next server {server}"));
    let script = policy.script_url.as_ref().map(|url| format!("script {url}"));
    let codes = listed(policy.options.keys());
    let options = (!policy.options.is_empty()).then(|| format!("DHCP options {codes}"));
    let ignore = policy.ignore.then(|| "no answer from DHCP (ignore)".to_owned());
    let said = [routers, prefix, boot_file, next_server, script, options, ignore];
    let said: Vec<String> = said.into_iter().flatten().collect();
    (!said.is_empty()).then(|| format!("For {} its rules say {}.", address.address, said.join(" and ")))
}

/// What became of each rule; once for all addresses for which it is the same, and once for all rules behind the last match.
fn rules(scene: &Scene<'_>, judged: &[Judged<'_>]) -> Vec<String> {
    // An interface apart from its addresses is told of only where it has none, or else all would be said twice.
    let has_address = |mac| judged.iter().any(|other| other.mac == mac && other.address.is_some());
    let judged: Vec<&Judged> =
        judged.iter().filter(|one| one.address.is_some() || !has_address(one.mac)).collect();
    let mut text = Vec::new();
    let all = scene.naming.rules().iter().map(|rule| rule.name.as_str());
    let reached =
        |position: usize| judged.iter().any(|one| !matches!(one.fates[position], Fate::NotReached { .. }));
    let last = (0..scene.naming.rules().len()).rfind(|position| reached(*position));
    for (position, rule) in all.clone().enumerate().take(last.map_or(0, |last| last + 1)) {
        text.extend(fates(scene, &judged, position, rule));
    }
    let behind: Vec<&str> = all.skip(last.map_or(0, |last| last + 1)).collect();
    if !judged.is_empty() && !behind.is_empty() {
        let (rules, were) = if behind.len() == 1 { ("Rule", "was") } else { ("Rules", "were") };
        text.push(format!(
            "{rules} {} {were} not looked at: one before matched and ended it.",
            listed(behind)
        ));
    }
    text
}

fn fates(scene: &Scene<'_>, judged: &[&Judged<'_>], position: usize, rule: &str) -> Vec<String> {
    let mut told: Vec<(String, Vec<IpAddr>)> = Vec::new();
    for one in judged {
        let reason = one.reason(scene.naming, position).unwrap_or_default();
        let said = match one.fates[position] {
            Fate::Matched => "matched".to_owned(),
            Fate::Mismatched(_) => format!("did not match: {reason}"),
            Fate::NotReached { .. } => format!("was not looked at: {reason}"),
        };
        match told.iter_mut().find(|(held, _)| *held == said) {
            Some((_, addresses)) => addresses.extend(one.ip()),
            None => told.push((said, one.ip().into_iter().collect())),
        }
    }
    let several = told.len() > 1;
    let sentence = |(said, addresses): (String, Vec<IpAddr>)| match several && !addresses.is_empty() {
        true => format!("For {} rule {rule} {said}.", listed(addresses)),
        false => format!("Rule {rule} {said}."),
    };
    told.into_iter().map(sentence).collect()
}

fn not_held(scene: &Scene<'_>, outcome: Outcome, problems: &[&Problem], age: &Age) -> Vec<String> {
    let key = scene.key;
    if scene.snapshot.is_none() {
        let what = match key {
            Key::Mac(_) => "DHCP stays silent to it",
            Key::Address(_) | Key::Name(_) => "DNS answers SERVFAIL",
            Key::Id(_) => "nothing is known",
        };
        return vec![format!(
            "It cannot be told whether SMD has {key}: SMD was never read. Until then {what}."
        )];
    }
    let whole = &age.whole;
    let refused = problems.iter().any(|problem| is_refusal(problem.reason));
    let claimed = problems.iter().any(|problem| problem.reason == Reason::DuplicateName);
    let because = match (refused, claimed) {
        (true, _) => "; a record that may be it was refused",
        (false, true) => "; several claim it, so none of them gets it",
        (false, false) => "",
    };
    vec![match (key, outcome) {
        (Key::Mac(_), Outcome::Unavailable) => format!(
            "It cannot be told whether SMD has {key}, so DHCP stays silent: SMD was last read whole {whole} ago, which is too long to say that it does not."
        ),
        (Key::Mac(_), _) => {
            format!("DHCP treats {key} as unknown: SMD was read {whole} ago and does not have it{because}.")
        }
        (Key::Address(_), _) => {
            format!("Nobody has {key}: SMD was read {whole} ago and no machine holds it{because}.")
        }
        (Key::Name(_), _) => {
            format!("Nobody is called {key}: no machine that SMD had {whole} ago bears the name{because}.")
        }
        (Key::Id(_), _) => format!("SMD had no component {key} when it was read {whole} ago{because}."),
    }]
}

/// How old what is known is, for people.
struct Age {
    any: String,
    whole: String,
}

impl Age {
    fn of(freshness: &Freshness, now: Timestamp) -> Age {
        let since = |at: Option<prost_types::Timestamp>| {
            at.map_or_else(|| "an unknown time".to_owned(), |at| duration(now.as_second() - at.seconds))
        };
        Age { any: since(freshness.read_at), whole: since(freshness.whole_read_at) }
    }

    fn sentence(&self, freshness: &Freshness) -> String {
        let Freshness { generation, stale, whole_read_at, .. } = freshness;
        match (whole_read_at, stale) {
            (None, _) => "SMD was never read.".to_owned(),
            (Some(_), true) => format!(
                "All this may be old: SMD was last read whole {} ago, and anything {} ago (generation {generation}).",
                self.whole, self.any
            ),
            (Some(_), false) => format!(
                "SMD was last read {} ago, whole {} ago (generation {generation}).",
                self.any, self.whole
            ),
        }
    }
}

/// `3 s`, `12 min`, `5 h`, `3 days`; a clock that was set back is no time at all.
pub fn duration(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

/// The first few, and how many more.
fn listed(things: impl IntoIterator<Item = impl ToString>) -> String {
    let mut things = things.into_iter();
    let mut shown: Vec<String> = things.by_ref().take(MAX_LISTED).map(|thing| thing.to_string()).collect();
    let more = things.count();
    if more > 0 {
        shown.push(format!("{more} more"));
    }
    match shown.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => shown.concat(),
    }
}
