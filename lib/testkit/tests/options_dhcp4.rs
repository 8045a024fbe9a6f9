//! From a rule in the file to bytes at the client: what smd-cache makes of it, what travels, and what dhcpd answers; read
//! by another implementation (dhcproto), which knows what each option means.

mod scene;

use dhcpd::{
    decide::{Arrival, Outcome},
    wire::Request,
};
use dhcproto::{
    Decodable, Decoder,
    v4::{DhcpOption, Message, MessageType, OptionCode},
};
use ipnet::Ipv4Net;
use scene::Scene;
use serde_json::json;
use std::net::{Ipv4Addr, SocketAddrV4};
use values::Mac;

const FILE: &str = r#"
domain: lab
rules:
  - match: {type: [Node]}
    hostname: nid{04d}
    continue: true
    boot_file: "grub/{id}.efi"
    script_url: "http://10.77.0.2/{nid}"
    mtu: 4000
    ntp_servers: [10.77.0.3]
    options: {252: node, 150: 10.77.0.4} # dhcproto reads no list there
  - match: {id: x1000c0s0b0n1}
    continue: true
    next_server: 10.77.0.9
    boot_file: "tftp://10.77.0.8/special/{hostname}.efi"
    lease_time: 10m
    dns: [10.77.0.6]
    options: {252: unset, 28: 10.77.255.255}
boot: {http_url: "http://10.77.0.1/loaders"}
dhcpd:
  v4:
    server_id: 10.77.0.1
    dns: [10.77.0.1]
    mtu: 9000
    search_domains: [lab, mgmt.lab]
    static_routes: [{to: 10.0.0.0/8, via: 10.77.0.254}, {to: 192.168.7.0/25, via: 10.77.0.253}]
    log_servers: [10.77.0.7]
    time_servers: [10.77.0.7, 10.77.0.8]
    options: {2: -3600, 13: 12, 19: true, 23: 64, 33: 10.1.0.0 10.77.0.1, 100: "CET-1CEST,M3.5.0,M10.5.0/3", 114: "http://portal/"}
    subnets: [{cidr: 10.77.0.0/16}]
"#;
const MACS: [Mac; 2] = [Mac([2, 0, 0, 0, 1, 0]), Mac([2, 0, 0, 0, 1, 1])];

fn scene() -> Scene {
    let interface = |(number, mac): (usize, &Mac)| {
        json!({
            "ID": mac.bare(), "MACAddress": mac.to_string(), "ComponentID": format!("x1000c0s0b0n{number}"), "Type": "Node",
            "IPAddresses": [{"IPAddress": format!("10.77.1.1{number}")}], "LastUpdate": "2026-01-01T00:00:00Z", "Description": "",
        })
    };
    let interfaces: Vec<_> = MACS.iter().enumerate().map(interface).collect();
    let component =
        |number: usize| json!({"ID": format!("x1000c0s0b0n{number}"), "Type": "Node", "NID": number + 7});
    let components = json!({"Components": [component(0), component(1)]});
    Scene::new(FILE, &json!(interfaces), &components, &["10.77.0.1/16"])
}

/// The answer to a DISCOVER that asks for everything, as dhcproto reads it.
fn offered(request: Request) -> Message {
    let arrival = Arrival {
        interface: 1,
        source: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68),
        destination: Ipv4Addr::BROADCAST,
        relay_socket: false,
    };
    let request = request.option(57, &1500u16.to_be_bytes());
    let decision = scene().answer(&request.encode(), &arrival).expect("a request");
    let Outcome::Reply(reply) = &decision.outcome else { panic!("{decision}") };
    assert_eq!(decision.notes, [], "{decision}");
    Message::decode(&mut Decoder::new(&reply.encode())).expect("dhcproto reads it")
}

fn discover(machine: usize) -> Request {
    Request::new(MessageType::Discover, MACS[machine])
}

fn ip(text: &str) -> Ipv4Addr {
    text.parse().expect("an address")
}

