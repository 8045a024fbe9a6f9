//! What stands in a reply.

use super::*;

#[test]
fn a_relayed_nak_asks_the_relay_to_broadcast_and_returns_its_option() {
    let relay_agent = [2, 2, 9, 9, 1, 1, 7, 1, 1, 8];
    let request = new(Ask)
        .relayed(ip("172.16.0.5"))
        .address(50, "172.16.0.99")
        .option(61, b"\x01abcdef")
        .option(82, &relay_agent);
    let decision = ask(FILE, &request, &unicast("172.16.0.5:67"), &found(node(&["172.16.0.11"])));
    let nak = crate::wire::parse_reply(&reply(&decision).encode()).unwrap();
    assert_eq!(nak.message_type(), Some(Nak));
    assert!(nak.wants_broadcast());
    let codes: Vec<u8> = nak.options().map(|(code, _)| code).collect();
    assert_eq!(codes, [53, 54, 61, 82]);
    assert_eq!((nak.option(82u8), nak.last_option()), (Some(&relay_agent[..]), Some(82)));
    assert_eq!((nak.ciaddr, nak.yiaddr, nak.siaddr, nak.giaddr), (ANY, ANY, ANY, ip("172.16.0.5")));
}

#[test]
fn who_answers_is_configured_or_the_address_that_was_asked() {
    let unnamed = FILE.replace("    server_id: 172.16.0.253\n", "");
    let machine = found(node(&["172.16.0.11", "10.40.1.13"]));
    let override_option = [11, 4, 10, 40, 1, 1];
    let table = [
        (FILE, new(Discover), broadcast(), "172.16.0.253", "172.16.0.253"),
        (FILE, new(Discover), Arrival { interface: 2, ..broadcast() }, "172.16.0.253", "10.40.1.253"),
        (&unnamed, new(Discover), broadcast(), "172.16.0.253", "172.16.0.253"),
        (&unnamed, new(Discover), Arrival { interface: 2, ..broadcast() }, "10.40.1.253", "10.40.1.253"),
        (
            &unnamed,
            new(Discover).relayed(ip("10.40.1.1")),
            unicast("10.40.1.1:67"),
            "172.16.0.253",
            "172.16.0.253",
        ),
        (FILE, new(Discover).option(82, &override_option), broadcast(), "10.40.1.1", "172.16.0.253"),
    ];
    for (file, request, arrival, id, source) in table {
        let decision = ask(file, &request, &arrival, &machine);
        let reply = reply(&decision);
        assert_eq!(reply.packet.options.value(54u8), Some(&ip(id).octets()[..]), "{decision}");
        assert_eq!(reply.source, ip(source), "{decision}");
    }
    let nobody = Arrival { interface: 5, ..broadcast() };
    assert_eq!(short(&ask(&unnamed, &new(Discover), &nobody, &machine)), "silent: no_server_id");
    let stale = new(Ask).address(50, "10.1.1.1");
    assert_eq!(short(&ask(&unnamed, &stale, &nobody, &machine)), "silent: no_server_id");
    let overridden = new(Discover).relayed(ip("172.16.0.5")).option(82, &[11, 4, 172, 16, 0, 5]);
    let silent = ask(&unnamed, &overridden, &nobody, &machine);
    assert_eq!(short(&silent), "silent: no_server_id", "the relay's address is none to send from");
}

