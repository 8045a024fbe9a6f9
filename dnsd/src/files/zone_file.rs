//! Zone files (RFC 1035 §5): `$ORIGIN` is the domain at first, `$TTL` (RFC 2308 §4) 60 seconds. An entry that cannot be read is left
//! out and told of; only `$INCLUDE` and a parenthesis that never closes refuse a file, as then something would be missing.
//!
//! SOA records are left aside: serial and timers are ours. So are the types of DNSSEC: we do not sign, and half of it is worse than
//! nothing. Types that dnsd knows are read here, other ones by hickory-proto, or by anybody as `\# LENGTH HEX` (RFC 3597 §5).

mod data;

use super::{
    BadLine, Record,
    entries::{self, Entry, Word},
    shorten,
};
use crate::{
    records::DEFAULT_TTL,
    wire::{kind, to_wire},
};
use std::{collections::HashMap, str::FromStr};
use values::Name;

/// RFC 2181 §8.
const MAX_TTL: u64 = i32::MAX as u64;

/// What records of one name and type may take together, without their owner: they go into one message of 64 KiB, or nobody ever sees all
/// of them.
const MAX_SET: usize = RECORD + data::MAX_DATA;
/// Of a record: pointer to the owner, type, class, TTL, length.
const RECORD: usize = 12;

/// What a file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parsed {
    /// In the order of the file.
    pub records: Vec<Record>,
    /// What is left out.
    pub bad: Vec<BadLine>,
    /// SOA records that are left aside.
    pub soas: usize,
}

/// Reads a file; an error refuses it as a whole.
pub fn parse(text: &str, domain: Option<&Name>) -> Result<Parsed, BadLine> {
    let bad = |(line, message): entries::Bad| BadLine { line, message };
    let mut reader = Reader {
        origin: domain.map(to_wire),
        owner: None,
        default_ttl: None,
        last_ttl: None,
        sizes: HashMap::new(),
        parsed: Parsed::default(),
    };
    for entry in entries::cut(text).map_err(bad)? {
        match entry {
            Err(wrong) => {
                // Whose the records after it are cannot be told, if it named an owner.
                reader.owner = None;
                reader.parsed.bad.push(bad(wrong));
            }
            Ok(entry) if entry.words[0].text.eq_ignore_ascii_case("$INCLUDE") => {
                let message = "$INCLUDE is not followed: list the other file in `zone_files`, too".into();
                return Err(BadLine { line: entry.line, message });
            }
            Ok(entry) => {
                if let Err(message) = reader.entry(&entry) {
                    reader.parsed.bad.push(BadLine { line: entry.line, message });
                }
            }
        }
    }
    Ok(reader.parsed)
}

struct Reader {
    /// What relative names are below; `None`: nobody said, or it could not be read.
    origin: Option<Box<[u8]>>,
    owner: Option<Box<[u8]>>,
    default_ttl: Option<u32>,
    last_ttl: Option<u32>,
    /// Bytes that records of a name and type take.
    sizes: HashMap<(Box<[u8]>, u16), usize>,
    parsed: Parsed,
}

impl Reader {
    fn entry(&mut self, entry: &Entry) -> Result<(), String> {
        let first = &entry.words[0];
        if !entry.indented && !first.quoted && first.text.starts_with('$') {
            return self.directive(&entry.words);
        }
        let mut words = &entry.words[..];
        if !entry.indented {
            self.owner = None;
            self.owner = Some(self.owner_of(first)?);
            words = &words[1..];
        }
        let owner = self.owner.clone().ok_or("whose record this is cannot be told")?;
        let (ttl, words) = self.ttl_and_class(words)?;
        let [kind, data @ ..] = words else { return Err("a type is missing".into()) };
        let kind = kind_of(kind)?;
        if kind == kind::SOA {
            self.parsed.soas += 1;
            return Ok(());
        }
        let data = data::encode(kind, data, self.origin.as_deref())?;
        let ttl = ttl.or(self.default_ttl).or(self.last_ttl).unwrap_or(DEFAULT_TTL);
        self.last_ttl = Some(ttl);
        let size = self.sizes.entry((owner.clone(), kind)).or_default();
        *size += RECORD + data.len();
        if *size > MAX_SET {
            return Err("a message holds no more records of this name and type".into());
        }
        self.parsed.records.push(Record { line: entry.line, owner, kind, ttl, data });
        Ok(())
    }

