//! DHCP options as a site writes them: by a key or by number, and the bytes that go on the wire.
//!
//! What a value means is decided by its code ([`kind`]), so `42: 10.40.0.1` is an address and `252: http://...` a text;
//! hexadecimal is taken for any of them. Whether and where an option is sent is dhcpd's affair.

use crate::{
    reader::{Field, Section, shorten},
    scalars,
    yaml::Data,
};
use ipnet::Ipv4Net;
use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};
use values::Name;

/// Values of options as on the wire, by code, each code once. An empty value: not sent, though a wider section says it is.
pub type Options = Vec<(u8, Vec<u8>)>;

/// Keys that stand for one option wherever options are listed.
const KEYS: [(&str, u8); 7] = [
    ("time_servers", 4),
    ("log_servers", 7),
    ("mtu", MTU),
    ("ntp_servers", 42),
    ("ipv6_only_wait", IPV6_ONLY_WAIT),
    ("search_domains", 119),
    ("static_routes", 121),
];
/// Further ones of a rule. Other sections have these keys too, as values of their own.
pub(crate) const KEYS_OF_RULES: [(&str, u8); 2] = [("dns", DNS), ("lease_time", LEASE_TIME)];

const NETMASK: u8 = 1;
const ROUTER: u8 = 3;
const DNS: u8 = 6;
const MTU: u8 = 26;
const LEASE_TIME: u8 = 51;
const IPV6_ONLY_WAIT: u8 = 108;
const AUTO_CONFIGURE: u8 = 116;

/// RFC 2132 §5.1: the least an option 26 may say.
const MIN_MTU: u16 = 68;
/// RFC 8925 §3.4: MIN_V6ONLY_WAIT.
const MIN_V6ONLY_WAIT: Duration = Duration::from_secs(300);
/// A longer value fits into no answer: a frame has room for 1,232 bytes of options (RFC 2131 §2), and some are needed.
const LONGEST: usize = 1_000;
/// Takes out what a wider section says.
const UNSET: &str = "unset";

/// What an option holds.
#[derive(Clone, Copy)]
enum Kind {
    One(Item),
    /// At least one.
    Several(Item),
}

#[derive(Clone, Copy)]
enum Item {
    /// Any text.
    Text,
    /// Text with a NUL behind it, which firmware relies on.
    Terminated,
    /// An address, also one that no machine has: a broadcast address.
    Address,
    /// An address of a machine.
    Machine,
    /// Two addresses.
    Pair,
    /// A number of so many bytes.
    Number(u8),
    /// A number of four bytes with a sign.
    Signed,
    /// 1 or 0.
    Flag,
    /// A DNS name, uncompressed (RFC 3397 allows, others demand it).
    Domain,
    /// A destination and its router (RFC 3442).
    Route,
    /// Hexadecimal alone.
    Bytes,
}

/// Options with an inner structure, mostly a vendor's.
const STRUCTURED: [u8; 38] = [
    43, 63, 78, 79, 81, 83, 90, 91, 92, 93, 94, 99, 120, 122, 123, 124, 125, 139, 140, 143, 144, 145, 146,
    151, 152, 153, 154, 155, 156, 157, 158, 159, 162, 175, 208, 212, 220, 221,
];

/// The options of RFC 2132 and later ones (IANA's "BOOTP Vendor Extensions and DHCP Options") that are not text.
fn kind(code: u8) -> Kind {
    match code {
        4..=11 | 41 | 42 | 44 | 45 | 48 | 49 | 65 | 68..=76 | 85 | 89 | 112 | 136 | 138 | 142 | 148 | 150 => {
            Kind::Several(Item::Machine)
        }
        16 | 28 | 32 => Kind::One(Item::Address),
        21 | 33 => Kind::Several(Item::Pair),
        23 | 37 | 46 => Kind::One(Item::Number(1)),
        13 | 22 | 26 => Kind::One(Item::Number(2)),
        25 | 117 => Kind::Several(Item::Number(2)),
        24 | 35 | 38 | 58 | 59 | 108 | 211 => Kind::One(Item::Number(4)),
        2 => Kind::One(Item::Signed),
        19 | 20 | 27 | 29 | 30 | 31 | 34 | 36 | 39 => Kind::One(Item::Flag),
        88 | 119 | 141 => Kind::Several(Item::Domain),
        137 | 147 | 213 => Kind::One(Item::Domain),
        121 | 249 => Kind::Several(Item::Route),
        66 | 67 => Kind::One(Item::Terminated),
        _ if STRUCTURED.contains(&code) => Kind::One(Item::Bytes),
        _ => Kind::One(Item::Text),
    }
}