#[test]
fn a_rule_comes_before_the_subnet_and_that_before_the_global_values() {
    let values = |file: &str, machine: Interface| {
        let giaddr = match machine.addresses[0].address {
            IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & !0xff | 1),
            IpAddr::V6(_) => panic!(),
        };
        let decision = ask(file, &new(Discover).relayed(giaddr), &unicast("10.0.0.1:67"), &found(machine));
        let reply = crate::wire::parse_reply(&reply(&decision).encode()).unwrap();
        let address = |code: u8| reply.address(code).map_or("-".into(), |address| address.to_string());
        let lease = reply.option(51u8).map(|value| u32::from_be_bytes(value.try_into().unwrap())).unwrap();
        format!("{} {} {} {lease}", address(1), address(3), address(6))
    };
    let mut ruled = node(&["10.50.0.7"]);
    ruled.addresses[0].policy.routers = vec![ip("10.50.0.99")];
    ruled.addresses[0].policy.prefix_length = Some(20);
    let global = "255.255.255.0 172.16.0.254 172.16.0.253 3600";
    let table = [
        (node(&["172.16.0.11"]), global),
        (node(&["10.50.0.7"]), "255.255.0.0 10.50.0.1 172.16.0.253 7200"),
        (node(&["10.50.9.7"]), "255.255.255.0 - 10.50.9.1 3600"),
        (ruled, "255.255.240.0 10.50.0.99 172.16.0.253 7200"),
    ];
    for (machine, expected) in table {
        assert_eq!(values(FILE, machine), expected);
    }
    let maskless = FILE.replace("    netmask: 255.255.255.0\n", "");
    let wide = maskless.replace("10.50.0.0/16", "10.50.0.0/15");
    assert_eq!(values(&maskless, node(&["172.16.0.11"])), global, "the interface's prefix");
    assert_eq!(values(&wide, node(&["10.50.0.7"])), "255.254.0.0 10.50.0.1 172.16.0.253 7200");
}

#[test]
fn an_inform_that_a_relay_brings_without_an_address_is_answered_by_broadcast() {
    let flags = |request: Request| {
        let decision = ask(FILE, &request, &unicast("10.40.1.1:67"), &found(node(&["10.40.1.13"])));
        let Outcome::Reply(reply) = decision.outcome else { panic!("{decision}") };
        reply.packet.flags
    };
    let relayed = new(Inform).relayed(ip("10.40.1.1"));
    assert_eq!(flags(relayed.clone()), crate::wire::BROADCAST_FLAG);
    assert_eq!(flags(relayed.client("10.40.1.13")), 0);
}

#[test]
fn a_known_machine_gets_all_that_is_configured_and_dns_where_asked_for() {
    let codes = |request: &Request| {
        let decision = ask(FILE, request, &broadcast(), &found(node(&["172.16.0.11"])));
        reply(&decision).packet.options.iter().map(|(code, _)| code).collect::<Vec<u8>>()
    };
    let everything = [53, 54, 51, 1, 3, 12, 15, 6, 17, 58, 59];
    assert_eq!(codes(&new(Discover)), everything);
    assert_eq!(codes(&new(Ask)), everything);
    assert_eq!(codes(&new(Discover).option(55, &[1, 3])), [53, 54, 51, 1, 3, 12, 15, 17, 58, 59]);
    let inform = new(Inform).client("172.16.0.11");
    assert_eq!(codes(&inform), [53, 54, 1, 3, 12, 15, 6, 17], "no times");
    let echoed = new(Discover).option(61, &[1]).option(97, &[0]).address(118, "172.16.0.0");
    assert_eq!(codes(&echoed), [53, 54, 51, 1, 3, 97, 61, 12, 15, 6, 17, 58, 59, 118]);
    let not_honoured = new(Discover).address(118, "192.168.77.0");
    assert_eq!(codes(&not_honoured), everything);
}

#[test]
fn raw_options_of_a_policy_replace_but_never_what_the_protocol_needs() {
    let mut machine = node(&["172.16.0.11"]);
    let raw = |code: u8| inventory::DhcpOption { code, value: vec![1, 2, 3, 4] };
    machine.addresses[0].policy.options = [6, 42, 53, 54, 82, 0, 255].map(raw).to_vec();
    let decision = ask(FILE, &new(Discover), &broadcast(), &found(machine));
    let options = &reply(&decision).packet.options;
    assert_eq!(options.value(6u8), Some(&[1, 2, 3, 4][..]));
    assert_eq!(options.value(42u8), Some(&[1, 2, 3, 4][..]));
    assert_eq!(options.value(51u8), Some(&3600u32.to_be_bytes()[..]));
    assert_eq!(options.value(53u8), Some(&[2][..]));
    assert_eq!((options.value(82u8), options.value(0u8)), (None, None));
}

