//! Single values: what each looks like, and the sentence when it does not.

use crate::reader::{Field, shorten};
use ipnet::{IpNet, Ipv4Net};
use std::{
    fmt::Display,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
    str::FromStr,
    time::Duration,
};
use values::Name;

/// Any text but the empty one.
pub fn text(field: &Field) -> Option<String> {
    field.parse("text", |text| match text.trim() {
        "" => Err("empty".into()),
        _ => Ok(text.to_owned()),
    })
}

/// `true` or `false`, in the spellings CoreSMD takes.
pub fn switch(field: &Field) -> Option<bool> {
    field.parse("true or false", parse_switch)
}

pub fn parse_switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(format!("'{}' is neither true nor false", shorten(text))),
    }
}

/// A whole number within bounds.
pub fn number<T>(range: RangeInclusive<T>) -> impl Fn(&Field) -> Option<T>
where
    T: FromStr + PartialOrd + Display + Copy,
{
    move |field| {
        let (first, last) = (*range.start(), *range.end());
        field.parse("a number", |text| match text.parse::<T>() {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => Err(format!("'{}' is no whole number from {first} to {last}", shorten(text))),
        })
    }
}

/// Longest duration that makes sense anywhere; well inside what clocks can add. A guess.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Go's durations: `30s`, `1h30m`, `1.5h`, `300ms`, `0`.
pub fn duration(field: &Field) -> Option<Duration> {
    field.parse("a duration such as 30s or 1h30m", parse_duration)
}

/// A duration within bounds.
pub fn duration_in(range: RangeInclusive<Duration>) -> impl Fn(&Field) -> Option<Duration> {
    move |field| {
        let duration = duration(field)?;
        if range.contains(&duration) {
            return Some(duration);
        }
        let (first, last) = (range.start(), range.end());
        field.mistake(format!("{} is not between {} and {}", shown(duration), shown(*first), shown(*last)));
        None
    }
}

/// As one would write it in the file.
fn shown(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (duration.subsec_nanos(), seconds) {
        (0, seconds) if seconds > 0 && seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        (0, seconds) if seconds > 0 && seconds % 60 == 0 => format!("{}m", seconds / 60),
        (0, seconds) => format!("{seconds}s"),
        _ => format!("{duration:?}"),
    }
}

/// Lease times: whole seconds in 32 bits, where all ones mean for ever (RFC 2131 §3.3).
pub fn lease_time(field: &Field) -> Option<Duration> {
    let (first, last) = (Duration::from_secs(1), Duration::from_secs(u32::MAX as u64 - 1));
    let duration = duration_in(first..=last)(field)?;
    if duration.subsec_nanos() != 0 {
        field.mistake("a lease lasts whole seconds");
        return None;
    }
    Some(duration)
}

pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{}' is no duration such as 30s, 1h30m or 300ms", shorten(text));
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let letters =
            rest[digits..].chars().take_while(|c| c.is_alphabetic()).map(char::len_utf8).sum::<usize>();
        let unit = unit(&rest[digits..digits + letters]).ok_or_else(wrong)?;
        let nanos = scaled(&rest[..digits], unit).ok_or_else(wrong)?;
        total = total.checked_add(Duration::from_nanos(nanos)).ok_or_else(wrong)?;
        rest = &rest[digits + letters..];
    }
    match text.is_empty() || total > LONGEST {
        true => Err(wrong()),
        false => Ok(total),
    }
}

