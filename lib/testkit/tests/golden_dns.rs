//! Every case of golden/dns.jsonl, from SMD's answers and the configuration file to bytes: smd-cache's snapshot, the messages
//! of the contract, the replica, dnsd; the TCP cases through its framing.

use dnsd::{
    access::Client,
    metrics::Metrics,
    server::{Outcome, Places, Service, converse},
    wire::Transport,
};
use hickory_proto::{op::Message, rr::Record};
use inventory::{Inventory, Replica};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use smd_cache::{
    naming::Naming,
    records::{Read, Records, decode_components, decode_interfaces},
    snapshot::{Snapshot, build},
};
use std::{collections::BTreeMap, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    sync::Semaphore,
};

const INVENTORY: &str = include_str!("../golden/dns-inventory.json");
const CONFIG: &str = include_str!("../golden/dns-config.yaml");
const CASES: &str = include_str!("../golden/dns.jsonl");

#[derive(Deserialize)]
struct Case {
    name: String,
    query: Query,
    #[serde(default)]
    when: When,
    ours: Option<Ours>,
}

#[derive(Deserialize)]
struct Query {
    hex: String,
    transport: String,
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
enum When {
    #[default]
    Up,
    SmdNever,
    SmdGone,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ours {
    #[serde(default)]
    silent: bool,
    rcode: Option<String>,
    aa: Option<u8>,
    ra: Option<u8>,
    tc: Option<u8>,
    rd: Option<u8>,
    cd: Option<u8>,
    ad: Option<u8>,
    answer: Option<Vec<String>>,
    authority: Option<Vec<String>>,
    #[serde(default)]
    edns: Value,
}

#[tokio::test]
async fn every_dns_case_is_answered_as_judged() {
    let services: BTreeMap<When, Service> =
        [When::Up, When::SmdNever, When::SmdGone].into_iter().map(|when| (when, service(when))).collect();
    let cases: Vec<Case> =
        CASES.lines().map(|line| serde_json::from_str(line).expect("a case a line")).collect();
    assert_eq!(cases.len(), 164);
    let mut wrong = Vec::new();
    for case in &cases {
        let query = bytes(&case.query.hex);
        let service = &services[&case.when];
        let reply = match case.query.transport.as_str() {
            "tcp" => over_tcp(service, &query).await,
            _ => over_udp(service, &query, case.when).await,
        };
        for complaint in judge(case, &query, reply.as_deref()) {
            wrong.push(format!("{}: {complaint}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn service(when: When) -> Service {
    let config = config::parse(CONFIG).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let replica = match when {
        When::SmdNever => Replica::default(),
        _ => replica(&snapshot(&config), when == When::SmdGone),
    };
    Service::new(Inventory::fixed(replica), &config, 1, Metrics::new(&mut Default::default()))
}

/// What smd-cache makes of the inventory.
fn snapshot(config: &config::Config) -> Snapshot {
    let bodies: Value = serde_json::from_str(INVENTORY).expect("an object of two arrays");
    let interfaces = bodies["EthernetInterfaces"].to_string();
    let components = serde_json::json!({ "Components": bodies["Components"] }).to_string();
    let now: Timestamp = "2026-11-23T12:00:00Z".parse().expect("RFC 3339");
    let read = |sequence| Read { sequence, started_at: now };
    let mut records = Records::new();
    records.apply_whole_interfaces(read(1), decode_interfaces(interfaces.as_bytes()).expect("an array"));
    records.apply_whole_components(read(2), decode_components(components.as_bytes()).expect("an object"));
    build(&records, &Naming::from_config(config), None, now).0
}

/// What a daemon holds of it.
fn replica(snapshot: &Snapshot, stale: bool) -> Replica {
    let freshness = proto::v1::Freshness {
        instance: "golden".into(),
        generation: snapshot.generation(),
        digest: snapshot.digest().to_string(),
        stale,
        ..Default::default()
    };
    Replica::from_messages(
        snapshot.domain().map(ToString::to_string).unwrap_or_default().as_str(),
        snapshot.zones().iter().map(Into::into).collect(),
        snapshot.interfaces().map(|interface| (&**interface).into()).collect(),
        snapshot.components().map(|component| (&**component).into()).collect(),
        freshness,
    )
}

fn client(transport: Transport) -> Client {
    Client { address: std::net::Ipv4Addr::LOCALHOST.into(), transport }
}

/// A complete replica answers without waiting.
async fn over_udp(service: &Service, query: &[u8], when: When) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match service.answer_now(query, client(Transport::Udp), &mut out) {
        Outcome::Reply => Some(out),
        Outcome::Silent => None,
        Outcome::Wait => {
            assert!(when == When::SmdNever, "a complete replica made a query wait");
            service.answer(query, client(Transport::Udp), &mut out).await.then_some(out)
        }
    }
}

async fn over_tcp(service: &Service, query: &[u8]) -> Option<Vec<u8>> {
    let (mut client, server) = duplex(1 << 16);
    let asker = self::client(Transport::Tcp);
    let (place, waiting) =
        (Places::new(1, Duration::from_secs(10)).take(asker.address).ok()?, Semaphore::new(1));
    let asking = async move {
        let framed = [&(query.len() as u16).to_be_bytes(), query].concat();
        client.write_all(&framed).await.ok()?;
        let length = client.read_u16().await.ok()?;
        let mut reply = vec![0; length.into()];
        client.read_exact(&mut reply).await.ok()?;
        Some(reply)
    };
    tokio::join!(asking, converse(service, server, asker, &place, &waiting)).0
}

/// Everything that is wrong with a reply.
fn judge(case: &Case, query: &[u8], reply: Option<&[u8]>) -> Vec<String> {
    let (ours, reply) = match (&case.ours, reply) {
        (None, None) => return Vec::new(),
        (Some(ours), None) if ours.silent => return Vec::new(),
        (Some(_), None) => return vec!["no answer".into()],
        (Some(ours), Some(reply)) if ours.silent => return vec![format!("an answer: {reply:02x?}")],
        (ours, Some(reply)) => (ours, reply),
    };
    let message = match Message::from_vec(reply) {
        Ok(message) => message,
        Err(error) => return vec![format!("{error}: {reply:02x?}")],
    };
    let mut wrong = Vec::new();
    let mut check = |right: bool, complaint: String| {
        if !right {
            wrong.push(complaint);
        }
    };
    check(reply[..2] == query[..2], "the id differs".into());
    check(reply[2] & 0x80 != 0, "QR is not set".into());
    let question_end = reply.len().min(query.len()).min(12 + question_length(reply));
    check(reply[12..question_end] == query[12..question_end], "the question differs".into());
    let Some(ours) = ours else { return wrong };

    check(reply[5] == 1 || ours.rcode.as_deref() == Some("FORMERR"), "there is no question".into());
    let rcode = rcode(&message);
    check(ours.rcode.as_deref() == Some(&rcode), format!("{rcode} in place of {:?}", ours.rcode));
    let bit = |byte: usize, mask: u8| u8::from(reply[byte] & mask != 0);
    let flags = [
        ("aa", ours.aa, bit(2, 4)),
        ("tc", ours.tc, bit(2, 2)),
        ("rd", ours.rd, bit(2, 1)),
        ("ra", ours.ra, bit(3, 0x80)),
        ("ad", ours.ad, bit(3, 0x20)),
        ("cd", ours.cd, bit(3, 0x10)),
    ];
    for (flag, wanted, is) in flags {
        check(wanted.is_none_or(|wanted| wanted == is), format!("{flag} is {is}"));
    }
    check(records_match(ours.answer.as_deref(), &message.answers), texts("answer", &message.answers));
    check(
        records_match(ours.authority.as_deref(), &message.authorities),
        texts("authority", &message.authorities),
    );
    for soa in message.authorities.iter().filter(|_| message.answers.is_empty()) {
        let minimum = soa.data.to_string().rsplit(' ').next().and_then(|minimum| minimum.parse().ok());
        check(
            minimum.is_some_and(|minimum: u32| soa.ttl == minimum.min(60)),
            format!("negative TTL {}", soa.ttl),
        );
    }
    let edns = edns(&message);
    check(ours.edns == "*" || ours.edns == edns, format!("EDNS {edns} in place of {}", ours.edns));
    wrong
}

/// How long the question of a reply is; it is never compressed.
fn question_length(reply: &[u8]) -> usize {
    let mut end = 12;
    if reply[5] == 0 {
        return 0;
    }
    while reply[end] != 0 {
        end += 1 + usize::from(reply[end]);
    }
    end + 5 - 12
}

fn rcode(message: &Message) -> String {
    let code = u16::from(message.metadata.response_code);
    let names = [
        (0, "NOERROR"),
        (1, "FORMERR"),
        (2, "SERVFAIL"),
        (3, "NXDOMAIN"),
        (4, "NOTIMP"),
        (5, "REFUSED"),
        (16, "BADVERS"),
    ];
    names.iter().find(|(number, _)| *number == code).map_or(code.to_string(), |(_, name)| (*name).into())
}

fn edns(message: &Message) -> Value {
    let Some(edns) = &message.edns else { return Value::Null };
    serde_json::json!({
        "version": edns.version(),
        "size": edns.max_payload(),
        "do": u8::from(edns.flags().dnssec_ok),
        // None of ours has any; an Extended DNS Error would have to be left out here.
        "options": edns.options().options.iter().map(|(code, _)| u16::from(*code)).collect::<Vec<_>>(),
    })
}

fn text(record: &Record) -> String {
    format!("{} {} {} {} {}", record.name, record.ttl, record.dns_class, record.record_type(), record.data)
}

fn texts(section: &str, records: &[Record]) -> String {
    format!("{section} {:?}", records.iter().map(text).collect::<Vec<_>>())
}

/// In any order, no more and no fewer; `*` alone: at least one.
fn records_match(wanted: Option<&[String]>, records: &[Record]) -> bool {
    let Some(wanted) = wanted else { return true };
    if wanted == ["*"] {
        return !records.is_empty();
    }
    let mut left: Vec<String> = records.iter().map(text).collect();
    wanted.len() == left.len()
        && wanted.iter().all(|wanted| {
            let at = left.iter().position(|record| fields_match(wanted, record));
            at.map(|at| left.remove(at)).is_some()
        })
}

/// Field by field, without case; `*` is any field, at the end any rest.
fn fields_match(wanted: &str, record: &str) -> bool {
    let mut fields = record.split_whitespace();
    let wanted: Vec<&str> = wanted.split_whitespace().collect();
    for (at, wanted_field) in wanted.iter().enumerate() {
        match fields.next() {
            Some(_) if *wanted_field == "*" && at + 1 == wanted.len() => return true,
            Some(field) if *wanted_field == "*" || wanted_field.eq_ignore_ascii_case(field) => {}
            _ => return false,
        }
    }
    fields.next().is_none()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hexadecimal"))
        .collect()
}
