//! From a change in SMD to the answer that shows it.

use super::lab::{Lab, Ports, Smd, Sorted, table};
use crate::{
    packets::{dhcp4, dns},
    smd::{Component, EthernetInterface, Inventory},
};
use anyhow::Context;
use hickory_proto::rr::RecordType;
use proto::v1::{WatchRequest, smd_cache_client::SmdCacheClient, watch_event::Event};
use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};
use tokio::{net::UdpSocket, time::sleep};
use tonic::transport::Endpoint;
use values::Mac;

const NODES: usize = 10_000;
/// Changes of each kind.
const TIMES: usize = 50;
const WATCHERS: usize = 500;
/// Between two questions.
const POLL: Duration = Duration::from_millis(5);
/// An answer is waited for at most so long.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest a pause before a change is: any phase of the poll of one second is met.
const PHASE: Duration = Duration::from_millis(1_500);

pub(super) async fn measure(lab: &Lab) -> anyhow::Result<()> {
    let smd = lab.smd(NODES).await?;
    let ports = lab.ports()?;
    let config = lab.configure("change", &smd.url, ports, "")?;
    let mut servers = Vec::new();
    for name in ["smd-cache", "dhcpd", "dnsd"] {
        let mut server = lab.start(name, &config)?;
        server.ready().await?;
        servers.push(server);
    }
    let (mut first_packet, mut name, mut address) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..TIMES {
        sleep(PHASE.mul_f64(fastrand::f64())).await;
        name.push(new_name(&smd, ports, number).await?);
        sleep(PHASE.mul_f64(fastrand::f64())).await;
        address.push(new_address(&smd, ports, number).await?);
        first_packet.push(first_answer(&smd, ports, number).await?);
    }
    let watchers = watchers(&smd, ports).await?;
    let row = |what: &str, times: Vec<Duration>, aim: &str| {
        let times = Sorted::new(times);
        let milliseconds = |time: f64| format!("{time:.1} ms");
        vec![
            what.to_owned(),
            milliseconds(times.median()),
            milliseconds(times.percentile(99)),
            milliseconds(times.most()),
            aim.to_owned(),
        ]
    };
    let rows = [
        row("a new machine: OFFER for its first DISCOVER", first_packet, "its own exchange"),
        row("a new machine: its name from dnsd (delta)", name, "p99 at most 1,500 ms"),
        row("another address: from dnsd (delta)", address, "p99 at most 1,500 ms"),
        row(&format!("a change, at the last of {WATCHERS} watchers"), watchers, ""),
    ];
    table(
        &format!("From a change in SMD to the answer, {NODES} nodes"),
        &["change", "median", "p99", "longest", "aim"],
        &rows,
    );
    Ok(())
}

/// One node that nobody had before.
fn newcomer(number: usize, kind: u8) -> (Inventory, Mac, Ipv4Addr, String) {
    let mac = Mac([0x02, 0xbe, kind, 0, 0, number as u8]);
    let address = Ipv4Addr::new(172, 31, 240 + kind, number as u8 + 1);
    let id = format!("x9{kind:03}c0s0b0n{number}");
    let nid = 900_000 + usize::from(kind) * 1_000 + number;
    let inventory = Inventory {
        interfaces: vec![EthernetInterface::new(&mac.to_string(), &id, &[&address.to_string()])],
        components: vec![Component::new(&id, nid as i64)],
        groups: Vec::new(),
    };
    (inventory, mac, address, format!("nid{nid}.bench.cluster"))
}

async fn new_name(smd: &Smd, ports: Ports, number: usize) -> anyhow::Result<Duration> {
    let (inventory, _, address, name) = newcomer(number, 1);
    smd.load(&inventory).await?;
    until_named(ports.dnsd, &name, address).await
}

/// Of the machine that `new_name` added.
async fn new_address(smd: &Smd, ports: Ports, number: usize) -> anyhow::Result<Duration> {
    let (inventory, mac, _, name) = newcomer(number, 1);
    let address = Ipv4Addr::new(172, 31, 250, number as u8 + 1);
    let id = &inventory.components[0].id;
    let moved = EthernetInterface::new(&mac.to_string(), id, &[&address.to_string()]);
    smd.load(&Inventory { interfaces: vec![moved], ..Inventory::default() }).await?;
    until_named(ports.dnsd, &name, address).await
}

async fn until_named(dnsd: SocketAddr, name: &str, address: Ipv4Addr) -> anyhow::Result<Duration> {
    let began = Instant::now();
    loop {
        let answer = dns::ask(dnsd, name, RecordType::A, Duration::from_secs(1)).await?;
        let answers = answer.iter().flat_map(|answer| &answer.answers);
        if answers.into_iter().any(|record| record.data.ip_addr() == Some(address.into())) {
            return Ok(began.elapsed());
        }
        anyhow::ensure!(began.elapsed() < PATIENCE, "{name} never had {address}");
        sleep(POLL).await;
    }
}

/// The first DISCOVER of a machine that was added a moment ago.
async fn first_answer(smd: &Smd, ports: Ports, number: usize) -> anyhow::Result<Duration> {
    let (inventory, mac, address, _) = newcomer(number, 2);
    smd.load(&inventory).await?;
    let relay = dhcp4::Relay {
        address: Ipv4Addr::LOCALHOST,
        link: Some(Ipv4Addr::new(172, 16, 0, 1)),
        source_port: true,
    };
    let discover = dhcp4::Machine::new(mac).behind(relay).discover(number as u32 + 1);
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let began = Instant::now();
    let offer = dhcp4::exchange(&socket, ports.dhcpd, &discover, Duration::from_secs(2)).await?;
    let offer = offer.with_context(|| format!("no offer for {mac}"))?;
    anyhow::ensure!(offer.yiaddr() == address, "{mac} was offered {}", offer.yiaddr());
    Ok(began.elapsed())
}

/// From an address changed in SMD, less the poll it waited for, to the last watcher; over several changes.
async fn watchers(smd: &Smd, ports: Ports) -> anyhow::Result<Vec<Duration>> {
    let mut streams = Vec::new();
    for _ in 0..WATCHERS {
        let channel = Endpoint::from_shared(format!("http://{}", ports.smd_cache))?.connect().await?;
        let request = WatchRequest { client_name: "bench".to_owned(), ..WatchRequest::default() };
        streams.push(SmdCacheClient::new(channel).watch(request).await?.into_inner());
    }
    let mut times = Vec::new();
    for number in 0..5 {
        smd.load(&newcomer(number, 3).0).await?;
        let arrivals = streams.iter_mut().map(async |stream| {
            while let Some(event) = stream.message().await? {
                if let Some(Event::Change(_)) = event.event {
                    return Ok(Instant::now());
                }
            }
            anyhow::bail!("a Watch ended")
        });
        let arrivals = futures::future::try_join_all(arrivals).await?;
        let first = arrivals.iter().min().context("there are watchers")?;
        let last = arrivals.iter().max().context("there are watchers")?;
        times.push(*last - *first);
    }
    Ok(times)
}
