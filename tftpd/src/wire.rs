//! TFTP packets (RFC 1350, options RFC 2347): bytes to types and back.

use std::fmt;

/// The five opcodes of RFC 1350 and OACK of RFC 2347.
const READ: u16 = 1;
const WRITE: u16 = 2;
const DATA: u16 = 3;
const ACK: u16 = 4;
const ERROR: u16 = 5;
const OPTION_ACK: u16 = 6;

/// Longest file name, mode and options together that are looked at. RFC 2347 allows a request of 512 octets.
const MAX_REQUEST: usize = 512;

/// What a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// RRQ.
    Read(Request),
    /// WRQ; never served.
    Write,
    /// ACK of a block (its low 16 bits).
    Ack(u16),
    /// ERROR: ends a transfer at once and is never answered.
    Error {
        /// RFC 1350 §5, 8 from RFC 2347.
        code: u16,
    },
    /// DATA or OACK: nothing a client of ours sends.
    Other,
}

/// A read request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// As sent.
    pub file: String,
    /// Of the data.
    pub mode: Mode,
    /// Of any value that could be read; names in any case, the first of a name counts.
    pub options: Options,
}

/// How the file is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// As it is.
    Octet,
    /// Lines end in CR LF.
    Netascii,
    /// `mail`, or a word that is no mode.
    Unknown,
}

/// Options asked for; an unknown one, or one with an impossible value, counts as not sent (RFC 2347).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// 8 to 65464 (RFC 2348).
    pub block_size: Option<u16>,
    /// Asked for; the client's value says nothing in a read request (RFC 2349).
    pub transfer_size: bool,
    /// Seconds, 1 to 255 (RFC 2349).
    pub timeout: Option<u8>,
    /// Blocks, 1 to 65535 (RFC 7440).
    pub window_size: Option<u16>,
}

/// Why bytes are no packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// Fewer than four bytes, or an opcode that there is not.
    NoPacket,
    /// A request without file, mode or final NUL, of more than 512 bytes, or not in UTF-8.
    Request,
}

/// Reads one datagram.
///
/// # Errors
/// A [`Malformed`] request deserves an ERROR 4, other garbage silence.
pub fn parse(bytes: &[u8]) -> Result<Packet, Malformed> {
    let (opcode, rest) = bytes.split_first_chunk().ok_or(Malformed::NoPacket)?;
    let word = || rest.first_chunk().map(|word| u16::from_be_bytes(*word)).ok_or(Malformed::NoPacket);
    match u16::from_be_bytes(*opcode) {
        READ => request(rest).map(Packet::Read),
        WRITE => Ok(Packet::Write),
        ACK => Ok(Packet::Ack(word()?)),
        ERROR => Ok(Packet::Error { code: word()? }),
        DATA | OPTION_ACK => Ok(Packet::Other),
        _ => Err(Malformed::NoPacket),
    }
}

fn request(bytes: &[u8]) -> Result<Request, Malformed> {
    if bytes.len() > MAX_REQUEST {
        return Err(Malformed::Request);
    }
    // Every string ends in a NUL; what stands behind the last one is cut off.
    let text =
        bytes.iter().rposition(|byte| *byte == 0).map(|end| &bytes[..end]).ok_or(Malformed::Request)?;
    let mut strings = std::str::from_utf8(text).map_err(|_| Malformed::Request)?.split('\0');
    let file = strings.next().filter(|file| !file.is_empty()).ok_or(Malformed::Request)?;
    let mode = strings.next().ok_or(Malformed::Request)?;
    let mut options = Options::default();
    while let (Some(name), Some(value)) = (strings.next(), strings.next()) {
        options.take(&name.to_ascii_lowercase(), value);
    }
    Ok(Request { file: file.to_string(), mode: Mode::named(mode), options })
}

impl Mode {
    fn named(text: &str) -> Mode {
        match text.to_ascii_lowercase().as_str() {
            "octet" => Mode::Octet,
            "netascii" => Mode::Netascii,
            _ => Mode::Unknown,
        }
    }
}

