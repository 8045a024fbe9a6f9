use super::*;

mod lending;

use crate::wire::{MessageType, Request, parse_reply};
use inventory::Replica;
use prometheus_client::registry::Registry;
use proto::v1;
use std::net::Ipv4Addr;
use tokio::net::UdpSocket;
use values::Mac;

/// Far more than loopback needs.
const PATIENCE: Duration = Duration::from_secs(5);
const KNOWN: Mac = Mac([2, 0, 0, 0, 0, 1]);
const RELAY_AGENT: [u8; 8] = [19, 0, 5, 4, 172, 16, 0, 0];
const UNKNOWN: Mac = Mac([2, 0, 0, 0, 0, 9]);

fn file(listen: &str) -> config::Config {
    let text = format!(
        "domain: cluster.local\ndhcpd:\n  v4:\n    listen: [\"{listen}\"]\n    server_id: 172.16.0.253\n    \
         subnets: [{{cidr: 172.16.0.0/24}}]\n"
    );
    config::parse(&text).unwrap()
}

/// One node at 172.16.0.1.
fn inventory() -> Inventory {
    let component = v1::Component { id: "x1000c0s0b0n0".into(), r#type: "Node".into(), ..Default::default() };
    let address = v1::Address {
        address: "172.16.0.1".into(),
        hostname: "nid0001".into(),
        domain: "cluster.local".into(),
        fqdn: "nid0001.cluster.local".into(),
        names: vec!["nid0001.cluster.local".into()],
        ..Default::default()
    };
    let interface = v1::Interface {
        mac: KNOWN.to_string(),
        component_id: component.id.clone(),
        addresses: vec![address],
        ..Default::default()
    };
    Inventory::fixed(Replica::from_messages(
        "cluster.local",
        Vec::new(),
        vec![interface],
        vec![component],
        v1::Freshness { generation: 1, ..Default::default() },
    ))
}

/// A running server and a relay that talks to it from a high port (RFC 8357).
struct Exchange {
    shell: Arc<Shell>,
    server: SocketAddr,
    relay: UdpSocket,
    running: JoinHandle<anyhow::Result<()>>,
    shutdown: tokio_util::sync::CancellationToken,
    registry: Registry,
}

impl Exchange {
    async fn start(listen: &str) -> Exchange {
        Exchange::with(listen, inventory()).await
    }

    async fn with(listen: &str, inventory: Inventory) -> Exchange {
        Exchange::of(file(listen), inventory).await
    }

    async fn of(file: config::Config, inventory: Inventory) -> Exchange {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let running = Running::new(config::Program::Dhcpd, file.clone());
        let shutdown = running.shutdown.clone();
        let mut server = Server::new(&file, inventory, metrics).unwrap();
        server.bind().unwrap();
        let (shell, address) = (server.shell.clone(), server.addresses()[0]);
        Exchange {
            shell,
            server: address,
            relay: UdpSocket::bind("127.0.0.1:0").await.unwrap(),
            running: tokio::spawn(server.run(running)),
            shutdown,
            registry,
        }
    }

    /// The relay is on loopback, the client in 172.16.0.0/24 (RFC 3527).
    async fn send(&self, request: Request) {
        let request = request.relayed(Ipv4Addr::LOCALHOST).option(82, &RELAY_AGENT);
        self.relay.send_to(&request.encode(), self.server).await.unwrap();
    }

    async fn ask(&self, request: Request) -> crate::wire::Message {
        self.send(request).await;
        let mut buffer = [0; 2048];
        let received = timeout(PATIENCE, self.relay.recv_from(&mut buffer)).await;
        let (length, from) = received.expect("an answer in time").unwrap();
        assert_eq!(from, self.server);
        parse_reply(&buffer[..length]).unwrap()
    }

    /// Waits until a line of /metrics is there.
    async fn counted(&self, line: &str) {
        let there = async {
            loop {
                let mut text = String::new();
                prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
                if text.lines().any(|one| one == line) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, there).await.unwrap_or_else(|_| panic!("no {line}"));
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        timeout(PATIENCE, self.running).await.expect("drained in time").unwrap()
    }
}

fn loopback(port: &str) -> String {
    format!("127.0.0.1:{port}")
}

#[tokio::test]
async fn a_known_node_behind_a_relay_gets_its_address_in_four_messages() {
    let exchange = Exchange::start(&loopback("0")).await;
    let offer = exchange.ask(Request::new(MessageType::Discover, KNOWN)).await;
    assert_eq!(offer.message_type(), Some(MessageType::Offer));
    assert_eq!(offer.yiaddr, Ipv4Addr::new(172, 16, 0, 1));
    let request = Request::new(MessageType::Request, KNOWN)
        .option(50, &offer.yiaddr.octets())
        .option(54, &[172, 16, 0, 253]);
    let ack = exchange.ask(request).await;
    assert_eq!(ack.message_type(), Some(MessageType::Ack));
    assert_eq!(ack.yiaddr, offer.yiaddr);
    assert_eq!(ack.option(82), Some(&RELAY_AGENT[..]));
    exchange.stop().await.unwrap();
}

#[tokio::test]
async fn junk_and_unknown_machines_are_silent_and_the_next_one_is_served() {
    let exchange = Exchange::start(&loopback("0")).await;
    exchange.relay.send_to(&[0; 300], exchange.server).await.unwrap();
    exchange.relay.send_to(&[], exchange.server).await.unwrap();
    let unknown =
        Request::new(MessageType::Discover, UNKNOWN).option(60, b"PXEClient\x1b[2J").option(93, &[0, 7]);
    exchange.send(unknown).await;
    let offer = exchange.ask(Request::new(MessageType::Discover, KNOWN)).await;
    assert_eq!(offer.xid, 0);
    assert_eq!(offer.message_type(), Some(MessageType::Offer));

    let rows = exchange.shell.unknown.rows();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].mac, UNKNOWN.to_string());
    assert_eq!(rows[0].relay, Some(Ipv4Addr::LOCALHOST));
    assert_eq!(rows[0].interface.as_deref(), Some("lo"));
    assert_eq!(rows[0].vendor_class.as_deref(), Some("PXEClient?[2J"));
    assert_eq!(rows[0].architecture, Some(7));
    exchange.stop().await.unwrap();
}

