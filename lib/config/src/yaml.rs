//! YAML text into a tree that knows the place of every key and value.
//!
//! Scalars stay text: what a value means is for the one who reads it, so `1000`, `no` and `1e3` are never guessed at.
//! The parser is pulled event by event because its own loader recurses without a bound and stops at a duplicate key.

use crate::reader::{Book, Place};
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};
use std::{borrow::Cow, collections::HashMap};

/// Sections, lists and tables inside one another. The deepest the schema has is 6; a guess that leaves room.
const MAX_DEPTH: usize = 32;

/// Nodes that aliases may stand for, all together: `&a [*b, *b]` chains grow exponentially. A guess.
const MAX_ALIASED: usize = 100_000;

/// Bytes of a line inside which places are exact; counting columns in a longer one, a whole file of machine-made YAML,
/// would take longer than all the rest. A guess.
const MAX_LINE: usize = 10_000;

/// Bytes of a file. Ten thousand rules have about 1 MB.
const MAX_TEXT: usize = 16 << 20;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub struct Node {
    pub place: Place,
    pub data: Data,
}

#[derive(Debug, Clone)]
pub enum Data {
    /// Nothing after the colon, `~` or `null`.
    Null,
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Debug, Clone)]
pub struct Key {
    pub text: String,
    pub place: Place,
}

#[derive(Debug, Clone)]
pub struct Scalar {
    pub text: String,
    /// The column of each character of `text` relative to the node's own; empty where that is not known: a scalar over
    /// several lines.
    offsets: Vec<u32>,
}

impl Node {
    pub fn scalar(text: String, place: Place) -> Node {
        let offsets = (0..text.chars().count() as u32).collect();
        Node { place, data: Data::Scalar(Scalar { text, offsets }) }
    }

    /// Where the character at this byte of a scalar's text stands; the node's own place where that is not known.
    pub fn place_of(&self, byte: usize) -> Place {
        let Data::Scalar(scalar) = &self.data else { return self.place };
        let index = scalar.text.char_indices().take_while(|(at, _)| *at < byte).count();
        let offset = match scalar.offsets.get(index) {
            Some(offset) => *offset,
            None => scalar.offsets.last().map_or(0, |last| last + 1),
        };
        Place { line: self.place.line, column: self.place.column + offset as usize }
    }

    /// Part of a scalar's text, at its own place.
    pub fn slice(&self, start: usize, end: usize) -> Node {
        let Data::Scalar(scalar) = &self.data else { return self.clone() };
        let place = self.place_of(start);
        let (first, count) = (scalar.text[..start].chars().count(), scalar.text[start..end].chars().count());
        let offsets = match scalar.offsets.get(first..first + count) {
            Some(offsets) => offsets.iter().map(|offset| offset - scalar.offsets[first]).collect(),
            None => Vec::new(),
        };
        Node { place, data: Data::Scalar(Scalar { text: scalar.text[start..end].to_owned(), offsets }) }
    }

    fn size(&self) -> usize {
        1 + match &self.data {
            Data::List(items) => items.iter().map(Node::size).sum(),
            Data::Map(entries) => entries.iter().map(|(_, value)| value.size()).sum(),
            _ => 0,
        }
    }
}

