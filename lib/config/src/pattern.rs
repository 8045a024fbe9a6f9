//! Host name patterns: `nid{04d}`, `{id}-bmc`, `n{02d}.rack`, `nid{06d}-{nic}`, `nid{06d}.{network}`.

use values::Xname;

/// Digits a NID is padded to at most: 64 bits have 19.
const MAX_WIDTH: usize = 20;
/// RFC 1035 §2.3.4.
const MAX_LABEL: usize = 63;
/// RFC 1035 §2.3.4, as text.
const MAX_NAME: usize = 253;

/// A host name pattern: text with `{id}`, `{04d}`, `{network}` and `{nic}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(pub Vec<Part>);

/// A piece of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// As it stands.
    Text(String),
    /// The xname.
    Id,
    /// The NID, padded with zeros to this many digits.
    Nid(usize),
    /// The network of the address, as a DNS label.
    Network,
    /// The same and the number of the interface among the component's on that network: `hsn0`.
    Nic,
}

/// What a pattern is filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filling<'a> {
    /// The component's xname.
    pub id: &'a Xname,
    /// Its NID.
    pub nid: Option<i64>,
    /// Where it is named; `None`: nowhere, or on a network without a name.
    pub nic: Option<Nic<'a>>,
}

/// An interface among those that a component has on one network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nic<'a> {
    /// The network, a DNS label.
    pub network: &'a str,
    /// From 0.
    pub number: u32,
}

/// What a pattern needs and there is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lacking {
    /// A NID.
    Nid,
    /// A network with a name.
    Network,
}

/// What is wrong with a pattern, and at which byte.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadPattern {
    pub at: usize,
    pub message: String,
}

impl Pattern {
    /// The name, or what it lacks.
    pub fn fill(&self, filling: &Filling) -> Result<String, Lacking> {
        let mut name = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => name.push_str(text),
                Part::Id => name.push_str(filling.id.as_str()),
                Part::Nid(width) => {
                    let nid = filling.nid.filter(|nid| *nid >= 0).ok_or(Lacking::Nid)?;
                    name.push_str(&format!("{nid:0width$}"));
                }
                Part::Network => name.push_str(filling.nic.ok_or(Lacking::Network)?.network),
                Part::Nic => {
                    let Nic { network, number } = filling.nic.ok_or(Lacking::Network)?;
                    name.push_str(&format!("{network}{number}"));
                }
            }
        }
        Ok(name)
    }

    /// Whether what it gives differs from address to address of one component.
    pub fn needs_network(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Network | Part::Nic))
    }

    pub(crate) fn parse(text: &str) -> Result<Pattern, BadPattern> {
        let mut parts = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            let length = match rest.find(['{', '}']) {
                Some(0) => {
                    let (part, length) = placeholder(rest).map_err(|message| BadPattern { at, message })?;
                    parts.push(part);
                    length
                }
                brace => {
                    let length = brace.unwrap_or(rest.len());
                    parts.push(Part::Text(rest[..length].to_owned()));
                    length
                }
            };
            at += length;
        }
        can_be_a_name(text, &parts)?;
        Ok(Pattern(parts))
    }
}

/// What stands in braces at the start of `text`, and how long it is.
fn placeholder(text: &str) -> Result<(Part, usize), String> {
    let end = text.find('}').filter(|_| text.starts_with('{'));
    let Some(inside) = end.map(|end| &text[1..end]) else {
        return Err("a brace without its other half; patterns know {id}, {04d}, {network} and {nic}".into());
    };
    let wrong = || format!("'{{{inside}}}' is none of {{id}}, {{04d}}, {{network}}, {{nic}}");
    let part = match inside.strip_suffix('d') {
        _ if inside == "id" => Part::Id,
        _ if inside == "network" => Part::Network,
        _ if inside == "nic" => Part::Nic,
        Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
            let width = digits.parse().ok().filter(|width| *width <= MAX_WIDTH);
            Part::Nid(width.ok_or_else(|| format!("a NID is padded to at most {MAX_WIDTH} digits"))?)
        }
        _ => return Err(wrong()),
    };
    Ok((part, inside.len() + 2))
}

/// Refuses patterns that no NID, no xname and no network can make a DNS name of: the shortest filling is looked at.
fn can_be_a_name(text: &str, parts: &[Part]) -> Result<(), BadPattern> {
    let wrong = |at, message: String| Err(BadPattern { at, message });
    let (mut at, mut label, mut name) = (0, 0, 0);
    for part in parts {
        let (shown, shortest) = match part {
            Part::Text(text) => (text.len(), text.as_str()),
            Part::Id => (4, "x0"),
            Part::Nid(_) => (text[at..].find('}').map_or(0, |end| end + 1), ""),
            Part::Network => ("{network}".len(), "n"),
            Part::Nic => ("{nic}".len(), "n0"),
        };
        let width = if let Part::Nid(width) = part { (*width).max(1) } else { 0 };
        (label, name) = (label + width, name + width);
        for (offset, character) in shortest.char_indices() {
            match character {
                '.' if label == 0 => return wrong(at + offset, "an empty label in a DNS name".into()),
                '.' => label = 0,
                'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' => label += 1,
                _ => return wrong(at + offset, format!("'{character}' cannot stand in a host name")),
            }
            name += 1;
            if label > MAX_LABEL {
                return wrong(at, format!("a label longer than {MAX_LABEL} characters"));
            }
        }
        if label > MAX_LABEL {
            return wrong(at, format!("a label longer than {MAX_LABEL} characters"));
        }
        at += shown;
    }
    match (name, label) {
        (0, _) => wrong(0, "an empty host name".into()),
        (_, 0) => wrong(text.len() - 1, "an empty label in a DNS name".into()),
        (MAX_NAME.., _) if name > MAX_NAME => wrong(0, format!("a name longer than {MAX_NAME} characters")),
        _ => Ok(()),
    }
}
