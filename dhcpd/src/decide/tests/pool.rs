//! Machines that SMD does not know, where pools serve them, and those it comes to know.

use super::*;
use crate::leases::Taker;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

const POOLS: &str = r#"
boot:
  script_url: "http://172.16.0.253/script?mac={mac}"
  nbp: "tftp://172.16.0.253/nbp"
dhcpd:
  v4:
    server_id: 172.16.0.253
    lease_time: 1h
    router: [172.16.0.254]
    dns: [172.16.0.253]
    subnets:
      - {cidr: 10.50.0.0/16, router: [10.50.0.1], lease_time: 2h}
      - {cidr: 10.60.0.0/24}
    unknown:
      lease_time: 10m
      script: "http://172.16.0.253/new?mac={mac}&id={id}"
      pools:
        - {subnet: 172.16.0.0/24, start: 172.16.0.160, end: 172.16.0.162}
        - {subnet: 172.16.0.0/24, start: 172.16.0.170, end: 172.16.0.170}
        - {subnet: 10.50.0.0/16, start: 10.50.1.1, end: 10.50.1.9}
        - {subnet: 10.50.9.0/24, start: 10.50.9.1, end: 10.50.9.1}
        - {subnet: 10.40.1.128/25, start: 10.40.1.200, end: 10.40.1.209}
"#;

/// A dhcpd with leases: what it decides is done, and on disk at once.
struct Scene {
    config: Config,
    leases: Leases,
    hosts: Hosts,
    start: Instant,
    seconds: u64,
}

impl Scene {
    fn new() -> Scene {
        Scene::with("", "")
    }

    /// With something of the file replaced.
    fn with(old: &str, new: &str) -> Scene {
        let file =
            ::config::parse(&POOLS.replace(old, new)).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let pools = Pool::of(&file.dhcpd.v4.as_ref().unwrap().unknown.as_ref().unwrap().pools);
        let mut scene = Scene {
            config: Config::new(&file).unwrap(),
            leases: Leases::new(pools),
            hosts: Hosts::default(),
            start: Instant::now(),
            seconds: 0,
        };
        scene.take(&[]);
        scene.leases.merge(Vec::new(), scene.start, 0);
        scene
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_secs(self.seconds)
    }

    fn later(&mut self, seconds: u64) {
        self.seconds += seconds;
        self.leases.expire(self.now());
    }

    /// Whose addresses of the pools are, by the inventory.
    fn take(&mut self, taken: &[(&str, Mac)]) {
        let taken = taken.iter().map(|(address, mac)| (ip(address), Taker::One(*mac)));
        self.leases.take(taken.collect(), true);
    }

    fn on(&mut self, request: &Request, arrival: &Arrival, lookup: &Lookup<Interface>) -> Decision {
        let facts = Facts { lookup, ours: &OURS, hosts: &self.hosts, leases: Some(&self.leases) };
        let decision = decide(&self.config, &wire_parse(request), arrival, &facts);
        let now = self.now();
        for update in &decision.updates {
            self.leases.apply(update, now, self.seconds as i64, &mut Vec::new());
            if let Update::Grant { mac, address, time, .. } = *update {
                let row = crate::leases::store::Row { mac, address, expiry: 0, hostname: String::new() };
                assert!(self.leases.committed(&row, now + Duration::from_secs(time.into())));
            }
        }
        decision
    }

    /// On the first interface.
    fn ask(&mut self, request: &Request, lookup: &Lookup<Interface>) -> Decision {
        self.on(request, &broadcast(), lookup)
    }

    fn unknown(&mut self, request: &Request) -> String {
        short(&self.ask(request, &Lookup::Unknown))
    }

    /// Leases what it is offered.
    fn lease(&mut self, mac: Mac) -> Ipv4Addr {
        let offer = self.ask(&Request::new(Discover, mac), &Lookup::Unknown);
        let address = reply(&offer).packet.yiaddr;
        let ack = self.ask(&selecting(mac, &address.to_string()), &Lookup::Unknown);
        assert_eq!(short(&ack), format!("ACK {address}"));
        address
    }

