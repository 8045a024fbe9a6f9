//! Asking the running program: what its subcommands do.

use crate::{health, name, runtime};
use anyhow::{Context, bail};
use config::Program;
use std::{fmt::Write, net::SocketAddr, path::Path};

/// The body of `GET page?query` of the running program, whose admin address is in RUNTIME_DIR or else in the configuration.
///
/// # Errors
/// Nobody answers, or the answer is not 200: a sentence, the program's own where it has one.
pub fn running(
    program: Program,
    file: &Path,
    page: &str,
    query: &[(&str, String)],
) -> anyhow::Result<String> {
    exchange("GET", program, file, page, query)
}

/// The same for what changes something (POST).
///
/// # Errors
/// As [`running`].
pub fn tell(program: Program, file: &Path, page: &str, query: &[(&str, String)]) -> anyhow::Result<String> {
    exchange("POST", program, file, page, query)
}

fn exchange(
    method: &str,
    program: Program,
    file: &Path,
    page: &str,
    query: &[(&str, String)],
) -> anyhow::Result<String> {
    let address = admin_address(program, file)?;
    let name = name(program);
    let (status, body) = health::exchange(method, address, &path(page, query))
        .with_context(|| format!("{name} does not answer at {address}: does it run?"))?;
    match status {
        200 => Ok(body),
        404 => bail!("{name} at {address} has no {page}: is it of another release?"),
        400 | 503 => bail!("{}", body.trim_end()),
        status => bail!("{name} at {address} answers with {status}"),
    }
}

/// An explanation for people: the verdict, and the rest below it.
pub fn indented(sentences: &[String]) -> String {
    let indent = |number| if number == 0 { "" } else { "  " };
    let text: String =
        sentences.iter().enumerate().map(|(number, line)| format!("{}{line}\n", indent(number))).collect();
    printable(&text)
}

/// Lines of a table, each column as wide as its widest cell.
pub fn columns<const COLUMNS: usize>(lines: &[[String; COLUMNS]]) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    let padded = |line: &[String; COLUMNS]| {
        let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    printable(&lines.iter().map(padded).collect::<String>())
}

/// For a terminal: SMD's texts and what clients say may hold anything.
pub fn printable(text: &str) -> String {
    text.chars().map(|one| if one.is_control() && one != '\n' { '?' } else { one }).collect()
}

/// What the running program wrote, else what the configuration says.
fn admin_address(program: Program, file: &Path) -> anyhow::Result<SocketAddr> {
    let written = runtime::admin_address(name(program));
    written.or_else(|none| {
        let text = std::fs::read_to_string(file);
        let text = text.with_context(|| {
            format!("{} does not seem to run: {none}; and {} cannot be read", name(program), file.display())
        })?;
        let config = config::parse(&text).with_context(|| format!("{} has mistakes", file.display()))?;
        Ok(match program {
            Program::SmdCache => config.smd_cache.admin,
            Program::Dhcpd => config.dhcpd.admin,
            Program::Dnsd => config.dnsd.admin,
            Program::Tftpd => config.tftpd.admin,
        })
    })
}

/// `/page?key=value&...`, whatever the values hold (RFC 3986 §2.1).
fn path(page: &str, query: &[(&str, String)]) -> String {
    let mut path = page.to_owned();
    for (number, (key, value)) in query.iter().enumerate() {
        path.push(if number == 0 { '?' } else { '&' });
        path.push_str(key);
        path.push('=');
        for byte in value.bytes() {
            match byte {
                b'-' | b'.' | b'_' | b'~' => path.push(byte.into()),
                byte if byte.is_ascii_alphanumeric() => path.push(byte.into()),
                byte => _ = write!(path, "%{byte:02X}"),
            }
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_nothing_but_text() {
        let sentences = ["verdict".to_owned(), "role \x1b[2J\u{9b}\r.".to_owned()];
        assert_eq!(indented(&sentences), "verdict\n  role ?[2J??.\n");
    }

    #[test]
    fn values_of_a_query_may_hold_anything() {
        assert_eq!(path("/unknown", &[]), "/unknown");
        let query = [("mac", "02:00:00:00:00:01".to_owned()), ("user_class", "a b&c=\u{e4}\r\n".to_owned())];
        assert_eq!(
            path("/explain", &query),
            "/explain?mac=02%3A00%3A00%3A00%3A00%3A01&user_class=a%20b%26c%3D%C3%A4%0D%0A"
        );
    }
}
