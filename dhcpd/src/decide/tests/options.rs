//! Options that a site lists: who gets them, which value, and what stays when there is no room for all.

use super::*;
use crate::wire::parse_reply;
use inventory::DhcpOption;

/// Everything that can be listed.
const ALL: &str = r#"
domain: openchami.cluster
boot: {script_url: "http://172.16.0.253:8081/boot/v1/bootscript?mac={mac}"}
dhcpd:
  v4:
    server_id: 172.16.0.253
    router: [172.16.0.254, 172.16.0.252]
    dns: [172.16.0.253, 172.16.0.252]
    mtu: 9000
    search_domains: [openchami.cluster, mgmt.openchami.cluster, hsn.openchami.cluster]
    static_routes: [{to: 10.0.0.0/8, via: 172.16.0.1}, {to: 0.0.0.0/0, via: 172.16.0.254}]
    ipv6_only_wait: 30m
    ntp_servers: [172.16.0.1, 172.16.0.2]
    log_servers: [172.16.0.3]
    time_servers: [172.16.0.4]
    options:
      28: 172.16.0.255
      100: CET-1CEST,M3.5.0,M10.5.0/3
      150: [172.16.0.253]
      252: "http://172.16.0.253/wpad.dat"
    subnets:
      - {cidr: 172.16.1.0/24, mtu: 1500, ntp_servers: [], options: {28: 172.16.1.255, 252: unset, 17: unset}}
"#;

fn option(code: u8, value: &[u8]) -> DhcpOption {
    DhcpOption { code, value: value.to_vec() }
}

fn ruled(address: &str, options: &[DhcpOption]) -> Interface {
    let mut machine = node(&[address]);
    machine.addresses[0].policy.options = options.to_vec();
    machine
}

/// The options of the answer, as the client reads them.
fn answered(file: &str, request: &Request, machine: Interface) -> Message {
    let giaddr = match machine.addresses[0].address {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & !0xff | 1),
        IpAddr::V6(_) => panic!(),
    };
    let decision = ask(file, &request.clone().relayed(giaddr), &unicast("172.16.0.5:67"), &found(machine));
    parse_reply(&reply(&decision).encode()).unwrap()
}

fn codes(message: &Message) -> Vec<u8> {
    message.options().map(|(code, _)| code).collect()
}

fn listing(codes: &[u8]) -> Request {
    new(Discover).option(55, codes).option(57, &1500u16.to_be_bytes())
}

#[test]
fn options_with_a_key_go_to_who_asks_and_others_to_everybody() {
    let machine = || node(&["172.16.0.11"]);
    let always = [1, 3, 12, 15, 17, 28, 51, 53, 54, 58, 59, 100, 150, 252];
    assert_eq!(codes(&answered(ALL, &listing(&[1, 3]), machine())), always);
    for code in [4, 6, 7, 26, 42, 108, 119] {
        let mut expected = always.to_vec();
        expected.push(code);
        expected.sort();
        assert_eq!(codes(&answered(ALL, &listing(&[1, 3, code]), machine())), expected, "{code}");
    }
}

#[test]
fn who_sends_no_list_is_sent_everything_but_what_must_be_asked_for() {
    let request = new(Discover).option(57, &1500u16.to_be_bytes());
    let found = codes(&answered(ALL, &request, node(&["172.16.0.11"])));
    for code in [3, 4, 6, 7, 26, 42, 119, 121] {
        assert!(found.contains(&code), "{code}");
    }
    assert!(!found.contains(&108), "RFC 8925 §3.3: never unless listed");
}

/// RFC 3442: a client that knows routes ignores the router; protocols.md A1.17.
#[test]
fn routes_stand_in_for_the_router_unless_both_are_asked_for() {
    for (list, router, routes) in [
        (&[1, 3][..], true, false),
        (&[1, 3, 121], true, true),
        (&[1, 121], false, true),
        (&[1, 121, 3], true, true),
        (&[1], true, false),
    ] {
        let message = answered(ALL, &listing(list), node(&["172.16.0.11"]));
        let there = |code: u8| message.option(code).is_some();
        assert_eq!((there(3), there(121)), (router, routes), "{list:?}");
    }
    let without = ALL.replace("    static_routes", "    #static_routes");
    let message = answered(&without, &listing(&[1, 121]), node(&["172.16.0.11"]));
    assert!(message.option(3u8).is_some(), "no routes, no reason to leave the router out");
}