/// Why a code cannot be listed by its number.
fn refused(code: u8) -> Option<&'static str> {
    Some(match code {
        0 | 255 => "an option has a code from 1 to 254",
        NETMASK => "`netmask` says that, or the CIDR of a subnet",
        ROUTER => "`router` says that, in a rule `routers`",
        DNS => "`dns` says that",
        LEASE_TIME => "`lease_time` says that",
        AUTO_CONFIGURE => "`auto_configure` says that",
        // asked address, overload, type, server, list, text, size; identity, rapid commit, relay, identity of PXE, subnet
        // selection
        50 | 52..=57 | 61 | 80 | 82 | 97 | 118 => "this option is the protocol's own",
        _ => return None,
    })
}

/// How a list is written.
pub(crate) type Each = fn(&Field<'_>, &dyn Fn(&Field<'_>) -> Option<Vec<u8>>) -> Option<Vec<Vec<u8>>>;

/// As elsewhere in the file: `[a, b]`.
pub(crate) fn list(field: &Field, read: &dyn Fn(&Field<'_>) -> Option<Vec<u8>>) -> Option<Vec<Vec<u8>>> {
    field.each(read)
}

/// `options` and the keys of a section.
pub(crate) fn read(section: &Section, each: Each, further: &[(&'static str, u8)]) -> Options {
    let mut options = section.get("options", by_number).unwrap_or_default();
    for &(key, code) in KEYS.iter().chain(further) {
        let Some(value) = section.get(key, |field| by_key(field, code, each)) else { continue };
        if options.insert(code, value).is_some() {
            section.mistake(key, format!("`options` has {code} already, which is the same"));
        }
    }
    options.into_iter().collect()
}

/// Whether any of the keys is there, right or wrong.
pub(crate) fn are_given(section: &Section) -> bool {
    let keys = KEYS.iter().chain(&KEYS_OF_RULES).map(|(key, _)| *key);
    keys.chain(["options"]).any(|key| section.field(key).is_some())
}

fn by_number(field: &Field) -> Option<BTreeMap<u8, Vec<u8>>> {
    let mut options = BTreeMap::new();
    for (key, value) in field.entries()? {
        let code = key.text.parse::<u8>().map_err(|_| "an option has a code from 1 to 254");
        match code.and_then(|code| refused(code).map_or(Ok(code), Err)) {
            // 042 and +42 are other keys than 42, and the same number.
            Ok(code) if options.contains_key(&code) => {
                field.book.mistake(key.place, &value.path, format!("{code} is given twice"));
            }
            Ok(code) => options.extend(raw(&value, code).map(|value| (code, value))),
            Err(message) => field.book.mistake(key.place, &value.path, message),
        }
    }
    Some(options)
}

/// A value by its code; hexadecimal for any; or what takes it out.
fn raw(field: &Field, code: u8) -> Option<Vec<u8>> {
    match &field.node.data {
        Data::Scalar(scalar) if scalar.text == UNSET => return Some(Vec::new()),
        Data::Scalar(scalar) => {
            if let Some(digits) = hexadecimal(&scalar.text) {
                return bounded(field, bytes(field, digits)?);
            }
        }
        Data::List(items) if items.is_empty() => {
            field.mistake(format!("nothing in it; to take out what a wider section says, write {UNSET}"));
            return None;
        }
        _ => {}
    }
    let one_or_list = |field: &Field<'_>, read: &dyn Fn(&Field<'_>) -> Option<Vec<u8>>| match field.node.data
    {
        Data::List(_) => field.each(read),
        _ => read(field).map(|value| vec![value]),
    };
    // What is left of a list with mistakes in it is no value either.
    value(field, kind(code), one_or_list).filter(|value| !value.is_empty())
}

fn by_key(field: &Field, code: u8, each: Each) -> Option<Vec<u8>> {
    let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX).to_be_bytes().to_vec();
    match code {
        MTU => scalars::number(MIN_MTU..=u16::MAX)(field).map(|mtu| mtu.to_be_bytes().to_vec()),
        LEASE_TIME => scalars::lease_time(field).map(seconds),
        IPV6_ONLY_WAIT => {
            let most = Duration::from_secs(u32::MAX.into());
            scalars::duration_in(MIN_V6ONLY_WAIT..=most)(field).map(seconds)
        }
        _ => value(field, kind(code), each),
    }
}

fn value(
    field: &Field,
    kind: Kind,
    each: impl Fn(&Field<'_>, &dyn Fn(&Field<'_>) -> Option<Vec<u8>>) -> Option<Vec<Vec<u8>>>,
) -> Option<Vec<u8>> {
    let value = match kind {
        Kind::One(one) => item(field, one)?,
        Kind::Several(one) => each(field, &|field| item(field, one))?.concat(),
    };
    bounded(field, value)
}

