//! Reading a tree key by key: every mistake is written down and reading goes on; keys nobody asked for are mistakes too.

use crate::{
    Program,
    mistake::Mistake,
    yaml::{Data, Key, Node},
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
};

/// Line and column, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

impl Place {
    pub const START: Place = Place { line: 1, column: 1 };
}

/// What is found while reading.
#[derive(Default)]
pub struct Book {
    mistakes: RefCell<Vec<Mistake>>,
    later: RefCell<Vec<(Mistake, Vec<Program>)>>,
    /// Every key that was asked for, list places as `[]`: what the manual has to explain.
    asked: RefCell<BTreeSet<String>>,
}

impl Book {
    pub fn mistake(&self, place: Place, key: &str, message: impl Into<String>) {
        self.mistakes.borrow_mut().push(mistake(place, key, message));
    }

    /// A key that is set though nothing heeds it yet.
    pub fn later(&self, place: Place, key: &str, programs: &[Program]) {
        self.later.borrow_mut().push((mistake(place, key, "not served yet"), programs.to_vec()));
    }

    /// Mistakes, and keys whose feature comes later, by line.
    pub fn close(self) -> (Vec<Mistake>, Vec<(Mistake, Vec<Program>)>) {
        let (mut mistakes, mut later) = (self.mistakes.into_inner(), self.later.into_inner());
        mistakes.sort();
        mistakes.dedup();
        later.sort_by(|a, b| a.0.cmp(&b.0));
        (mistakes, later)
    }

    #[cfg(test)]
    pub fn asked(&self) -> BTreeSet<String> {
        self.asked.borrow().clone()
    }
}

fn mistake(place: Place, key: &str, message: impl Into<String>) -> Mistake {
    Mistake { line: place.line, column: place.column, key: key.to_owned(), message: message.into() }
}

/// A value with its path.
#[derive(Clone)]
pub struct Field<'a> {
    pub node: &'a Node,
    pub path: String,
    pub book: &'a Book,
}

impl<'a> Field<'a> {
    pub fn place(&self) -> Place {
        self.node.place
    }

    pub fn mistake(&self, message: impl Into<String>) {
        self.book.mistake(self.node.place, &self.path, message);
    }

    /// A mistake at a byte of a scalar's text.
    pub fn mistake_at(&self, byte: usize, message: impl Into<String>) {
        self.book.mistake(self.node.place_of(byte), &self.path, message);
    }

