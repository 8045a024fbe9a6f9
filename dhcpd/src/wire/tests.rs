use super::*;
use dhcproto::{
    Decoder, Encodable, Encoder,
    v4::{self, DhcpOption},
};
use proptest::prelude::*;
use std::net::Ipv4Addr;
use values::Mac;

const MAC: Mac = Mac([2, 0, 0, 0, 1, 1]);

/// A DISCOVER with these bytes behind the cookie.
fn with_options(options: &[u8]) -> Vec<u8> {
    let mut bytes = Request::new(MessageType::Discover, MAC).encode();
    bytes.truncate(OPTIONS);
    bytes.extend_from_slice(options);
    bytes
}

fn message(options: &[u8]) -> Message {
    parse(&with_options(options)).unwrap()
}

fn packet(limit: usize) -> Packet {
    let mut options = Options::new();
    options.message_type(MessageType::Offer);
    let mut chaddr = [0; 16];
    chaddr[..6].copy_from_slice(&MAC.0);
    Packet {
        htype: 1,
        hlen: 6,
        xid: 7,
        flags: BROADCAST_FLAG,
        ciaddr: Ipv4Addr::UNSPECIFIED,
        yiaddr: Ipv4Addr::new(172, 16, 0, 11),
        siaddr: Ipv4Addr::new(172, 16, 0, 253),
        giaddr: Ipv4Addr::new(10, 40, 1, 1),
        chaddr,
        file: None,
        options,
        relay_agent: None,
        limit,
    }
}

#[test]
fn what_is_no_request_is_refused() {
    let good = with_options(&[53, 1, 1, END]);
    let changed = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let table = [
        (Vec::new(), Refused::Short),
        (good[..239].to_vec(), Refused::Short),
        (changed(0, 2), Refused::NotARequest),
        (changed(0, 0), Refused::NotARequest),
        (changed(2, 17), Refused::HardwareLength),
        (changed(2, 255), Refused::HardwareLength),
        (changed(236, 0), Refused::Cookie),
    ];
    for (bytes, reason) in table {
        assert_eq!(parse(&bytes), Err(reason));
    }
    assert!(parse(&good).is_ok());
    assert_eq!(Refused::ALL.map(Refused::label).len(), 4);
}

#[test]
fn defect_1_a_hardware_length_beyond_the_field_is_refused_and_16_is_read() {
    let mut bytes = with_options(&[53, 1, 1, END]);
    bytes[2] = 17;
    assert_eq!(parse(&bytes), Err(Refused::HardwareLength));
    bytes[2] = 16;
    let message = parse(&bytes).unwrap();
    assert_eq!(message.hardware_address().len(), 16);
    assert!(message.to_string().contains("chaddr=02:00:00:00:01:01:00:00:"), "{message}");
    assert_eq!(message.mac(), None);
}

#[test]
fn defect_2_a_bad_option_hides_no_later_one() {
    // host name that is no UTF-8, ASCII client FQDN, 116 and 94 of wrong length, 150 of two addresses
    let odd: [&[u8]; 5] = [
        &[12, 3, 0xff, 0x80, 0xfe],
        &[81, 5, 0, 0, 0, b'n', b'1'],
        &[116, 2, 1, 2],
        &[94, 1, 1],
        &[150, 8, 1, 2, 3, 4, 5, 6, 7, 8],
    ];
    for bad in odd {
        let mut options = vec![53, 1, 1];
        options.extend_from_slice(bad);
        options.extend_from_slice(&[55, 2, 1, 3, 61, 2, 1, 9, 82, 3, 1, 1, 7, 93, 2, 0, 7, END]);
        let message = message(&options);
        assert_eq!(message.option(55u8), Some(&[1, 3][..]));
        assert_eq!(message.option(61u8), Some(&[1, 9][..]));
        assert_eq!(message.option(82u8), Some(&[1, 1, 7][..]));
        assert_eq!(message.architectures().collect::<Vec<_>>(), [7]);
        assert_eq!(message.option(bad[0]), Some(&bad[2..]));
    }
}

