//! What is lent by pools that were changed, or beside other servers.

use super::*;
use crate::leases::{Pool, Taker};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

const GUEST: Mac = Mac([2, 0, 0, 0, 9, 9]);
const POOL: &str = "    unknown: {pools: [{subnet: 172.16.0.0/24, start: 172.16.0.50, end: 172.16.0.59}]}\n";

/// The guest has leased .50.
fn leases() -> Leases {
    let file = ::config::parse(&format!("{FILE}{POOL}")).unwrap();
    let mut leases = Leases::new(Pool::of(&file.dhcpd.v4.unwrap().unknown.unwrap().pools));
    leases.take(HashMap::new(), true);
    let (now, wall) = (Instant::now(), 1_800_000_000);
    assert_eq!(leases.merge(Vec::new(), now, wall), []);
    let mut changes = Vec::new();
    let grant = Update::Grant { mac: GUEST, address: ip("172.16.0.50"), time: 300, hostname: String::new() };
    leases.apply(&grant, now, wall, &mut changes);
    let [crate::leases::store::Change::Put(row)] = &changes[..] else { panic!("{changes:?}") };
    assert!(leases.committed(row, now + Duration::from_secs(300)));
    leases
}

fn ask_with(pools: &str, leases: &Leases, request: &Request, lookup: &Lookup<Interface>) -> Decision {
    let file = config(&format!("{FILE}{pools}"));
    let arrival = if request.giaddr.is_unspecified() { broadcast() } else { unicast("172.16.0.1:67") };
    let facts = Facts { lookup, ours: &OURS, hosts: &Hosts::default(), leases: Some(leases) };
    decide(&file, &wire_parse(request), &arrival, &facts)
}

#[test]
fn what_pools_promised_that_are_configured_no_more_is_given_to_nobody() {
    let mut leases = leases();
    leases.take(HashMap::from([(ip("172.16.0.50"), Taker::One(MAC))]), true);
    let owner = found(node(&["172.16.0.50"]));
    for pools in [POOL, ""] {
        for request in [new(Discover), new(Ask).address(50, "172.16.0.50")] {
            let decision = ask_with(pools, &leases, &request, &owner);
            assert_eq!(short(&decision), "silent: leased", "{pools}{}", wire_parse(&request));
        }
    }
    // Who was lent it before it was known has done with it all the same.
    let known = Interface { mac: GUEST, ..node(&["172.16.0.11"]) };
    let request = Request::new(Ask, GUEST).client("172.16.0.50");
    for pools in [POOL, ""] {
        let decision = ask_with(pools, &leases, &request, &found(known.clone()));
        assert_eq!(
            (short(&decision), decision.updates),
            ("NAK".into(), vec![Update::Forget(GUEST)]),
            "{pools}"
        );
    }
}

/// RFC 5107: behind such a relay each server is named by each client, also where it chose another one's offer.
#[test]
fn a_relay_that_stands_for_all_servers_makes_none_refuse_what_another_offered() {
    let leases = leases();
    let relayed = |number: u8| {
        let override_ = [&[11, 4][..], &ip("172.16.0.1").octets()].concat();
        Request::new(Ask, Mac([2, 0, 0, 0, 9, number]))
            .address(54, "172.16.0.1")
            .relayed(ip("172.16.0.1"))
            .option(82, &override_)
    };
    for (number, wanted, expected) in [
        (9, "172.16.0.50", "ACK 172.16.0.50"),
        (8, "172.16.0.51", "NAK"),             // ours to give, and not given
        (8, "172.16.0.99", "silent: unknown"), // another server's, for all that we know
        (8, "10.99.0.1", "NAK"),               // of no use there, whoever gave it
    ] {
        let request = relayed(number).address(50, wanted);
        assert_eq!(short(&ask_with(POOL, &leases, &request, &Lookup::Unknown)), expected, "{wanted}");
    }
    let names_us = Request::new(Ask, MAC).address(54, "172.16.0.253").address(50, "172.16.0.99");
    assert_eq!(short(&ask_with(POOL, &leases, &names_us, &Lookup::Unknown)), "NAK", "meant for us alone");
}
