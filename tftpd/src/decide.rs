//! What to do with a packet that belongs to no running transfer.

use crate::{
    files::{Files, Traversal},
    session::{Session, Terms},
    wire::{self, ErrorCode, Malformed, Mode, Packet, Request},
};
use bytes::Bytes;
use std::time::{Duration, Instant};

/// What a TFTP packet costs beside its data: IPv4 20 or IPv6 40, UDP 8, TFTP 4.
const HEADERS_V4: usize = 32;
const HEADERS_V6: usize = 52;
/// RFC 1350's block.
const DEFAULT_BLOCK: usize = 512;
/// Largest window granted, whatever is asked: beyond it a lost block costs more than waiting saves. A guess; edk2 asks for 4.
const MAX_WINDOW: u16 = 64;

/// What is known about the way to the client.
#[derive(Debug, Clone, Copy)]
pub struct Path {
    /// Of the interface the request came in on.
    pub mtu: usize,
    /// Or IPv4.
    pub ipv6: bool,
}

/// What to do.
pub enum Decision {
    /// Serve it.
    Start(Box<Session>),
    /// Answer with an ERROR.
    Refuse(ErrorCode, &'static str, Refusal),
    /// Say nothing.
    Silent(Silence),
}

/// Why a request is refused; a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// There is no such file.
    NotFound,
    /// `..` in the name.
    Traversal,
    /// A write request.
    Write,
    /// `mail`, or no mode at all.
    Mode,
    /// Netascii of a file that is no text.
    TooLarge,
    /// A request that cannot be read.
    Malformed,
    /// A packet of no transfer we know.
    UnknownTransfer,
}

/// Why nothing is said; a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Silence {
    /// Not TFTP.
    NoPacket,
    /// An ERROR, or an ACK where only requests are heard.
    Stray,
    /// As many transfers as may run.
    Busy,
    /// As many transfers as one client may run.
    ClientBusy,
    /// The program is being stopped.
    Draining,
}

/// A packet from somebody who has no transfer running here. `own_port`: the port is one of transfers, not (only) of requests.
pub fn decide(
    packet: &Result<Packet, Malformed>,
    files: &Files,
    path: Path,
    own_port: bool,
    now: Instant,
) -> Decision {
    match packet {
        Ok(Packet::Read(request)) => read(request, files, path, now),
        Ok(Packet::Write) => {
            Decision::Refuse(ErrorCode::AccessViolation, "nothing is written here", Refusal::Write)
        }
        Ok(Packet::Ack(_) | Packet::Other) if own_port => {
            Decision::Refuse(ErrorCode::UnknownTransfer, "no such transfer", Refusal::UnknownTransfer)
        }
        Ok(Packet::Ack(_) | Packet::Other | Packet::Error { .. }) => Decision::Silent(Silence::Stray),
        Err(Malformed::Request) => {
            Decision::Refuse(ErrorCode::Illegal, "the request cannot be read", Refusal::Malformed)
        }
        Err(Malformed::NoPacket) => Decision::Silent(Silence::NoPacket),
    }
}

fn read(request: &Request, files: &Files, path: Path, now: Instant) -> Decision {
    let file = match files.find(&request.file) {
        Err(Traversal) => {
            return Decision::Refuse(
                ErrorCode::AccessViolation,
                "the name leads out of the root",
                Refusal::Traversal,
            );
        }
        Ok(None) => return Decision::Refuse(ErrorCode::NotFound, "no such file", Refusal::NotFound),
        Ok(Some(file)) => file,
    };
    let content = match request.mode {
        Mode::Octet => file.content().clone(),
        Mode::Netascii => match file.netascii() {
            Some(text) => text,
            None => {
                return Decision::Refuse(
                    ErrorCode::NotDefined,
                    "too large for netascii, ask for octet",
                    Refusal::TooLarge,
                );
            }
        },
        Mode::Unknown => {
            return Decision::Refuse(ErrorCode::Illegal, "only octet and netascii", Refusal::Mode);
        }
    };
    let (terms, agreed) = terms(request, &content, path);
    let option_ack = if agreed.is_empty() { Vec::new() } else { wire::option_ack(&agreed) };
    Decision::Start(Box::new(Session::new(content, terms, option_ack, now)))
}

