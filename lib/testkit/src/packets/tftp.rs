//! A TFTP client (RFC 1350, 2347, 2348, 2349, 7440), as firmware has one.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use tokio::{net::UdpSocket, time::timeout};

const READ: u16 = 1;
const DATA: u16 = 3;
const ACK: u16 = 4;
const ERROR: u16 = 5;
const OPTION_ACK: u16 = 6;

/// What blocks have without options (RFC 1350 §2).
const PLAIN_BLOCK: usize = 512;
/// The longest UDP payload.
const LARGEST: usize = 65_507;
/// Silence after which the last packet is sent again: what firmware waits, less on loopback.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often. A guess: enough for a busy machine.
const ATTEMPTS: u32 = 6;

/// What is asked for beside the file; the size is always asked for.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// `blksize`
    pub block_size: u16,
    /// `windowsize`
    pub window_size: u16,
}

/// A file as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Its content.
    pub bytes: Vec<u8>,
    /// What the server agreed to, in its order.
    pub options: Vec<(String, String)>,
    /// How many blocks it came in.
    pub blocks: u64,
}

/// Reads a file.
///
/// # Errors
/// Those of sockets; `Other` with what the server says; `TimedOut`; `InvalidData` for what is no TFTP.
pub async fn fetch(server: SocketAddr, file: &str, wish: Wish) -> io::Result<Fetched> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    let mut transfer = Transfer::new();
    let mut peer = server;
    let mut to_send = Some(request(file, wish));
    let mut last = Vec::new();
    let mut buffer = vec![0; LARGEST];
    let mut attempts = 0;
    loop {
        if let Some(packet) = to_send.take() {
            socket.send_to(&packet, peer).await?;
            last = packet;
        }
        if transfer.complete {
            return Ok(transfer.fetched);
        }
        match timeout(PATIENCE, socket.recv_from(&mut buffer)).await {
            // The transfer goes on from another port than the one that was asked (RFC 1350 §4).
            Ok(Ok((length, from))) if from.ip() == server.ip() && (peer == server || from == peer) => {
                peer = from;
                attempts = 0;
                to_send = transfer.take(&buffer[..length])?;
            }
            Ok(received) => drop(received?),
            Err(_) if attempts == ATTEMPTS => return Err(io::ErrorKind::TimedOut.into()),
            Err(_) => {
                attempts += 1;
                to_send = Some(last.clone());
            }
        }
    }
}

/// An RRQ packet.
pub fn request(file: &str, wish: Wish) -> Vec<u8> {
    let mut packet = READ.to_be_bytes().to_vec();
    let (block_size, window_size) = (wish.block_size.to_string(), wish.window_size.to_string());
    for text in [file, "octet", "tsize", "0", "blksize", &block_size, "windowsize", &window_size] {
        packet.extend(text.as_bytes());
        packet.push(0);
    }
    packet
}

/// A transfer seen from the client.
struct Transfer {
    fetched: Fetched,
    block_size: usize,
    window_size: u64,
    /// Blocks since the last acknowledgement.
    unacknowledged: u64,
    complete: bool,
}

impl Transfer {
    fn new() -> Transfer {
        let fetched = Fetched::default();
        Transfer { fetched, block_size: PLAIN_BLOCK, window_size: 1, unacknowledged: 0, complete: false }
    }

    /// Takes a packet; answers with what is to be sent.
    fn take(&mut self, packet: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let [a, b, c, d, ..] = *packet else { return Err(garbage()) };
        let number = u16::from_be_bytes([c, d]);
        match u16::from_be_bytes([a, b]) {
            OPTION_ACK => self.agree(&packet[2..]).map(Some),
            DATA => Ok(self.block(number, &packet[4..])),
            ERROR => {
                let text = String::from_utf8_lossy(&packet[4..]);
                Err(io::Error::other(format!("error {number}: {}", text.trim_end_matches('\0'))))
            }
            _ => Err(garbage()),
        }
    }

    fn agree(&mut self, options: &[u8]) -> io::Result<Vec<u8>> {
        let text = std::str::from_utf8(options).map_err(|_| garbage())?;
        let mut words = text.split_terminator('\0');
        self.fetched.options.clear();
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            let number = || value.parse::<u16>().map_err(|_| garbage());
            match name {
                "blksize" => self.block_size = number()?.into(),
                "windowsize" => self.window_size = number()?.into(),
                _ => {}
            }
            self.fetched.options.push((name.to_owned(), value.to_owned()));
        }
        Ok(acknowledgement(0))
    }

    fn block(&mut self, number: u16, payload: &[u8]) -> Option<Vec<u8>> {
        let expected = self.fetched.blocks + 1;
        if number != expected as u16 {
            // One was lost, or came twice: say what is there, and the window begins anew (RFC 7440 §4).
            self.unacknowledged = 0;
            return Some(acknowledgement(self.fetched.blocks));
        }
        self.fetched.bytes.extend_from_slice(payload);
        self.fetched.blocks = expected;
        self.unacknowledged += 1;
        self.complete = payload.len() < self.block_size;
        if !self.complete && self.unacknowledged < self.window_size {
            return None;
        }
        self.unacknowledged = 0;
        Some(acknowledgement(expected))
    }
}

fn acknowledgement(block: u64) -> Vec<u8> {
    [ACK.to_be_bytes(), (block as u16).to_be_bytes()].concat() // numbers wrap
}

fn garbage() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no TFTP packet")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(block: u16, payload: &[u8]) -> Vec<u8> {
        [&DATA.to_be_bytes()[..], &block.to_be_bytes(), payload].concat()
    }

    #[test]
    fn a_window_is_acknowledged_at_its_end_and_where_a_block_is_missing() {
        let mut transfer = Transfer::new();
        let agreed = transfer.take(b"\0\x06tsize\x0020\0blksize\x008\0windowsize\x002\0").unwrap();
        assert_eq!(agreed, Some(acknowledgement(0)));
        assert_eq!(transfer.take(&data(1, b"12345678")).unwrap(), None);
        assert_eq!(transfer.take(&data(3, b"1234")).unwrap(), Some(acknowledgement(1)));
        assert_eq!(transfer.take(&data(2, b"abcdefgh")).unwrap(), None);
        assert_eq!(transfer.take(&data(3, b"1234")).unwrap(), Some(acknowledgement(3)));
        assert!(transfer.complete);
        assert_eq!(transfer.fetched.bytes, b"12345678abcdefgh1234");
        assert_eq!(transfer.fetched.options[0], ("tsize".to_owned(), "20".to_owned()));
    }

    #[test]
    fn what_the_server_refuses_is_an_error_with_its_words() {
        let refused = Transfer::new().take(b"\0\x05\0\x01no such file\0").unwrap_err();
        assert_eq!(refused.to_string(), "error 1: no such file");
        assert_eq!(Transfer::new().take(b"\0\x01").unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
