//! Static records: zone-file lines (RFC 1035 §5.1), one a line, relative to the domain.

use crate::{
    reader::{Field, shorten},
    schema::Zone,
};
use std::net::{Ipv4Addr, Ipv6Addr};
use values::Name;

/// A zone-file line, understood.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordLine {
    /// As written.
    pub text: String,
    /// Owner: absolute.
    pub owner: Name,
    /// Seconds, when given.
    pub ttl: Option<u32>,
    /// A, AAAA, CNAME, TXT, SRV, MX, NS, PTR.
    pub data: RecordData,
}

/// What a static record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordData {
    /// IPv4.
    A(Ipv4Addr),
    /// IPv6.
    Aaaa(Ipv6Addr),
    /// Alias.
    Cname(Name),
    /// Reverse name.
    Ptr(Name),
    /// Name server.
    Ns(Name),
    /// Mail exchanger.
    Mx(u16, Name),
    /// Strings of at most 255 bytes.
    Txt(Vec<String>),
    /// Priority, weight, port, target.
    Srv(u16, u16, u16, Name),
}

/// RFC 2181 §8.
const MAX_TTL: u32 = i32::MAX as u32;
/// RFC 1035 §3.3: a length octet.
const MAX_STRING: usize = 255;

const TYPES: &str = "A, AAAA, CNAME, TXT, SRV, MX, NS, PTR";

/// `dnsd.records`.
pub(crate) fn read(field: &Field, domain: Option<&Name>, zones: &[Zone]) -> Option<Vec<RecordLine>> {
    let mut good: Vec<(RecordLine, usize)> = Vec::new();
    for item in field.items()? {
        let Some(record) = line(&item, domain) else { continue };
        let is_apex = Some(&record.owner) == domain || zones.iter().any(|zone| zone.name == record.owner);
        if is_apex && is_cname(&record) {
            item.mistake(format!("{} is a zone and cannot be an alias (RFC 1034 §3.6.2)", record.owner));
        }
        if let Some((line, message)) =
            good.iter().find_map(|(other, line)| Some((line, conflict(other, &record)?)))
        {
            item.mistake(format!("{message} on line {line}"));
        }
        good.push((record, item.place().line));
    }
    Some(good.into_iter().map(|(record, _)| record).collect())
}

fn is_cname(record: &RecordLine) -> bool {
    matches!(record.data, RecordData::Cname(_))
}

fn conflict(earlier: &RecordLine, record: &RecordLine) -> Option<String> {
    if earlier.owner != record.owner {
        return None;
    }
    if earlier.data == record.data {
        return Some("the same record is".into());
    }
    let alias = is_cname(earlier) || is_cname(record);
    alias.then(|| format!("an alias has no other records (RFC 1034 §3.6.2), and {} has one", record.owner))
}

/// A word of the line and the byte where it begins.
struct Word {
    at: usize,
    text: String,
    quoted: bool,
}

fn line(field: &Field, domain: Option<&Name>) -> Option<RecordLine> {
    let text = field.text("a record")?;
    let parsed =
        words(text).and_then(|words| Reader { words, next: 0, end: text.len(), domain }.record(text));
    match parsed {
        Ok(record) => Some(record),
        Err((at, message)) => {
            field.mistake_at(at, message);
            None
        }
    }
}

type Bad = (usize, String);

fn words(text: &str) -> Result<Vec<Word>, Bad> {
    let mut words: Vec<Word> = Vec::new();
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            _ if character.is_whitespace() => {}
            ';' => break,
            '"' => {
                let mut word = String::new();
                loop {
                    match characters.next() {
                        None => return Err((at, "a quote without its other half".into())),
                        Some((_, '"')) => break,
                        Some((_, '\\')) => word.extend(characters.next().map(|(_, c)| c)),
                        Some((_, c)) => word.push(c),
                    }
                }
                words.push(Word { at, text: word, quoted: true });
            }
            _ => {
                let mut word = String::from(character);
                while let Some((_, c)) =
                    characters.next_if(|(_, c)| !c.is_whitespace() && !matches!(c, ';' | '"'))
                {
                    word.push(c);
                }
                words.push(Word { at, text: word, quoted: false });
            }
        }
    }
    Ok(words)
}

