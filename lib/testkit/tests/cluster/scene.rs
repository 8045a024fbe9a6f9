//! The machines that SMD knows in these tests, and how to ask the programs about them.

use hickory_proto::{op::ResponseCode, rr::RecordType};
use proto::v1::{self, smd_cache_client::SmdCacheClient};
use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};
use testkit::{
    cluster::{Cluster, RELAY, SERVER, within},
    packets::{
        dhcp4::{self, Machine, Relay},
        dns,
    },
    prober::Known,
    smd::{Component, EthernetInterface, Inventory},
};
use tokio::net::UdpSocket;
use values::Mac;

/// A node of the scene.
#[derive(Clone, Copy)]
pub struct Node {
    pub id: &'static str,
    pub nid: i64,
    pub mac: &'static str,
    pub address: &'static str,
    pub fqdn: &'static str,
}

impl<'a> From<Node> for Known<'a> {
    fn from(node: Node) -> Known<'a> {
        Known { mac: node.mac, address: node.address, fqdn: node.fqdn }
    }
}

/// On the server's segment.
pub const NODE1: Node = Node {
    id: "x1000c0s0b0n0",
    nid: 1,
    mac: "02:77:00:00:00:01",
    address: "172.16.0.11",
    fqdn: "nid0001.openchami.cluster",
};
/// On the server's segment.
pub const NODE2: Node = Node {
    id: "x1000c0s0b0n1",
    nid: 2,
    mac: "02:77:00:00:00:02",
    address: "172.16.0.12",
    fqdn: "nid0002.openchami.cluster",
};
/// Behind the relay.
pub const NODE3: Node = Node {
    id: "x1000c0s1b0n0",
    nid: 3,
    mac: "02:77:00:00:00:03",
    address: "10.40.1.13",
    fqdn: "nid0003.openchami.cluster",
};
/// Not in SMD until a test puts it there.
pub const NEWCOMER: Node = Node {
    id: "x1000c0s1b0n1",
    nid: 4,
    mac: "02:77:00:00:00:04",
    address: "10.40.1.14",
    fqdn: "nid0004.openchami.cluster",
};

/// Those a prober asks for through the relay: in its subnet, known and unchanged all the time.
pub const RELAYED: [Node; 3] = [NODE3, NODE5, NODE6];
/// Behind the relay.
pub const NODE5: Node = Node {
    id: "x1000c0s1b1n0",
    nid: 5,
    mac: "02:77:00:00:00:05",
    address: "10.40.1.15",
    fqdn: "nid0005.openchami.cluster",
};
/// Behind the relay.
pub const NODE6: Node = Node {
    id: "x1000c0s1b1n1",
    nid: 6,
    mac: "02:77:00:00:00:06",
    address: "10.40.1.16",
    fqdn: "nid0006.openchami.cluster",
};

/// smd-cache reads SMD every second in these tests, so this is "within refresh" with room for a busy machine.
pub const SOON: Duration = Duration::from_secs(5);
/// How long silence is listened to: more than twice the 400 ms that dhcpd gives a packet.
pub const SILENCE: Duration = Duration::from_millis(1000);
/// How long an answer may take on a busy machine.
const ANSWER: Duration = Duration::from_secs(2);

/// What SMD holds at first.
pub fn inventory() -> Inventory {
    let nodes = [NODE1, NODE2, NODE3];
    let mut interfaces: Vec<_> =
        nodes.iter().map(|node| EthernetInterface::new(node.mac, node.id, &[node.address])).collect();
    let mut components: Vec<_> = nodes.iter().map(|node| Component::new(node.id, node.nid)).collect();
    interfaces.push(EthernetInterface::new("02:77:00:00:01:01", "x1000c0s0b0", &["172.16.0.101"]));
    components.push(Component::new("x1000c0s0b0", 0));
    Inventory { interfaces, components, groups: Vec::new() }
}

/// The same, with all of [`RELAYED`].
pub fn probed() -> Inventory {
    let mut inventory = inventory();
    for node in [NODE5, NODE6] {
        inventory.interfaces.push(EthernetInterface::new(node.mac, node.id, &[node.address]));
        inventory.components.push(Component::new(node.id, node.nid));
    }
    inventory
}

/// The same and so many further nodes.
pub fn crowd(count: u8) -> Inventory {
    let mut inventory = probed();
    for number in 0..count {
        let id = format!("x2000c0s{number}b0n0");
        let mac = format!("02:79:00:00:00:{number:02x}");
        inventory.interfaces.push(EthernetInterface::new(&mac, &id, &[&format!("172.16.1.{}", number + 1)]));
        inventory.components.push(Component::new(&id, 2_000 + i64::from(number)));
    }
    inventory
}

/// Puts a node into SMD.
pub fn add(cluster: &Cluster, node: Node) {
    cluster.smd().add_node(node.id, node.nid, node.mac, node.address);
}

/// What a DHCP server did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dhcp {
    Silent,
    Offer(Ipv4Addr),
    Other(String),
}

/// A DISCOVER through the relay's address, sent from the relay machine's side of the wire.
pub fn discover(cluster: &Cluster, mac: &str) -> Dhcp {
    message(cluster, mac, None, |machine| machine.discover(fastrand::u32(..)))
}

/// The same for a machine on another link than the relay's own (RFC 3527).
pub fn discover_on(cluster: &Cluster, mac: &str, link: Ipv4Addr) -> Dhcp {
    message(cluster, mac, Some(link), |machine| machine.discover(fastrand::u32(..)))
}

