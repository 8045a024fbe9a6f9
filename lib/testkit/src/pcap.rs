//! Packet captures: the UDP datagrams in a classic pcap file, over Ethernet and IPv4. Just what recorded exchanges
//! need; whatever else is in the file is passed over.

use std::net::{Ipv4Addr, SocketAddrV4};
use values::Mac;

/// A UDP datagram as captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    /// Its number in the file, from 1, as capture tools count.
    pub number: usize,
    /// Sender of the frame.
    pub mac: Mac,
    /// Sender.
    pub source: SocketAddrV4,
    /// Receiver.
    pub destination: SocketAddrV4,
    /// UDP payload.
    pub payload: Vec<u8>,
}

const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;
const ETHERNET: u32 = 1;
const UDP: u8 = 17;

/// Every whole UDP datagram over IPv4.
///
/// # Panics
/// On a file that is no pcap of Ethernet frames: test data is good.
pub fn datagrams(file: &[u8]) -> Vec<Datagram> {
    let is_little = match file[..4] {
        [0xd4, 0xc3, 0xb2, 0xa1] | [0x4d, 0x3c, 0xb2, 0xa1] => true,
        [0xa1, 0xb2, 0xc3, 0xd4] | [0xa1, 0xb2, 0x3c, 0x4d] => false,
        _ => panic!("not a pcap file"),
    };
    let number = |at: usize| {
        let bytes = file[at..at + 4].try_into().expect("four bytes");
        if is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }
    };
    assert_eq!(number(20), ETHERNET, "link type");
    let mut found = Vec::new();
    let (mut at, mut count) = (FILE_HEADER, 0);
    while at + RECORD_HEADER <= file.len() {
        let frame = at + RECORD_HEADER;
        at = frame + number(at + 8) as usize;
        count += 1;
        found.extend(datagram(count, &file[frame..at]));
    }
    found
}

/// The datagram in a frame; fragments and cut packets are passed over.
pub fn datagram(number: usize, frame: &[u8]) -> Option<Datagram> {
    let (link, packet) = frame.split_at_checked(14)?;
    let header = (packet.first()? & 15) as usize * 4;
    let half = |bytes: &[u8], at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    let is_fragment = half(packet, 6)? & 0x3fff != 0;
    if link[12..] != [8, 0] || packet.get(9) != Some(&UDP) || is_fragment {
        return None;
    }
    let udp = packet.get(header..)?;
    let address = |at: usize| <[u8; 4]>::try_from(packet.get(at..at + 4)?).ok().map(Ipv4Addr::from);
    Some(Datagram {
        number,
        mac: Mac(link[6..12].try_into().ok()?),
        source: SocketAddrV4::new(address(12)?, half(udp, 0)?),
        destination: SocketAddrV4::new(address(16)?, half(udp, 2)?),
        payload: udp.get(8..half(udp, 4)? as usize)?.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One frame with `hello` from 10.0.0.1:1000 to 10.0.0.2:67, one that is ARP.
    fn file(magic: [u8; 4]) -> Vec<u8> {
        let is_little = magic[0] != 0xa1;
        let number = |number: u32| if is_little { number.to_le_bytes() } else { number.to_be_bytes() };
        let mut ip = vec![0x45, 0, 0, 33, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        ip.extend_from_slice(&[3, 232, 0, 67, 0, 13, 0, 0]);
        ip.extend_from_slice(b"hello");
        let frame = |kind: [u8; 2], packet: &[u8]| {
            [&[2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 7], &kind[..], packet].concat()
        };
        let mut file = magic.to_vec();
        file.resize(20, 0);
        file.extend_from_slice(&number(1));
        for frame in [frame([8, 6], &[0; 28]), frame([8, 0], &ip)] {
            file.extend_from_slice(&[0; 8]);
            file.extend_from_slice(&number(frame.len() as u32));
            file.extend_from_slice(&number(frame.len() as u32));
            file.extend_from_slice(&frame);
        }
        file
    }

    #[test]
    fn datagrams_are_found_in_either_byte_order() {
        for magic in [[0xd4, 0xc3, 0xb2, 0xa1], [0xa1, 0xb2, 0xc3, 0xd4]] {
            let found = datagrams(&file(magic));
            let [datagram] = &found[..] else { panic!("{found:?}") };
            assert_eq!((datagram.number, datagram.payload.as_slice()), (2, &b"hello"[..]));
            assert_eq!(datagram.mac, Mac([2, 0, 0, 0, 0, 7]));
            assert_eq!(datagram.source.to_string(), "10.0.0.1:1000");
            assert_eq!(datagram.destination.to_string(), "10.0.0.2:67");
        }
    }
}
