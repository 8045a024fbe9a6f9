//! A zone file cut into entries and words (RFC 1035 §5.1): quotes, escapes, comments, and parentheses over several lines. What a
//! word means is another's part; so a mistake in one entry leaves the others as they are.

/// A directive or a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it begins, from 1.
    pub line: usize,
    /// Begins with a blank: its owner is that of the record before.
    pub indented: bool,
    /// Never empty.
    pub words: Vec<Word>,
}

/// A word as it is written, escapes and all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Without its quotes.
    pub text: String,
    /// Had quotes.
    pub quoted: bool,
}

/// A line, and what is wrong there.
pub type Bad = (usize, String);

/// Every entry in order, or why it cannot be cut; an error as a whole: a parenthesis never closes, so nothing after it can be told.
pub fn cut(text: &str) -> Result<Vec<Result<Entry, Bad>>, Bad> {
    let mut cutter = Cutter::default();
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        cutter.line(index + 1, line);
    }
    match cutter.depth {
        0 => Ok(cutter.entries),
        _ => Err((cutter.begun, "a parenthesis that is never closed".into())),
    }
}

#[derive(Default)]
struct Cutter {
    entries: Vec<Result<Entry, Bad>>,
    /// Open parentheses.
    depth: usize,
    /// Line of the entry at hand.
    begun: usize,
    indented: bool,
    words: Vec<Word>,
    wrong: Option<Bad>,
}

impl Cutter {
    fn line(&mut self, number: usize, line: &str) {
        if self.depth == 0 {
            self.begun = number;
            self.indented = line.starts_with([' ', '\t']);
        }
        if let Err(message) = self.cut(line) {
            self.wrong.get_or_insert((number, message));
        }
        if self.depth == 0 {
            self.finish();
        }
    }

    fn finish(&mut self) {
        let (words, wrong) = (std::mem::take(&mut self.words), self.wrong.take());
        match wrong {
            Some(bad) => self.entries.push(Err(bad)),
            None if words.is_empty() => {}
            None => self.entries.push(Ok(Entry { line: self.begun, indented: self.indented, words })),
        }
    }

    fn cut(&mut self, line: &str) -> Result<(), String> {
        let mut word = String::new();
        let mut characters = line.chars();
        while let Some(character) = characters.next() {
            match character {
                '\\' => {
                    word.push('\\');
                    word.push(characters.next().ok_or("a backslash with nothing after it")?);
                }
                ';' => break,
                '"' => {
                    self.put(&mut word);
                    let text = quoted(&mut characters)?;
                    self.words.push(Word { text, quoted: true });
                }
                '(' => {
                    self.put(&mut word);
                    self.depth += 1;
                }
                ')' => {
                    self.put(&mut word);
                    self.depth = self.depth.checked_sub(1).ok_or("a parenthesis that was never opened")?;
                }
                _ if character.is_whitespace() => self.put(&mut word),
                _ => word.push(character),
            }
        }
        self.put(&mut word);
        Ok(())
    }

    fn put(&mut self, word: &mut String) {
        if !word.is_empty() {
            self.words.push(Word { text: std::mem::take(word), quoted: false });
        }
    }
}

/// Up to the quote that ends it, on the same line.
fn quoted(characters: &mut std::str::Chars<'_>) -> Result<String, String> {
    let mut text = String::new();
    while let Some(character) = characters.next() {
        match character {
            '"' => return Ok(text),
            '\\' => {
                text.push('\\');
                text.push(characters.next().ok_or("a backslash with nothing after it")?);
            }
            _ => text.push(character),
        }
    }
    Err("a quote without its other half on the line".into())
}

/// The bytes that a word stands for: `\DDD` is one byte, `\X` is X (RFC 1035 §5.1).
pub fn bytes(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let (byte, after) = match (first, after) {
            (b'\\', [a, b, c, after @ ..]) if [a, b, c].iter().all(|digit| digit.is_ascii_digit()) => {
                let number = [a, b, c].iter().fold(0, |sum, digit| sum * 10 + u32::from(**digit - b'0'));
                (u8::try_from(number).map_err(|_| format!("\\{number} is no byte"))?, after)
            }
            (b'\\', [escaped, after @ ..]) if !escaped.is_ascii_digit() => (*escaped, after),
            (b'\\', _) => return Err("a backslash and a digit begin \\DDD, three digits".into()),
            (byte, after) => (*byte, after),
        };
        bytes.push(byte);
        rest = after;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let word = |word: &Word| if word.quoted { format!("\"{}\"", word.text) } else { word.text.clone() };
        let entry = |entry: &Result<Entry, Bad>| match entry {
            Ok(entry) => {
                let words: Vec<String> = entry.words.iter().map(word).collect();
                format!("{}{} {}", entry.line, if entry.indented { "+" } else { "" }, words.join("|"))
            }
            Err((line, message)) => format!("{line}! {message}"),
        };
        match cut(text) {
            Ok(entries) => entries.iter().map(entry).collect(),
            Err((line, message)) => vec![format!("{line}!! {message}")],
        }
    }

    #[test]
    fn entries_are_lines_or_what_parentheses_hold_together() {
        for (text, wanted) in [
            ("a A 1\r\n\tB 2 ; c\n\n; d\n", &["1 a|A|1", "2+ B|2"][..]),
            ("@ SOA a b (\n 1 ; serial\n 2 ) ; end\nx", &["1 @|SOA|a|b|1|2", "4 x"]),
            ("a TXT \"b;(\\\" c\" d\\;e", &["1 a|TXT|\"b;(\\\" c\"|d\\;e"]),
            ("a TXT (\"b c\"\n\"d\")\n", &["1 a|TXT|\"b c\"|\"d\""]),
            ("a \"\"\n", &["1 a|\"\""]),
            ("a \"b\nc d\n", &["1! a quote without its other half on the line", "2 c|d"]),
            (
                "a ) b\nc\\\nd",
                &["1! a parenthesis that was never opened", "2! a backslash with nothing after it", "3 d"],
            ),
            ("a ( \"b\nc )\nd", &["1! a quote without its other half on the line", "3 d"]),
            ("a\nb (\nc", &["2!! a parenthesis that is never closed"]),
        ] {
            assert_eq!(shown(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn escapes_are_bytes() {
        assert_eq!(bytes("a\\\"b\\\\\\195\\169é").unwrap(), "a\"b\\éé".as_bytes());
        assert_eq!(bytes("\\000\\255").unwrap(), [0, 255]);
        for bad in ["\\256", "\\12", "\\", "\\1a2"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }
}
