//! What leaves, for whom, and what never does.

use super::*;
use crate::{
    fixture::{CONFIG, config, held, query, replica},
    wire::{self, Transport},
};
use inventory::Replica;

/// The fixture's zones; `lab.test` forwards what it lacks.
fn zones(replica: &Replica) -> Zones {
    let forwards = CONFIG.replace("nodes: \"n{02d}.rack\"}", "nodes: \"n{02d}.rack\", missing: forward}");
    assert_ne!(forwards, CONFIG);
    Zones::build(&config(&forwards), replica, 1000)
}

/// What is decided, as a line; `rd` and the right to recurse as they are said.
fn decided(zones: &Zones, replica: &Replica, question: &str, rd: bool, recursion: bool) -> String {
    let mut bytes = query(question);
    bytes[2] = u8::from(rd);
    let message = wire::read(&bytes).unwrap();
    let decision = match plan(zones, &message, Rights { recursion, ..Rights::default() }) {
        Plan::Done(decision) => decision,
        Plan::Ask(key, pending) => decide(pending, held(replica, &key)),
    };
    match decision {
        Decision::Forward(Forward { aliases, name, kind }) => {
            format!("forwarded {} {kind}, {} aliases", crate::explain::name_text(name), aliases.len())
        }
        Decision::Reply(reply) => {
            let mut out = Vec::new();
            wire::write(&message, Transport::Udp, &reply, &mut out);
            crate::fixture::text(&out).split(" SOA").next().unwrap().to_owned()
        }
    }
}

#[test]
fn names_of_others_are_forwarded_for_those_who_may_and_ask_for_it() {
    let replica = replica();
    let zones = zones(&replica);
    for (question, wanted) in [
        ("www.example.com. A", "forwarded www.example.com. 1, 0 aliases"),
        ("WWW.Example.com. TXT", "forwarded www.example.com. 16, 0 aliases"),
        ("cluster.locals. NS", "forwarded cluster.locals. 2, 0 aliases"),
        ("xcluster.local. NS", "forwarded xcluster.local. 2, 0 aliases"),
        ("8.8.8.8.in-addr.arpa. PTR", "forwarded 8.8.8.8.in-addr.arpa. 12, 0 aliases"),
    ] {
        assert_eq!(decided(&zones, &replica, question, true, true), wanted, "{question}");
        for (rd, recursion) in [(false, true), (true, false), (false, false)] {
            assert_eq!(
                decided(&zones, &replica, question, rd, recursion),
                "Refused",
                "{question} {rd} {recursion}"
            );
        }
    }
}

#[test]
fn names_of_our_zones_never_leave_but_for_misses_where_that_is_wanted() {
    let replica = replica();
    let zones = zones(&replica);
    for (question, wanted, otherwise) in [
        // What exists, exists, whatever is asked.
        ("nid0001.cluster.local. A", "NoError aa; nid0001.cluster.local. 60 A 172.16.0.1", ""),
        ("nid0001.cluster.local. AAAA", "NoError aa; ; cluster.local. 5", ""),
        ("n01.rack.lab.test. AAAA", "NoError aa; ; lab.test. 5", ""),
        ("n01.rack.lab.test. TXT", "NoError aa; ; lab.test. 5", ""),
        ("rack.lab.test. A", "NoError aa; ; lab.test. 5", ""),
        ("lab.test. MX", "NoError aa; ; lab.test. 5", ""),
        // What nobody bears, where others may.
        ("smd.lab.test. A", "forwarded smd.lab.test. 1, 0 aliases", "NXDomain aa; ; lab.test. 5"),
        (
            "a.n01.rack.lab.test. SRV",
            "forwarded a.n01.rack.lab.test. 33, 0 aliases",
            "NXDomain aa; ; lab.test. 5",
        ),
        ("smd.lab.test. ANY", "Refused", "NXDomain aa; ; lab.test. 5"),
        // And where not.
        ("nope.cluster.local. A", "NXDomain aa; ; cluster.local. 5", ""),
        ("9.0.16.172.in-addr.arpa. PTR", "NXDomain aa; ; 16.172.in-addr.arpa. 5", ""),
        // The zone of a known address that nobody listed.
        (
            "7.8.9.10.in-addr.arpa. PTR",
            "NoError aa; 7.8.9.10.in-addr.arpa. 60 PTR nid0002.cluster.local.",
            "",
        ),
        ("8.9.10.in-addr.arpa. PTR", "NoError aa; ; 8.9.10.in-addr.arpa. 5", ""),
        (
            "9.8.9.10.in-addr.arpa. PTR",
            "forwarded 9.8.9.10.in-addr.arpa. 12, 0 aliases",
            "NXDomain aa; ; 8.9.10.in-addr.arpa. 5",
        ),
        // Below a delegation there is a referral, as for everybody.
        (
            "a.child.cluster.local. A",
            "NoError; ; child.cluster.local. 60 NS ns.child.cluster.local.; ns.child.cluster.local. 60 A 172.16.0.251",
            "",
        ),
    ] {
        assert_eq!(decided(&zones, &replica, question, true, true), wanted, "{question}");
        let otherwise = if otherwise.is_empty() { wanted } else { otherwise };
        for (rd, recursion) in [(false, true), (true, false)] {
            assert_eq!(
                decided(&zones, &replica, question, rd, recursion),
                otherwise,
                "{question} {rd} {recursion}"
            );
        }
    }
}

#[test]
fn an_alias_that_leads_outside_is_followed_for_those_who_may() {
    let replica = replica();
    let zones = zones(&replica);
    let alone = "NoError aa; out.cluster.local. 60 CNAME www.example.com.";
    assert_eq!(
        decided(&zones, &replica, "out.cluster.local. A", true, true),
        "forwarded www.example.com. 1, 1 aliases"
    );
    assert_eq!(decided(&zones, &replica, "out.cluster.local. CNAME", true, true), alone);
    assert_eq!(decided(&zones, &replica, "out.cluster.local. A", false, true), alone);
    assert_eq!(decided(&zones, &replica, "out.cluster.local. A", true, false), alone);
    // Inside a zone of ours that lacks it.
    assert!(decided(&zones, &replica, "gone.cluster.local. A", true, true).starts_with("NXDomain aa; gone"));
}

#[test]
fn what_cannot_be_told_is_servfail_and_never_somebody_elses_answer() {
    let replica = Replica::default();
    let zones = zones(&replica);
    for question in [
        "nid0001.cluster.local. A",
        "smd.lab.test. A",
        "9.8.9.10.in-addr.arpa. PTR",
        "8.8.8.8.in-addr.arpa. PTR",
        "1.0.0.0.ip6.arpa. PTR",
    ] {
        assert_eq!(decided(&zones, &replica, question, true, true), "ServFail", "{question}");
    }
    assert_eq!(
        decided(&zones, &replica, "www.example.com. A", true, true),
        "forwarded www.example.com. 1, 0 aliases",
        "which zones are ours stands in the file"
    );
    let untold = Zones::build(&config("dnsd: {forward: [192.0.2.1]}"), &replica, 1000);
    assert_eq!(
        decided(&untold, &replica, "www.example.com. A", true, true),
        "ServFail",
        "any name may be ours"
    );
    assert_eq!(decided(&untold, &replica, "www.example.com. A", true, false), "Refused");
}