#[test]
fn the_nearest_value_counts_rule_then_subnet_then_global() {
    let list = [1, 3, 6, 26, 42];
    let value = |machine: Interface, code: u8| {
        answered(ALL, &listing(&list), machine).option(code).map(<[u8]>::to_vec)
    };
    let global = || node(&["172.16.0.11"]);
    let subnet = || node(&["172.16.1.11"]);
    let rule = |address: &str| {
        ruled(
            address,
            &[
                option(6, &[10, 0, 0, 9]),
                option(26, &[1, 2]),
                option(28, &[]),
                option(42, &[10, 0, 0, 8]),
                option(51, &120u32.to_be_bytes()),
                option(252, b"rule"),
            ],
        )
    };
    type Value = Option<&'static [u8]>;
    let table: [(u8, Value, Value, Value); 6] = [
        (
            6,
            Some(&[172, 16, 0, 253, 172, 16, 0, 252]),
            Some(&[172, 16, 0, 253, 172, 16, 0, 252]),
            Some(&[10, 0, 0, 9]),
        ),
        (17, Some(b"172.16.0.253"), None, Some(b"172.16.0.253")),
        (26, Some(&[0x23, 0x28]), Some(&[5, 0xdc]), Some(&[1, 2])),
        (28, Some(&[172, 16, 0, 255]), Some(&[172, 16, 1, 255]), None),
        (42, Some(&[172, 16, 0, 1, 172, 16, 0, 2]), None, Some(&[10, 0, 0, 8])),
        (252, Some(b"http://172.16.0.253/wpad.dat"), None, Some(b"rule")),
    ];
    for (code, globally, there, ruled) in table {
        assert_eq!(value(global(), code).as_deref(), globally, "{code} globally");
        assert_eq!(value(subnet(), code).as_deref(), there, "{code} in the subnet");
        assert_eq!(value(rule("172.16.0.11"), code).as_deref(), ruled, "{code} by rule");
        if code != 17 {
            assert_eq!(value(rule("172.16.1.11"), code).as_deref(), ruled, "{code} by rule in the subnet");
        }
    }
    let times = answered(ALL, &listing(&list), rule("172.16.0.11"));
    let seconds = |code: u8| u32::from_be_bytes(times.option(code).unwrap().try_into().unwrap());
    assert_eq!(seconds(51), 120);
    assert!(seconds(58) <= 60 && seconds(59) == 105, "T1 and T2 follow the rule's lease time");
}

/// Its names and boot files are nearer to a machine than its subnet is; one that has none gets what is listed.
#[test]
fn what_we_know_of_the_machine_itself_only_a_rule_replaces() {
    let codes = [12, 15, 43, 60, 66, 67];
    let file = ALL.replace(
        "28: 172.16.0.255",
        "12: x\n      15: x\n      43: 0x0101\n      60: x\n      66: x\n      67: x\n      28: 172.16.0.255",
    );
    let pxe = || {
        let request = listing(&[1, 3, 66, 67]).option(60, b"PXEClient:Arch:00007");
        request.option(93, &[0, 7])
    };
    let values = |file: &str, request: &Request, machine: Interface| {
        let message = answered(file, request, machine);
        codes.map(|code| message.option(code).map(<[u8]>::to_vec))
    };
    let ours = values(ALL, &pxe(), node(&["172.16.0.11"]));
    assert!(ours.iter().all(Option::is_some));
    assert_eq!(values(&file, &pxe(), node(&["172.16.0.11"])), ours);
    let all = codes.map(|code| option(code, b"rule"));
    assert_eq!(values(&file, &pxe(), ruled("172.16.0.11", &all)), codes.map(|_| Some(b"rule".to_vec())));
    let mut nameless = node(&["172.16.0.11"]);
    nameless.addresses[0].fqdn = "".into();
    nameless.addresses[0].domain = "".into();
    let listed = codes.map(|code| match code {
        43 => Some(vec![1, 1]),
        66 | 67 => Some(b"x\0".to_vec()),
        _ => Some(b"x".to_vec()),
    });
    assert_eq!(values(&file, &listing(&[1, 3]), nameless), listed);
}

