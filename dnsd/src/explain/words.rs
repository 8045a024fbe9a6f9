//! An answer as sentences.

use super::{Known, Sought, records};
use crate::{
    decide::{Answer, Held, Rcode},
    reverse,
    wire::{kind, suffixes},
};
use inventory::{Explanation, Lookup};

/// Zones named in one sentence. A guess.
const MAX_ZONES: usize = 6;

/// `found`, `unknown`, `unavailable`.
pub fn outcome(held: &Held) -> &'static str {
    match held {
        Held::Bearers(Lookup::Found(..)) | Held::Holders(Lookup::Found(..)) | Held::Below(Some(true)) => {
            "found"
        }
        Held::Bearers(Lookup::Unknown) | Held::Holders(Lookup::Unknown) | Held::Below(Some(false)) => {
            "unknown"
        }
        Held::Bearers(Lookup::Unavailable) | Held::Holders(Lookup::Unavailable) | Held::Below(None) => {
            "unavailable"
        }
    }
}

/// The verdict, what stands in the way, where it comes from, and what smd-cache says.
pub fn sentences(known: &Known<'_>) -> Vec<String> {
    let mut text = vec![verdict(known)];
    text.extend(known.explanation.iter().flat_map(Explanation::problem_sentences));
    text.extend(
        records::answers(&known.question.name, known.reply).into_iter().map(|line| format!("answer: {line}")),
    );
    text.extend(records::authority(known.reply).into_iter().map(|line| format!("authority: {line}")));
    text.extend(records::additional(known.reply).into_iter().map(|line| format!("additional: {line}")));
    text.extend(searched(known));
    text.extend(source(known));
    text.extend(stale(known));
    text.extend(copies(known));
    match &known.explanation {
        Some(explanation) => text.extend(explanation.other_sentences()),
        None if known.asked.is_some() => {
            text.push("smd-cache cannot be asked for more: this is what dnsd holds itself.".into());
        }
        None => {}
    }
    text
}

fn verdict(known: &Known<'_>) -> String {
    let Known { question, reply, .. } = known;
    let kind = &question.kind_text;
    let asked = format!("{} {kind}", bare(&question.name));
    let answers = records::answers(&question.name, reply);
    let referral = !reply.authoritative && reply.authority.is_some();
    let what = match (reply.rcode, &answers[..]) {
        (Rcode::NoError, []) if referral => {
            "with a referral: the name is delegated to other servers".to_owned()
        }
        (Rcode::NoError, []) => format!("with no data: the name exists, but has no {kind} record"),
        (Rcode::NoError, [one]) => {
            format!("with {}", one.splitn(4, ' ').last().unwrap_or_default().trim_end_matches('.'))
        }
        (Rcode::NoError, several) if several.len() == reply.aliases.len() && reply.authority.is_none() => {
            format!("with {} aliases that lead out of our zones or round in a circle", several.len())
        }
        (Rcode::NoError, several) => format!("with {} records", several.len()),
        (Rcode::NxDomain, _) => "with NXDOMAIN: there is no such name".to_owned(),
        (Rcode::Refused, _) => format!("with REFUSED: {}", why_refused(known)),
        (Rcode::ServFail, _) => format!("with SERVFAIL: {}", why_servfail(known)),
        (other, _) => format!("with {}", other.as_str().to_uppercase()),
    };
    format!("dnsd answers {asked} {what}.")
}

/// For sentences: without the final dot.
fn bare(name: &[u8]) -> String {
    let name = records::name(name);
    if name == "." { "the root".into() } else { name.trim_end_matches('.').into() }
}

fn why_refused(known: &Known<'_>) -> String {
    if known.zones.find(&known.question.name).is_some() {
        return known.copies.clone();
    }
    let zones = known.zones.forward();
    let listed: Vec<String> = zones.iter().take(MAX_ZONES).map(|apex| bare(apex)).collect();
    match (listed.len(), zones.len().saturating_sub(MAX_ZONES)) {
        (0, _) => "it is in no zone of ours, and there is none".into(),
        (_, 0) => format!("it is in no zone of ours; those are {}", listed.join(", ")),
        (_, more) => format!("it is in no zone of ours; those are {} and {more} more", listed.join(", ")),
    }
}

fn why_servfail(known: &Known<'_>) -> String {
    let reverse = reverse::parse(&known.question.name).is_some();
    match &known.asked {
        Some(_) => "it cannot be told whether SMD has it".into(),
        None if reverse && !known.zones.loaded => {
            "which addresses are ours is not known before the first snapshot".into()
        }
        None if !known.zones.loaded => "there is no snapshot of the inventory yet".into(),
        None => "there is no serial to answer with yet".into(),
    }
}

/// How a short name became a name of ours.
fn searched(known: &Known<'_>) -> Option<String> {
    let found = known.reply.aliases.first().filter(|_| known.zones.find(&known.question.name).is_none())?;
    let target = bare(&found.target);
    Some(format!(
        "It is in no zone of ours; `dnsd.search` finds it as {target}, the first of its domains to have it."
    ))
}

/// Where the answer was found, or looked for in vain.
fn source(known: &Known<'_>) -> Option<String> {
    let zone = known.zones.find(&known.question.name)?;
    let zone = bare(&zone.apex);
    let asked = known.asked.as_ref().map(|(sought, held)| match (sought, outcome(held)) {
        (Sought::Name(name), "found") => format!("the inventory has {name}"),
        (Sought::Address(address), "found") => format!("the inventory has {address}"),
        (Sought::Name(name), "unknown") => format!("the inventory does not have {name}"),
        (Sought::Address(address), "unknown") => format!("the inventory does not have {address}"),
        (Sought::Other, "found") => "addresses of the inventory begin so".to_owned(),
        (Sought::Other, "unknown") => "nothing in the inventory is called so".to_owned(),
        _ => "the inventory cannot tell".to_owned(),
    });
    let configured = matches!(known.reply.answer, Answer::Set(_)) || !known.reply.aliases.is_empty();
    let own = suffixes(&known.question.name).next().and_then(|name| known.zones.records.node(name)).is_some();
    let configured = (configured || own)
        .then(|| "the configuration has it (`dnsd.records`, a file of it, or the zone itself)".to_owned());
    let found: Vec<String> = configured.into_iter().chain(asked).collect();
    Some(
        match found.is_empty() {
            true => format!("It is in our zone {zone}"),
            false => format!("It is in our zone {zone}; {}", found.join("; ")),
        } + ".",
    )
}

/// At the apex people ask for what secondaries do.
fn copies(known: &Known<'_>) -> Option<String> {
    let asked = known.question.kind == kind::SOA && known.zones.zone(&known.question.name).is_some();
    let mut sentence = known.copies.clone();
    sentence[..1].make_ascii_uppercase();
    asked.then(|| sentence + ".")
}

fn stale(known: &Known<'_>) -> Option<String> {
    let stale = match &known.asked {
        Some((_, Held::Bearers(Lookup::Found(_, freshness)))) => freshness.stale,
        Some((_, Held::Holders(Lookup::Found(_, freshness)))) => freshness.stale,
        _ => false,
    };
    stale.then(|| "What the inventory says may be old: it is marked stale.".to_owned())
}
