//! DHCPv4 messages, read as `dhcpd::wire` reads them and once more by the shortest reader that RFC 2131 and 3396 allow.

use dhcpd::wire::{Message, Refused, Request, parse, parse_reply};
use std::collections::BTreeMap;

const OPTIONS: usize = 240;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
const OVERLOAD: u8 = 52;

/// Options by code, and the last one of the options field.
type Options = (BTreeMap<u8, Vec<u8>>, Option<u8>);

/// A request or a reply.
pub fn dhcp4_parse(bytes: &[u8]) {
    for (op, read) in [(1, parse as fn(&[u8]) -> _), (2, parse_reply)] {
        match (read(bytes), refused(bytes, op)) {
            (Ok(message), None) => check(bytes, &message),
            (Err(refused), Some(wanted)) => assert_eq!(refused, wanted),
            (read, wanted) => panic!("{read:?} instead of {wanted:?}"),
        }
    }
}

fn refused(bytes: &[u8], op: u8) -> Option<Refused> {
    match bytes {
        short if short.len() < OPTIONS => Some(Refused::Short),
        [first, ..] if *first != op => Some(Refused::NotARequest),
        [_, _, hlen, ..] if *hlen > 16 => Some(Refused::HardwareLength),
        _ if bytes[236..OPTIONS] != COOKIE => Some(Refused::Cookie),
        _ => None,
    }
}

fn check(bytes: &[u8], message: &Message) {
    let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    assert_eq!(
        (message.htype, message.hlen, message.hops, message.xid),
        (bytes[1], bytes[2], bytes[3], word(4))
    );
    assert_eq!(u32::from(message.secs) << 16 | u32::from(message.flags), word(8));
    let addresses = [message.ciaddr, message.yiaddr, message.siaddr, message.giaddr].map(u32::from);
    assert_eq!(addresses, [word(12), word(16), word(20), word(24)]);
    assert_eq!((&message.chaddr[..], message.length), (&bytes[28..44], bytes.len()));

    let (options, last) = read(bytes);
    let found: Vec<_> = message.options().map(|(code, value)| (code, value.to_vec())).collect();
    assert!(found.windows(2).all(|pair| pair[0].0 < pair[1].0), "by code, each once: {found:?}");
    assert_eq!(found.into_iter().collect::<BTreeMap<_, _>>(), options);
    assert_eq!(message.last_option(), last);
    for code in 0..=u8::MAX {
        assert_eq!(message.option(code), options.get(&code).map(Vec::as_slice));
        message.relay_suboption(code);
    }
    ask(message);
    again(message);
}

/// Options field, then `file`, then `sname`; parts of one code become one (RFC 3396 §5), what runs past its field is no option.
fn read(bytes: &[u8]) -> Options {
    let mut parts = fields(&bytes[OPTIONS..]);
    let last = parts.last().map(|(code, _)| *code);
    let overload = parts.iter().find(|(code, value)| *code == OVERLOAD && value.len() == 1);
    let overload = overload.map_or(0, |(_, value)| value[0]);
    if overload & 1 != 0 {
        parts.extend(fields(&bytes[108..236]));
    }
    if overload & 2 != 0 {
        parts.extend(fields(&bytes[44..108]));
    }
    let mut options: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    for (code, value) in parts {
        options.entry(code).or_default().extend_from_slice(value);
    }
    (options, last)
}

fn fields(bytes: &[u8]) -> Vec<(u8, &[u8])> {
    match bytes {
        [] | [255, ..] | [_] => Vec::new(),
        [0, rest @ ..] => fields(rest),
        [code, length, rest @ ..] if rest.len() >= *length as usize => {
            let (value, rest) = rest.split_at(*length as usize);
            let mut all = vec![(*code, value)];
            all.extend(fields(rest));
            all
        }
        _ => Vec::new(),
    }
}

/// Whatever may be asked of a message has an answer, and text is fit for a terminal.
fn ask(message: &Message) {
    let line = message.to_string();
    assert!(!line.contains(char::is_control), "{line:?}");
    let class = message.vendor_class().unwrap_or_default();
    assert!(!class.contains(char::is_control), "{class:?}");
    assert_eq!(message.architectures().count(), message.option(93u8).unwrap_or_default().len() / 2);
    assert!(message.hardware_address().len() <= 16);
    if let Some(mac) = message.mac() {
        assert!(mac.is_usable());
    }
    message.has_user_class(b"iPXE");
    message.message_type();
}

/// Written anew, a message is read as the same.
fn again(message: &Message) {
    let mut request = Request {
        htype: message.htype,
        hlen: message.hlen,
        hops: message.hops,
        xid: message.xid,
        secs: message.secs,
        flags: message.flags,
        ciaddr: message.ciaddr,
        giaddr: message.giaddr,
        chaddr: message.chaddr,
        options: Default::default(),
    };
    for (code, value) in message.options() {
        request.options.put(code, value);
    }
    let read = parse(&request.encode()).expect("what we write");
    assert!(read.options().eq(message.options()), "{read}\n{message}");
    assert_eq!(
        (read.xid, read.mac(), read.giaddr, read.ciaddr),
        (message.xid, message.mac(), message.giaddr, message.ciaddr)
    );
}
