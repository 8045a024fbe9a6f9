//! Which of its addresses a machine gets, by where it is.

use super::*;

#[test]
fn the_address_fits_the_place() {
    let two = ["10.40.1.13", "172.16.0.13", "fd00::13"];
    let nested = ["10.50.0.7", "10.50.9.7"];
    let relayed = |giaddr: &str| new(Discover).relayed(ip(giaddr));
    let link =
        |giaddr: &str, link: &str| relayed(giaddr).option(82, &[&[5, 4], &ip(link).octets()[..]].concat());
    let wants = |request: Request, address: &str| {
        let mut request = request;
        request.options.remove(53);
        request.options.put(53u8, &[3]);
        request.address(50, address)
    };
    let renewal = |address: &str| new(Ask).client(address);
    let near = |_: &str| unicast("10.40.1.1:67");
    // addresses, request, how it arrived, answer, note
    type Row<'a> = (&'a [&'a str], Request, Arrival, &'a str, &'a str);
    let rows: Vec<Row> = vec![
        // relayed: the longest subnet that contains giaddr
        (&two, relayed("10.40.1.1"), near(""), "OFFER 10.40.1.13", ""),
        (&two, relayed("172.16.0.5"), near(""), "OFFER 172.16.0.13", ""),
        (&nested, relayed("10.50.9.1"), near(""), "OFFER 10.50.9.7", ""),
        (&nested, relayed("10.50.3.1"), near(""), "OFFER 10.50.0.7", ""),
        (&["172.16.0.11"], relayed("10.40.1.1"), near(""), "silent: no_address", "no_address_there"),
        (&["172.16.0.11"], wants(relayed("10.40.1.1"), "172.16.0.11"), near(""), "NAK", ""),
        (&two, wants(relayed("10.40.1.1"), "172.16.0.13"), near(""), "NAK", ""),
        (&two, wants(relayed("10.40.1.1"), "10.40.1.13"), near(""), "ACK 10.40.1.13", ""),
        // nobody configured it: the first, with a warning
        (&two, relayed("192.168.77.1"), near(""), "OFFER 10.40.1.13", "unconfigured_subnet"),
        (
            &two,
            wants(relayed("192.168.77.1"), "10.40.1.13"),
            near(""),
            "ACK 10.40.1.13",
            "unconfigured_subnet",
        ),
        (&two, wants(relayed("192.168.77.1"), "10.40.1.99"), near(""), "NAK", ""),
        (&two, relayed("127.0.0.1"), near(""), "OFFER 10.40.1.13", "unconfigured_subnet"),
        // link selection before subnet selection before giaddr
        (&two, link("10.40.1.1", "172.16.0.0"), near(""), "OFFER 172.16.0.13", ""),
        (&two, link("10.40.1.1", "192.168.77.0"), near(""), "OFFER 10.40.1.13", "unconfigured_subnet"),
        (&two, link("10.40.1.1", "172.16.0.0").address(118, "10.40.1.0"), near(""), "OFFER 172.16.0.13", ""),
        (&two, relayed("10.40.1.1").address(118, "172.16.0.0"), near(""), "OFFER 172.16.0.13", ""),
        (&two, relayed("10.40.1.1").address(118, "192.168.77.0"), near(""), "OFFER 10.40.1.13", ""),
        (&two, relayed("172.16.0.5").address(118, "192.168.77.0"), near(""), "OFFER 172.16.0.13", ""),
        (&two, new(Discover).address(118, "10.40.1.0"), broadcast(), "OFFER 10.40.1.13", ""),
        (&two, new(Discover).address(118, "192.168.77.0"), broadcast(), "OFFER 172.16.0.13", ""),
        (&two, relayed("10.40.1.1").option(82, &[5, 3, 1, 2, 3]), near(""), "OFFER 10.40.1.13", ""),
        // heard directly: in the prefixes of the receiving interface
        (&two, new(Discover), broadcast(), "OFFER 172.16.0.13", ""),
        (&two, new(Discover), Arrival { interface: 2, ..broadcast() }, "OFFER 10.40.1.13", ""),
        (&two, new(Ask).address(50, "10.40.1.13"), broadcast(), "NAK", ""),
        (&["10.50.9.7", "10.60.0.7"], new(Discover), broadcast(), "OFFER 10.50.9.7", "off_link"),
        (&["10.50.9.7"], new(Ask).address(50, "10.50.9.7"), broadcast(), "ACK 10.50.9.7", "off_link"),
        // an interface without prefixes
        (&two, new(Discover), Arrival { interface: 5, ..broadcast() }, "OFFER 10.40.1.13", "off_link"),
        // renewal by unicast: what it has, wherever it is heard
        (&two, renewal("10.40.1.13"), unicast("10.40.1.13:68"), "ACK 10.40.1.13", ""),
        (&two, renewal("172.16.0.13"), unicast("172.16.0.13:68"), "ACK 172.16.0.13", ""),
        (&two, renewal("172.16.0.99"), unicast("172.16.0.99:68"), "NAK", ""),
        // rebinding by broadcast: what fits the link
        (&two, renewal("172.16.0.13"), broadcast(), "ACK 172.16.0.13", ""),
        (&two, renewal("10.40.1.13"), broadcast(), "NAK", ""),
        // says neither: what is its own
        (&two, new(Ask), broadcast(), "ACK 172.16.0.13", ""),
        // another one of its own on the same link
        (
            &["172.16.0.13", "172.16.0.14"],
            new(Ask).address(50, "172.16.0.14"),
            broadcast(),
            "ACK 172.16.0.14",
            "",
        ),
        // first usable
        (&["fd00::1", "0.0.0.0", "172.16.0.15"], new(Discover), broadcast(), "OFFER 172.16.0.15", ""),
    ];
    for (addresses, request, arrival, expected, note) in rows {
        let decision = ask(FILE, &request, &arrival, &found(node(addresses)));
        let notes: Vec<&str> = decision.notes.iter().map(Note::label).collect();
        let expected = (expected, if note.is_empty() { vec![] } else { vec![note] });
        assert_eq!((&*short(&decision), notes), expected, "{}\n{decision}", wire_parse(&request));
    }
}

#[test]
fn a_machine_whose_every_address_is_ignored_gets_no_answer_anywhere() {
    let mut quiet = node(&["172.16.0.13", "172.16.0.14"]);
    quiet.addresses.iter_mut().for_each(|entry| entry.policy.ignore = true);
    let elsewhere = |kind| new(kind).relayed(ip("10.40.1.1"));
    for request in
        [elsewhere(Discover), elsewhere(Ask).address(50, "172.16.0.13"), elsewhere(Ask), elsewhere(Inform)]
    {
        let decision = ask(FILE, &request, &unicast("10.40.1.1:67"), &found(quiet.clone()));
        assert_eq!(short(&decision), "silent: ignored", "{}", wire_parse(&request));
    }
    quiet.addresses[1].policy = Policy::default();
    let request = elsewhere(Ask).address(50, "172.16.0.13");
    assert_eq!(short(&ask(FILE, &request, &unicast("10.40.1.1:67"), &found(quiet))), "NAK");
}

#[test]
fn subnets_of_rules_are_known_networks() {
    let file = format!("rules: ['type:Node,subnet:10.60.0.0/24|10.61.0.0/24,hostname:{{id}}']\n{FILE}");
    let machine = found(node(&["172.16.0.11", "10.61.0.7"]));
    let discover = new(Discover).relayed(ip("10.61.0.1"));
    assert_eq!(short(&ask(&file, &discover, &unicast("10.61.0.1:67"), &machine)), "OFFER 10.61.0.7");
    let without = ask(FILE, &discover, &unicast("10.61.0.1:67"), &machine);
    assert_eq!(without.notes, [Note::UnconfiguredSubnet { link: ip("10.61.0.1") }]);
}

#[test]
fn an_unknown_machine_is_refused_an_address_of_another_link_and_nothing_else() {
    let relayed = |giaddr: &str, address: &str| new(Ask).relayed(ip(giaddr)).address(50, address);
    let rebinding = |address: &str| new(Ask).client(address);
    let table = [
        (new(Ask).address(50, "172.16.0.88"), broadcast(), "silent: unknown"),
        (new(Ask).address(50, "192.168.9.9"), broadcast(), "NAK"),
        (new(Ask).address(50, "192.168.9.9").address(54, "172.16.0.253"), broadcast(), "NAK"),
        (new(Ask).address(50, "192.168.9.9").address(54, "172.16.0.9"), broadcast(), "silent: other_server"),
        (new(Ask).address(50, "192.168.9.9"), Arrival { interface: 5, ..broadcast() }, "silent: unknown"),
        (new(Ask), broadcast(), "silent: unknown"),
        (relayed("10.40.1.1", "10.40.1.99"), unicast("10.40.1.1:67"), "silent: unknown"),
        (relayed("10.40.1.1", "172.16.0.88"), unicast("10.40.1.1:67"), "NAK"),
        (relayed("192.168.77.1", "172.16.0.88"), unicast("192.168.77.1:67"), "silent: unknown"),
        // who uses an address: only where its network is one of ours, and never across a router
        (rebinding("10.40.1.99"), broadcast(), "NAK"),
        (rebinding("192.168.9.9"), broadcast(), "silent: unknown"),
        (rebinding("10.40.1.99"), unicast("10.40.1.99:68"), "silent: unknown"),
        (new(Discover).address(50, "192.168.9.9"), broadcast(), "silent: unknown"),
    ];
    for (request, arrival, expected) in table {
        let decision = ask(FILE, &request, &arrival, &Lookup::Unknown);
        assert_eq!(short(&decision), expected, "{}\n{decision}", wire_parse(&request));
        if expected != "silent: other_server" {
            assert_eq!(decision.notes, [Note::UnknownMac(MAC)]);
        }
        // When it cannot be told who it is, nobody is refused anything.
        let blind = ask(FILE, &request, &arrival, &Lookup::Unavailable);
        assert!(matches!(blind.outcome, Outcome::Silent(_)), "{blind}");
    }
}
