//! Sets of xnames written with bracket ranges, never expanded: `x[0-9999]c[0-7]s[0-63]b[0-1]n[0-3]` has 40 million.

use values::Xname;

/// Digits of a number in an xname or range.
const MAX_DIGITS: usize = 18;
/// Ranges in one bracket, alternatives in one set: a guess that a hand-written file does not reach.
const MAX_PIECES: usize = 10_000;

/// Xnames: one, or bracket ranges such as `x1000c0s[0-3]b0n[0-1]`, several separated by `|`.
#[derive(Debug, Clone, PartialEq)]
pub struct IdSet(Vec<Vec<Segment>>);

/// What is wrong, and at which byte.
type Bad = (usize, String);

/// First and last.
type Range = (u64, u64);

/// `s[0-3,8]`: letters, then a number that is in one of the ranges.
#[derive(Debug, Clone, PartialEq)]
struct Segment {
    letters: String,
    numbers: Vec<Range>,
}

impl IdSet {
    /// Whether the xname is one of the set.
    pub fn contains(&self, id: &Xname) -> bool {
        self.0.iter().any(|alternative| matches(alternative, id.as_str()))
    }

    /// How many xnames are in it, counting those that alternatives share twice.
    pub fn size(&self) -> u128 {
        let count =
            |segment: &Segment| segment.numbers.iter().map(|(a, b)| u128::from(b - a) + 1).sum::<u128>();
        let sizes = self.0.iter().map(|segments| segments.iter().map(count).fold(1, u128::saturating_mul));
        sizes.fold(0, u128::saturating_add)
    }

    pub(crate) fn new() -> IdSet {
        IdSet(Vec::new())
    }

    /// Adds one alternative; brackets only where `ranges`. The error is the byte and a sentence.
    pub(crate) fn add(&mut self, text: &str, ranges: bool) -> Result<(), Bad> {
        if self.0.len() == MAX_PIECES {
            return Err((0, format!("more than {MAX_PIECES} in one set")));
        }
        let mut segments = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let (segment, length) =
                segment(&text[at..], ranges).map_err(|(byte, message)| (at + byte, message))?;
            segments.push(segment);
            at += length;
        }
        if segments.is_empty() {
            return Err((0, "an xname is missing".into()));
        }
        self.0.push(segments);
        Ok(())
    }
}

fn matches(segments: &[Segment], id: &str) -> bool {
    let mut rest = id;
    for segment in segments {
        let Some(after) = rest.strip_prefix(segment.letters.as_str()) else { return false };
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let Ok(number) = after[..digits].parse::<u64>() else { return false };
        if !segment.numbers.iter().any(|(first, last)| (*first..=*last).contains(&number)) {
            return false;
        }
        rest = &after[digits..];
    }
    rest.is_empty()
}

/// One segment and its length in bytes.
fn segment(text: &str, ranges: bool) -> Result<(Segment, usize), Bad> {
    let letters = text.bytes().take_while(u8::is_ascii_alphabetic).count();
    if letters == 0 {
        return Err((
            0,
            format!("'{}' is not part of an xname such as x1000c0s0b0n0", first_character(text)),
        ));
    }
    let after = &text[letters..];
    let (numbers, length) = match after.starts_with('[') {
        true if ranges => bracket(after).map_err(|(byte, message)| (letters + byte, message))?,
        true => return Err((letters, "`id` is one xname; ranges are for `id_set`".into())),
        false => {
            let (number, length) = number(after).map_err(|message| (letters, message))?;
            (vec![(number, number)], length)
        }
    };
    Ok((Segment { letters: text[..letters].to_ascii_lowercase(), numbers }, letters + length))
}

/// `[0-3,8]`, and its length.
fn bracket(text: &str) -> Result<(Vec<Range>, usize), Bad> {
    let Some(end) = text.find(']') else {
        return Err((0, "a bracket without its other half".into()));
    };
    let mut numbers = Vec::new();
    let mut at = 1;
    for piece in text[1..end].split(',') {
        let (first, mut length) = number(piece).map_err(|message| (at, message))?;
        let mut last = first;
        if let Some(rest) = piece[length..].strip_prefix('-') {
            let (number, digits) = number(rest).map_err(|message| (at + length + 1, message))?;
            last = number;
            length += 1 + digits;
        }
        if length != piece.len() {
            return Err((
                at + length,
                format!("'{}' in a range such as [0-3,8]", first_character(&piece[length..])),
            ));
        }
        if last < first {
            return Err((at, format!("the range ends at {last}, before it begins")));
        }
        if numbers.len() == MAX_PIECES {
            return Err((at, format!("more than {MAX_PIECES} ranges")));
        }
        numbers.push((first, last));
        at += piece.len() + 1;
    }
    Ok((numbers, end + 1))
}

fn number(text: &str) -> Result<(u64, usize), String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let significant = text[..digits].trim_start_matches('0');
    match significant.len() {
        _ if digits == 0 => Err("a number is missing".into()),
        0 => Ok((0, digits)),
        1..=MAX_DIGITS => Ok((significant.parse().expect("18 digits fit in 64 bits"), digits)),
        _ => Err(format!("a number of more than {MAX_DIGITS} digits")),
    }
}

fn first_character(text: &str) -> String {
    text.chars().take(1).collect()
}