#[test]
fn defect_3_every_architecture_of_the_list_is_read() {
    for (value, architectures) in [
        (&[0, 7, 0, 0][..], vec![7, 0]),
        (&[0xff, 0xff, 0, 16, 0, 7][..], vec![0xffff, 16, 7]),
        (&[7][..], vec![]),
        (&[0, 7, 9][..], vec![7]),
        (&[][..], vec![]),
    ] {
        let mut options = vec![93, value.len() as u8];
        options.extend_from_slice(value);
        assert_eq!(message(&options).architectures().collect::<Vec<_>>(), architectures);
    }
}

#[test]
fn defect_4_options_in_file_and_sname_are_read_to_the_last_byte() {
    let mut bytes = with_options(&[53, 1, 1, 77, 1, b'i', 52, 1, 3, END]);
    // `file` is filled without End or NUL: 2 + 124 + 2 = 128
    bytes[FILE][..3].copy_from_slice(&[77, 1, b'P']);
    bytes[FILE][3..5].copy_from_slice(&[43, 123]);
    bytes[SNAME][..7].copy_from_slice(&[0, 77, 2, b'X', b'E', 12, 57]);
    let message = parse(&bytes).unwrap();
    assert_eq!(message.option(77u8), Some(&b"iPXE"[..]));
    assert_eq!(message.option(43u8).unwrap().len(), 123);
    assert_eq!(message.option(12u8).unwrap().len(), 57);
    for not_overloaded in
        [&[53, 1, 1, END][..], &[53, 1, 1, 52, 2, 3, 3, END][..], &[53, 1, 1, 52, 1, 0, END][..]]
    {
        let end = OPTIONS + not_overloaded.len();
        bytes[OPTIONS..end].copy_from_slice(not_overloaded);
        assert_eq!(parse(&bytes[..end]).unwrap().option(43u8), None);
    }
}

/// Repeated, unordered and cut sub-options.
const RELAY_AGENT: [u8; 20] =
    [2, 6, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 1, 4, 0, 10, 0, 1, 1, 1, 0, 151, 9, 1];

#[test]
fn defects_5_and_6_option_82_comes_back_verbatim_once_and_last() {
    let mut options = vec![53, 1, 1, 82, RELAY_AGENT.len() as u8];
    options.extend_from_slice(&RELAY_AGENT);
    options.extend_from_slice(&[55, 1, 1, END]);
    let request = message(&options);
    let mut packet = packet(548);
    packet.options.put(255 - 1, b"private");
    packet.relay_agent = request.option(82u8).map(<[u8]>::to_vec);
    let bytes = packet.encode();
    let reply = parse_reply(&bytes).unwrap();
    assert_eq!(reply.option(82u8), Some(&RELAY_AGENT[..]));
    assert_eq!(reply.last_option(), Some(82));
    assert_eq!(bytes.windows(RELAY_AGENT.len()).filter(|window| *window == RELAY_AGENT).count(), 1);
}

#[test]
fn sub_options_are_found_beside_odd_ones() {
    let mut options = vec![82, RELAY_AGENT.len() as u8];
    options.extend_from_slice(&RELAY_AGENT);
    let message = message(&options);
    assert_eq!(message.relay_suboption(1), Some(&[0, 10, 0, 1][..]));
    assert_eq!(message.relay_suboption(151), None, "cut");
    assert_eq!(message.relay_address(1), Some(Ipv4Addr::new(0, 10, 0, 1)));
    assert_eq!(message.relay_address(2), None);
}

#[test]
fn defect_7_replies_are_padded_bounded_and_begin_with_the_type() {
    assert_eq!(packet(548).encode().len(), 300);
    assert_eq!(&packet(548).encode()[OPTIONS..OPTIONS + 4], &[53, 1, 2, END]);
    let mut long = packet(548);
    for code in 128..=140u8 {
        long.options.put(code, &[code; 40]);
    }
    let bytes = long.encode();
    assert!(bytes.len() <= 548, "{}", bytes.len());
    assert_eq!(&bytes[OPTIONS..OPTIONS + 6], &[53, 1, 2, 52, 1, 3], "type first, then overload");
    let reply = parse_reply(&bytes).unwrap();
    // 7 in the options field (308 - 3 - 3 - 1 = 301), 3 in file (127), 1 in sname (63)
    let kept: Vec<u8> = reply.options().map(|(code, _)| code).filter(|code| *code >= 128).collect();
    assert_eq!(kept, (128..139).collect::<Vec<u8>>());
    assert_eq!(long.left_out(), [139, 140]);
}