fn unit(name: &str) -> Option<u64> {
    Some(match name {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// `1.5` times the unit, in nanoseconds, without floating point.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanos = whole.checked_mul(unit)?;
    let mut part = unit;
    for digit in fraction.bytes() {
        part /= 10;
        nanos = nanos.checked_add(part.checked_mul(u64::from(digit - b'0'))?)?;
    }
    Some(nanos)
}

/// `50%`.
pub fn percent(field: &Field) -> Option<u8> {
    field.parse("a percentage such as 50%", |text| {
        let number = text.strip_suffix('%').and_then(|number| number.trim().parse().ok());
        number
            .filter(|n| *n <= 100)
            .ok_or_else(|| format!("'{}' is no percentage such as 50%", shorten(text)))
    })
}

/// Bytes: `512MiB`, `64 KiB` or a plain number.
pub fn size(field: &Field) -> Option<u64> {
    field.parse("a size such as 512MiB", |text| {
        let wrong = || format!("'{}' is no size such as 512MiB", shorten(text));
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let factor: u64 = match text[digits..].trim() {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(wrong()),
        };
        let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
        number.checked_mul(factor).filter(|bytes| *bytes > 0).ok_or_else(wrong)
    })
}

/// A path; which files exist is seen when they are opened.
pub fn path(field: &Field) -> Option<PathBuf> {
    text(field).map(PathBuf::from)
}

/// A path, or `off`.
pub fn path_or_off(field: &Field) -> Option<Option<PathBuf>> {
    path(field).map(|path| Some(path).filter(|path| path.as_os_str() != "off"))
}

/// A DNS name; leading dots are dropped, as CoreSMD does.
pub fn name(field: &Field) -> Option<Name> {
    field.parse("a DNS name", parse_name)
}

pub fn parse_name(text: &str) -> Result<Name, String> {
    text.trim_start_matches('.').parse().map_err(|error: values::BadName| error.to_string())
}

/// An IPv4 address that a machine can have.
pub fn ipv4(field: &Field) -> Option<Ipv4Addr> {
    field.parse("an IPv4 address", parse_ipv4)
}

pub fn parse_ipv4(text: &str) -> Result<Ipv4Addr, String> {
    let address: Ipv4Addr =
        text.parse().map_err(|_| format!("'{}' is no IPv4 address such as 10.0.0.1", shorten(text)))?;
    match address.is_unspecified() || address.is_multicast() || address.is_broadcast() {
        true => Err(format!("{address} is no address of a machine")),
        false => Ok(address),
    }
}

/// An IPv6 address that a machine can have.
pub fn ipv6(field: &Field) -> Option<Ipv6Addr> {
    field.parse("an IPv6 address", |text| {
        let address: Ipv6Addr =
            text.parse().map_err(|_| format!("'{}' is no IPv6 address such as fd00::1", shorten(text)))?;
        match address.is_unspecified() || address.is_multicast() {
            true => Err(format!("{address} is no address of a machine")),
            false => Ok(address),
        }
    })
}

/// A network without host bits.
pub fn network(field: &Field) -> Option<IpNet> {
    field.parse("a network such as 10.0.0.0/8", |text| {
        let network = parse_network(text)?;
        match network == network.trunc() {
            true => Ok(network),
            false => Err(format!("{network} is an address in {}; the network is meant?", network.trunc())),
        }
    })
}

pub fn parse_network(text: &str) -> Result<IpNet, String> {
    text.parse().map_err(|_| format!("'{}' is no network such as 10.0.0.0/8", shorten(text)))
}

/// An IPv4 network without host bits.
pub fn network4(field: &Field) -> Option<Ipv4Net> {
    match network(field)? {
        IpNet::V4(network) => Some(network),
        IpNet::V6(network) => {
            field.mistake(format!("{network} is not IPv4"));
            None
        }
    }
}

/// A netmask as its prefix length.
pub fn netmask(field: &Field) -> Option<u8> {
    field.parse("a netmask such as 255.255.255.0", parse_netmask)
}

pub fn parse_netmask(text: &str) -> Result<u8, String> {
    let wrong = || format!("'{}' is no netmask such as 255.255.255.0", shorten(text));
    let mask: Ipv4Addr = text.parse().map_err(|_| wrong())?;
    match ipnet::ipv4_mask_to_prefix(mask) {
        Ok(0) | Err(_) => Err(wrong()),
        Ok(length) => Ok(length),
    }
}

/// `ADDRESS:PORT`; the port may be left out.
pub fn socket(port: u16) -> impl Fn(&Field) -> Option<SocketAddr> {
    move |field| {
        field.parse("an address and port", |text| {
            let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
            let whole =
                text.parse().or_else(|_| bare.parse().map(|address: IpAddr| SocketAddr::new(address, port)));
            whole.map_err(|_| format!("'{}' is no address and port such as 127.0.0.1:{port}", shorten(text)))
        })
    }
}
