//! Ethernet, IPv4 and UDP headers around a reply, for a client that has no address yet and so answers no ARP.

use std::net::SocketAddrV4;
use values::Mac;

/// Bytes before the payload: Ethernet 14, IPv4 20 (no options), UDP 8.
pub const HEADERS: usize = ETHERNET + IP + UDP;

const ETHERNET: usize = 14;
const IP: usize = 20;
const UDP: usize = 8;
const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const PROTOCOL_UDP: u8 = 17;

/// One hop would do; 64 is what the kernel writes into the other replies.
const TIME_TO_LIVE: u8 = 64;

/// Both ends of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// Our interface.
    pub source_mac: Mac,
    /// The client.
    pub destination_mac: Mac,
    /// Our address, port 67.
    pub source: SocketAddrV4,
    /// The address being given, port 68.
    pub destination: SocketAddrV4,
}

/// The whole frame (RFC 894, RFC 791, RFC 768). `None` when the payload does not fit into one IP packet.
pub fn frame(ends: &Ends, payload: &[u8]) -> Option<Vec<u8>> {
    let udp_length = u16::try_from(UDP + payload.len()).ok()?;
    let ip_length = udp_length.checked_add(IP as u16)?;

    let mut frame = Vec::with_capacity(HEADERS + payload.len());
    frame.extend(ends.destination_mac.0);
    frame.extend(ends.source_mac.0);
    frame.extend(ETHERTYPE_IPV4);

    frame.extend([0x45, 0]); // version 4, five words; no special service
    frame.extend(ip_length.to_be_bytes());
    frame.extend([0, 0, 0x40, 0]); // no identification needed: "don't fragment" (RFC 6864 §4.1)
    frame.extend([TIME_TO_LIVE, PROTOCOL_UDP, 0, 0]);
    frame.extend(ends.source.ip().octets());
    frame.extend(ends.destination.ip().octets());
    let header = checksum(0, &frame[ETHERNET..]);
    frame[ETHERNET + 10..ETHERNET + 12].copy_from_slice(&header.to_be_bytes());

    frame.extend(ends.source.port().to_be_bytes());
    frame.extend(ends.destination.port().to_be_bytes());
    frame.extend(udp_length.to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(payload);
    let datagram = match checksum(pseudo_header(ends, udp_length), &frame[ETHERNET + IP..]) {
        0 => 0xffff, // zero would mean "no checksum"
        sum => sum,
    };
    let place = ETHERNET + IP + 6;
    frame[place..place + 2].copy_from_slice(&datagram.to_be_bytes());
    Some(frame)
}

fn pseudo_header(ends: &Ends, udp_length: u16) -> u32 {
    let addresses = sum(&ends.source.ip().octets()) + sum(&ends.destination.ip().octets());
    addresses + u32::from(PROTOCOL_UDP) + u32::from(udp_length)
}

/// RFC 1071, continued from `start`.
fn checksum(start: u32, bytes: &[u8]) -> u16 {
    let mut folded = start + sum(bytes);
    while folded > 0xffff {
        folded = (folded & 0xffff) + (folded >> 16);
    }
    !(folded as u16)
}

/// Of big-endian words, the last one padded with zero. At most 32,768 words: no overflow.
fn sum(bytes: &[u8]) -> u32 {
    bytes
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ends() -> Ends {
        Ends {
            source_mac: Mac([2, 0, 0, 0, 0, 1]),
            destination_mac: Mac([2, 0, 0, 0, 0, 2]),
            source: "172.16.0.253:67".parse().unwrap(),
            destination: "172.16.0.1:68".parse().unwrap(),
        }
    }

    /// What a receiver computes over IP header and over pseudo header with datagram: zero when all is well.
    fn receiver_sums(frame: &[u8]) -> (u16, u16) {
        let packet = &frame[ETHERNET..];
        let datagram = &packet[IP..];
        let pseudo = sum(&packet[12..20]) + u32::from(PROTOCOL_UDP) + datagram.len() as u32;
        (checksum(0, &packet[..IP]), checksum(pseudo, datagram))
    }

    #[test]
    fn a_frame_byte_by_byte() {
        let frame = frame(&ends(), b"abc").unwrap();
        let text: Vec<String> = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        // Worked out by hand: the words of the IP header sum to 21e4e, folded 1e50, inverted e1af; those of pseudo header
        // and datagram to 21e2e, folded 1e30, inverted e1cf.
        let wanted = "02 00 00 00 00 02 02 00 00 00 00 01 08 00 \
                      45 00 00 1f 00 00 40 00 40 11 e1 af ac 10 00 fd ac 10 00 01 \
                      00 43 00 44 00 0b e1 cf 61 62 63";
        assert_eq!(text.join(" "), wanted);
        assert_eq!(receiver_sums(&frame), (0, 0));
    }

    #[test]
    fn the_checksum_of_the_textbook() {
        // RFC 1071 §3
        assert_eq!(checksum(0, &[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
        assert_eq!(checksum(0, &[0xff]), !0xff00);
    }

    #[test]
    fn a_checksum_of_zero_is_sent_as_ones() {
        let found = (0..=u16::MAX).find_map(|word| {
            let frame = frame(&ends(), &word.to_be_bytes()).unwrap();
            (frame[40..42] == [0xff, 0xff]).then_some(frame)
        });
        let frame = found.expect("one of all words makes the sum zero");
        assert_eq!(receiver_sums(&frame), (0, 0));
    }

    #[test]
    fn what_does_not_fit_into_a_packet_makes_no_frame() {
        assert!(frame(&ends(), &[0; 65_507]).is_some());
        assert_eq!(frame(&ends(), &[0; 65_508]), None);
        assert_eq!(frame(&ends(), &[0; 100_000]), None);
    }

    proptest! {
        #[test]
        fn a_receiver_finds_both_checksums_right(payload in prop::collection::vec(any::<u8>(), 0..1500), addresses: (u32, u32)) {
            let ends = Ends {
                source: SocketAddrV4::new(addresses.0.into(), 67),
                destination: SocketAddrV4::new(addresses.1.into(), 68),
                ..ends()
            };
            let frame = frame(&ends, &payload).unwrap();
            prop_assert_eq!(frame.len(), HEADERS + payload.len());
            prop_assert_eq!(receiver_sums(&frame), (0, 0));
            prop_assert_eq!(&frame[HEADERS..], &payload[..]);
        }
    }
}
