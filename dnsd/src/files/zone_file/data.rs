//! RDATA, from the words of an entry.

use crate::{
    files::{
        entries::{self, Word},
        shorten,
    },
    wire::kind,
};
use hickory_proto::{
    rr::Name,
    serialize::{
        binary::{BinDecodable, BinDecoder, BinEncodable, BinEncoder},
        txt::Parser,
    },
};
use std::{
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// RFC 1035 §2.3.4.
const MAX_NAME: usize = 255;
/// RFC 1035 §2.3.4.
const MAX_LABEL: usize = 63;
/// RFC 1035 §3.3: a length octet.
const MAX_STRING: usize = 255;
/// A record fits into a message of 64 KiB with its question and all else.
pub const MAX_DATA: usize = 65_000;

/// As it goes on the wire, without compression.
pub fn encode(kind: u16, words: &[Word], origin: Option<&[u8]>) -> Result<Box<[u8]>, String> {
    let data = match (kind, words) {
        (_, [first, length, hex @ ..]) if first.text == "\\#" => {
            opaque(&length.text, hex).and_then(|data| fitting(kind, data))?
        }
        (kind::A, [address]) => value::<Ipv4Addr>(address, "an IPv4 address")?.octets().to_vec(),
        (kind::AAAA, [address]) => value::<Ipv6Addr>(address, "an IPv6 address")?.octets().to_vec(),
        (kind::CNAME | kind::NS | kind::PTR, [target]) => name(&target.text, origin)?.into_vec(),
        (kind::MX, [preference, target]) => numbers_and_name(&[preference], target, origin)?,
        (kind::SRV, [priority, weight, port, target]) => {
            numbers_and_name(&[priority, weight, port], target, origin)?
        }
        (kind::TXT, [_, ..]) => strings(words)?,
        (kind::A | kind::AAAA | kind::CNAME | kind::NS | kind::PTR | kind::MX | kind::SRV | kind::TXT, _) => {
            return Err("too few or too many values for its type".into());
        }
        _ => others(kind, words, origin)?,
    };
    match data.len() {
        0..=MAX_DATA => Ok(data.into()),
        _ => Err(format!("more than {MAX_DATA} bytes in one record")),
    }
}

/// A name in wire form and lower case: `@` is the origin, and what has no final dot is below it.
pub fn name(text: &str, origin: Option<&[u8]>) -> Result<Box<[u8]>, String> {
    let below = || origin.ok_or_else(|| format!("'{}' is relative, and there is no $ORIGIN", shorten(text)));
    match text {
        "@" => return below().map(Box::from),
        "." => return Ok([0].into()),
        "" => return Err("an empty name".into()),
        _ => {}
    }
    let mut name = Vec::new();
    let mut start = 0;
    // A dot that is escaped is part of its label.
    for (at, _) in text.match_indices('.').filter(|(at, _)| is_plain(text.as_bytes(), *at)) {
        push_label(&mut name, &text[start..at])?;
        start = at + 1;
    }
    if start == text.len() {
        name.push(0);
    } else {
        push_label(&mut name, &text[start..])?;
        name.extend_from_slice(below()?);
    }
    match name.len() {
        0..=MAX_NAME => Ok(name.to_ascii_lowercase().into()),
        _ => Err(format!("'{}' is longer than a name can be", shorten(text))),
    }
}

/// Whether an even number of backslashes stands before it.
fn is_plain(text: &[u8], at: usize) -> bool {
    text[..at].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 0
}

fn push_label(name: &mut Vec<u8>, text: &str) -> Result<(), String> {
    let label = entries::bytes(text)?;
    match u8::try_from(label.len()) {
        Ok(length) if (1..=MAX_LABEL).contains(&label.len()) => name.push(length),
        _ => return Err(format!("'{}' is no label: they have 1 to {MAX_LABEL} bytes", shorten(text))),
    }
    name.extend_from_slice(&label);
    Ok(())
}

fn value<T: FromStr>(word: &Word, wanted: &str) -> Result<T, String> {
    word.text.parse().map_err(|_| format!("'{}' where {wanted} is wanted", shorten(&word.text)))
}

fn numbers_and_name(numbers: &[&Word], target: &Word, origin: Option<&[u8]>) -> Result<Vec<u8>, String> {
    let mut data = Vec::new();
    for word in numbers {
        data.extend_from_slice(&value::<u16>(word, "a number up to 65535")?.to_be_bytes());
    }
    data.extend_from_slice(&name(&target.text, origin)?);
    Ok(data)
}

fn strings(words: &[Word]) -> Result<Vec<u8>, String> {
    let mut data = Vec::new();
    for word in words {
        let text = entries::bytes(&word.text)?;
        match u8::try_from(text.len()) {
            Ok(length) => data.push(length),
            Err(_) => return Err(format!("a text has at most {MAX_STRING} bytes; write several")),
        }
        data.extend_from_slice(&text);
    }
    Ok(data)
}

/// `\# LENGTH HEX ...` (RFC 3597 §5).
fn opaque(length: &str, hex: &[Word]) -> Result<Vec<u8>, String> {
    let wrong = || "'\\#' is followed by a length and as many bytes in hexadecimal".to_owned();
    let digits: String = hex.iter().map(|word| word.text.as_str()).collect();
    let length: usize = length.parse().map_err(|_| wrong())?;
    if !digits.is_ascii() || !digits.len().is_multiple_of(2) || digits.len() / 2 != length {
        return Err(wrong());
    }
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| wrong());
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// What we look into must be what it says; names are to be written as names.
fn fitting(kind: u16, data: Vec<u8>) -> Result<Vec<u8>, String> {
    let fits = match kind {
        kind::A => data.len() == 4,
        kind::AAAA => data.len() == 16,
        kind::CNAME | kind::NS | kind::PTR | kind::MX | kind::SRV | kind::TXT => false,
        _ => true,
    };
    fits.then_some(data).ok_or_else(|| "the data do not fit the type".into())
}

/// CAA, SSHFP, TLSA, NAPTR, HTTPS ... by hickory-proto, one record at a time.
fn others(kind: u16, words: &[Word], origin: Option<&[u8]>) -> Result<Vec<u8>, String> {
    let origin = match origin {
        Some(origin) => Name::read(&mut BinDecoder::new(origin)).map_err(|error| error.to_string())?,
        None => Name::root(),
    };
    let kind = hickory_proto::rr::RecordType::from(kind);
    let mut line = format!(". 1 IN {kind}");
    for word in words {
        match (word.quoted, word.text.as_str()) {
            (true, text) => line.push_str(&format!(" \"{text}\"")),
            (false, "@") => line.push_str(&format!(" {}", origin.to_ascii())),
            (false, text) => line.push_str(&format!(" {text}")),
        }
    }
    line.push('\n');
    let (_, sets) = Parser::new(line, None, Some(origin)).parse().map_err(|error| error.to_string())?;
    let record = sets.values().flat_map(|set| set.records_without_rrsigs()).next();
    let record = record.ok_or("nothing could be read")?;
    let mut data = Vec::new();
    let mut encoder = BinEncoder::new(&mut data);
    // Names in lower case and whole: there is no message around them.
    encoder.set_canonical_form(true);
    record.data.emit(&mut encoder).map_err(|error| error.to_string())?;
    Ok(data)
}
