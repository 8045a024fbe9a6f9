//! DHCPv4 packets that firmware, loaders and operating systems really send (golden/firmware): none is refused, and a
//! machine that SMD knows gets what its stage of the boot needs. The answers in the captures are another server's and
//! serve only to tell which address the machine has.

mod scene;

use dhcpd::{
    decide::{Arrival, Decision, Note, Outcome, Reply, Silent},
    wire::{self, Message, MessageType},
};
use scene::Scene;
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::Ipv4Addr,
    path::Path,
};
use testkit::pcap::{Datagram, datagrams};

const CONFIG: &str = r#"
domain: lab
boot:
  script_url: "http://10.77.0.1/script?mac={mac}"
  http_url: "http://10.77.0.1/loaders"
dhcpd:
  v4:
    server_id: 10.77.0.1
    router: [10.77.0.254]
    dns: [10.77.0.1]
    subnets: [{cidr: 10.77.0.0/24}, {cidr: 10.78.0.0/24}, {cidr: 10.79.0.0/24}]
"#;
const SERVER_PORT: u16 = 67;

#[test]
fn recorded_clients_get_what_their_stage_needs() {
    let mut seen = BTreeMap::new();
    let mut stages = BTreeSet::new();
    for (name, packets) in captures() {
        for packet in requests(&packets) {
            let message =
                wire::parse(&packet.payload).unwrap_or_else(|refused| panic!("{name}: {refused:?}"));
            let address = address_of(&packets, &message).expect("it is given one");
            let kind = message.message_type().expect("DHCP");
            let decision = scene(&message, address)
                .answer(&packet.payload, &arrival(packet, address))
                .expect("parsed before");
            let label = format!("{name} {}: {message}\n    {decision}", packet.number);
            check(&message, kind, address, &decision, &label);
            *seen.entry(kind_name(kind)).or_insert(0) += 1;
            stages.insert(stage(&message));
        }
    }
    let all = BTreeMap::from(COUNTS.map(|(kind, count)| (kind.to_owned(), count)));
    assert_eq!(seen, all);
    assert_eq!(stages, BTreeSet::from(["http", "ipxe", "other", "pxe"]));
}

/// Packets by type in all captures.
const COUNTS: [(&str, usize); 5] =
    [("DECLINE", 1), ("DISCOVER", 48), ("INFORM", 1), ("RELEASE", 1), ("REQUEST", 35)];
/// One interface in each of the recorded networks.
const OURS: [&str; 3] = ["10.77.0.1/24", "10.78.0.1/24", "10.79.0.2/24"];

/// Every capture, by name.
fn captures() -> Vec<(String, Vec<Datagram>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/firmware");
    let mut captures = Vec::new();
    for entry in fs::read_dir(folder).expect("golden/firmware") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        captures.push((name, datagrams(&fs::read(path).expect("a file"))));
    }
    captures.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(captures.len(), 24);
    captures
}

/// What clients and relays sent to the server.
fn requests(packets: &[Datagram]) -> impl Iterator<Item = &Datagram> {
    packets.iter().filter(|packet| packet.destination.port() == SERVER_PORT && packet.payload[0] == 1)
}

/// What the recorded server gave, or the client says it has.
fn address_of(packets: &[Datagram], message: &Message) -> Option<Ipv4Addr> {
    let given = packets
        .iter()
        .filter_map(|packet| wire::parse_reply(&packet.payload).ok())
        .find(|reply| reply.chaddr == message.chaddr && !reply.yiaddr.is_unspecified())
        .map(|reply| reply.yiaddr);
    given.or(Some(message.ciaddr)).filter(|address| !address.is_unspecified())
}

/// SMD knows the machine, with this address.
fn scene(message: &Message, address: Ipv4Addr) -> Scene {
    let mac = message.mac().expect("a MAC");
    let interfaces = json!([{
        "ID": mac.bare(), "MACAddress": mac.to_string(), "ComponentID": "x1000c0s0b0n0", "Type": "Node",
        "IPAddresses": [{"IPAddress": address.to_string()}], "LastUpdate": "2026-01-01T00:00:00Z", "Description": "",
    }]);
    let components =
        json!({"Components": [{"ID": "x1000c0s0b0n0", "Type": "Node", "NID": 1, "State": "On"}]});
    Scene::new(CONFIG, &interfaces, &components, &OURS)
}