    fn directive(&mut self, words: &[Word]) -> Result<(), String> {
        let [directive, value] = words else {
            return Err(format!("'{}' and one value are wanted", shorten(&words[0].text)));
        };
        match directive.text.to_ascii_uppercase().as_str() {
            "$ORIGIN" => {
                let origin = data::name(&value.text, self.origin.as_deref());
                // Relative names below a wrong origin would be wrong, too.
                self.origin = None;
                self.origin = Some(origin?);
            }
            "$TTL" => {
                self.default_ttl = Some(ttl(&value.text)?.ok_or("$TTL is followed by seconds, or by 1h30m")?)
            }
            _ => return Err(format!("'{}' is none of $ORIGIN, $TTL", shorten(&directive.text))),
        }
        Ok(())
    }

    fn owner_of(&self, word: &Word) -> Result<Box<[u8]>, String> {
        let owner = data::name(&word.text, self.origin.as_deref())?;
        match owner.starts_with(b"\x01*") {
            true => Err("wildcards are not served".into()),
            false => Ok(owner),
        }
    }

    /// In either order, both optional (RFC 1035 §5.1).
    fn ttl_and_class<'w>(&self, mut words: &'w [Word]) -> Result<(Option<u32>, &'w [Word]), String> {
        let mut seconds = None;
        while let [word, rest @ ..] = words {
            match word.text.to_ascii_uppercase().as_str() {
                "IN" => {}
                class @ ("CH" | "HS" | "CS") => return Err(format!("class {class} is not served")),
                _ if seconds.is_none() => match ttl(&word.text)? {
                    Some(ttl) => seconds = Some(ttl),
                    None => break,
                },
                _ => break,
            }
            words = rest;
        }
        Ok((seconds, words))
    }
}

/// Seconds, or numbers with units as in `1h30m`; `None`: it is something else. All of BIND's units.
fn ttl(text: &str) -> Result<Option<u32>, String> {
    if !text.starts_with(|first: char| first.is_ascii_digit()) {
        return Ok(None);
    }
    let (mut sum, mut number) = (0u64, Some(0u64));
    for byte in text.bytes() {
        let unit = match byte.to_ascii_lowercase() {
            digit @ b'0'..=b'9' => {
                let digit = u64::from(digit - b'0');
                number = Some(number.unwrap_or(0).saturating_mul(10).saturating_add(digit));
                continue;
            }
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return Err(format!("'{}' is no TTL such as 300 or 1h30m", shorten(text))),
        };
        sum = sum.saturating_add(number.take().unwrap_or(0).saturating_mul(unit));
    }
    let sum = sum.saturating_add(number.unwrap_or(0));
    match u32::try_from(sum) {
        Ok(seconds) if sum <= MAX_TTL => Ok(Some(seconds)),
        _ => Err(format!("a TTL is at most {MAX_TTL} seconds")),
    }
}

/// By name, or `TYPE` and a number (RFC 3597 §5).
fn kind_of(word: &Word) -> Result<u16, String> {
    let text = word.text.to_ascii_uppercase();
    let number = match text.strip_prefix("TYPE").and_then(|number| number.parse().ok()) {
        Some(number) => Some(number),
        None if text == "DNAME" => Some(kind::DNAME),
        None => hickory_proto::rr::RecordType::from_str(&text).ok().map(u16::from),
    };
    match number {
        None => {
            Err(format!("'{}' is no type we know; TYPE and its number can stand for it", shorten(&word.text)))
        }
        Some(number) if is_of_dnssec(number) => Err(format!("{text} is of DNSSEC, which is not served")),
        // Names below it would have to be answered with an alias each (RFC 6672 §2.2).
        Some(kind::DNAME) => Err("DNAME is not served: list the names below it".into()),
        // OPT, and what only questions have (RFC 6895 §3.1).
        Some(0 | kind::OPT | 128..=255) => Err(format!("{text} cannot stand in a zone")),
        Some(number) => Ok(number),
    }
}

/// SIG, KEY, NXT, DS, RRSIG, NSEC, DNSKEY, NSEC3, NSEC3PARAM, CDS, CDNSKEY, DLV.
fn is_of_dnssec(kind: u16) -> bool {
    matches!(kind, 24 | 25 | 30 | kind::DS | 46..=48 | 50 | 51 | 59 | 60 | 32769)
}

#[cfg(test)]
mod tests;