struct Reader<'a> {
    words: Vec<Word>,
    next: usize,
    end: usize,
    domain: Option<&'a Name>,
}

impl Reader<'_> {
    fn record(mut self, text: &str) -> Result<RecordLine, Bad> {
        let owner = self.name("an owner")?;
        let mut ttl = None;
        // TTL and class come in either order (RFC 1035 §5.1).
        loop {
            let (at, word) = self.word(&format!("a type ({TYPES})"))?;
            match word.to_ascii_uppercase().as_str() {
                "IN" => {}
                _ if ttl.is_none() && word.bytes().all(|b| b.is_ascii_digit()) => {
                    let seconds = word.parse().ok().filter(|seconds| *seconds <= MAX_TTL);
                    ttl = Some(seconds.ok_or_else(|| (at, format!("a TTL is at most {MAX_TTL} seconds")))?);
                }
                kind => {
                    let data = self.data(at, kind)?;
                    return match self.words.get(self.next) {
                        Some(word) => Err((word.at, format!("'{}' is too much", shorten(&word.text)))),
                        None => Ok(RecordLine { text: text.to_owned(), owner, ttl, data }),
                    };
                }
            }
        }
    }

    fn data(&mut self, at: usize, kind: &str) -> Result<RecordData, Bad> {
        Ok(match kind {
            "A" => RecordData::A(self.value("an IPv4 address")?),
            "AAAA" => RecordData::Aaaa(self.value("an IPv6 address")?),
            "CNAME" => RecordData::Cname(self.name("a name")?),
            "PTR" => RecordData::Ptr(self.name("a name")?),
            "NS" => RecordData::Ns(self.name("a name")?),
            "MX" => RecordData::Mx(self.value("a preference")?, self.name("a name")?),
            "SRV" => RecordData::Srv(
                self.value("a priority")?,
                self.value("a weight")?,
                self.value("a port")?,
                self.name("a target")?,
            ),
            "TXT" => RecordData::Txt(self.strings()?),
            _ => return Err((at, format!("'{}' is none of {TYPES}", shorten(kind)))),
        })
    }

    fn word(&mut self, wanted: &str) -> Result<(usize, String), Bad> {
        let word = self.words.get(self.next).filter(|word| !word.quoted);
        let (at, text) = word.map(|word| (word.at, word.text.clone())).ok_or_else(|| self.missing(wanted))?;
        self.next += 1;
        Ok((at, text))
    }

    fn missing(&self, wanted: &str) -> Bad {
        let at = self.words.get(self.next).map_or(self.end, |word| word.at);
        (at, format!("{wanted} is missing; a record is: OWNER TYPE DATA"))
    }

    fn value<T: std::str::FromStr>(&mut self, wanted: &str) -> Result<T, Bad> {
        let (at, word) = self.word(wanted)?;
        word.parse().map_err(|_| (at, format!("'{}' where {wanted} is wanted", shorten(&word))))
    }

    /// Absolute with a final dot, else below the domain; `@` is the domain.
    fn name(&mut self, wanted: &str) -> Result<Name, Bad> {
        let (at, word) = self.word(wanted)?;
        if let Some(absolute) = word.strip_suffix('.') {
            return absolute.parse().map_err(|error: values::BadName| (at, error.to_string()));
        }
        let Some(domain) = self.domain else {
            return Err((
                at,
                format!("'{}' is relative, and there is no `domain`: end it in a dot?", shorten(&word)),
            ));
        };
        match word.as_str() {
            "@" => Ok(domain.clone()),
            _ => domain.below(&word).map_err(|error| (at, error.to_string())),
        }
    }

    fn strings(&mut self) -> Result<Vec<String>, Bad> {
        let words = &self.words[self.next..];
        if words.is_empty() {
            return Err(self.missing("a text"));
        }
        if let Some(word) = words.iter().find(|word| word.text.len() > MAX_STRING) {
            return Err((word.at, format!("a text has at most {MAX_STRING} bytes; write several")));
        }
        let strings = words.iter().map(|word| word.text.clone()).collect();
        self.next = self.words.len();
        Ok(strings)
    }
}