    /// Who holds what, by the last byte of each.
    fn held(&self) -> Vec<(u8, u8, Hold)> {
        let all = self.leases.list(self.now()).into_iter();
        all.filter_map(|one| {
            Some((one.mac.0[5], one.address.octets()[3], self.leases.hold(one.mac, one.address)?))
        })
        .collect()
    }
}

const OTHER: Mac = Mac([2, 0, 0, 0, 1, 2]);
const OWNER: Mac = Mac([2, 0, 0, 0, 1, 9]);
const UNKNOWN: Lookup<Interface> = Lookup::Unknown;

fn selecting(mac: Mac, address: &str) -> Request {
    Request::new(Ask, mac).address(50, address).address(54, "172.16.0.253")
}

fn rebooting(mac: Mac, address: &str) -> Request {
    Request::new(Ask, mac).address(50, address)
}

/// Renewing, where it is sent to us; rebinding, where to everybody.
fn renewing(mac: Mac, address: &str) -> Request {
    Request::new(Ask, mac).client(address)
}

/// Every way in which a client asks for an address, and how it arrives.
fn ways(mac: Mac, address: &str) -> [(&'static str, Request, Arrival); 4] {
    [
        ("SELECTING", selecting(mac, address), broadcast()),
        ("INIT-REBOOT", rebooting(mac, address), broadcast()),
        ("RENEWING", renewing(mac, address), unicast(&format!("{address}:68"))),
        ("REBINDING", renewing(mac, address), broadcast()),
    ]
}

/// A machine of the inventory.
fn known(mac: Mac, address: &str) -> Lookup<Interface> {
    found(Interface { mac, ..node(&[address]) })
}

#[test]
fn an_unknown_machine_is_served_from_the_pool_of_its_link() {
    let mut scene = Scene::new();
    let offer = scene.ask(&new(Discover), &UNKNOWN);
    assert_eq!(short(&offer), "OFFER 172.16.0.160");
    let address = ip("172.16.0.160");
    assert_eq!(offer.updates, [Update::Offer { mac: MAC, address }]);
    assert_eq!(offer.notes, [Note::UnknownMac(MAC)]);
    let request = selecting(MAC, "172.16.0.160").option(12, b"my\x1b[2Jname");
    let ack = scene.ask(&request, &UNKNOWN);
    assert_eq!(short(&ack), "ACK 172.16.0.160");
    let hostname = "my[2Jname".to_owned();
    assert_eq!(
        ack.updates,
        [Update::Grant { mac: MAC, address, time: 600, hostname }],
        "what can be printed"
    );
    for (way, request, arrival) in ways(MAC, "172.16.0.160") {
        assert_eq!(short(&scene.on(&request, &arrival, &UNKNOWN)), "ACK 172.16.0.160", "{way}");
        assert_eq!(scene.held(), [(1, 160, Hold::Leased)], "{way}");
    }
    assert_eq!(scene.unknown(&new(Discover)), "OFFER 172.16.0.160", "what it holds");
    assert_eq!(scene.held(), [(1, 160, Hold::Leased)], "and it keeps its lease");
}

#[test]
fn an_inform_is_answered_without_address_and_times_and_changes_nothing() {
    let mut scene = Scene::new();
    let decision = scene.ask(&new(Inform).client("172.16.0.77"), &UNKNOWN);
    assert_eq!((short(&decision).as_str(), decision.updates.len()), ("ACK", 0));
    let codes: Vec<u8> = reply(&decision).packet.options.iter().map(|(code, _)| code).collect();
    assert!(![51, 58, 59].iter().any(|code| codes.contains(code)) && codes.contains(&3), "{codes:?}");
}

#[test]
fn who_names_us_and_asks_for_anything_but_its_own_is_refused() {
    let mut scene = Scene::new();
    scene.lease(OTHER);
    scene.ask(&new(Discover), &UNKNOWN);
    for address in ["172.16.0.160", "172.16.0.162", "172.16.0.99", "192.168.9.9", "10.50.1.1"] {
        assert_eq!(scene.unknown(&selecting(MAC, address)), "NAK", "{address}");
    }
    assert_eq!(scene.held(), [(2, 160, Hold::Leased), (1, 161, Hold::Offered)], "nobody loses anything");
    assert_eq!(scene.unknown(&selecting(MAC, "172.16.0.161")), "ACK 172.16.0.161");
    let behind = selecting(MAC, "172.16.0.161").relayed(ip("10.50.0.1"));
    assert_eq!(short(&scene.on(&behind, &unicast("10.50.0.1:67"), &UNKNOWN)), "NAK", "it moved");
    assert_eq!(scene.held(), [(2, 160, Hold::Leased)], "and what it left is free");
}

#[test]
fn without_our_name_it_is_refused_what_is_off_the_link_or_of_our_pools() {
    for (address, expected, strict) in [
        ("172.16.0.162", "NAK", "NAK"),            // of our pool
        ("10.50.1.1", "NAK", "NAK"),               // of another pool of ours
        ("192.168.9.9", "NAK", "NAK"),             // off the link
        ("172.16.0.99", "silent: unknown", "NAK"), // of the link: perhaps another server's
    ] {
        assert_eq!(Scene::new().unknown(&rebooting(MAC, address)), expected, "{address}");
        let mut scene = Scene::with("server_id", "authoritative: true\n    server_id");
        assert_eq!(scene.unknown(&rebooting(MAC, address)), strict, "{address}, authoritative");
    }
}

#[test]
fn a_request_that_says_nothing_is_for_what_it_was_offered_or_leased() {
    let mut scene = Scene::new();
    assert_eq!(scene.unknown(&new(Ask)), "silent: unknown");
    scene.ask(&new(Discover), &UNKNOWN);
    assert_eq!(scene.unknown(&new(Ask).address(54, "172.16.0.253")), "ACK 172.16.0.160");
    assert_eq!(scene.unknown(&new(Ask)), "ACK 172.16.0.160");
}

#[test]
fn without_the_whole_inventory_nothing_new_is_promised_and_what_runs_is_renewed() {
    let mut scene = Scene::new();
    scene.lease(MAC);
    scene.ask(&Request::new(Discover, OTHER), &UNKNOWN);
    scene.leases.take(HashMap::new(), false);
    assert_eq!(scene.unknown(&Request::new(Discover, OWNER)), "silent: unavailable");
    assert_eq!(
        scene.unknown(&selecting(OTHER, "172.16.0.161")),
        "silent: unavailable",
        "offered, not leased"
    );
    for (way, request, arrival) in ways(MAC, "172.16.0.160") {
        assert_eq!(short(&scene.on(&request, &arrival, &UNKNOWN)), "ACK 172.16.0.160", "{way}");
    }
}

#[test]
fn while_leases_cannot_be_written_unknown_machines_hear_nothing() {
    let mut scene = Scene::new();
    scene.lease(MAC);
    scene.leases.close();
    for request in [
        new(Discover),
        selecting(MAC, "172.16.0.160"),
        rebooting(MAC, "172.16.0.160"),
        renewing(MAC, "172.16.0.160"),
        rebooting(MAC, "172.16.0.162"), // which may be its own by what cannot be read
    ] {
        let decision = scene.ask(&request, &UNKNOWN);
        assert_eq!(short(&decision), "silent: lease_store", "{}", wire_parse(&request));
        assert_eq!(decision.updates, []);
    }
    assert_eq!(scene.unknown(&rebooting(MAC, "192.168.9.9")), "NAK", "no lease has to do with that");
    assert_eq!(short(&scene.ask(&new(Discover), &known(MAC, "172.16.0.11"))), "OFFER 172.16.0.11");
    assert_eq!(
        short(&scene.ask(&renewing(MAC, "172.16.0.160"), &Lookup::Unavailable)),
        "silent: unavailable"
    );
}

#[test]
fn where_nobody_can_tell_a_lease_that_runs_is_renewed_and_nothing_else() {
    let mut scene = Scene::new();
    scene.lease(MAC);
    scene.ask(&Request::new(Discover, OTHER), &UNKNOWN);
    let blind = Lookup::Unavailable;
    for (way, request, arrival) in ways(MAC, "172.16.0.160") {
        assert_eq!(short(&scene.on(&request, &arrival, &blind)), "ACK 172.16.0.160", "{way}");
    }
    for request in [
        new(Discover),
        new(Ask),
        new(Inform).client("172.16.0.160"),
        selecting(OTHER, "172.16.0.161"), // only offered
        rebooting(MAC, "172.16.0.162"),
        rebooting(MAC, "192.168.9.9"),
        rebooting(OWNER, "172.16.0.160"),
    ] {
        assert_eq!(short(&scene.ask(&request, &blind)), "silent: unavailable", "{}", wire_parse(&request));
    }
    scene.take(&[("172.16.0.160", OWNER)]);
    assert_eq!(
        short(&scene.ask(&renewing(MAC, "172.16.0.160"), &blind)),
        "NAK",
        "the snapshot has it with another"
    );
    assert_eq!(scene.held(), [(2, 161, Hold::Offered)]);
}

#[test]
fn where_nobody_can_tell_a_lease_is_given_back_all_the_same() {
    for kind in [Release, Decline] {
        let mut scene = Scene::new();
        scene.lease(MAC);
        let request = selecting(MAC, "172.16.0.160").client("172.16.0.160");
        let request = Request { options: Request::new(kind, MAC).options, ..request };
        let request = request.address(50, "172.16.0.160").address(54, "172.16.0.253");
        scene.ask(&request, &Lookup::Unavailable);
        assert_eq!(scene.held(), [], "{kind:?}");
    }
}

#[test]
fn a_machine_that_became_known_is_refused_its_lease_however_it_asks_and_then_served_its_own() {
    for (way, request, arrival) in ways(MAC, "172.16.0.160") {
        let mut scene = Scene::new();
        scene.lease(MAC);
        let decision = scene.on(&request, &arrival, &known(MAC, "172.16.0.11"));
        assert_eq!(
            (short(&decision).as_str(), &decision.updates[..]),
            ("NAK", &[Update::Forget(MAC)][..]),
            "{way}"
        );
        assert_eq!(scene.held(), [], "{way}");
        assert_eq!(short(&scene.ask(&new(Discover), &known(MAC, "172.16.0.11"))), "OFFER 172.16.0.11");
    }
}

#[test]
fn a_machine_that_became_known_with_the_address_it_leases_goes_on_with_it_as_known() {
    for (way, request, arrival) in ways(MAC, "172.16.0.160") {
        for is_heard in [false, true] {
            let mut scene = Scene::new();
            let address = scene.lease(MAC);
            if is_heard {
                scene.take(&[("172.16.0.160", MAC)]);
            }
            let decision = scene.on(&request, &arrival, &known(MAC, "172.16.0.160"));
            assert_eq!(short(&decision), "ACK 172.16.0.160", "{way}");
            assert_eq!(
                reply(&decision).packet.options.value(51u8).unwrap(),
                3600u32.to_be_bytes(),
                "as known"
            );
            assert_eq!(decision.updates[0], Update::Forget(MAC), "its row goes");
            let kept = [Update::Keep { mac: MAC, address }];
            assert_eq!(decision.updates[1..], kept[is_heard as usize..], "{way}");
            for number in 10..14 {
                let other = Mac([2, 0, 0, 0, 2, number]);
                let given = scene.unknown(&Request::new(Discover, other));
                assert_ne!(given, "OFFER 172.16.0.160", "{way}");
            }
        }
    }
}

#[test]
fn the_owner_of_a_leased_address_waits_until_its_holder_was_refused_it_however_that_asks() {
    let owner = known(OWNER, "172.16.0.160");
    let address = ip("172.16.0.160");
    for (way, request, arrival) in ways(MAC, "172.16.0.160") {
        let mut scene = Scene::new();
        scene.lease(MAC);
        scene.take(&[("172.16.0.160", OWNER)]);
        for asks in
            [Request::new(Discover, OWNER), selecting(OWNER, "172.16.0.160"), renewing(OWNER, "172.16.0.160")]
        {
            let decision = scene.ask(&asks, &owner);
            assert_eq!(short(&decision), "silent: leased", "{way}");
            assert_eq!(decision.notes, [Note::Leased { address, holder: MAC }], "{way}");
            assert_eq!(decision.updates, [], "{way}");
        }
        assert_eq!(short(&scene.on(&request, &arrival, &UNKNOWN)), "NAK", "{way}");
        assert_eq!(short(&scene.ask(&Request::new(Discover, OWNER), &owner)), "OFFER 172.16.0.160", "{way}");
        assert_eq!(scene.unknown(&new(Discover)), "OFFER 172.16.0.161", "{way}: and the holder gets another");
    }
}

#[test]
fn the_owner_of_a_leased_address_waits_for_one_lease_time_at_most() {
    let mut scene = Scene::new();
    scene.lease(MAC);
    scene.later(600);
    assert_eq!(
        short(&scene.ask(&Request::new(Discover, OWNER), &known(OWNER, "172.16.0.160"))),
        "OFFER 172.16.0.160"
    );
}

#[test]
fn the_owner_of_an_address_that_was_only_offered_is_served_at_once() {
    for is_heard in [false, true] {
        let mut scene = Scene::new();
        scene.ask(&new(Discover), &UNKNOWN);
        if is_heard {
            scene.take(&[("172.16.0.160", OWNER)]);
        }
        let decision = scene.ask(&Request::new(Discover, OWNER), &known(OWNER, "172.16.0.160"));
        assert_eq!(short(&decision), "OFFER 172.16.0.160");
        assert_eq!(scene.unknown(&selecting(MAC, "172.16.0.160")), "NAK");
        assert_eq!(scene.unknown(&new(Discover)), "OFFER 172.16.0.161");
    }
}

#[test]
fn no_address_of_the_inventory_is_offered() {
    let mut scene = Scene::new();
    scene.take(&[("172.16.0.160", OWNER), ("172.16.0.162", OTHER)]);
    assert_eq!(scene.unknown(&new(Discover)), "OFFER 172.16.0.161");
    assert_eq!(
        scene.unknown(&Request::new(Discover, Mac([2, 0, 0, 0, 2, 1])).address(50, "172.16.0.162")),
        "OFFER 172.16.0.170"
    );
}

#[test]
fn renew_nak_refuses_every_renewal_and_nothing_else() {
    for (way, request, arrival) in ways(MAC, "172.16.0.160") {
        let mut scene = Scene::with("lease_time: 10m", "lease_time: 10m\n      renew: nak");
        scene.lease(MAC);
        let renews = way.starts_with("RE");
        let expected = if renews { "NAK" } else { "ACK 172.16.0.160" };
        assert_eq!(short(&scene.on(&request, &arrival, &UNKNOWN)), expected, "{way}");
        assert_eq!(scene.held().is_empty(), renews, "{way}: it is free again");
    }
    let mut scene = Scene::with("lease_time: 10m", "lease_time: 10m\n      renew: nak");
    scene.lease(MAC);
    assert_eq!(
        short(&scene.ask(&renewing(MAC, "172.16.0.160"), &Lookup::Unavailable)),
        "silent: unavailable"
    );
}

#[test]
fn what_it_boots() {
    let pxe = || new(Discover).option(93, &[0, 7]).option(60, b"PXEClient:Arch:00007");
    let ipxe = || new(Discover).option(93, &[0, 7]).option(77, b"iPXE");
    let plain = || ("lease_time: 10m", "lease_time: 10m");
    let nbp = || ("lease_time: 10m", "lease_time: 10m\n      boot: nbp");
    for ((old, new_text), request, expected) in [
        (plain(), ipxe(), "http://172.16.0.253/new?mac=02:00:00:00:01:01&id="),
        (plain(), pxe(), "ipxe-x86_64.efi"),
        (nbp(), pxe(), "nbp"),
    ] {
        let mut scene = Scene::with(old, new_text);
        let decision = scene.ask(&request, &UNKNOWN);
        let file = String::from_utf8_lossy(reply(&decision).packet.options.value(67u8).unwrap()).into_owned();
        assert!(file.trim_end_matches('\0').ends_with(expected), "{file}, not {expected}");
    }
}

#[test]
fn what_it_is_told_is_of_the_subnet_and_its_time_is_of_the_pools() {
    for (giaddr, given, router, mask) in [
        ("172.16.0.5", "172.16.0.160", "172.16.0.254", "255.255.255.0"),
        ("10.50.3.1", "10.50.1.1", "10.50.0.1", "255.255.0.0"),
        // A pool's subnet within a listed one says nothing itself: what is nearest counts.
        ("10.50.9.254", "10.50.9.1", "10.50.0.1", "255.255.255.0"),
        ("10.40.1.129", "10.40.1.200", "172.16.0.254", "255.255.255.128"),
    ] {
        let mut scene = Scene::new();
        let request = new(Discover).relayed(ip(giaddr));
        let decision = scene.on(&request, &unicast(&format!("{giaddr}:67")), &UNKNOWN);
        let option = |code: u8| reply(&decision).packet.options.value(code).unwrap().to_vec();
        assert_eq!(short(&decision), format!("OFFER {given}"));
        assert_eq!(option(3), ip(router).octets(), "{giaddr}");
        assert_eq!(option(1), ip(mask).octets(), "{giaddr}");
        assert_eq!(option(51), 600u32.to_be_bytes(), "{giaddr}");
    }
}

#[test]
fn the_pool_is_that_of_the_place() {
    let relayed = |giaddr: &str| new(Discover).relayed(ip(giaddr));
    let link =
        |giaddr: &str, link: &str| relayed(giaddr).option(82, &[&[5, 4], &ip(link).octets()[..]].concat());
    let relay = || unicast("10.40.1.1:67");
    for (request, arrival, expected) in [
        (relayed("172.16.0.5"), relay(), "OFFER 172.16.0.160"),
        (relayed("10.50.3.1"), relay(), "OFFER 10.50.1.1"),
        (relayed("10.50.9.7"), relay(), "OFFER 10.50.9.1"),
        // Narrower than the prefix of the interface, which is the relay's network.
        (relayed("10.40.1.1"), relay(), "silent: unknown"),
        (relayed("10.40.1.130"), relay(), "OFFER 10.40.1.200"),
        // Link selection before subnet selection before giaddr.
        (link("172.16.0.5", "10.50.3.0"), relay(), "OFFER 10.50.1.1"),
        (link("172.16.0.5", "10.50.3.0").address(118, "10.50.9.0"), relay(), "OFFER 10.50.1.1"),
        (relayed("172.16.0.5").address(118, "10.50.9.0"), relay(), "OFFER 10.50.9.1"),
        (new(Discover).address(118, "10.50.9.0"), broadcast(), "OFFER 10.50.9.1"),
        // A subnet without pool, and one that nobody configured.
        (relayed("10.60.0.1"), relay(), "silent: unknown"),
        (relayed("192.168.77.1"), relay(), "silent: unknown"),
        (new(Inform).client("10.60.0.7").relayed(ip("10.60.0.1")), relay(), "silent: unknown"),
        // Heard directly; the second interface's prefix is wider than its pool's subnet.
        (new(Discover), broadcast(), "OFFER 172.16.0.160"),
        (new(Discover), Arrival { interface: 2, ..broadcast() }, "OFFER 10.40.1.200"),
        (new(Discover), Arrival { interface: 5, ..broadcast() }, "silent: unknown"),
    ] {
        let decision = Scene::new().on(&request, &arrival, &UNKNOWN);
        assert_eq!(short(&decision), expected, "{}", wire_parse(&request));
    }
}

#[test]
fn a_pools_subnet_may_be_wider_than_the_prefix_of_the_interface() {
    let mut scene = Scene::with("10.40.1.128/25", "10.40.0.0/16");
    let there = Arrival { interface: 2, ..broadcast() };
    assert_eq!(short(&scene.on(&new(Discover), &there, &UNKNOWN)), "OFFER 10.40.1.200");
}

#[test]
fn where_one_pool_is_exhausted_the_next_wider_one_serves_and_goes_on_serving() {
    let mut scene = Scene::new();
    let behind = |mac| Request::new(Discover, mac).relayed(ip("10.50.9.7"));
    let relay = unicast("10.50.9.7:67");
    assert_eq!(short(&scene.on(&behind(OTHER), &relay, &UNKNOWN)), "OFFER 10.50.9.1");
    let second = scene.on(&behind(MAC), &relay, &UNKNOWN);
    assert_eq!(short(&second), "silent: pool_exhausted", "the wider one's addresses are not of that network");

    let mut scene = Scene::with("10.50.1.1, end: 10.50.1.9", "10.50.9.11, end: 10.50.9.19");
    assert_eq!(short(&scene.on(&behind(OTHER), &relay, &UNKNOWN)), "OFFER 10.50.9.1");
    assert_eq!(short(&scene.on(&behind(MAC), &relay, &UNKNOWN)), "OFFER 10.50.9.11");
    let asks = selecting(MAC, "10.50.9.11").relayed(ip("10.50.9.7"));
    assert_eq!(short(&scene.on(&asks, &relay, &UNKNOWN)), "ACK 10.50.9.11");
    scene.later(15);
    assert_eq!(short(&scene.on(&behind(MAC), &relay, &UNKNOWN)), "OFFER 10.50.9.11", "it keeps what it has");
}

#[test]
fn ranges_of_one_subnet_are_one_pool_and_its_end_is_told() {
    let mut scene = Scene::new();
    let given = [1, 2, 3, 4].map(|number| scene.lease(Mac([2, 0, 0, 0, 2, number])).octets()[3]);
    assert_eq!(given, [160, 161, 162, 170]);
    let decision = scene.ask(&new(Discover), &UNKNOWN);
    assert_eq!(short(&decision), "silent: pool_exhausted");
    let subnet = "172.16.0.0/24".parse().unwrap();
    assert_eq!(decision.notes, [Note::PoolExhausted { subnet }, Note::UnknownMac(MAC)]);
}

#[test]
fn where_nothing_is_free_it_is_told_whether_it_may_give_itself_an_address() {
    let asks = new(Discover).option(116, &[1]);
    let no = ("    lease_time: 1h", "    auto_configure: false\n    lease_time: 1h");
    let mut scene = Scene::with(no.0, no.1);
    assert_eq!(scene.unknown(&asks), "OFFER 172.16.0.160", "an address beats that");
    let mut scene = Scene::with(no.0, no.1);
    for number in 1..=4 {
        scene.lease(Mac([2, 0, 0, 0, 2, number]));
    }
    let decision = scene.ask(&asks, &UNKNOWN);
    assert_eq!((short(&decision).as_str(), &decision.updates[..]), ("OFFER", &[][..]));
    assert_eq!(reply(&decision).packet.options.value(116u8).unwrap(), [0]);
    assert_eq!(scene.unknown(&new(Discover)), "silent: pool_exhausted", "who does not ask hears nothing");
}

#[test]
fn release_and_decline_count_only_with_our_name_and_from_the_holder() {
    let release = || Request::new(Release, MAC).client("172.16.0.160");
    let decline = || Request::new(Decline, MAC).address(50, "172.16.0.160");
    let address = ip("172.16.0.160");
    for (request, note) in [
        (release(), None),
        (decline(), None),
        (release().address(54, "172.16.0.253"), Some(Note::Released { address })),
        (decline().address(54, "172.16.0.253"), Some(Note::Conflict { address })),
        (
            Request { chaddr: Request::new(Release, OTHER).chaddr, ..release() }.address(54, "172.16.0.253"),
            None,
        ),
        (
            Request { chaddr: Request::new(Release, OTHER).chaddr, ..decline() }.address(54, "172.16.0.253"),
            None,
        ),
        (release().client("172.16.0.161").address(54, "172.16.0.253"), None),
        (decline().address(54, "172.16.0.9"), None),
    ] {
        let mut scene = Scene::new();
        scene.lease(MAC);
        let decision = scene.ask(&request, &UNKNOWN);
        assert!(matches!(decision.outcome, Outcome::Silent(_)), "never answered");
        assert_eq!(scene.held().is_empty(), note.is_some(), "{}", wire_parse(&request));
        let heard = decision.notes.into_iter().find(|note| !matches!(note, Note::UnknownMac(_)));
        assert_eq!(heard, note, "{}", wire_parse(&request));
    }
}

#[test]
fn a_declined_address_is_offered_to_nobody_for_a_while_not_even_to_who_declined_it() {
    let mut scene = Scene::new();
    scene.lease(MAC);
    scene.ask(&new(Decline).address(50, "172.16.0.160").address(54, "172.16.0.253"), &UNKNOWN);
    assert_eq!(scene.unknown(&new(Discover)), "OFFER 172.16.0.161");
    assert_eq!(
        scene.unknown(&Request::new(Discover, OTHER).address(50, "172.16.0.160")),
        "OFFER 172.16.0.162"
    );
    scene.later(3600);
    assert_eq!(
        scene.unknown(&Request::new(Discover, OWNER).address(50, "172.16.0.160")),
        "OFFER 172.16.0.160"
    );
}

#[test]
fn who_chooses_another_server_leaves_our_offer_free() {
    let mut scene = Scene::new();
    scene.ask(&new(Discover), &UNKNOWN);
    let decision = scene.ask(&new(Ask).address(50, "172.16.0.160").address(54, "172.16.0.9"), &UNKNOWN);
    assert_eq!((short(&decision).as_str(), scene.held()), ("silent: other_server", vec![]));
    scene.lease(MAC);
    scene.ask(&new(Ask).address(50, "172.16.0.7").address(54, "172.16.0.9"), &UNKNOWN);
    assert_eq!(scene.held(), [(1, 160, Hold::Leased)], "a lease stays until it is given back");
}

#[test]
fn a_machine_of_the_hosts_file_is_no_guest() {
    let mut scene = Scene::new();
    scene.lease(MAC);
    scene.hosts = Hosts::parse("02:00:00:00:01:01 172.16.0.61\n02:00:00:00:01:09 172.16.0.161\n").0;
    scene.take(&[("172.16.0.161", OWNER)]);
    assert_eq!(
        scene.unknown(&Request::new(Discover, OTHER)),
        "OFFER 172.16.0.162",
        "its addresses are not given"
    );
    for lookup in [UNKNOWN, Lookup::Unavailable] {
        assert_eq!(short(&scene.ask(&new(Discover), &lookup)), "OFFER 172.16.0.61");
        assert_eq!(short(&scene.ask(&renewing(MAC, "172.16.0.160"), &lookup)), "NAK");
    }
    assert_eq!(scene.held(), [(2, 162, Hold::Offered)], "what it was lent before is free");
}

#[test]
fn a_lease_whose_refusal_cannot_be_sent_is_not_freed() {
    let mut scene = Scene::with("    server_id: 172.16.0.253\n", "");
    scene.lease(MAC);
    scene.take(&[("172.16.0.160", OWNER)]);
    let nowhere = Arrival { interface: 5, ..broadcast() };
    let decision = scene.on(&rebooting(MAC, "172.16.0.160"), &nowhere, &UNKNOWN);
    assert_eq!(short(&decision), "silent: no_server_id");
    assert_eq!(scene.held(), [(1, 160, Hold::Leased)], "its holder goes on using it");
}
