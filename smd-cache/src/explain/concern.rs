//! Which of all problems concern a key.

use super::{
    Key, Scene,
    trace::Judged,
    wish::{Wish, wish},
};
use crate::records::{Problem, Reason};
use std::{collections::BTreeSet, net::IpAddr};
use values::{Mac, Name, Xname};

/// MACs that are looked for in sentences: who lost a contested address, and has no component, is named so. A guess.
const MAX_WORDS: usize = 4;

/// Everything the key stands for. A problem concerns it that names one of these, or whose sentence mentions it: who lost a
/// contested key is in the sentence alone.
#[derive(Default)]
struct Concerned {
    macs: BTreeSet<Mac>,
    ids: BTreeSet<Xname>,
    addresses: BTreeSet<IpAddr>,
    names: BTreeSet<Name>,
    words: Vec<String>,
}

/// Those that concern the key, the ones about the key itself first.
pub fn problems<'a>(scene: &Scene<'a>, judged: &[Judged<'_>]) -> Vec<&'a Problem> {
    let concerned = Concerned::of(scene, judged);
    let (mut own, mut others) = (Vec::new(), Vec::new());
    for problem in scene.view.problems.iter().filter(|problem| concerned.by(problem)) {
        match is_about(problem, scene.key) {
            true => own.push(problem),
            false => others.push(problem),
        }
    }
    own.append(&mut others);
    own
}

impl Concerned {
    fn of(scene: &Scene<'_>, judged: &[Judged<'_>]) -> Concerned {
        let mut all = Concerned::default();
        match scene.key {
            Key::Mac(mac) => drop(all.macs.insert(*mac)),
            Key::Address(address) => drop(all.addresses.insert(*address)),
            Key::Name(name) => drop(all.names.insert(name.clone())),
            Key::Id(id) => drop(all.ids.insert(id.clone())),
        }
        all.ids.extend(scene.component.map(|component| component.id.clone()));
        for interface in &scene.interfaces {
            all.macs.insert(interface.mac);
            all.ids.extend(interface.component_id.clone());
            all.addresses.extend(interface.addresses.iter().map(|address| address.address));
        }
        // What it is not called, and why, is a problem of that name.
        all.names.extend(judged.iter().filter_map(|judged| match wish(scene, judged) {
            Some(Wish::Name(name)) => Some(name),
            _ => None,
        }));
        all.words.push(scene.key.to_string());
        all.words.extend(all.ids.iter().map(Xname::to_string));
        let macs = all.macs.iter().take(MAX_WORDS);
        all.words.extend(macs.flat_map(|mac| [mac.to_string(), mac.bare()]));
        all
    }

    fn by(&self, problem: &Problem) -> bool {
        problem.mac.is_some_and(|mac| self.macs.contains(&mac))
            || problem.address.is_some_and(|address| self.addresses.contains(&address))
            || problem.name.as_ref().is_some_and(|name| self.names.contains(name))
            || problem.component_id.as_ref().is_some_and(|id| self.ids.contains(id))
            || self.is_mentioned(&problem.message)
    }
}

impl Concerned {
    fn is_mentioned(&self, message: &str) -> bool {
        let message = message.to_ascii_lowercase();
        self.words.iter().any(|word| mentions(&message, word))
    }
}

fn is_about(problem: &Problem, key: &Key) -> bool {
    match key {
        Key::Mac(mac) => problem.mac == Some(*mac),
        Key::Address(address) => problem.address == Some(*address),
        Key::Name(name) => problem.name.as_ref() == Some(name),
        Key::Id(id) => problem.component_id.as_ref() == Some(id),
    }
}

/// Whether a sentence in lower case holds the word, and not as a part of a longer one: `10.0.0.1` is not in `10.0.0.11`, nor
/// `fd00::1` in `fd00::1:2`.
pub fn mentions(sentence: &str, word: &str) -> bool {
    let mut matches = sentence.match_indices(word);
    matches.any(|(at, _)| {
        let mut after = sentence[at + word.len()..].chars();
        let mut before = sentence[..at].chars().rev();
        ends(before.next(), before.next()) && ends(after.next(), after.next())
    })
}

/// Whether a word ends before these two characters.
fn ends(next: Option<char>, beyond: Option<char>) -> bool {
    let is_part = |character: Option<char>| character.is_some_and(|one| one.is_ascii_alphanumeric());
    let joins = matches!(next, Some('.' | ':' | '-' | '_'));
    !(is_part(next) || joins && is_part(beyond))
}

/// Whether the record is not in the inventory at all because of it.
pub fn is_refusal(reason: Reason) -> bool {
    matches!(reason, Reason::BadRecord | Reason::BadMac | Reason::UnusableMac | Reason::BadXname)
}