#[test]
fn renewal_times_spread_but_stay_in_order() {
    let times = |mac: Mac, lease: &str| {
        let file = FILE.replace("lease_time: 1h", &format!("lease_time: {lease}"));
        let request = Request::new(Discover, mac);
        let decision =
            ask(&file, &request, &broadcast(), &found(Interface { mac, ..node(&["172.16.0.11"]) }));
        let options = &reply(&decision).packet.options;
        [51u8, 58, 59].map(|code| u32::from_be_bytes(options.value(code).unwrap().try_into().unwrap()))
    };
    let mut renewals = std::collections::BTreeSet::new();
    for number in 0..200u8 {
        let [lease, renew, rebind] = times(Mac([2, 0, 0, 0, 1, number]), "1h");
        assert_eq!((lease, rebind), (3600, 3150));
        assert!((1575..=1800).contains(&renew), "{renew}");
        renewals.insert(renew);
    }
    assert!(renewals.len() > 100, "{}", renewals.len());
    assert_eq!(times(MAC, "1h"), times(MAC, "1h"), "OFFER and ACK agree");
    let [lease, renew, rebind] = times(MAC, "1s");
    assert!(renew <= rebind && rebind <= lease);
}

#[test]
fn a_nak_is_never_overloaded() {
    let machine = found(node(&["172.16.0.11"]));
    for length in [0, 1, 7, 255, 256, 300, 600] {
        let request = new(Ask).address(50, "172.16.0.99").option(61, &vec![1; length]);
        let bytes = reply(&ask(FILE, &request, &broadcast(), &machine)).encode();
        let nak = crate::wire::parse_reply(&bytes).unwrap();
        assert_eq!((nak.message_type(), nak.option(52u8)), (Some(Nak), None), "{length}");
        assert_eq!(nak.option(61u8).map(<[u8]>::len), (length <= 255).then_some(length));
    }
}

#[test]
fn what_does_not_fit_is_noted() {
    let mut machine = node(&["172.16.0.11"]);
    machine.addresses[0].policy.options = vec![inventory::DhcpOption { code: 200, value: vec![7; 600] }];
    let decision = ask(FILE, &new(Discover), &broadcast(), &found(machine.clone()));
    assert_eq!(decision.notes, [Note::LeftOut { codes: vec![200] }]);
    let patient = new(Discover).option(57, &1500u16.to_be_bytes());
    assert_eq!(ask(FILE, &patient, &broadcast(), &found(machine)).notes, []);
}

#[test]
fn no_length_of_option_82_costs_an_answer_its_message_type_or_its_frame() {
    let machine = found(node(&["172.16.0.11"]));
    let mut silent = 0;
    for length in (0..1600).step_by(7) {
        for request in [new(Discover), new(Ask).address(50, "172.16.0.99")] {
            let request = request.relayed(ip("172.16.0.5")).option(82, &vec![9; length]);
            let decision = ask(FILE, &request, &unicast("172.16.0.5:67"), &machine);
            if decision.outcome == Outcome::Silent(Silent::RelayAgent) {
                silent += 1;
                continue;
            }
            let bytes = reply(&decision).encode();
            let answer = crate::wire::parse_reply(&bytes).unwrap();
            assert!(bytes.len() <= 1472, "{length}: {} bytes", bytes.len());
            assert!(matches!(answer.message_type(), Some(Offer | Nak)), "{length}");
            assert!(answer.option(54u8).is_some(), "{length}");
            assert_eq!(answer.option(82u8).map(<[u8]>::len), Some(length));
        }
    }
    assert!((100..300).contains(&silent), "{silent}");
}
