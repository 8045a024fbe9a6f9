//! Machines of the hosts file beside the inventory.

use super::*;

const HOST: &str = "02:00:00:00:01:01 172.16.0.61\n02:00:00:00:01:02 172.16.0.62\n";

fn ask_with(hosts: &str, request: &Request, arrival: &Arrival, lookup: &Lookup<Interface>) -> Decision {
    let (hosts, bad) = Hosts::parse(hosts);
    assert_eq!(bad, []);
    let facts = Facts { lookup, ours: &OURS, hosts: &hosts, leases: None };
    decide(&config(FILE), &wire_parse(request), arrival, &facts)
}

#[test]
fn the_inventory_wins_where_it_has_a_usable_record_or_says_ignore() {
    let mut ignored = node(&[]);
    ignored.policy.ignore = true;
    let mut no_component = node(&["172.16.0.11"]);
    no_component.component = None;
    for (name, lookup, expected) in [
        ("known", found(node(&["172.16.0.11"])), "OFFER 172.16.0.11"),
        ("ignored", found(ignored), "silent: ignored"),
        ("unknown", Lookup::Unknown, "OFFER 172.16.0.61"),
        ("no address", found(node(&[])), "OFFER 172.16.0.61"),
        ("no component", found(no_component), "OFFER 172.16.0.61"),
        ("cannot tell", Lookup::Unavailable, "OFFER 172.16.0.61"),
    ] {
        assert_eq!(short(&ask_with(HOST, &new(Discover), &broadcast(), &lookup)), expected, "{name}");
    }
}

#[test]
fn a_machine_of_the_file_is_served_as_a_known_one() {
    let unknown = Lookup::Unknown;
    let ours = |request: Request| request.address(54, "172.16.0.253");
    for (request, expected, notes) in [
        (ours(new(Ask).address(50, "172.16.0.61")), "ACK 172.16.0.61", vec![]),
        (new(Ask).address(50, "172.16.0.62"), "NAK", vec![]),
        (new(Ask).client("172.16.0.61"), "ACK 172.16.0.61", vec![]),
        (new(Inform).client("172.16.0.61"), "ACK", vec![]),
        (
            ours(new(Release).client("172.16.0.61")),
            "silent: release",
            vec![Note::Released { address: ip("172.16.0.61") }],
        ),
        (
            ours(new(Decline).address(50, "172.16.0.61")),
            "silent: decline",
            vec![Note::Conflict { address: ip("172.16.0.61") }],
        ),
    ] {
        let decision = ask_with(HOST, &request, &broadcast(), &unknown);
        assert_eq!((short(&decision), decision.notes), (expected.into(), notes), "{}", wire_parse(&request));
    }
    let elsewhere =
        ask_with(HOST, &new(Discover).relayed(ip("10.50.0.1")), &unicast("10.50.0.1:67"), &unknown);
    assert_eq!(short(&elsewhere), "silent: no_address", "it has no address there");
    let offer = ask_with(HOST, &new(Discover), &broadcast(), &unknown);
    let codes: Vec<u8> = reply(&offer).packet.options.iter().map(|(code, _)| code).collect();
    assert_eq!(codes, [53, 54, 51, 1, 3, 6, 17, 58, 59], "all that is configured; it has no name");
}

#[test]
fn it_boots_and_what_it_has_not_is_empty_in_its_url() {
    let request = new(Discover).option(77, b"iPXE").option(93, &[0, 7]);
    let decision = ask_with(HOST, &request, &broadcast(), &Lookup::Unknown);
    let url = String::from_utf8_lossy(reply(&decision).packet.options.value(67u8).unwrap()).into_owned();
    assert_eq!(url, "http://172.16.0.253/script?mac=02:00:00:00:01:01&id=&nid=&host=&arch=x86_64\0");
}