/// On the interface that has the client's network, or the relay's.
fn arrival(packet: &Datagram, address: Ipv4Addr) -> Arrival {
    let near = |own: &&str| own.starts_with(&format!("10.{}.", address.octets()[1]));
    let interface = OURS.iter().position(near).expect("one of ours") as u32 + 1;
    Arrival { interface, source: packet.source, destination: *packet.destination.ip(), relay_socket: false }
}

fn check(message: &Message, kind: MessageType, address: Ipv4Addr, decision: &Decision, label: &str) {
    let expected = match kind {
        MessageType::Discover => MessageType::Offer,
        MessageType::Request | MessageType::Inform => MessageType::Ack,
        MessageType::Release => {
            assert_eq!(decision.outcome, Outcome::Silent(Silent::Release), "{label}");
            return assert_eq!(decision.notes, [Note::Released { address }], "{label}");
        }
        MessageType::Decline => {
            assert_eq!(decision.outcome, Outcome::Silent(Silent::Decline), "{label}");
            return assert_eq!(decision.notes, [Note::Conflict { address }], "{label}");
        }
        _ => panic!("{label}"),
    };
    let Outcome::Reply(reply) = &decision.outcome else { panic!("{label}") };
    assert_eq!(reply.message_type, expected, "{label}");
    let given = if kind == MessageType::Inform { Ipv4Addr::UNSPECIFIED } else { address };
    assert_eq!(reply.packet.yiaddr, given, "{label}");
    assert!(reply.packet.left_out().is_empty(), "{label}");
    assert!(decision.notes.is_empty(), "{label}");
    boots(message, reply, label);
}

fn stage(message: &Message) -> &'static str {
    let class = message.vendor_class().unwrap_or_default();
    match () {
        () if message.has_user_class(b"iPXE") => "ipxe",
        () if class.starts_with("HTTPClient") => "http",
        () if class.starts_with("PXEClient") => "pxe",
        () => "other",
    }
}

/// iPXE gets the script and need not wait, firmware a loader in the form that it takes, others nothing.
fn boots(message: &Message, reply: &Reply, label: &str) {
    let options = &reply.packet.options;
    let file =
        options.value(67u8).map(|name| String::from_utf8_lossy(name).trim_end_matches('\0').to_owned());
    let file = file.as_deref();
    match stage(message) {
        "ipxe" => {
            assert_eq!(
                file,
                Some(&*format!("http://10.77.0.1/script?mac={}", message.mac().expect("a MAC"))),
                "{label}"
            );
            assert_eq!(options.value(175u8), Some(&[176, 1, 1][..]), "{label}");
        }
        "http" => {
            assert_eq!(file, Some("http://10.77.0.1/loaders/ipxe-x86_64.efi"), "{label}");
            assert_eq!(options.value(60u8), Some(&b"HTTPClient"[..]), "{label}");
        }
        "pxe" => {
            let loader = match message.architectures().next() {
                Some(0) => "undionly.kpxe",
                Some(6) => "ipxe-i386.efi",
                Some(7) => "ipxe-x86_64.efi",
                Some(11) => "ipxe-arm64.efi",
                other => panic!("{other:?} {label}"),
            };
            assert_eq!(file, Some(loader), "{label}");
            assert_eq!(options.value(43u8), Some(&[6, 1, 8, 255][..]), "{label}");
            assert_eq!(options.value(97u8), message.option(97u8), "{label}");
        }
        _ => assert_eq!(file, None, "{label}"),
    }
}

fn kind_name(kind: MessageType) -> String {
    format!("{kind:?}").to_uppercase()
}

#[test]
fn what_firmware_asks_a_boot_server_is_readable_too() {
    const BOOT_SERVER_PORT: u16 = 4011;
    let captures = captures();
    let asked = captures.iter().flat_map(|(_, packets)| packets);
    let asked: Vec<Message> = asked
        .filter(|packet| packet.destination.port() == BOOT_SERVER_PORT)
        .map(|packet| wire::parse(&packet.payload).expect("a request"))
        .collect();
    assert_eq!(asked.len(), 8);
    assert!(asked.iter().all(|message| stage(message) == "pxe"));
}