#[test]
fn an_empty_list_in_a_rule_is_no_name_server() {
    let message = answered(ALL, &listing(&[1, 3, 6]), ruled("172.16.0.11", &[option(6, &[])]));
    assert_eq!(message.option(6u8), None);
}

#[test]
fn renewal_times_of_a_site_replace_ours_but_an_inform_has_none() {
    let file = ALL.replace("28: 172.16.0.255", "58: 600\n      59: 900");
    let message = answered(&file, &listing(&[1]), node(&["172.16.0.11"]));
    assert_eq!(message.option(58u8), Some(&600u32.to_be_bytes()[..]));
    assert_eq!(message.option(59u8), Some(&900u32.to_be_bytes()[..]));
    let short = ruled("172.16.0.11", &[option(51, &600u32.to_be_bytes())]);
    let message = answered(&file, &listing(&[1]), short);
    let seconds = |code: u8| u32::from_be_bytes(message.option(code).unwrap().try_into().unwrap());
    assert!(seconds(58) <= 300 && seconds(59) == 525, "not those that come after the end of a shorter lease");
    let inform = new(Inform).client("172.16.0.11").option(55, &[1, 26]);
    let decision = ask(&file, &inform, &unicast("172.16.0.11:68"), &found(node(&["172.16.0.11"])));
    let message = parse_reply(&reply(&decision).encode()).unwrap();
    assert_eq!([51u8, 58, 59].map(|code| message.option(code).is_some()), [false; 3]);
    assert_eq!(message.option(26u8), Some(&[0x23, 0x28][..]), "all else is what an INFORM is for");
}

#[test]
fn what_belongs_to_the_protocol_is_never_listed_whoever_says_so() {
    let all: Vec<DhcpOption> = (0..=255).map(|code| option(code, &[9, 9, 9, 9])).collect();
    let plain = answered(ALL, &listing(&[1, 3]), node(&["172.16.0.11"]));
    let message = answered(ALL, &listing(&[1, 3]), ruled("172.16.0.11", &all[..200]));
    for code in [53u8, 54] {
        assert_eq!(message.option(code), plain.option(code), "{code}");
    }
    for code in [0u8, 50, 52, 55, 56, 57, 61, 80, 82, 97, 116, 118, 255] {
        assert_eq!(message.option(code), None, "{code}");
    }
}

/// RFC 2563: who would get no address and asks whether it may make one up.
#[test]
fn an_unknown_machine_that_asks_is_told_not_to_make_up_an_address() {
    let file = FILE
        .replace("    lease_time: 1h\n", "    auto_configure: false\n")
        .replace("10.50.9.0/24, router: []", "10.50.9.0/24, auto_configure: true, router: []");
    let asks = || new(Discover).option(116, &[1]).option(61, b"\x01abcdef");
    let unknown = Lookup::Unknown;
    let decision = ask(&file, &asks(), &broadcast(), &unknown);
    assert_eq!(short(&decision), "OFFER");
    assert_eq!(decision.notes, [Note::UnknownMac(MAC)]);
    let offer = reply(&decision);
    assert_eq!((offer.packet.yiaddr, offer.packet.siaddr), (ANY, ANY));
    assert!(matches!(offer.destination, Destination::Broadcast { .. }), "there is no address to reach it at");
    assert_eq!(codes(&parse_reply(&offer.encode()).unwrap()), [53, 54, 61, 116]);
    assert_eq!(offer.packet.options.value(116u8), Some(&[0][..]));

    let relayed =
        |giaddr: &str| short(&ask(&file, &asks().relayed(ip(giaddr)), &unicast("10.50.0.1:67"), &unknown));
    assert_eq!(relayed("10.50.0.1"), "OFFER");
    assert_eq!(relayed("10.50.9.1"), "silent: unknown", "there it may");
    assert_eq!(relayed("192.168.77.1"), "silent: unknown", "that network is not ours to speak for");
    for (request, lookup, expected) in [
        (new(Discover), Lookup::Unknown, "silent: unknown"),
        (asks(), Lookup::Unavailable, "silent: unavailable"),
        (asks(), found(node(&["172.16.0.11"])), "OFFER 172.16.0.11"),
        (new(Ask).option(116, &[1]), Lookup::Unknown, "silent: unknown"),
    ] {
        assert_eq!(short(&ask(&file, &request, &broadcast(), &lookup)), expected);
    }
    assert_eq!(
        short(&ask(FILE, &asks(), &broadcast(), &unknown)),
        "silent: unknown",
        "nothing is configured"
    );
}