    /// A scalar's text; anything else is a mistake that says what is `wanted`.
    pub fn text(&self, wanted: &str) -> Option<&'a str> {
        match &self.node.data {
            Data::Scalar(scalar) => Some(&scalar.text),
            other => {
                self.mistake(format!("{} where {wanted} is wanted", kind(other)));
                None
            }
        }
    }

    /// A scalar through a parser whose error is a sentence.
    pub fn parse<T>(&self, wanted: &str, parser: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        match parser(self.text(wanted)?) {
            Ok(value) => Some(value),
            Err(message) => {
                self.mistake(message);
                None
            }
        }
    }

    /// The items of a list.
    pub fn items(&self) -> Option<Vec<Field<'a>>> {
        match &self.node.data {
            Data::List(items) => {
                Some(items.iter().enumerate().map(|(index, node)| self.at(index, node)).collect())
            }
            Data::Scalar(scalar) => {
                self.mistake(format!(
                    "a single value where a list is wanted: write [{}]",
                    shorten(&scalar.text)
                ));
                None
            }
            other => {
                self.mistake(format!("{} where a list is wanted", kind(other)));
                None
            }
        }
    }

    fn at(&self, index: usize, node: &'a Node) -> Field<'a> {
        Field { node, path: format!("{}[{index}]", self.path), book: self.book }
    }

    /// Every good item; bad ones are written down.
    pub fn each<T>(&self, read: impl Fn(&Field<'a>) -> Option<T>) -> Option<Vec<T>> {
        Some(self.items()?.iter().filter_map(read).collect())
    }

    /// The entries of a table, each key once.
    pub fn entries(&self) -> Option<Vec<(&'a Key, Field<'a>)>> {
        let Data::Map(entries) = &self.node.data else {
            self.mistake(format!("{} where a section of `key: value` is wanted", kind(&self.node.data)));
            return None;
        };
        let mut seen: Vec<(&'a Key, Field<'a>)> = Vec::new();
        for (key, node) in entries {
            let path = join(&self.path, &key.text);
            match seen.iter().find(|(earlier, _)| earlier.text == key.text) {
                Some((earlier, _)) => {
                    let message = format!("given twice; the first is on line {}", earlier.place.line);
                    self.book.mistake(key.place, &path, message);
                }
                None => seen.push((key, Field { node, path, book: self.book })),
            }
        }
        Some(seen)
    }

    /// Reads a table; keys that `read` does not ask for are mistakes.
    pub fn section<T>(&self, read: impl FnOnce(&Section<'a>) -> T) -> Option<T> {
        let section = Section {
            entries: self.entries()?,
            place: self.place(),
            path: self.path.clone(),
            book: self.book,
            asked: RefCell::default(),
            also: Cell::new(("", &[])),
        };
        let value = read(&section);
        section.report_unknown();
        Some(value)
    }
}

/// A table being read.
pub struct Section<'a> {
    entries: Vec<(&'a Key, Field<'a>)>,
    pub place: Place,
    pub path: String,
    pub book: &'a Book,
    asked: RefCell<Vec<&'static str>>,
    also: Cell<(&'static str, &'static [&'static str])>,
}

impl<'a> Section<'a> {
    /// The value of a key; `None` when there is none.
    pub fn field(&self, key: &'static str) -> Option<&Field<'a>> {
        self.any(key).filter(|field| !matches!(field.node.data, Data::Null))
    }

    fn any(&self, key: &'static str) -> Option<&Field<'a>> {
        self.asked.borrow_mut().push(key);
        self.book.asked.borrow_mut().insert(join(&without_indices(&self.path), key));
        self.entries.iter().find(|(name, _)| name.text == key).map(|(_, field)| field)
    }

    /// A key's value as `read` understands it; `None` when it is absent or wrong.
    pub fn get<T>(&self, key: &'static str, read: impl FnOnce(&Field<'a>) -> Option<T>) -> Option<T> {
        read(self.field(key)?)
    }

    /// As `get`, for a key that must be there.
    pub fn required<T>(&self, key: &'static str, read: impl FnOnce(&Field<'a>) -> Option<T>) -> Option<T> {
        if self.field(key).is_none() {
            self.book.mistake(self.place, &self.path, format!("`{key}` is missing"));
        }
        self.get(key, read)
    }

    /// A list; `None` when it is absent or no list.
    pub fn list<T>(&self, key: &'static str, read: impl Fn(&Field<'a>) -> Option<T>) -> Option<Vec<T>> {
        self.field(key)?.each(read)
    }

    /// A section that may be absent, and whose absence means something; so one without content is a mistake.
    pub fn optional<T>(&self, key: &'static str, read: impl FnOnce(&Section<'a>) -> T) -> Option<T> {
        let field = self.any(key)?;
        if matches!(field.node.data, Data::Null) {
            field.mistake("nothing in it: write {} for its defaults, or leave the key out");
            return None;
        }
        field.section(read)
    }

    /// A section whose keys all have defaults.
    pub fn part<T>(&self, key: &'static str, read: impl Fn(&Section<'_>) -> T) -> T {
        match self.field(key).and_then(|field| field.section(|section| read(section))) {
            Some(value) => value,
            None => self.empty(key, &read),
        }
    }

    fn empty<T>(&self, key: &str, read: &impl Fn(&Section<'_>) -> T) -> T {
        let section = Section {
            entries: Vec::new(),
            place: self.place,
            path: join(&self.path, key),
            book: self.book,
            asked: RefCell::default(),
            also: Cell::new(("", &[])),
        };
        read(&section)
    }

    /// A mistake at a key's value, or at the section when the key is absent.
    pub fn mistake(&self, key: &'static str, message: impl Into<String>) {
        match self.entries.iter().find(|(name, _)| name.text == key) {
            Some((_, field)) => field.mistake(message),
            None => self.book.mistake(self.place, &self.path, message),
        }
    }

    /// Where a key stands; the section itself when it is absent.
    pub fn key_place(&self, key: &'static str) -> Place {
        self.entries.iter().find(|(name, _)| name.text == key).map_or(self.place, |(name, _)| name.place)
    }

    /// Writes a key down as not served yet where it is set.
    pub fn later(&self, key: &'static str, programs: &[Program]) {
        if self.field(key).is_some() {
            self.book.later(self.key_place(key), &join(&self.path, key), programs);
        }
    }

    /// Keys of `section` (nothing: of this very one) that an unknown key may have been meant for.
    pub fn also(&self, section: &'static str, keys: &'static [&'static str]) {
        self.also.set((section, keys));
    }

    /// Whether there are keys that nobody has asked for so far.
    pub fn has_unknown(&self) -> bool {
        let asked = self.asked.borrow();
        self.entries.iter().any(|(key, _)| !asked.contains(&key.text.as_str()))
    }

    fn report_unknown(&self) {
        let asked = self.asked.borrow();
        let (elsewhere, also) = self.also.get();
        for (key, field) in self.entries.iter().filter(|(key, _)| !asked.contains(&key.text.as_str())) {
            let hint = match nearest(&key.text, asked.iter().chain(also).copied()) {
                Some(near) if also.contains(&near) && !elsewhere.is_empty() => {
                    format!("; `{near}` belongs under `{elsewhere}`")
                }
                Some(near) => format!("; did you mean `{near}`?"),
                None => String::new(),
            };
            self.book.mistake(key.place, &field.path, format!("unknown key{hint}"));
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn without_indices(path: &str) -> String {
    path.split_inclusive(['[', ']'])
        .map(|piece| piece.trim_start_matches(|c: char| c.is_ascii_digit()))
        .collect()
}

fn kind(data: &Data) -> &'static str {
    match data {
        Data::Null => "nothing",
        Data::Scalar(_) => "a single value",
        Data::List(_) => "a list",
        Data::Map(_) => "a section",
    }
}

/// The first characters of what somebody wrote, for a sentence about it.
pub fn shorten(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((cut, _)) => format!("{}...", &text[..cut]),
        None => text.to_owned(),
    }
}

/// The candidate that is at most two slips of the finger away (a third of the word for short ones).
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 40;
    let count = word.chars().count();
    if count > LONGEST {
        return None;
    }
    let bound = (count / 3).clamp(1, 2);
    candidates
        .map(|candidate| (slips(&word.to_lowercase(), candidate), candidate))
        .filter(|(distance, _)| *distance <= bound)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Letters left out, put in, replaced or swapped with their neighbour (optimal string alignment).
fn slips(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}