fn bounded(field: &Field, value: Vec<u8>) -> Option<Vec<u8>> {
    if value.len() > LONGEST {
        field.mistake(format!("{} bytes; no answer has room for more than {LONGEST}", value.len()));
        return None;
    }
    Some(value)
}

fn item(field: &Field, item: Item) -> Option<Vec<u8>> {
    let octets = |address: Ipv4Addr| address.octets().to_vec();
    match item {
        Item::Text => scalars::text(field).map(String::into_bytes),
        Item::Terminated => scalars::text(field).map(|text| format!("{text}\0").into_bytes()),
        Item::Address => field.parse("an IPv4 address", parse_address).map(octets),
        Item::Machine => scalars::ipv4(field).map(octets),
        Item::Pair => field.parse("two IPv4 addresses", pair),
        Item::Number(1) => scalars::number(0..=u8::MAX)(field).map(|number| vec![number]),
        Item::Number(2) => scalars::number(0..=u16::MAX)(field).map(|number| number.to_be_bytes().to_vec()),
        Item::Number(_) => scalars::number(0..=u32::MAX)(field).map(|number| number.to_be_bytes().to_vec()),
        Item::Signed => {
            scalars::number(i32::MIN..=i32::MAX)(field).map(|number| number.to_be_bytes().to_vec())
        }
        Item::Flag => scalars::switch(field).map(|on| vec![on.into()]),
        Item::Domain => scalars::name(field).map(|name| labels(&name)),
        Item::Route => route(field),
        Item::Bytes => {
            field.mistake("only in hexadecimal, such as 0x0104 or hex:01:04");
            None
        }
    }
}

/// What stands behind `0x` or `hex:`.
fn hexadecimal(text: &str) -> Option<&str> {
    ["0x", "0X", "hex:"].iter().find_map(|prefix| text.strip_prefix(prefix))
}

/// Pairs of digits, with colons between them or without.
fn bytes(field: &Field, digits: &str) -> Option<Vec<u8>> {
    let pairs: String = digits.chars().filter(|character| *character != ':').collect();
    let good =
        !pairs.is_empty() && pairs.len().is_multiple_of(2) && pairs.bytes().all(|b| b.is_ascii_hexdigit());
    if !good {
        field
            .mistake(format!("'{}' is no hexadecimal such as 0x0104 or hex:01:04", shorten(field.text("")?)));
        return None;
    }
    let byte = |at: usize| u8::from_str_radix(&pairs[at..at + 2], 16).ok();
    (0..pairs.len()).step_by(2).map(byte).collect()
}

fn parse_address(text: &str) -> Result<Ipv4Addr, String> {
    text.parse().map_err(|_| format!("'{}' is no IPv4 address such as 10.0.0.1", shorten(text)))
}

fn pair(text: &str) -> Result<Vec<u8>, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [first, second] = words[..] else {
        return Err(format!("'{}' is not two addresses such as 10.0.0.0 10.0.0.1", shorten(text)));
    };
    Ok([parse_address(first)?.octets(), parse_address(second)?.octets()].concat())
}

/// RFC 1035 §3.1.
fn labels(name: &Name) -> Vec<u8> {
    let mut wire = Vec::with_capacity(name.as_str().len() + 2);
    for label in name.as_str().split('.') {
        wire.push(label.len() as u8); // a label has at most 63 bytes
        wire.extend_from_slice(label.as_bytes());
    }
    wire.push(0);
    wire
}

/// `{to: 10.0.0.0/8, via: 10.0.0.1}`, or CoreDHCP's `10.0.0.0/8,10.0.0.1`.
fn route(field: &Field) -> Option<Vec<u8>> {
    let (to, via) = match &field.node.data {
        Data::Scalar(_) => field.parse("a route", |text| {
            let wrong = || format!("'{}' is no route such as 10.0.0.0/8,10.0.0.1", shorten(text));
            let (to, via) = text.split_once(',').ok_or_else(wrong)?;
            let to: Ipv4Net = to.trim().parse().map_err(|_| wrong())?;
            Ok((to.trunc(), scalars::parse_ipv4(via.trim())?))
        })?,
        _ => field.section(|section| {
            let to = section.required("to", scalars::network4);
            let via = section.required("via", scalars::ipv4);
            Some((to?, via?))
        })??,
    };
    // Only the significant octets of the destination (RFC 3442).
    let significant = usize::from(to.prefix_len().div_ceil(8));
    let mut wire = vec![to.prefix_len()];
    wire.extend_from_slice(&to.network().octets()[..significant]);
    wire.extend_from_slice(&via.octets());
    Some(wire)
}
