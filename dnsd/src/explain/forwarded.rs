//! An answer of a forwarder as sentences.

use super::{Explained, Question, records, words};
use crate::{
    decide::Held,
    forward::{Age, Resolved, Source},
    wire::Rcode,
    zones::Zones,
};
use hickory_proto::{op::Message, rr::Record};
use std::sync::Arc;

/// Everything that is said of it.
pub struct Forwarded<'a> {
    /// What was asked.
    pub question: &'a Question,
    /// In which it is not, or is missing.
    pub zones: &'a Zones,
    /// What the inventory said, where it had to be asked.
    pub held: Option<Held>,
    /// The answer, and where it is from.
    pub resolved: &'a Resolved,
    /// The same as a client gets it.
    pub message: &'a [u8],
    /// The forwarders, and whether each is asked.
    pub forwarders: &'a [(Arc<str>, bool)],
}

/// Puts it into words.
pub fn explain(known: &Forwarded<'_>) -> Explained {
    let Forwarded { question, zones, held, resolved, .. } = known;
    let code = resolved.entry.answer.rcode;
    let rcode = Rcode::ALL.into_iter().find(|rcode| rcode.code() == code);
    let message = Message::from_vec(known.message).ok();
    let lines = |section: fn(&Message) -> &Vec<Record>| {
        message.iter().flat_map(section).map(line).collect::<Vec<String>>()
    };
    let (answers, authority) = (lines(|message| &message.answers), lines(|message| &message.authorities));
    let rcode = rcode.map_or_else(|| format!("rcode{code}"), |rcode| rcode.as_str().to_owned());
    let mut text = vec![verdict(question, &rcode, &answers)];
    text.extend(answers.iter().map(|line| format!("answer: {line}")));
    text.extend(authority.iter().map(|line| format!("authority: {line}")));
    text.extend([why(known), origin(resolved), forwarders(known.forwarders)]);
    Explained {
        name: records::name(&question.name),
        r#type: question.kind_text.clone(),
        rcode,
        authoritative: message.as_ref().is_some_and(|message| message.metadata.authoritative),
        answers,
        authority,
        zone: zones.find(&question.name).map(|zone| records::name(&zone.apex)),
        inventory: held.as_ref().map(|held| words::outcome(held).to_owned()),
        problems: Vec::new(),
        text,
    }
}

fn line(record: &Record) -> String {
    format!("{} {} {} {}", record.name, record.ttl, record.record_type(), record.data)
}

fn verdict(question: &Question, rcode: &str, answers: &[String]) -> String {
    let what = match (rcode, answers) {
        ("noerror", []) => format!("with no data: the name exists, but has no {} record", question.kind_text),
        ("noerror", [one]) => format!("with {}", one.splitn(4, ' ').last().unwrap_or_default()),
        ("noerror", several) => format!("with {} records", several.len()),
        (other, _) => format!("with {}", other.to_uppercase()),
    };
    let name = records::name(&question.name);
    let what = what.trim_end_matches('.');
    format!("dnsd answers {} {} {what}.", name.trim_end_matches('.'), question.kind_text)
}

fn why(known: &Forwarded<'_>) -> String {
    match known.zones.find(&known.question.name) {
        None => {
            "It is in no zone of ours, so forwarders are asked, for clients in `dnsd.recursion_from`.".into()
        }
        Some(zone) => {
            let zone = records::name(&zone.apex);
            let zone = zone.trim_end_matches('.');
            match known.held {
                Some(_) => {
                    format!(
                        "Nobody in our zone {zone} bears it, and forwarders are asked for what is missing there."
                    )
                }
                None => {
                    format!("It is in our zone {zone}, as an alias of a name that forwarders are asked for.")
                }
            }
        }
    }
}

fn origin(resolved: &Resolved) -> String {
    let Resolved { entry, age, source } = resolved;
    let Some(from) = &entry.from else {
        return match source {
            Source::Busy => "Too many queries were waiting for forwarders.".into(),
            _ => "No forwarder answered in time.".into(),
        };
    };
    match (age, source) {
        (Age::Stale(_), _) => format!("{from} said so; that is past its time, and no forwarder answers now."),
        (Age::Fresh(_), Source::Forwarder) => format!("{from} said so just now."),
        (Age::Fresh(seconds), _) => {
            let left = entry.lifetime.as_secs().saturating_sub((*seconds).into());
            format!("{from} said so {seconds} s ago; it is kept for {left} s more.")
        }
    }
}

fn forwarders(all: &[(Arc<str>, bool)]) -> String {
    let listed = all.iter().map(|(name, is_up)| match is_up {
        true => name.to_string(),
        false => format!("{name} (put aside until it answers again)"),
    });
    format!("The forwarders are {}.", listed.collect::<Vec<_>>().join(", "))
}