#[test]
fn a_field_that_carries_the_boot_file_is_not_overloaded() {
    let mut long = packet(548);
    long.file = Some("undionly.kpxe".into());
    for code in 128..=136u8 {
        long.options.put(code, &[code; 40]);
    }
    let bytes = long.encode();
    assert_eq!(&bytes[FILE][..14], b"undionly.kpxe\0");
    assert_eq!(parse_reply(&bytes).unwrap().option(52u8), Some(&[OVERLOADED_SNAME][..]));
    assert_eq!(long.left_out(), [136]);
}

#[test]
fn long_values_are_split_and_joined() {
    for length in [0, 1, 254, 255, 256, 300, 510, 511, 900] {
        let value: Vec<u8> = (0..length).map(|at| at as u8).collect();
        let mut long = packet(1472);
        long.options.put(61, &value);
        assert!(long.left_out().is_empty());
        let bytes = long.encode();
        assert_eq!(parse_reply(&bytes).unwrap().option(61u8), Some(&value[..]), "{length}");
    }
}

#[test]
fn a_value_that_fits_nowhere_whole_goes_over_all_fields_in_order() {
    let value: Vec<u8> = (0..400).map(|at| at as u8).collect();
    let mut long = packet(548);
    long.options.put(12, &[b'n'; 60]);
    long.options.put(61, &value);
    assert!(long.left_out().is_empty());
    let reply = parse_reply(&long.encode()).unwrap();
    assert_eq!(reply.option(61u8), Some(&value[..]));
    assert_eq!(reply.option(12u8), Some(&[b'n'; 60][..]));
    assert_eq!(reply.option(52u8), Some(&[3][..]));
}

#[test]
fn the_limit_is_what_the_client_accepts_without_headers() {
    let table = [
        (None, None, 548),
        (Some(0), None, 548),
        (Some(576), None, 548),
        (Some(1260), None, 1232),
        (Some(1472), None, 1444),
        (Some(65280), None, 1472),
        (None, Some(10), 560),
        (Some(1500), Some(10), 1472),
    ];
    for (accepts, tail, payload) in table {
        let tail = tail.map(|length| vec![0; length]);
        assert_eq!(limit(accepts, tail.as_deref()), payload, "{accepts:?}");
    }
}

#[test]
fn defect_8_numbers_are_those_of_the_registry() {
    let table = [
        (OptionCode::SubnetMask, 1),
        (OptionCode::Router, 3),
        (OptionCode::DomainNameServer, 6),
        (OptionCode::Hostname, 12),
        (OptionCode::DomainName, 15),
        (OptionCode::RootPath, 17),
        (OptionCode::VendorExtensions, 43),
        (OptionCode::RequestedIpAddress, 50),
        (OptionCode::AddressLeaseTime, 51),
        (OptionCode::OptionOverload, 52),
        (OptionCode::MessageType, 53),
        (OptionCode::ServerIdentifier, 54),
        (OptionCode::ParameterRequestList, 55),
        (OptionCode::MaxMessageSize, 57),
        (OptionCode::Renewal, 58),
        (OptionCode::Rebinding, 59),
        (OptionCode::ClassIdentifier, 60),
        (OptionCode::ClientIdentifier, 61),
        (OptionCode::TFTPServerName, 66),
        (OptionCode::BootfileName, 67),
        (OptionCode::UserClass, 77),
        (OptionCode::RelayAgentInformation, 82),
        (OptionCode::ClientSystemArchitecture, 93),
        (OptionCode::ClientMachineIdentifier, 97),
        (OptionCode::SubnetSelection, 118),
    ];
    for (code, number) in table {
        assert_eq!(u8::from(code), number);
    }
    // Where dhcproto's enum is wrong (37, 106, 108) numbers stay what they are on the wire.
    let message = message(&[37, 1, 9, 106, 1, 8, 55, 1, 108, END]);
    assert_eq!((message.option(37u8), message.option(106u8)), (Some(&[9][..]), Some(&[8][..])));
    assert!(message.asks_for(108u8) && !message.asks_for(106u8));
}

