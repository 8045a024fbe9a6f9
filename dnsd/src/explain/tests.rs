use super::*;
use crate::{
    access::Access,
    decide::{Decision, Plan, decide, plan},
    fixture::{CONFIG, answer, config, held, replica, text},
    wire::{self, Transport, kind},
};
use inventory::Replica;

const QUESTIONS: [&str; 24] = [
    "nid0001.cluster.local A",
    "nid0002.cluster.local AAAA",
    "nid0002.cluster.local ANY",
    "nid0003.cluster.local A",
    "nid0001.cluster.local MX",
    "nope.cluster.local A",
    "rack.lab.test A",
    "n01.rack.lab.test A",
    "www.cluster.local A",
    "out.cluster.local A",
    "gone.cluster.local A",
    "loop1.cluster.local A",
    "smd.cluster.local AAAA",
    "_ntp._udp.cluster.local SRV",
    "mail.cluster.local MX",
    "text.cluster.local TXT",
    "cluster.local SOA",
    "cluster.local NS",
    "a.child.cluster.local A",
    "1.0.16.172.in-addr.arpa PTR",
    "9.0.16.172.in-addr.arpa PTR",
    "16.172.in-addr.arpa A",
    "nid0001.example.com A",
    "cluster.local AXFR",
];

fn asked(line: &str) -> Asked {
    let (name, kind) = line.split_once(' ').unwrap();
    Asked { name: name.into(), r#type: Some(kind.into()) }
}

/// Answered as a packet is, and put into words.
fn explained(line: &str, replica: &Replica) -> Explained {
    explained_by(CONFIG, line, replica)
}

fn explained_by(configuration: &str, line: &str, replica: &Replica) -> Explained {
    let question = Question::of(&asked(line), replica.domain()).unwrap();
    let zones = Zones::build(&config(configuration), replica, 7);
    let packet = question.packet();
    let message = wire::read(&packet).unwrap();
    let (decision, asked) = match plan(&zones, &message, crate::access::Rights::default()) {
        Plan::Done(decision) => (decision, None),
        Plan::Ask(key, pending) => {
            let held = held(replica, &key);
            (decide(pending, held.clone()), Some((Sought::Other, held)))
        }
    };
    let Decision::Reply(reply) = decision else { panic!("nobody may recurse") };
    let copies = Access::new(&config(CONFIG)).who_may_copy();
    explain(Known { question: &question, zones: &zones, reply: &reply, copies, asked, explanation: None })
}

#[test]
fn what_is_explained_is_what_goes_on_the_wire() {
    let replica = replica();
    let zones = Zones::build(&config(CONFIG), &replica, 7);
    for line in QUESTIONS {
        let question = Question::of(&asked(line), replica.domain()).unwrap();
        let bytes = answer(&zones, &replica, &question.packet(), Transport::Tcp).unwrap();
        let (sent, message) = (text(&bytes), hickory_proto::op::Message::from_vec(&bytes).unwrap());
        let explained = explained(line, &replica);
        assert!(sent.to_lowercase().starts_with(&explained.rcode), "{line}: {sent}");
        assert_eq!(message.metadata.authoritative, explained.authoritative, "{line}: {sent}");
        let counts = (explained.answers.len(), explained.authority.len());
        assert_eq!((message.answers.len(), message.authorities.len()), counts, "{line}: {sent}");
        let mut rest = sent.as_str();
        for record in explained.answers.iter().chain(&explained.authority) {
            // hickory shows strings without their quotes.
            let record = record.replace("\" \"", "").replace('"', "");
            let at = rest.find(&record);
            let at = at.unwrap_or_else(|| panic!("{line}: '{record}' is not in its place in {sent}"));
            rest = &rest[at + record.len()..];
        }
    }
}

#[test]
fn every_verdict_and_its_exit_code() {
    let replica = replica();
    for (line, verdict, code) in [
        ("nid0001.cluster.local A", "dnsd answers nid0001.cluster.local A with 172.16.0.1.", 0),
        ("nid0002.cluster.local A", "dnsd answers nid0002.cluster.local A with 2 records.", 0),
        (
            "nid0003.cluster.local A",
            "dnsd answers nid0003.cluster.local A with no data: the name exists, but has no A record.",
            3,
        ),
        (
            "nope.cluster.local A",
            "dnsd answers nope.cluster.local A with NXDOMAIN: there is no such name.",
            3,
        ),
        (
            "a.example.com A",
            "dnsd answers a.example.com A with REFUSED: it is in no zone of ours; those are lab.test, cluster.local.",
            3,
        ),
        (
            "cluster.local AXFR",
            "dnsd answers cluster.local AXFR with REFUSED: zones are copied by nobody: dnsd.transfer.allow lists no network.",
            3,
        ),
        (
            "a.child.cluster.local A",
            "dnsd answers a.child.cluster.local A with a referral: the name is delegated to other servers.",
            3,
        ),
        (
            "loop1.cluster.local A",
            "dnsd answers loop1.cluster.local A with 2 aliases that lead out of our zones or round in a circle.",
            0,
        ),
    ] {
        let explained = explained(line, &replica);
        assert_eq!((explained.text[0].as_str(), explained.exit_code()), (verdict, code));
    }
    let nothing = Replica::default();
    for (line, verdict) in [
        (
            "nid0001.cluster.local A",
            "dnsd answers nid0001.cluster.local A with SERVFAIL: it cannot be told whether SMD has it.",
        ),
        (
            "1.0.0.10.in-addr.arpa PTR",
            "dnsd answers 1.0.0.10.in-addr.arpa PTR with SERVFAIL: which addresses are ours is not known before the first snapshot.",
        ),
    ] {
        let explained = explained(line, &nothing);
        assert_eq!((explained.text[0].as_str(), explained.exit_code()), (verdict, 4));
    }
}

#[test]
fn short_names_texts_and_services_are_explained() {
    let text = format!("{CONFIG}  search: [lab.test, cluster.local]\n  node_txt: true\n");
    for (line, wanted) in [
        (
            "nid0001. A",
            "It is in no zone of ours; `dnsd.search` finds it as nid0001.cluster.local, the first of its domains to have it.",
        ),
        ("nid0001. A", "answer: nid0001. 5 CNAME nid0001.cluster.local."),
        ("nid0002.cluster.local TXT", "answer: nid0002.cluster.local. 60 TXT \"type=Node\""),
        ("_ntp._udp.cluster.local SRV", "additional: smd.cluster.local. 60 A 172.16.0.253"),
    ] {
        let told = explained_by(&text, line, &replica()).text;
        assert!(told.iter().any(|sentence| sentence == wanted), "{line}: {told:#?}");
    }
}

#[test]
fn questions_as_people_type_them() {
    let domain = "c.local".parse().unwrap();
    let of = |name: &str, kind: Option<&str>| {
        let asked = Asked { name: name.into(), r#type: kind.map(ToOwned::to_owned) };
        Question::of(&asked, Some(&domain))
            .map(|question| format!("{} {}", records::name(&question.name), question.kind_text))
    };
    for (name, kind, wanted) in [
        ("nid0001", None, "nid0001.c.local. A"),
        ("NID0001", Some("aaaa"), "nid0001.c.local. AAAA"),
        ("nid0001.lab.test.", None, "nid0001.lab.test. A"),
        ("172.16.0.1", None, "1.0.16.172.in-addr.arpa. PTR"),
        ("::ffff:172.16.0.1", None, "1.0.16.172.in-addr.arpa. PTR"),
        ("fd00::1", None, "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa. PTR"),
        ("a.b", Some("TYPE65"), "a.b. HTTPS"),
        ("a.b", Some("99"), "a.b. TYPE99"),
    ] {
        assert_eq!(of(name, kind).as_deref(), Ok(wanted));
    }
    assert!(of("a..b", None).unwrap_err().contains("is not a DNS name"));
    assert!(of("", None).is_err());
    assert_eq!(of("a", Some("FOO")), Err("'FOO' is no type such as A, AAAA, PTR or TYPE65".into()));
    assert_eq!(kind::HTTPS, 65);
}

#[test]
fn what_is_no_host_name_is_escaped_and_what_is_unknown_is_hexadecimal() {
    assert_eq!(records::name(b"\x03a.b\x01\x07\x00"), "a\\046b.\\007.");
    assert_eq!(records::name(b"\0"), ".");
    assert_eq!(records::name(b"\x05ab"), "?");
}