/// An inventory whose smd-cache accepts connections and never says a word.
async fn mute() -> (Inventory, tokio::net::TcpListener) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let endpoints = vec![config::Endpoint::Tcp(format!("http://{address}"))];
    let config = config::Inventory { endpoints, replica_file: None, ..file("127.0.0.1:0").inventory };
    let who = Who { name: "dhcpd", version: "test", admin_port: 0 };
    (Inventory::start(&config, who, &mut Registry::default(), Default::default()), listener)
}

#[tokio::test]
async fn nobody_is_called_unknown_while_the_inventory_cannot_tell() {
    let (inventory, _mute) = mute().await;
    let exchange = Exchange::with(&loopback("0"), inventory).await;
    exchange.send(Request::new(MessageType::Discover, KNOWN)).await;
    exchange.counted("dhcpd_silent_total{reason=\"unavailable\"} 1").await;
    exchange.counted("dhcpd_in_flight 0").await;
    assert!(exchange.shell.unknown.rows().is_empty());
    exchange.stop().await.unwrap();
}

#[tokio::test]
async fn what_would_wait_beside_too_many_others_is_dropped_and_counted() {
    let (inventory, _mute) = mute().await;
    let exchange = Exchange::with(&loopback("0"), inventory).await;
    let others = exchange.shell.wait_for_all();
    exchange.send(Request::new(MessageType::Discover, KNOWN)).await;
    exchange.counted("dhcpd_dropped_total{reason=\"overload\"} 1").await;
    drop(others);
    exchange.send(Request::new(MessageType::Discover, KNOWN)).await;
    exchange.counted("dhcpd_silent_total{reason=\"unavailable\"} 1").await;
    exchange.stop().await.unwrap();
}

#[tokio::test]
async fn the_relay_is_answered_from_the_address_it_asked() {
    let mut server = Server::new(&file(&loopback("0")), inventory(), Metrics::default()).unwrap();
    server.bind().unwrap();
    let everywhere = std::net::SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
    let wanted = Wanted { relays: [everywhere].into(), ..Wanted::default() };
    let opened = server.shell.sockets.reconcile(&wanted).opened.remove(0);
    let asked = SocketAddr::new([127, 0, 0, 2].into(), opened.port);
    let mut network = Network { ours: server.shell.network.load().ours.clone(), interfaces: Vec::new() };
    let second = crate::decide::OwnAddress { address: Ipv4Addr::new(127, 0, 0, 2), ..network.ours[0] };
    network.ours.push(second);
    server.shell.network.store(Arc::new(network));
    let exchange = Exchange {
        shell: server.shell.clone(),
        server: asked,
        relay: UdpSocket::bind("127.0.0.1:0").await.unwrap(),
        running: tokio::spawn(async move { turn(server.shell, opened).await.1.context("receiving") }),
        shutdown: Default::default(),
        registry: Registry::default(),
    };
    // compares the source of the answer
    exchange.ask(Request::new(MessageType::Discover, KNOWN)).await;
    exchange.running.abort();
}

#[tokio::test]
async fn a_second_server_on_the_port_ends_with_a_sentence() {
    let exchange = Exchange::start(&loopback("0")).await;
    let file = file(&loopback(&exchange.server.port().to_string()));
    let mut second = Server::new(&file, inventory(), Metrics::default()).unwrap();
    let refused = format!("{:#}", second.bind().unwrap_err());
    assert!(refused.contains("another DHCP server runs on this host"), "{refused}");
    exchange.stop().await.unwrap();
}