#[test]
fn defect_14_values_of_any_length_are_just_bytes() {
    for code in 1..=254u8 {
        for length in [0, 1, 2, 3, 5, 9] {
            let mut options = vec![code, length];
            options.extend(std::iter::repeat_n(0xfe, length as usize));
            options.extend_from_slice(&[END]);
            let message = message(&options);
            assert_eq!(message.option(code).unwrap().len(), length as usize);
            let _ = (message.to_string(), message.mac(), message.message_type(), message.vendor_class());
        }
    }
}

#[test]
fn what_is_harmless_is_forgiven() {
    let no_end = message(&[53, 1, 1, 55, 2, 1, 3]);
    assert_eq!(no_end.option(55u8), Some(&[1, 3][..]));
    let cut = message(&[53, 1, 1, 55, 2, 1, 3, 12, 9, b'a', b'b', b'c']);
    assert_eq!((cut.option(55u8), cut.option(12u8)), (Some(&[1, 3][..]), None));
    let only_a_code = message(&[53, 1, 1, 12]);
    assert_eq!(only_a_code.message_type(), Some(MessageType::Discover));
    let nothing = message(&[]);
    assert_eq!(nothing.message_type(), None);
    assert_eq!(message(&[53, 0]).message_type(), None);
}

#[test]
fn user_class_is_read_bare_and_counted() {
    let table: [(&[u8], bool); 9] = [
        (b"iPXE", true),
        (b"\x04iPXE", true),
        (b"\x03abc\x04iPXE", true),
        (b"\x04iPXE\x03abc", true),
        (b"iPXE2", false),
        (b"\x05iPXE2", false),
        (b"\x04iPXE\x09abc", false),
        (b"\x04iPX", false),
        (b"", false),
    ];
    for (value, is_ipxe) in table {
        let mut options = vec![77, value.len() as u8];
        options.extend_from_slice(value);
        assert_eq!(message(&options).has_user_class(b"iPXE"), is_ipxe, "{value:?}");
    }
}

#[test]
fn the_mac_is_chaddr_or_else_in_the_client_identifier() {
    let table: [(u8, &[u8], Option<Mac>); 6] = [
        (6, &[], Some(MAC)),
        (6, &[61, 7, 1, 2, 0, 0, 0, 9, 9], Some(MAC)),
        (0, &[61, 7, 1, 2, 0, 0, 0, 9, 9], Some(Mac([2, 0, 0, 0, 9, 9]))),
        (16, &[61, 7, 1, 2, 0, 0, 0, 9, 9], Some(Mac([2, 0, 0, 0, 9, 9]))),
        (0, &[], None),
        (0, &[61, 3, 1, 2, 0], None),
    ];
    for (hlen, options, mac) in table {
        let mut bytes = with_options(options);
        bytes[2] = hlen;
        assert_eq!(parse(&bytes).unwrap().mac(), mac, "hlen {hlen}, {options:?}");
    }
    let mut zeros = with_options(&[]);
    zeros[28..34].fill(0);
    assert_eq!(parse(&zeros).unwrap().mac(), None);
}

#[test]
fn a_message_is_one_readable_line() {
    let request = Request { xid: 0x11000101, ..Request::new(MessageType::Request, MAC) }
        .relayed(Ipv4Addr::new(10, 40, 1, 1))
        .option(OptionCode::RequestedIpAddress, &[172, 16, 0, 11])
        .option(OptionCode::UserClass, b"iPXE")
        .option(OptionCode::ParameterRequestList, &[1, 3, 6]);
    assert_eq!(
        parse(&request.encode()).unwrap().to_string(),
        "REQUEST xid=11000101 flags=0000 giaddr=10.40.1.1 chaddr=02:00:00:00:01:01 hops=1 | 50=172.16.0.11 55=010306 \
         77=iPXE | len=261"
    );
}

