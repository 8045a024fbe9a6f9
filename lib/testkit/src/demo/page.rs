//! How the story looks: aligned, and in colour where a terminal shows it.

use std::{
    cell::Cell,
    fmt::{self, Display},
    io::{IsTerminal, Write, stdout},
};

/// Columns of a name of a fact, so that values stand below each other.
const NAMES: usize = 24;

/// Columns of the name of a message.
const WHATS: usize = 9;

/// Standard output.
pub(super) struct Page {
    colour: bool,
    chapters: Cell<u32>,
    closed: Cell<bool>,
}

impl Page {
    /// Colour only on a terminal, and not where the user says no (no-color.org).
    pub(super) fn new() -> Page {
        let colour =
            stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Page { colour, chapters: Cell::new(0), closed: Cell::new(false) }
    }

    /// The first line.
    pub(super) fn title(&self, text: &str) {
        self.put(format_args!("{}\n\n", self.painted("1", text)));
    }

    /// A numbered heading.
    pub(super) fn chapter(&self, text: &str) {
        self.chapters.set(self.chapters.get() + 1);
        self.put(format_args!("\n{}\n", self.painted("1", &format!("{}. {text}", self.chapters.get()))));
    }

    /// A sentence.
    pub(super) fn text(&self, text: &str) {
        self.put(format_args!("{text}\n"));
    }

    /// What is about to be waited for, on a line that [`Page::after`] ends.
    pub(super) fn before(&self, name: &str, what: &str) {
        self.put(format_args!("  {name:<10} {what:<58} "));
    }

    /// The end of the line.
    pub(super) fn after(&self, how: &str) {
        self.put(format_args!("{}\n", self.painted("32", how)));
    }

    /// Something that went to a program.
    pub(super) fn sent(&self, what: &str, more: &str) {
        self.line("→", "36", what, more);
    }

    /// Something that came back.
    pub(super) fn received(&self, what: &str, more: &str) {
        self.line("←", "32", what, more);
    }

    /// One line of what was in it.
    pub(super) fn fact(&self, name: &str, value: impl Display) {
        self.put(format_args!("      {name:<NAMES$} {value}\n"));
    }

    /// A line to type.
    pub(super) fn command(&self, line: &str) {
        self.put(format_args!("  {}\n", self.painted("36", line)));
    }

    /// Whether nobody reads any more.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    fn put(&self, text: fmt::Arguments<'_>) {
        let mut out = stdout().lock();
        if out.write_fmt(text).and_then(|()| out.flush()).is_err() {
            self.closed.set(true);
        }
    }

    fn line(&self, arrow: &str, colour: &str, what: &str, more: &str) {
        match more {
            "" => self.put(format_args!("  {arrow} {}\n", self.painted(colour, what))),
            more => self
                .put(format_args!("  {arrow} {} {more}\n", self.painted(colour, &format!("{what:<WHATS$}")))),
        }
    }

    fn painted(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