#[track_caller]
fn has(message: &Message, expected: DhcpOption) {
    let code = OptionCode::from(&expected);
    assert_eq!(message.opts().get(code), Some(&expected), "{code:?}");
}

#[test]
fn another_implementation_reads_what_was_written_in_the_file() {
    let message = offered(discover(0));
    assert_eq!((message.opts().msg_type(), message.yiaddr()), (Some(MessageType::Offer), ip("10.77.1.10")));
    let net = |text: &str| text.parse::<Ipv4Net>().expect("a network");
    for option in [
        DhcpOption::InterfaceMtu(4000),
        DhcpOption::NtpServers(vec![ip("10.77.0.3")]),
        DhcpOption::LogServer(vec![ip("10.77.0.7")]),
        DhcpOption::TimeServer(vec![ip("10.77.0.7"), ip("10.77.0.8")]),
        DhcpOption::DomainNameServer(vec![ip("10.77.0.1")]),
        DhcpOption::TimeOffset(-3600),
        DhcpOption::BootFileSize(12),
        DhcpOption::IpForwarding(true),
        DhcpOption::DefaultIpTtl(64),
        DhcpOption::StaticRoutingTable(vec![(ip("10.1.0.0"), ip("10.77.0.1"))]),
        DhcpOption::ClasslessStaticRoute(vec![
            (net("10.0.0.0/8"), ip("10.77.0.254")),
            (net("192.168.7.0/25"), ip("10.77.0.253")),
        ]),
        DhcpOption::CaptivePortal("http://portal/".parse().expect("a URL")),
        DhcpOption::Hostname("nid0007.lab".into()),
        DhcpOption::AddressLeaseTime(3600),
    ] {
        has(&message, option);
    }
}

#[test]
fn what_rules_say_travels_to_the_client_and_the_last_rule_counts_by_option() {
    let [first, second] = [offered(discover(0)), offered(discover(1))];
    let raw = |message: &Message, code: u8| match message.opts().get(OptionCode::from(code)) {
        Some(DhcpOption::Unknown(unknown)) => Some(String::from_utf8_lossy(unknown.data()).into_owned()),
        other => other.map(|other| format!("{other:?}")),
    };
    assert_eq!(raw(&first, 252).as_deref(), Some("node"));
    assert_eq!(raw(&second, 252), None, "taken out by the second rule");
    has(&second, DhcpOption::BroadcastAddr(ip("10.77.255.255")));
    has(&second, DhcpOption::DomainNameServer(vec![ip("10.77.0.6")]));
    has(&second, DhcpOption::AddressLeaseTime(600));
    has(&second, DhcpOption::InterfaceMtu(4000));
    assert!(first.opts().get(OptionCode::BroadcastAddr).is_none());
}

#[test]
fn each_machine_boots_what_its_rules_say() {
    let pxe = |machine| discover(machine).option(60, b"PXEClient:Arch:00007:UNDI:003016").option(93, &[0, 7]);
    let file = |message: &Message| match message.opts().get(OptionCode::BootfileName) {
        Some(DhcpOption::BootfileName(name)) => {
            String::from_utf8_lossy(name).trim_end_matches('\0').to_owned()
        }
        other => panic!("{other:?}"),
    };
    let [first, second] = [offered(pxe(0)), offered(pxe(1))];
    assert_eq!((file(&first).as_str(), first.siaddr()), ("grub/x1000c0s0b0n0.efi", ip("10.77.0.1")));
    assert_eq!((file(&second).as_str(), second.siaddr()), ("/special/nid0008.efi", ip("10.77.0.8")));
    let http = discover(0).option(60, b"HTTPClient:Arch:00016:UNDI:003001").option(93, &[0, 16]);
    assert_eq!(file(&offered(http)), "http://10.77.0.1/loaders/grub/x1000c0s0b0n0.efi");
    for (machine, url) in [(0, "http://10.77.0.2/7"), (1, "http://10.77.0.2/8")] {
        assert_eq!(file(&offered(pxe(machine).option(77, b"iPXE"))), url);
    }
}
