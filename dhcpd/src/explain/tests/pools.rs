//! Machines that pools serve.

use super::*;

const POOLED: &str = "dhcpd: {v4: {server_id: 172.16.0.253, lease_time: 90s, unknown: {lease_time: 10m, pools: [{subnet: 172.16.0.0/24, start: 172.16.0.160, end: 172.16.0.161}]}}}";
const OTHER: Mac = Mac([2, 0, 0, 0, 1, 2]);
const FIRST: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 160);
const SECOND: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 161);

fn leases(held: &[(Mac, Ipv4Addr)]) -> Leases {
    let file = ::config::parse(POOLED).unwrap();
    let mut leases = Leases::new(Pool::of(&file.dhcpd.v4.unwrap().unknown.unwrap().pools));
    leases.take(HashMap::new(), true);
    let now = Instant::now();
    leases.merge(Vec::new(), now, 0);
    for (mac, address) in held.iter().copied() {
        let row = Row { mac, address, expiry: 600, hostname: String::new() };
        leases.apply(
            &Update::Grant { mac, address, time: 600, hostname: String::new() },
            now,
            0,
            &mut Vec::new(),
        );
        // Half a second more, so that a slow machine says the same.
        assert!(leases.committed(&row, now + Duration::from_millis(600_500)));
    }
    leases
}

/// Without what smd-cache cannot say.
fn said(leases: &Leases, asked: &Asked, lookup: &Lookup<Interface>) -> (Explained, String) {
    let facts = Facts { lookup, ours: &OURS, hosts: &Hosts::default(), leases: Some(leases) };
    let explained = with_facts(POOLED, &facts, asked, None);
    let text = explained.text.join("\n");
    (explained, text)
}

fn request(message: Kind, address: Ipv4Addr) -> Asked {
    Asked { message, requested: Some(address), ..asked() }
}

#[test]
fn what_an_unknown_machine_would_get_and_why() {
    let offer = "dhcpd answers a DISCOVER of 02:00:00:00:01:01 heard on eth0 with an OFFER of 172.16.0.160 for 10 min.";
    let pool = |free, leased| {
        format!(
            "The pool of 172.16.0.0/24 (`dhcpd.v4.unknown`) has 2 addresses: {free} free, 0 offered, {leased} leased, 0 set aside, 0 of SMD or of servers."
        )
    };
    let mut released = leases(&[(MAC, FIRST)]);
    released.apply(&Update::Free { mac: MAC, address: FIRST }, Instant::now(), 0, &mut Vec::new());
    for (leases, free, why) in [
        (leases(&[]), 2, "Nobody had 172.16.0.160 yet."),
        (leases(&[(MAC, FIRST)]), 1, "It leases 172.16.0.160 for another 600 s."),
        (released, 2, "It had 172.16.0.160 last."),
    ] {
        let (explained, text) = said(&leases, &asked(), &Lookup::Unknown);
        assert_eq!(explained.text[0], offer);
        assert_eq!(explained.leases, [pool(free, 2 - free), why.to_owned()], "{text}");
        assert!(explained.leases.iter().all(|line| explained.text.contains(line)), "{text}");
    }
}

#[test]
fn every_way_to_ask_for_a_lease() {
    let held = leases(&[(MAC, FIRST), (OTHER, SECOND)]);
    for (kind, words) in [
        (Kind::Select, "a REQUEST (for our offer)"),
        (Kind::Request, "a REQUEST"),
        (Kind::Renew, "a REQUEST (to renew)"),
        (Kind::Rebind, "a REQUEST (to rebind)"),
    ] {
        let ask = format!("dhcpd answers {words} of 02:00:00:00:01:01 heard on eth0 with");
        let (explained, text) = said(&held, &request(kind, FIRST), &Lookup::Unknown);
        assert_eq!(explained.text[0], format!("{ask} an ACK: 172.16.0.160 for 10 min."), "{text}");
        let (explained, text) = said(&held, &request(kind, SECOND), &Lookup::Unknown);
        assert_eq!(explained.text[0], format!("{ask} a NAK: it has to start anew."), "{text}");
        assert_eq!(explained.leases, ["172.16.0.161 is leased to 02:00:00:00:01:02 for another 600 s."]);
        assert!(!text.contains("of the link"), "{text}");
        let (explained, text) = said(&held, &request(kind, FIRST), &Lookup::Unavailable);
        assert_eq!(explained.text[0], format!("{ask} an ACK: 172.16.0.160 for 10 min."), "{text}");
    }
}

#[test]
fn why_a_pool_gives_nothing() {
    let full = leases(&[(OTHER, FIRST), (OTHER, SECOND)]);
    let (explained, text) = said(&full, &asked(), &Lookup::Unknown);
    assert_eq!((explained.silent.as_deref(), explained.exit_code()), (Some("pool_exhausted"), 3));
    assert!(text.contains("has 2 addresses: 0 free, 0 offered, 2 leased"), "{text}");

    let mut closed = leases(&[]);
    closed.close();
    let (explained, text) = said(&closed, &asked(), &Lookup::Unknown);
    assert_eq!(explained.silent.as_deref(), Some("lease_store"));
    assert!(text.contains("leases cannot be written, so none is promised (see `/ready`)"), "{text}");

    let mut blind = leases(&[]);
    blind.take(HashMap::new(), false);
    let (explained, text) = said(&blind, &asked(), &Lookup::Unknown);
    assert_eq!((explained.silent.as_deref(), explained.exit_code()), (Some("unavailable"), 4));
    assert!(text.contains("SMD does not have it, but not all of SMD is known here"), "{text}");

    let mut moved = leases(&[(MAC, FIRST)]);
    moved.take(HashMap::from([(FIRST, Taker::One(OTHER))]), true);
    let (_, text) = said(&moved, &request(Kind::Renew, FIRST), &Lookup::Unknown);
    assert!(text.contains("172.16.0.160 is of SMD or of a server, and not its."), "{text}");
}

#[test]
fn a_known_machine_whose_address_is_lent_and_one_that_was_lent_another() {
    let (explained, text) =
        said(&leases(&[(OTHER, FIRST)]), &asked(), &found(machine(&["172.16.0.160"], true)));
    assert_eq!(explained.silent.as_deref(), Some("leased"));
    assert!(text.contains("172.16.0.160 is leased to 02:00:00:00:01:02 for another 600 s."), "{text}");
    assert!(text.contains("`dhcpd leases release 02:00:00:00:01:02` frees it now."), "{text}");

    let held = leases(&[(MAC, FIRST)]);
    let known = found(machine(&["172.16.0.1"], true));
    let lent = "SMD knows it now: what it leases of a pool, 172.16.0.160 for another 600 s, ends with its next DISCOVER or REQUEST.";
    let (explained, text) = said(&held, &asked(), &known);
    assert!(explained.text[0].contains("OFFER of 172.16.0.1 "), "{text}");
    assert_eq!(explained.leases, [lent]);
    let (explained, text) = said(&held, &request(Kind::Renew, FIRST), &known);
    assert!(explained.text[0].contains("a NAK") && text.contains("SMD has 172.16.0.1 for it."), "{text}");
    assert!(explained.leases.contains(&lent.to_owned()), "{text}");
}