/// The tree of the one document in `text`; an empty one is an empty table. `None`: what is wrong is in the book.
pub fn read(text: &str, book: &Book) -> Option<Node> {
    if text.len() > MAX_TEXT {
        book.mistake(Place::START, "", format!("larger than {} MiB", MAX_TEXT >> 20));
        return None;
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder {
        parser: Parser::new_from_str(text),
        lines: lines(text).collect(),
        anchors: HashMap::new(),
        aliased: 0,
        book,
    };
    match builder.document() {
        Ok(node) => Some(node),
        Err(Stop { place, message }) => {
            book.mistake(place, "", message);
            None
        }
    }
}

/// Lines as YAML has them: `\r` alone ends one, too (YAML 1.2 §5.4).
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

/// Nothing after this can be understood.
struct Stop {
    place: Place,
    message: String,
}

impl From<ScanError> for Stop {
    fn from(error: ScanError) -> Stop {
        let place = Place { line: error.marker().line().max(1), column: error.marker().col() + 1 };
        Stop { place, message: format!("this is not YAML: {}", error.info()) }
    }
}

struct Builder<'a> {
    parser: Parser<'a, StrInput<'a>>,
    lines: Vec<&'a str>,
    anchors: HashMap<usize, Node>,
    aliased: usize,
    book: &'a Book,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Stop> {
        match self.parser.next_event() {
            Some(event) => Ok(event?),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn document(&mut self) -> Result<Node, Stop> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
                _ if root.is_some() => {
                    return Err(Stop {
                        place: place(span),
                        message: "a second document; one is enough".into(),
                    });
                }
                event => root = Some(self.node(event, span, 0)?),
            }
        }
        Ok(match root {
            Some(node) if !matches!(node.data, Data::Null) => node,
            _ => Node { place: Place::START, data: Data::Map(Vec::new()) },
        })
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Stop> {
        let here = place(span);
        if depth > MAX_DEPTH {
            return Err(Stop { place: here, message: format!("more than {MAX_DEPTH} levels deep") });
        }
        let (anchor, data) = match event {
            Event::Alias(id) => return self.alias(id, here),
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag, here);
                (anchor, self.scalar(text, style, span))
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag, here);
                (anchor, self.list(depth)?)
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag, here);
                (anchor, self.map(depth)?)
            }
            _ => return Err(Stop { place: here, message: "this is not YAML: a value is missing".into() }),
        };
        let node = Node { place: here, data };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Data, Stop> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Data::List(items)),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Data, Stop> {
        let mut entries = Vec::new();
        loop {
            let key = match self.next()? {
                (Event::MappingEnd, _) => return Ok(Data::Map(entries)),
                (event, span) => self.node(event, span, depth + 1)?,
            };
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            match key.data {
                Data::Scalar(scalar) => entries.push((Key { text: scalar.text, place: key.place }, value)),
                _ => self.book.mistake(key.place, "", "a key is a word"),
            }
        }
    }

    fn alias(&mut self, id: usize, here: Place) -> Result<Node, Stop> {
        let Some(node) = self.anchors.get(&id) else {
            return Err(Stop { place: here, message: "this alias stands inside what it stands for".into() });
        };
        self.aliased += node.size();
        if self.aliased > MAX_ALIASED {
            return Err(Stop {
                place: here,
                message: format!("aliases stand for more than {MAX_ALIASED} values"),
            });
        }
        Ok(node.clone())
    }

    fn refuse_tag(&self, tag: Option<Cow<'_, Tag>>, here: Place) {
        if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema()) {
            self.book.mistake(here, "", format!("the tag {tag} means nothing here"));
        }
    }

    fn scalar(&self, text: Cow<'_, str>, style: ScalarStyle, span: Span) -> Data {
        if style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null") {
            return Data::Null;
        }
        let raw = self.on_one_line(span);
        let offsets = raw.map(|raw| offsets(&raw, style)).unwrap_or_default();
        Data::Scalar(Scalar { text: text.into_owned(), offsets })
    }

    fn on_one_line(&self, span: Span) -> Option<String> {
        if span.start.line() != span.end.line() {
            return None;
        }
        let line = self.lines.get(span.start.line().checked_sub(1)?).filter(|line| line.len() <= MAX_LINE)?;
        Some(
            line.chars()
                .skip(span.start.col())
                .take(span.end.col().saturating_sub(span.start.col()))
                .collect(),
        )
    }
}

fn place(span: Span) -> Place {
    Place { line: span.start.line().max(1), column: span.start.col() + 1 }
}

/// Where each character of the value stands in the raw text, quotes and escapes included.
fn offsets(raw: &str, style: ScalarStyle) -> Vec<u32> {
    let characters: Vec<char> = raw.chars().collect();
    let mut offsets = Vec::with_capacity(characters.len());
    let mut at = if style == ScalarStyle::Plain { 0 } else { 1 };
    while at < characters.len() {
        offsets.push(at as u32);
        at += match (style, characters[at], characters.get(at + 1)) {
            (ScalarStyle::SingleQuoted, '\'', Some('\'')) => 2,
            (ScalarStyle::DoubleQuoted, '\\', Some('x')) => 4,
            (ScalarStyle::DoubleQuoted, '\\', Some('u')) => 6,
            (ScalarStyle::DoubleQuoted, '\\', Some('U')) => 10,
            (ScalarStyle::DoubleQuoted, '\\', _) => 2,
            _ => 1,
        };
    }
    offsets
}