/// Grants what was asked for and nothing else: edk2 refuses an OACK with an option it did not ask for, a larger block or
/// window, or another timeout.
fn terms(request: &Request, content: &Bytes, path: Path) -> (Terms, Vec<(&'static str, u64)>) {
    let options = request.options;
    let headers = if path.ipv6 { HEADERS_V6 } else { HEADERS_V4 };
    let largest = path.mtu.saturating_sub(headers).max(DEFAULT_BLOCK);
    let block_size = options.block_size.map(|asked| usize::from(asked).min(largest));
    let window = options.window_size.map(|asked| asked.min(MAX_WINDOW));
    let mut agreed = Vec::new();
    agreed.extend(block_size.map(|size| ("blksize", size as u64)));
    agreed.extend(options.transfer_size.then_some(("tsize", content.len() as u64)));
    agreed.extend(options.timeout.map(|seconds| ("timeout", u64::from(seconds))));
    agreed.extend(window.map(|blocks| ("windowsize", u64::from(blocks))));
    let terms = Terms {
        block_size: block_size.unwrap_or(DEFAULT_BLOCK),
        window: u64::from(window.unwrap_or(1)),
        timeout: options.timeout.map(|seconds| Duration::from_secs(seconds.into())),
    };
    (terms, agreed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Outgoing;

    const ETHERNET: Path = Path { mtu: 1500, ipv6: false };

    fn files() -> Files {
        Files::of(&[("hello.txt", b"hello\nworld\n"), ("large", &[0; (1 << 20) + 1])])
    }

    /// The decision in words: first packet, or refusal.
    fn asked(request: &str, path: Path) -> String {
        let packet = wire::parse(&[b"\0\x01", request.as_bytes()].concat());
        match decide(&packet, &files(), path, false, Instant::now()) {
            Decision::Refuse(code, _, refusal) => format!("ERROR {} {refusal:?}", code as u16),
            Decision::Silent(silence) => format!("silent {silence:?}"),
            Decision::Start(session) => match session.outgoing() {
                Outgoing::OptionAck(packet) => {
                    format!(
                        "OACK {}",
                        String::from_utf8_lossy(&packet[2..]).trim_end_matches('\0').replace('\0', " ")
                    )
                }
                Outgoing::Blocks(mut blocks) => {
                    let (block, payload) = blocks.next().unwrap();
                    format!("DATA {block} {}", payload.escape_ascii())
                }
            },
        }
    }

    #[test]
    fn requests_and_their_answers() {
        let ipv6 = Path { ipv6: true, ..ETHERNET };
        let tiny = Path { mtu: 68, ..ETHERNET };
        for (request, path, answer) in [
            ("hello.txt\0octet\0", ETHERNET, r"DATA 1 hello\nworld\n"),
            ("hello.txt\0netascii\0", ETHERNET, r"DATA 1 hello\r\nworld\r\n"),
            ("default\0octet\0", ETHERNET, r"DATA 1 #!ipxe\nreboot\n"),
            ("hello.txt\0octet\0multicast\0\0", ETHERNET, r"DATA 1 hello\nworld\n"),
            ("hello.txt\0octet\0blksize\x0065464\0", ETHERNET, "OACK blksize 1468"),
            ("hello.txt\0octet\0blksize\x0065464\0", ipv6, "OACK blksize 1448"),
            ("hello.txt\0octet\0blksize\x001024\0", tiny, "OACK blksize 512"),
            (
                "hello.txt\0octet\0blksize\x001468\0windowsize\x004\0",
                ETHERNET,
                "OACK blksize 1468 windowsize 4",
            ),
            ("hello.txt\0octet\0windowsize\x0065535\0", ETHERNET, "OACK windowsize 64"),
            ("hello.txt\0octet\0tsize\x000\0timeout\x003\0", ETHERNET, "OACK tsize 12 timeout 3"),
            ("hello.txt\0netascii\0tsize\x000\0", ETHERNET, "OACK tsize 14"),
            ("missing\0octet\0", ETHERNET, "ERROR 1 NotFound"),
            ("autoexec.ipxe\0octet\0", ETHERNET, "ERROR 1 NotFound"),
            ("../hello.txt\0octet\0", ETHERNET, "ERROR 2 Traversal"),
            ("hello.txt\0mail\0", ETHERNET, "ERROR 4 Mode"),
            ("hello.txt\0binary\0", ETHERNET, "ERROR 4 Mode"),
            ("large\0netascii\0", ETHERNET, "ERROR 0 TooLarge"),
            ("hello.txt", ETHERNET, "ERROR 4 Malformed"),
        ] {
            assert_eq!(asked(request, path), answer, "{request:?}");
        }
    }

    #[test]
    fn packets_of_no_transfer() {
        let told = |bytes: &[u8], own_port| match decide(
            &wire::parse(bytes),
            &files(),
            ETHERNET,
            own_port,
            Instant::now(),
        ) {
            Decision::Refuse(code, ..) => Some(code as u16),
            Decision::Silent(_) => None,
            Decision::Start(_) => panic!("{bytes:?}"),
        };
        assert_eq!(told(b"\0\x02up\0octet\0", false), Some(2), "a write request");
        assert_eq!(told(b"\0\x04\0\x01", true), Some(5), "an unknown transfer");
        assert_eq!(told(b"\0\x04\0\x01", false), None, "an ACK where requests are heard");
        assert_eq!(told(b"\0\x05\0\x08x\0", true), None, "an ERROR is never answered");
        assert_eq!(told(b"\0\x63", true), None, "no TFTP");
    }
}
