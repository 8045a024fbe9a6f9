//! What kind of key a word is.

use super::{ANSWER_LIMIT, Client, refused, timed};
use anyhow::bail;
use proto::v1::{self, Outcome, explain_request::Key};
use std::net::IpAddr;
use values::{Mac, Name, Xname};

/// Zones in which a short name is tried. A guess: sites have two or three.
const MAX_ZONES: usize = 16;

/// What a word is by itself.
#[derive(Debug, Clone, PartialEq)]
pub enum Word {
    /// MAC, address, xname, or a name with a dot.
    Key(Key),
    /// A host name without a domain.
    Short(Name),
}

impl Word {
    /// By its form. Xnames begin with an x and a number; whatever else is a host name is one.
    pub fn of(text: &str) -> anyhow::Result<Word> {
        let text = text.trim();
        let begins_as_xname =
            || text.get(1..2).is_some_and(|second| second.bytes().all(|b| b.is_ascii_digit()));
        let is_xname = || text.starts_with(['x', 'X']) && begins_as_xname() && text.parse::<Xname>().is_ok();
        if let Ok(mac) = text.parse::<Mac>() {
            return Ok(Word::Key(Key::Mac(mac.to_string())));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Word::Key(Key::Address(address.to_string())));
        }
        if is_xname() {
            return Ok(Word::Key(Key::Id(text.to_owned())));
        }
        match text.parse::<Name>() {
            Ok(name) if name.as_str().contains('.') => Ok(Word::Key(Key::Name(name.to_string()))),
            Ok(name) => Ok(Word::Short(name)),
            Err(_) => {
                let shown: String = text.chars().take(64).collect();
                bail!("'{shown}' is neither a MAC nor an address, an xname or a host name")
            }
        }
    }
}

/// A short name is looked up in each zone; where nobody bears it, it is the one in the first zone that is explained.
pub async fn recognise(client: &mut Client, text: &str) -> anyhow::Result<Key> {
    let short = match Word::of(text)? {
        Word::Key(key) => return Ok(key),
        Word::Short(name) => name,
    };
    let status = client.get_status(timed(v1::GetStatusRequest {}, ANSWER_LIMIT)).await.map_err(refused)?;
    let zones = status.into_inner().zones;
    let names: Vec<String> = candidates(&short, zones.iter().map(|zone| zone.name.as_str()));
    for name in &names {
        let request = v1::LookupNameRequest { name: name.clone() };
        let reply = client.lookup_name(timed(request, ANSWER_LIMIT)).await.map_err(refused)?.into_inner();
        if reply.outcome() == Outcome::Found && !reply.empty_non_terminal {
            return Ok(Key::Name(name.clone()));
        }
    }
    Ok(Key::Name(names.into_iter().next().unwrap_or_else(|| short.to_string())))
}

/// The name in each zone that holds host names, then by itself: rules may give bare ones.
pub fn candidates<'a>(short: &Name, zones: impl Iterator<Item = &'a str>) -> Vec<String> {
    let zones = zones.filter_map(|zone| zone.parse::<Name>().ok());
    let forward = zones.filter(|zone| !crate::naming::is_reverse(zone)).take(MAX_ZONES);
    let within = forward.filter_map(|zone| zone.below(short.as_str()).ok());
    within.chain([short.clone()]).map(|name| name.to_string()).collect()
}