impl Options {
    fn take(&mut self, name: &str, value: &str) {
        match name {
            "blksize" => self.block_size = self.block_size.or(within(value, 8, 65464)),
            "tsize" => self.transfer_size |= value.parse::<u64>().is_ok(),
            "timeout" => self.timeout = self.timeout.or(within(value, 1, 255)),
            "windowsize" => self.window_size = self.window_size.or(within(value, 1, 65535)),
            _ => {}
        }
    }
}

fn within<T: TryFrom<u32>>(text: &str, least: u32, most: u32) -> Option<T> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number))?;
    T::try_from(number).ok()
}

/// Why a request is refused, as the wire says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// 0, with a text.
    NotDefined = 0,
    /// 1
    NotFound = 1,
    /// 2
    AccessViolation = 2,
    /// 4
    Illegal = 4,
    /// 5
    UnknownTransfer = 5,
}

/// An ERROR packet.
pub fn error(code: ErrorCode, text: &str) -> Vec<u8> {
    let mut packet = Vec::with_capacity(5 + text.len());
    packet.extend(ERROR.to_be_bytes());
    packet.extend((code as u16).to_be_bytes());
    packet.extend(text.as_bytes());
    packet.push(0);
    packet
}

/// An OACK packet with these options.
pub fn option_ack(options: &[(&str, u64)]) -> Vec<u8> {
    let mut packet = OPTION_ACK.to_be_bytes().to_vec();
    for (name, value) in options {
        packet.extend(name.as_bytes());
        packet.push(0);
        packet.extend(value.to_string().as_bytes());
        packet.push(0);
    }
    packet
}

/// Writes a DATA packet into `packet`.
pub fn data(packet: &mut Vec<u8>, block: u16, payload: &[u8]) {
    packet.clear();
    packet.extend(DATA.to_be_bytes());
    packet.extend(block.to_be_bytes());
    packet.extend(payload);
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Packet::Read(request) => {
                write!(f, "RRQ {:?} {:?} {:?}", request.file, request.mode, request.options)
            }
            Packet::Write => write!(f, "WRQ"),
            Packet::Ack(block) => write!(f, "ACK {block}"),
            Packet::Error { code } => write!(f, "ERROR {code}"),
            Packet::Other => write!(f, "DATA or OACK"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Request, Malformed> {
        match parse(&[b"\0\x01", text.as_bytes()].concat())? {
            Packet::Read(request) => Ok(request),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn options_come_in_any_case_and_the_first_counts() {
        let request =
            read("a\0OCTET\0BLKSIZE\x001024\0tsize\x000\0blksize\x00512\0windowsize\x004\0timeout\x003\0")
                .unwrap();
        assert_eq!(request.mode, Mode::Octet);
        let expected =
            Options { block_size: Some(1024), transfer_size: true, timeout: Some(3), window_size: Some(4) };
        assert_eq!(request.options, expected);
    }

    #[test]
    fn impossible_options_count_as_not_sent() {
        for options in [
            "blksize\x007\0",
            "blksize\x0065465\0",
            "blksize\0x\0",
            "timeout\x000\0",
            "timeout\x00256\0",
            "windowsize\x000\0",
            "tsize\0-1\0",
            "multicast\0\0",
            "blksize\0",
        ] {
            assert_eq!(
                read(&format!("a\0octet\0{options}")).unwrap().options,
                Options::default(),
                "{options:?}"
            );
        }
    }

    #[test]
    fn requests_without_their_parts_are_malformed() {
        for text in ["", "a", "a\0octet", "\0octet\0", "\0"] {
            assert_eq!(read(text), Err(Malformed::Request), "{text:?}");
        }
        assert_eq!(read(&format!("{}\0octet\0", "a".repeat(600))), Err(Malformed::Request));
        assert_eq!(parse(b"\0\x01\xff\xfe\0octet\0"), Err(Malformed::Request));
        for bytes in [&b""[..], b"\0", b"\0\x04", b"\0\x04\0", b"\0\x05", b"\0\x07\0\0", b"\x01\0"] {
            assert_eq!(parse(bytes), Err(Malformed::NoPacket), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
            let _ = parse(&[&[0, 1], &bytes[..]].concat());
        }
    }
}