/// A REQUEST as a client sends it that remembers an address from before (INIT-REBOOT).
pub fn reboot(cluster: &Cluster, mac: &str, address: Ipv4Addr) -> Dhcp {
    use dhcproto::v4::{DhcpOption, MessageType};
    message(cluster, mac, None, |machine| {
        let remembered = [DhcpOption::RequestedIpAddress(address)];
        machine.message(fastrand::u32(..), MessageType::Request, remembered)
    })
}

fn message(
    cluster: &Cluster,
    mac: &str,
    link: Option<Ipv4Addr>,
    make: impl FnOnce(&Machine) -> dhcproto::v4::Message,
) -> Dhcp {
    let relay = Relay { address: RELAY, link, source_port: true };
    let machine = Machine::new(mac.parse::<Mac>().expect("a MAC")).behind(relay);
    let message = make(&machine);
    let reply = cluster.at_relay().run(async move {
        let socket = UdpSocket::bind((RELAY, 0)).await.expect("a socket on the relay");
        dhcp4::exchange(&socket, (SERVER, 67).into(), &message, SILENCE)
            .await
            .expect("the server's port can be sent to")
    });
    match reply {
        None => Dhcp::Silent,
        Some(reply) => match reply.opts().msg_type() {
            Some(dhcproto::v4::MessageType::Offer) => Dhcp::Offer(reply.yiaddr()),
            kind => Dhcp::Other(format!("{kind:?} {}", reply.yiaddr())),
        },
    }
}

/// What a name server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dns {
    Silent,
    Code(ResponseCode),
    Data(Vec<String>),
}

pub const NXDOMAIN: Dns = Dns::Code(ResponseCode::NXDomain);
pub const SERVFAIL: Dns = Dns::Code(ResponseCode::ServFail);

impl Dns {
    pub fn data(text: &str) -> Dns {
        Dns::Data(vec![text.to_owned()])
    }
}

/// Asks dnsd over UDP; what cannot even be sent (nobody listens) is silence.
pub fn ask(cluster: &Cluster, name: &str, kind: RecordType) -> Dns {
    let name = name.to_owned();
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, 53));
    let answer =
        cluster.inside().run(async move { dns::ask(server, &name, kind, ANSWER).await.ok().flatten() });
    match answer {
        None => Dns::Silent,
        Some(answer) if answer.metadata.response_code != ResponseCode::NoError => {
            Dns::Code(answer.metadata.response_code)
        }
        Some(answer) => Dns::Data(answer.answers.iter().map(|record| record.data.to_string()).collect()),
    }
}

/// The address of a name.
pub fn address_of(cluster: &Cluster, name: &str) -> Dns {
    ask(cluster, name, RecordType::A)
}

/// The name of an address.
pub fn name_of(cluster: &Cluster, address: &str) -> Dns {
    ask(cluster, &dns::reverse(address.parse().expect("an address")), RecordType::PTR)
}

/// A PTR's data.
pub fn pointer(fqdn: &str) -> Dns {
    Dns::Data(vec![format!("{fqdn}.")])
}

/// smd-cache's answer about a MAC; `None`: it cannot be reached.
pub fn lookup(cluster: &Cluster, mac: &str) -> Option<v1::LookupReply> {
    let request = v1::LookupMacRequest { mac: mac.to_owned() };
    cluster.inside().run(async move {
        let mut client = SmdCacheClient::connect("http://127.0.0.1:27780").await.ok()?;
        client.lookup_mac(request).await.ok().map(tonic::Response::into_inner)
    })
}

/// What the smd-cache on this port says of itself; `None`: it cannot be reached.
pub fn status(cluster: &Cluster, port: u16) -> Option<v1::Status> {
    cluster.inside().run(async move {
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://127.0.0.1:{port}")).ok()?;
        let channel = endpoint.timeout(ANSWER).connect_timeout(ANSWER).connect().await.ok()?;
        let reply = SmdCacheClient::new(channel).get_status(v1::GetStatusRequest {}).await;
        reply.ok().map(tonic::Response::into_inner)
    })
}

/// The outcome alone.
pub fn outcome(cluster: &Cluster, mac: &str) -> Option<v1::Outcome> {
    lookup(cluster, mac).map(|reply| reply.outcome())
}

/// The moment at which smd-cache was first seen to know this address of the MAC, to the millisecond.
pub fn known_at(cluster: &Cluster, mac: &str, address: &str) -> Instant {
    let (mac, address) = (mac.to_owned(), address.to_owned());
    cluster.inside().run(async move {
        let mut client = SmdCacheClient::connect("http://127.0.0.1:27780").await.expect("smd-cache listens");
        let end = Instant::now() + SOON;
        while Instant::now() < end {
            let reply =
                client.lookup_mac(v1::LookupMacRequest { mac: mac.clone() }).await.expect("it answers");
            let interfaces = reply.into_inner().interfaces;
            if interfaces
                .iter()
                .flat_map(|interface| &interface.addresses)
                .any(|known| known.address == address)
            {
                return Instant::now();
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("smd-cache does not know {mac} as {address} within {SOON:?}");
    })
}

/// Waits until smd-cache knows this address of the MAC.
pub fn wait_known(cluster: &Cluster, mac: &str, address: &str) {
    within(SOON, &format!("smd-cache knows {mac} as {address}"), || {
        let reply = lookup(cluster, mac)?;
        let known = reply.interfaces.iter().flat_map(|interface| &interface.addresses);
        known.map(|known| known.address.as_str()).eq([address]).then_some(())
    });
}