/// With all of it configured, an answer of 576 bytes has what a machine cannot do without; what is left out is the least
/// important, and is reported.
#[test]
fn without_room_for_all_what_matters_stays_and_the_rest_is_reported() {
    let options = [option(252, &[b'x'; 180]), option(200, &[7; 120]), option(43, &[1; 90])];
    let list: Vec<u8> = vec![1, 3, 4, 6, 7, 12, 15, 26, 42, 66, 67, 108, 119, 121];
    let relay_agent = [&[1, 40][..], &[9; 40]].concat();
    for (what, request) in [
        ("plain", new(Discover)),
        ("pxe", new(Discover).option(60, b"PXEClient:Arch:00007:UNDI:003016").option(93, &[0, 7])),
        ("ipxe", new(Discover).option(77, b"iPXE").option(93, &[0, 7])),
    ] {
        let request = request.option(55, &list).option(97, &[0; 17]).option(82, &relay_agent);
        let request = request.relayed(ip("172.16.0.1"));
        let decision = ask(ALL, &request, &unicast("172.16.0.5:67"), &found(ruled("172.16.0.11", &options)));
        let bytes = reply(&decision).encode();
        assert!(bytes.len() <= 576 - 28 + 44, "{what}: {} bytes", bytes.len());
        let message = parse_reply(&bytes).unwrap();
        let boots: &[u8] = if what == "plain" { &[] } else { &[67] };
        let vital = [1, 3, 6, 12, 15, 26, 42, 51, 53, 54, 82, 97, 108, 119, 121];
        for code in vital.iter().chain(boots) {
            assert!(message.option(*code).is_some(), "{what}: option {code} is missing\n{decision}");
        }
        assert_eq!(message.last_option(), Some(82), "{what}");
        let Some(Note::LeftOut { codes: left }) = decision.notes.last() else { panic!("{what}: {decision}") };
        let least = left.iter().all(|code| [28, 43, 58, 59, 100, 150, 200, 252].contains(code));
        assert!(least && left.iter().all(|code| message.option(*code).is_none()), "{what}: {left:?}");
        let patient = request.option(57, &1500u16.to_be_bytes());
        let decision = ask(ALL, &patient, &unicast("172.16.0.5:67"), &found(ruled("172.16.0.11", &options)));
        assert_eq!(decision.notes, [], "{what}: a whole frame has room");
    }
}

/// Whatever is listed and asked, the answer keeps to its size, reads back, and accounts for each option.
#[test]
fn every_option_is_sent_or_reported() {
    let names: [u8; 6] = [26, 119, 42, 7, 4, 121];
    for length in (0..900).step_by(37) {
        for accepts in [576u16, 700, 1024, 1500] {
            let options = [option(200, &vec![1; length]), option(201, &vec![2; length / 3])];
            let request = new(Discover).option(57, &accepts.to_be_bytes());
            let decision = ask(ALL, &request, &broadcast(), &found(ruled("172.16.0.11", &options)));
            let reply = reply(&decision);
            let bytes = reply.encode();
            assert!(bytes.len() <= accepts as usize - 28);
            let message = parse_reply(&bytes).unwrap();
            let left = reply.packet.left_out();
            for code in names.into_iter().chain([200, 201].into_iter().filter(|_| length >= 3)) {
                assert!(message.option(code).is_some() != left.contains(&code), "{length} {accepts} {code}");
            }
        }
    }
}
