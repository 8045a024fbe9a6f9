//! URLs as far as the file needs them: scheme, host, port; and the placeholders of boot URLs.

use crate::reader::{Field, shorten};
use std::net::{Ipv4Addr, Ipv6Addr};
use values::Name;

/// What dhcpd fills in when it hands a boot URL out.
pub const PLACEHOLDERS: [&str; 5] = ["mac", "id", "nid", "hostname", "arch"];

/// A URL cut in pieces.
#[derive(Debug, PartialEq)]
pub struct Url<'a> {
    pub scheme: &'a str,
    /// With brackets around IPv6.
    pub host: &'a str,
    pub port: Option<u16>,
    /// From the first `/`, `?` or `#` on.
    pub rest: &'a str,
}

/// A URL with one of the schemes.
pub fn split<'a>(text: &'a str, schemes: &[&str]) -> Result<Url<'a>, String> {
    // First, so that no other mistake shows a password.
    let after = text.split_once("://").map_or(text, |(_, after)| after);
    if after[..authority_ends(after)].contains('@') {
        return Err("no user names or passwords in URLs: secrets stand in files of their own".into());
    }
    let wrong = || format!("'{}' is no URL such as {}://HOST/PATH", shorten(text), schemes[0]);
    let (scheme, after) = text.split_once("://").ok_or_else(wrong)?;
    if !schemes.contains(&scheme) {
        return Err(format!("'{}' is no URL with {}", shorten(text), schemes.join(" or ")));
    }
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(format!("'{}' has white space in it", shorten(text)));
    }
    let (authority, rest) = after.split_at(authority_ends(after));
    let (host, port) = host_and_port(authority).ok_or_else(wrong)?;
    Ok(Url { scheme, host, port, rest })
}

fn authority_ends(after_scheme: &str) -> usize {
    after_scheme.find(['/', '?', '#']).unwrap_or(after_scheme.len())
}

fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let host_ends = match authority.starts_with('[') {
        true => authority.find(']')? + 1,
        false => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(host_ends);
    let port = match port {
        "" => None,
        port => Some(port.strip_prefix(':')?.parse().ok().filter(|port| *port > 0)?),
    };
    is_host(host).then_some((host, port))
}

fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        // Digits and dots alone are an address, or a slip in one.
        None if host.bytes().all(|b| b.is_ascii_digit() || b == b'.') => host.parse::<Ipv4Addr>().is_ok(),
        None => host.parse::<Name>().is_ok(),
    }
}

const BOOT_SCHEMES: [&str; 3] = ["http", "https", "tftp"];

/// A boot URL: http, https or tftp, with placeholders.
pub fn boot_url(field: &Field) -> Option<String> {
    let url = field.parse("a URL", |text| split(text, &BOOT_SCHEMES).map(|_| text.to_owned()))?;
    placeholders(field, &url, &PLACEHOLDERS).then_some(url)
}

/// A boot file: a name, or the URL of one; with placeholders.
pub fn boot_file(field: &Field) -> Option<String> {
    let file = field.parse("a file or a URL", |text| match text.contains("://") {
        true => file_of_server(text),
        false if text.trim().is_empty() => Err("empty".into()),
        false => Ok(text.to_owned()),
    })?;
    placeholders(field, &file, &PLACEHOLDERS).then_some(file)
}

/// Firmware is told a TFTP server and a path apart, and a port nowhere (RFC 2132 §9.4, §9.5).
fn file_of_server(text: &str) -> Result<String, String> {
    let url = split(text, &BOOT_SCHEMES)?;
    match (url.scheme, url.port, url.rest) {
        (_, _, "" | "/") => Err(format!("'{}' names no file", shorten(text))),
        ("tftp", Some(port), _) => Err(format!("DHCP cannot tell the port of a TFTP server, as :{port}")),
        _ => Ok(text.to_owned()),
    }
}

/// The base of loaders; file names are appended.
pub fn base_url(field: &Field) -> Option<String> {
    let url = field.parse("a URL", |text| split(text, &["http", "https"]).map(|_| text.to_owned()))?;
    placeholders(field, &url, &PLACEHOLDERS).then(|| url.trim_end_matches('/').to_owned())
}

/// Whether every brace belongs to a known placeholder; mistakes point at the brace.
pub fn placeholders(field: &Field, text: &str, known: &[&str]) -> bool {
    let mut good = true;
    let mut at = 0;
    while let Some(brace) = text[at..].find(['{', '}']).map(|found| at + found) {
        let end = text[brace..].find('}').map(|found| brace + found);
        at = match end {
            Some(end) if end > brace => end + 1,
            _ => brace + 1,
        };
        let is_known = end.is_some_and(|end| end > brace && known.contains(&&text[brace + 1..end]));
        if !is_known {
            let all: Vec<String> = known.iter().map(|name| format!("{{{name}}}")).collect();
            field.mistake_at(brace, format!("'{}' is none of {}", shorten(&text[brace..at]), all.join(" ")));
            good = false;
        }
    }
    good
}
