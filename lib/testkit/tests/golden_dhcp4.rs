//! Every case of golden/dhcp4.jsonl for known machines, from SMD's answers and the configuration file to bytes and
//! destination. The configurations with pools follow with those.

mod scene;

use dhcpd::{
    decide::{Arrival, Decision, Destination, Outcome, Reply},
    wire::{self, Message, MessageType},
};
use scene::{Memory, Scene};
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddrV4},
    time::Duration,
};
use testkit::hex;
use values::Mac;

const INVENTORY: &str = include_str!("../golden/inventory.json");
const CASES: &str = include_str!("../golden/dhcp4.jsonl");
/// What `hosts_file` of the configuration `hosts` holds.
const HOSTS: &str = include_str!("../golden/configs/hosts.txt");
const CONFIGURATIONS: [(&str, &str); 18] = [
    ("autoconf", include_str!("../golden/configs/autoconf.yaml")),
    ("basic", include_str!("../golden/configs/basic.yaml")),
    ("domains", include_str!("../golden/configs/domains.yaml")),
    ("example", include_str!("../golden/configs/example.yaml")),
    ("extras", include_str!("../golden/configs/extras.yaml")),
    ("hosts", include_str!("../golden/configs/hosts.yaml")),
    ("ipv6only", include_str!("../golden/configs/ipv6only.yaml")),
    ("no-rules", include_str!("../golden/configs/no-rules.yaml")),
    ("overlap", include_str!("../golden/configs/overlap.yaml")),
    ("patterns", include_str!("../golden/configs/patterns.yaml")),
    ("policy", include_str!("../golden/configs/policy.yaml")),
    ("relay", include_str!("../golden/configs/relay.yaml")),
    ("widemask", include_str!("../golden/configs/widemask.yaml")),
    ("pool-nak", include_str!("../golden/configs/pool-nak.yaml")),
    ("pool-one", include_str!("../golden/configs/pool-one.yaml")),
    ("pool-range", include_str!("../golden/configs/pool-range.yaml")),
    ("pools", include_str!("../golden/configs/pools.yaml")),
    ("range-nbp", include_str!("../golden/configs/range-nbp.yaml")),
];
/// `srv0` and `srv1` of the recordings.
const OURS: [&str; 2] = ["172.16.0.253/24", "10.40.1.253/24"];