#[test]
fn single_options_are_what_dhcproto_writes() {
    let addresses = vec![Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)];
    let mut ours = Options::new();
    ours.message_type(MessageType::Ack);
    ours.addresses(OptionCode::Router, &addresses);
    ours.number(OptionCode::AddressLeaseTime, 3600);
    ours.text(OptionCode::Hostname, "nid0001.cluster.local");
    ours.put(OptionCode::ClientIdentifier, &[7; 300]);
    ours.addresses(OptionCode::SubnetMask, &[Ipv4Addr::new(255, 255, 255, 0)]);
    let theirs = [
        DhcpOption::MessageType(MessageType::Ack),
        DhcpOption::Router(addresses),
        DhcpOption::AddressLeaseTime(3600),
        DhcpOption::Hostname("nid0001.cluster.local".into()),
        DhcpOption::ClientIdentifier(vec![7; 300]),
        DhcpOption::SubnetMask(Ipv4Addr::new(255, 255, 255, 0)),
    ];
    for ((code, value), option) in ours.iter().zip(theirs) {
        let mut written = Vec::new();
        packet::write(&mut written, code, value);
        let mut expected = Vec::new();
        option.encode(&mut Encoder::new(&mut expected)).unwrap();
        assert_eq!(written, expected);
    }
}

#[test]
fn a_reply_is_readable_for_dhcproto() {
    let mut packet = packet(548);
    packet.options.number(OptionCode::AddressLeaseTime, 3600);
    packet.relay_agent = Some(vec![1, 2, 3, 4]);
    let bytes = packet.encode();
    let theirs = <v4::Message as dhcproto::Decodable>::decode(&mut Decoder::new(&bytes)).unwrap();
    assert_eq!(theirs.yiaddr(), packet.yiaddr);
    assert_eq!(theirs.opts().msg_type(), Some(MessageType::Offer));
    assert_eq!(theirs.chaddr(), &MAC.0);
}

fn options() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let code = prop_oneof![Just(12u8), Just(43), Just(61), 128..=254u8];
    let value = proptest::collection::vec(any::<u8>(), 0..400);
    proptest::collection::vec((code, value), 0..8)
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..700), valid in any::<bool>()) {
        if valid && bytes.len() >= OPTIONS {
            bytes[0] = BOOTREQUEST;
            bytes[2] %= 17;
            bytes[HEADER..OPTIONS].copy_from_slice(&COOKIE);
        }
        if let Ok(message) = parse(&bytes) {
            let _ = (message.to_string(), message.mac(), message.vendor_class(), message.relay_suboption(5));
            let _ = (message.architectures().count(), message.has_user_class(b"iPXE"), message.asks_for(6u8));
        }
    }

    #[test]
    fn what_is_written_is_read_back(
        options in options(), tail in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..600)),
        accepts in any::<u16>(), file in any::<bool>(),
    ) {
        let mut packet = packet(limit(Some(accepts), tail.as_deref()));
        packet.file = file.then(|| "ipxe.efi".to_owned());
        packet.relay_agent = tail.clone();
        let mut put = std::collections::BTreeMap::new();
        for (code, value) in &options {
            if put.insert(*code, value.clone()).is_none() {
                packet.options.put(*code, value);
            } else {
                put.insert(*code, packet.options.value(*code).unwrap().to_vec());
            }
        }
        let bytes = packet.encode();
        prop_assert!(bytes.len() >= 300 && bytes.len() <= packet.limit.max(300));
        let reply = parse_reply(&bytes).unwrap();
        prop_assert_eq!(reply.message_type(), Some(MessageType::Offer));
        prop_assert_eq!(reply.option(82u8), tail.as_deref());
        if tail.is_some() {
            prop_assert_eq!(reply.last_option(), Some(82));
        }
        for (code, value) in &put {
            let is_left_out = packet.left_out().contains(code);
            prop_assert_eq!(reply.option(*code).is_none(), is_left_out);
            prop_assert!(is_left_out || reply.option(*code) == Some(value));
        }
        prop_assert_eq!((reply.xid, reply.flags, reply.giaddr, reply.chaddr), (packet.xid, packet.flags, packet.giaddr, packet.chaddr));
    }
}
