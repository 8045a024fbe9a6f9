//! CoreSMD's text form of a rule: `name:mgmt,type:Node|NodeBMC,hostname:'nid{04d}'`.

use super::MATCH_KEYS;
use crate::{
    reader::Field,
    yaml::{Data, Key, Node},
};

/// A rule's entries as the two tables of the spelled-out form.
pub struct Tables {
    pub conditions: Node,
    pub actions: Node,
    /// Whether every entry could be cut; what is left of a broken rule is checked all the same.
    pub whole: bool,
}

/// Cuts a rule at its commas and colons.
pub fn split(field: &Field) -> Option<Tables> {
    let text = field.text("a rule")?;
    if text.trim().is_empty() {
        field.mistake("an empty rule");
        return None;
    }
    let (mut conditions, mut actions) = (Vec::new(), Vec::new());
    let mut at = 0;
    let mut whole = true;
    while at <= text.len() {
        let end = at + entry_length(&text[at..]);
        match entry(field, text, at, end) {
            Some((key, value)) if MATCH_KEYS.contains(&key.text.as_str()) => conditions.push((key, value)),
            Some(entry) => actions.push(entry),
            None => whole = false,
        }
        at = end + 1;
    }
    let table = |entries| Node { place: field.place(), data: Data::Map(entries) };
    Some(Tables { conditions: table(conditions), actions: table(actions), whole })
}

/// Bytes to the comma that ends the entry: none in quotes, and none in the brackets of an `id_set`.
fn entry_length(text: &str) -> usize {
    let mut quote = None;
    let mut in_brackets = false;
    let mut value_begins = false;
    for (at, character) in text.char_indices() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') if value_begins && text[at + 1..].contains(character) => {
                quote = Some(character)
            }
            (None, '[') => in_brackets = text[at..].contains(']'),
            (None, ']') => in_brackets = false,
            (None, ',') if !in_brackets => return at,
            _ => {}
        }
        value_begins = character == ':' || value_begins && character.is_whitespace();
    }
    text.len()
}

fn entry(field: &Field, text: &str, start: usize, end: usize) -> Option<(Key, Node)> {
    let (start, end) = trimmed(text, start, end);
    if start == end {
        field.mistake_at(start, "an empty part between commas");
        return None;
    }
    let Some(colon) = text[start..end].find(':').map(|found| start + found) else {
        field.mistake_at(start, format!("'{}' is no key:value", &text[start..end]));
        return None;
    };
    let (_, key_end) = trimmed(text, start, colon);
    let key = Key { text: text[start..key_end].to_owned(), place: field.node.place_of(start) };
    if matches!(key.text.as_str(), "" | "match" | "options") {
        field.mistake_at(start, format!("'{}' is no key of the text form", key.text));
        return None;
    }
    let (start, end) = unquoted(field, text, trimmed(text, colon + 1, end))?;
    if start == end {
        field.mistake_at(colon, format!("`{}` has no value", key.text));
        return None;
    }
    Some((key, field.node.slice(start, end)))
}

fn unquoted(field: &Field, text: &str, (start, end): (usize, usize)) -> Option<(usize, usize)> {
    let value = &text[start..end];
    let Some(quote) = value.chars().next().filter(|c| matches!(c, '\'' | '"')) else {
        return Some((start, end));
    };
    if value.len() < 2 || value[1..].find(quote) != Some(value.len() - 2) {
        field.mistake_at(start, "a value in quotes ends with the quote it begins with");
        return None;
    }
    Some((start + 1, end - 1))
}

fn trimmed(text: &str, start: usize, end: usize) -> (usize, usize) {
    let piece = &text[start..end];
    let start = start + piece.len() - piece.trim_start().len();
    (start, start + piece.trim().len())
}
