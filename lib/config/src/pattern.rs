//! Host name patterns: `nid{04d}`, `{id}-bmc`, `n{02d}.rack`.

use values::Xname;

/// Digits a NID is padded to at most: 64 bits have 19.
const MAX_WIDTH: usize = 20;
/// RFC 1035 §2.3.4.
const MAX_LABEL: usize = 63;
/// RFC 1035 §2.3.4, as text.
const MAX_NAME: usize = 253;

/// A host name pattern: text with `{id}` and `{04d}`.
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
}

/// What is wrong with a pattern, and at which byte.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadPattern {
    pub at: usize,
    pub message: String,
}

impl Pattern {
    /// The name; `None` when the pattern needs a NID and there is none.
    pub fn fill(&self, id: &Xname, nid: Option<i64>) -> Option<String> {
        let mut name = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => name.push_str(text),
                Part::Id => name.push_str(id.as_str()),
                Part::Nid(width) => {
                    let nid = nid.filter(|nid| *nid >= 0)?;
                    name.push_str(&format!("{nid:0width$}"));
                }
            }
        }
        Some(name)
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

/// `{id}` or `{04d}` at the start of `text`, and how long it is.
fn placeholder(text: &str) -> Result<(Part, usize), String> {
    let end = text.find('}').filter(|_| text.starts_with('{'));
    let Some(inside) = end.map(|end| &text[1..end]) else {
        return Err("a brace without its other half; patterns know {id} and {04d}".into());
    };
    let wrong = || format!("'{{{inside}}}' is neither {{id}} nor {{04d}}");
    let part = match inside.strip_suffix('d') {
        _ if inside == "id" => Part::Id,
        Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
            let width = digits.parse().ok().filter(|width| *width <= MAX_WIDTH);
            Part::Nid(width.ok_or_else(|| format!("a NID is padded to at most {MAX_WIDTH} digits"))?)
        }
        _ => return Err(wrong()),
    };
    Ok((part, inside.len() + 2))
}

/// Refuses patterns that no NID and no xname can make a DNS name of: the shortest filling is looked at.
fn can_be_a_name(text: &str, parts: &[Part]) -> Result<(), BadPattern> {
    let wrong = |at, message: String| Err(BadPattern { at, message });
    let (mut at, mut label, mut name) = (0, 0, 0);
    for part in parts {
        let (shown, shortest) = match part {
            Part::Text(text) => (text.len(), text.as_str()),
            Part::Id => (4, "x0"),
            Part::Nid(_) => (text[at..].find('}').map_or(0, |end| end + 1), ""),
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