#[tokio::test]
async fn a_new_configuration_is_taken_while_serving() {
    let file = file(&loopback("0"));
    let mut running = Running::new(config::Program::Dhcpd, file.clone());
    let (reload, receiver) = watch::channel(running.config.clone());
    running.reload = receiver;
    let shutdown = running.shutdown.clone();
    let mut server = Server::new(&file, inventory(), Metrics::default()).unwrap();
    server.bind().unwrap();
    let shell = server.shell.clone();
    let served = tokio::spawn(server.run(running));

    let free = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let mut changed = file.clone();
    changed.dhcpd.v4.as_mut().unwrap().lease_time = Duration::from_secs(77);
    changed.dhcpd.v4.as_mut().unwrap().listen[0].port = free;
    reload.send_replace(Arc::new(changed));
    let taken = async {
        let moved = || shell.sockets.addresses().iter().any(|address| address.port() == free);
        while shell.config.load().values.lease_time != 77 || !moved() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, taken).await.expect("the new configuration in time");
    assert_eq!(shell.sockets.addresses().len(), 1);

    let mut without = file.clone();
    without.dhcpd.v4 = None;
    reload.send_replace(Arc::new(without));
    shutdown.cancel();
    timeout(PATIENCE, served).await.expect("drained").unwrap().unwrap();
}

#[tokio::test]
async fn a_listener_that_dies_ends_the_program() {
    let listener = {
        let sockets = sockets::Sockets::default();
        let relays = [std::net::SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)].into();
        sockets.reconcile(&Wanted { relays, ..Wanted::default() }).opened.remove(0)
    };
    assert!(ended_well(Ok((listener.clone(), Ok(())))).is_ok());
    assert!(ended_well(Ok((listener, Err(io::ErrorKind::Other.into())))).is_err());
}

#[test]
fn ready_says_what_is_served() {
    let well = Standing { sockets: 2, devices: 1, ..Standing::default() };
    let waiting = vec!["no interface has the address 10.0.0.1".to_string()];
    for (standing, wanted) in [
        (well.clone(), "Ready"),
        (Standing { relays_only: true, devices: 0, ..well.clone() }, "Degraded: CAP_NET_RAW is missing"),
        (Standing { devices: 0, ..well.clone() }, "Degraded: no interface that hears broadcasts"),
        (Standing { problems: waiting.clone(), ..well.clone() }, "Degraded: no interface has the address"),
        (Standing { problems: waiting, ..Standing::default() }, "Missing: no interface has the address"),
        (Standing::default(), "Missing: no interface can be served"),
    ] {
        let found = match standing.state() {
            State::Ready => "Ready".to_string(),
            State::Degraded(why) => format!("Degraded: {why}"),
            State::Missing(why) => format!("Missing: {why}"),
        };
        let (kind, part) = wanted.split_once(": ").unwrap_or((wanted, ""));
        assert!(found.starts_with(kind) && found.contains(part), "{standing:?}: {found}");
    }
}

#[test]
fn ready_says_how_the_inventory_is() {
    let health = |complete, connected, stale, reason: &str| Health {
        complete,
        connected,
        stale,
        generation: 1,
        expired: false,
        endpoint: "http://127.0.0.1:27780".into(),
        reason: reason.into(),
    };
    let expired = Health { expired: true, ..health(true, false, true, "too old") };
    for (health, replica, wanted) in [
        (health(true, true, false, ""), true, State::Ready),
        (health(true, false, false, "gone"), true, State::Degraded("gone".into())),
        (health(true, true, true, "old"), true, State::Degraded("old".into())),
        (expired, true, State::Missing("too old".into())),
        (health(false, false, false, "gone"), true, State::Missing("gone".into())),
        (health(false, true, false, ""), true, State::Missing("no snapshot of the inventory yet".into())),
        (health(false, true, false, ""), false, State::Ready),
        (health(false, false, false, "gone"), false, State::Missing("gone".into())),
    ] {
        assert_eq!(inventory_state(&health, replica), wanted, "{health:?}");
    }
}

#[tokio::test]
async fn an_explanation_is_no_packet_and_nobody_becomes_unknown_by_it() {
    let exchange = Exchange::start("127.0.0.1:0").await;
    let metrics = || {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &exchange.registry).unwrap();
        text
    };
    let before = metrics();
    let asked = |mac: Mac| crate::explain::Asked {
        mac: mac.to_string(),
        relay: Some(Ipv4Addr::new(172, 16, 0, 9)),
        ..Default::default()
    };
    let explained = exchange.shell.explain(&asked(KNOWN)).await.unwrap();
    assert_eq!(explained.answer.unwrap().address, Some(Ipv4Addr::new(172, 16, 0, 1)));
    let explained = exchange.shell.explain(&asked(UNKNOWN)).await.unwrap();
    assert_eq!(explained.silent.as_deref(), Some("unknown"));
    let refused = exchange.shell.explain(&crate::explain::Asked::default()).await.unwrap_err();
    assert!(refused.1.contains("is not a MAC"), "{refused:?}");
    assert_eq!(metrics(), before);
    assert!(exchange.shell.unknown.rows().is_empty());
    exchange.stop().await.unwrap();
}
