//! What is wrong in a file, and where.

use std::fmt::{self, Write};

/// One mistake in the file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Where in the tree: `dhcpd.v4.router[0]`; empty for the file as a whole.
    pub key: String,
    /// A sentence.
    pub message: String,
}

impl Mistake {
    /// With the file's name in front, as editors and people jump to it: `FILE:LINE:COLUMN: KEY: MESSAGE`.
    pub fn in_file<'a>(&'a self, file: &'a str) -> impl fmt::Display + 'a {
        InFile { mistake: self, file }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.key.is_empty() {
            visible(f, &self.key)?;
            f.write_str(": ")?;
        }
        visible(f, &self.message)
    }
}

/// A mistake is one line and does nothing to a terminal, also where it cites the file.
fn visible(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    text.chars().try_for_each(|c| match c.is_control() {
        true => write!(f, "{}", c.escape_default()),
        false => f.write_char(c),
    })
}

struct InFile<'a> {
    mistake: &'a Mistake,
    file: &'a str,
}

impl fmt::Display for InFile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.mistake)
    }
}

/// Every mistake of a file, in the order of its lines.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} {} in the configuration", .0.len(), if .0.len() == 1 { "mistake" } else { "mistakes" })]
pub struct Mistakes(pub Vec<Mistake>);

impl Mistakes {
    /// All of them, a line each, with the file's name in front.
    pub fn report(&self, file: &str) -> String {
        self.0.iter().map(|mistake| format!("{}\n", mistake.in_file(file))).collect()
    }
}