#[derive(Deserialize)]
struct Case {
    name: String,
    config: String,
    steps: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Step {
    Packet { send: Send, ours: Option<Ours> },
    Smd { smd: Smd },
    Clock { clock: Clock },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Smd {
    #[serde(default)]
    add: Add,
    reachable: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Add {
    #[serde(rename = "EthernetInterfaces", default)]
    interfaces: Vec<Value>,
    #[serde(rename = "Components", default)]
    components: Vec<Value>,
}

#[derive(Deserialize)]
struct Clock {
    advance: String,
}

impl Clock {
    /// Whole minutes are all that the cases use.
    fn time(&self) -> Duration {
        let minutes = self.advance.strip_suffix('m').and_then(|minutes| minutes.parse::<u64>().ok());
        Duration::from_secs(60 * minutes.expect("minutes"))
    }
}

#[derive(Deserialize)]
struct Send {
    hex: String,
    from: From,
    to: To,
    text: String,
}

#[derive(Deserialize)]
struct From {
    iface: String,
    src_ip: Ipv4Addr,
    sport: u16,
}

#[derive(Deserialize)]
struct To {
    mac: Option<String>,
    ip: Ipv4Addr,
    port: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ours {
    reply: String,
    #[serde(default)]
    fields: BTreeMap<String, Value>,
    #[serde(default)]
    options: BTreeMap<String, Value>,
    to: Option<To>,
    #[serde(rename = "why_different")]
    _why_different: Option<String>,
}

#[test]
fn every_dhcpv4_case_is_answered_as_judged() {
    let cases = CASES.lines().map(|line| serde_json::from_str::<Case>(line).expect("a case a line"));
    let (mut count, mut packets, mut judged, mut wrong) = (0, 0, 0, Vec::new());
    for case in cases {
        count += 1;
        let mut smd: Value = serde_json::from_str(INVENTORY).expect("JSON");
        let mut scene = stage(&case.config, &smd);
        let mut memory = scene.memory();
        for step in &case.steps {
            match Step::deserialize(step).expect("a step") {
                Step::Packet { send, ours } => {
                    packets += 1;
                    judged += ours.is_some() as usize;
                    let complaints = judge(&scene, &mut memory, &send, ours.as_ref());
                    wrong.extend(complaints.iter().map(|complaint| format!("{}: {complaint}", case.name)));
                }
                Step::Smd { smd: Smd { reachable: Some(false), .. } } => scene = scene.blind(),
                Step::Smd { smd: Smd { add, .. } } => {
                    learn(&mut smd, add);
                    scene = stage(&case.config, &smd);
                }
                Step::Clock { clock } => memory.advance(clock.time()),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!((count, packets, judged), (132, 179, 173));
}

/// A dhcpd of this configuration that knows this.
fn stage(configuration: &str, smd: &Value) -> Scene {
    let (name, file) = CONFIGURATIONS.iter().find(|(name, _)| *name == configuration).expect("it is listed");
    let scene = Scene::new(file, &smd["EthernetInterfaces"], &smd["Components"], &OURS);
    if *name == "hosts" { scene.with_hosts(HOSTS) } else { scene }
}

/// An interface whose MAC is there already is replaced.
fn learn(smd: &mut Value, add: Add) {
    let interfaces = smd["EthernetInterfaces"].as_array_mut().expect("an array");
    for new in add.interfaces {
        interfaces.retain(|held| held["ID"] != new["ID"]);
        interfaces.push(new);
    }
    let components = smd["Components"]["Components"].as_array_mut().expect("an array");
    components.extend(add.components);
}

/// What is not as it should be, with the exchange.
fn judge(scene: &Scene, memory: &mut Memory, send: &Send, ours: Option<&Ours>) -> Vec<String> {
    let bytes = hex(&send.hex);
    let decision = scene.serve(memory, &bytes, &arrival(send));
    let mut complaints = Vec::new();
    let reply = match &decision {
        Ok(Decision { outcome: Outcome::Reply(reply), .. }) => Some(reply),
        _ => None,
    };
    if let Some(reply) = reply {
        invariants(&bytes, reply, &mut complaints);
    }
    if let Some(ours) = ours {
        compare(ours, reply.map(|reply| &**reply), &mut complaints);
    }
    let answer = decision
        .map_or_else(|refused| format!("refused: {}", refused.label()), |decision| decision.to_string());
    for complaint in &mut complaints {
        *complaint = format!("{complaint}\n    > {}\n    < {answer}", send.text);
    }
    complaints
}

fn arrival(send: &Send) -> Arrival {
    Arrival {
        interface: if send.from.iface == "srv0" { 1 } else { 2 },
        source: SocketAddrV4::new(send.from.src_ip, send.from.sport),
        destination: send.to.ip,
        relay_socket: false,
    }
}

/// What holds for every reply.
fn invariants(request: &[u8], reply: &Reply, complaints: &mut Vec<String>) {
    let bytes = reply.encode();
    let message = wire::parse_reply(&bytes).expect("what we write can be read");
    let mut hold = |what: &str, holds: bool| {
        if !holds {
            complaints.push(what.to_owned());
        }
    };
    hold("op 2", bytes[0] == 2);
    hold("htype and hlen copied", bytes[1..3] == request[1..3]);
    hold("hops 0", bytes[3] == 0);
    hold("xid copied", bytes[4..8] == request[4..8]);
    hold("secs 0", bytes[8..10] == [0, 0]);
    hold("chaddr copied", bytes[28..44] == request[28..44]);
    hold("at least 300 bytes", bytes.len() >= 300);
    hold("none of 50, 55, 57", [50u8, 55, 57].iter().all(|code| message.option(*code).is_none()));
    hold("option 82 last", message.option(82u8).is_none() || message.last_option() == Some(82));
    hold("End", ends(&bytes));
    hold("nothing left out", reply.packet.left_out().is_empty());
    hold("a source of ours", OURS.iter().any(|own| own.starts_with(&reply.source.to_string())));
}

/// Whether the options field comes to an End with nothing but zeros behind it.
fn ends(bytes: &[u8]) -> bool {
    let mut at = 240;
    while at < bytes.len() && bytes[at] != 255 {
        at += if bytes[at] == 0 { 1 } else { 2 + bytes[at + 1] as usize };
    }
    at < bytes.len() && bytes[at + 1..].iter().all(|byte| *byte == 0)
}

fn compare(ours: &Ours, reply: Option<&Reply>, complaints: &mut Vec<String>) {
    let Some(reply) = reply else {
        if ours.reply != "none" {
            complaints.push(format!("{} expected", ours.reply));
        }
        return;
    };
    let kind = format!("{:?}", reply.message_type).to_uppercase();
    if kind != ours.reply {
        complaints.push(format!("{} expected", ours.reply));
        return;
    }
    let message = wire::parse_reply(&reply.encode()).expect("what we write can be read");
    assert_eq!(message.message_type(), Some(reply.message_type));
    for (name, expected) in &ours.fields {
        let value = field(&message, name);
        if !is_expected(&value, expected) {
            complaints.push(format!("{name} is {value} instead of {expected}"));
        }
    }
    for (code, expected) in &ours.options {
        complaints.extend(option(&message, code, expected));
    }
    if let Some(to) = &ours.to {
        complaints.extend(destination(&message, reply.destination, to));
    }
}

/// Text, or an address in a range.
fn is_expected(value: &str, expected: &Value) -> bool {
    let address = |value: &Value| value.as_str().expect("text").parse::<Ipv4Addr>().expect("an address");
    match expected {
        Value::String(expected) => value == expected,
        _ => {
            let (first, last) = (address(&expected["in"][0]), address(&expected["in"][1]));
            value.parse().is_ok_and(|value: Ipv4Addr| (first..=last).contains(&value))
        }
    }
}

fn field(message: &Message, name: &str) -> String {
    match name {
        "ciaddr" => message.ciaddr.to_string(),
        "yiaddr" => message.yiaddr.to_string(),
        "siaddr" => message.siaddr.to_string(),
        "giaddr" => message.giaddr.to_string(),
        "flags" => format!("{:04x}", message.flags),
        _ => panic!("field {name}"),
    }
}

fn option(message: &Message, code: &str, expected: &Value) -> Vec<String> {
    if code == "absent" {
        let codes =
            expected.as_array().expect("a list").iter().map(|code| number(code.as_str().expect("a code")));
        return codes
            .filter(|code| message.option(*code).is_some())
            .map(|code| format!("option {code} is there"))
            .collect();
    }
    let code = number(code);
    let held = message.option(code);
    let trimmed = held.map(|value| match code {
        66 | 67 => value.strip_suffix(&[0]).unwrap_or(value),
        43 => value.strip_suffix(&[255]).unwrap_or(value),
        _ => value,
    });
    let holds = trimmed.is_some_and(|value| match expected {
        Value::String(digits) => value == hex(digits),
        Value::Object(how) => how.iter().all(|(how, digits)| {
            let part = hex(digits.as_str().expect("digits"));
            match how.as_str() {
                "starts" => value.starts_with(&part),
                "contains" => value.windows(part.len()).any(|window| window == part),
                _ => panic!("{how}"),
            }
        }),
        _ => panic!("{expected}"),
    });
    if holds { Vec::new() } else { vec![format!("option {code} is {held:02x?} instead of {expected}")] }
}

fn number(code: &str) -> u8 {
    code.parse().expect("an option code")
}

fn destination(message: &Message, destination: Destination, to: &To) -> Option<String> {
    let address = SocketAddrV4::new(to.ip, to.port);
    let holds = match (destination, to.mac.as_deref()) {
        (Destination::Unicast(at), None) => at == address,
        (Destination::Broadcast { port, .. }, Some("ff:ff:ff:ff:ff:ff")) => {
            to.ip.is_broadcast() && port == to.port
        }
        (Destination::Link { mac, address: at, .. }, Some(text)) => {
            text.parse::<Mac>() == Ok(mac) && message.link_address() == Some(mac) && at == address
        }
        _ => false,
    };
    (!holds).then(|| format!("goes to {destination} instead of {:?} {address}", to.mac))
}

/// The same machine asked twice gets the same answer, whatever was between: nothing is kept.
#[test]
fn an_answer_depends_on_nothing_that_was_before() {
    let inventory: Value = serde_json::from_str(INVENTORY).expect("JSON");
    let (_, basic) = CONFIGURATIONS.iter().find(|(name, _)| *name == "basic").expect("listed");
    let scene = || Scene::new(basic, &inventory["EthernetInterfaces"], &inventory["Components"], &OURS);
    let mac: Mac = "02:00:00:00:01:01".parse().expect("a MAC");
    let discover = wire::Request::new(MessageType::Discover, mac).encode();
    let arrival = Arrival {
        interface: 1,
        source: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68),
        destination: Ipv4Addr::BROADCAST,
        relay_socket: false,
    };
    let scene = [scene(), scene()];
    let first = scene[0].answer(&discover, &arrival).expect("a request");
    let decline = wire::Request::new(MessageType::Decline, mac)
        .option(50, &[172, 16, 0, 11])
        .option(54, &[172, 16, 0, 253]);
    scene[0].answer(&decline.encode(), &arrival).expect("a request");
    assert_eq!(scene[0].answer(&discover, &arrival), Ok(first.clone()));
    assert_eq!(scene[1].answer(&discover, &arrival), Ok(first));
}
