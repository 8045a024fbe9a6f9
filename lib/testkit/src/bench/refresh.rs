//! Whole reads: what they cost smd-cache, and what look-ups feel of them.

use super::lab::{Lab, Server, Smd, Sorted, table};
use crate::smd::{Component, EthernetInterface, Inventory};
use proto::v1::{LookupMacRequest, RefreshRequest, smd_cache_client::SmdCacheClient};
use std::{
    cell::Cell,
    time::{Duration, Instant},
};
use tokio::time::sleep;
use tonic::transport::{Channel, Endpoint};

/// Nodes that make up about so many interfaces.
const SIZES: [(usize, &str); 3] = [(500, "1k"), (5_000, "10k"), (50_000, "100k")];
/// Refreshes of each kind.
const TIMES: usize = 5;
/// Between two look-ups that feel for pauses.
const PROBE_GAP: Duration = Duration::from_micros(500);

pub(super) async fn measure(lab: &Lab) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for (nodes, size) in SIZES {
        rows.push(at(lab, nodes, size).await?);
    }
    let head = [
        "interfaces",
        "first read, CPU",
        "nothing changed",
        "one machine changed",
        "every interface changed",
        "resident",
        "at its highest",
        "when every interface changed",
        "longest look-up meanwhile (without a refresh)",
    ];
    table("Whole refresh of smd-cache, CPU (medians)", &head, &rows);
    println!("Aims at 100k: at most 1 s, 200 MB at its highest, 5 ms.\n");
    Ok(())
}

async fn at(lab: &Lab, nodes: usize, size: &str) -> anyhow::Result<Vec<String>> {
    let smd = lab.smd(nodes).await?;
    let interfaces = smd.inventory().await?.interfaces;
    let (known, count) = (interfaces[0].mac.clone(), interfaces.len());
    drop(interfaces);
    let ports = lab.ports()?;
    let more = "  refresh: 1h\n  poll_changes: 0\n";
    let config = lab.configure(&format!("refresh-{size}"), &smd.url, ports, more)?;
    let mut cache = lab.start("smd-cache", &config)?;
    cache.ready().await?;
    let first = cache.cpu();
    let channel = Endpoint::from_shared(format!("http://{}", ports.smd_cache))?.connect().await?;
    let mut lab = Bench { smd, cache, channel, known, longest: Duration::ZERO };
    let idle = lab.idle().await?;
    let same = lab.refreshes(Change::Nothing).await?;
    let one = lab.refreshes(Change::One).await?;
    let (now, highest) = lab.cache.memory();
    let longest = lab.longest;
    let all = lab.refreshes(Change::All).await?;
    let (_, highest_of_all) = lab.cache.memory();
    let milliseconds = |cpu: f64| format!("{cpu:.0} ms");
    Ok(vec![
        count.to_string(),
        milliseconds(first.as_secs_f64() * 1e3),
        milliseconds(same),
        milliseconds(one),
        milliseconds(all),
        format!("{now:.0} MB"),
        format!("{highest:.0} MB"),
        format!("{highest_of_all:.0} MB"),
        format!("{:.1} ms ({:.1} ms)", longest.as_secs_f64() * 1e3, idle.as_secs_f64() * 1e3),
    ])
}

struct Bench {
    smd: Smd,
    cache: Server,
    channel: Channel,
    known: String,
    longest: Duration,
}

impl Bench {
    /// The median CPU of several refreshes, each after a change.
    async fn refreshes(&mut self, change: Change) -> anyhow::Result<f64> {
        let mut spent = Vec::new();
        for number in 0..TIMES {
            self.change(change, number).await?;
            // Whatever the change stirred up there is over.
            sleep(Duration::from_millis(300)).await;
            let cpu = self.cache.cpu();
            let over = Cell::new(false);
            let mut client = SmdCacheClient::new(self.channel.clone());
            let refresh = async {
                let refreshed = client.refresh(RefreshRequest { full: true, force: false }).await;
                sleep(Duration::from_millis(100)).await;
                over.set(true);
                refreshed
            };
            let (longest, refreshed) = futures::join!(self.probe(&over), refresh);
            refreshed?;
            self.longest = self.longest.max(longest?);
            spent.push(self.cache.cpu() - cpu);
        }
        Ok(Sorted::new(spent).median())
    }

    /// What a look-up takes at most while nothing happens: what the machine itself adds.
    async fn idle(&self) -> anyhow::Result<Duration> {
        let over = Cell::new(false);
        let end = async {
            sleep(Duration::from_secs(2)).await;
            over.set(true);
        };
        futures::join!(self.probe(&over), end).0
    }

    async fn change(&self, change: Change, number: usize) -> anyhow::Result<()> {
        match change {
            Change::Nothing => Ok(()),
            Change::One => self.smd.load(&newcomer(number)).await,
            Change::All => {
                let mut inventory = self.smd.inventory().await?;
                for interface in &mut inventory.interfaces {
                    interface.description = format!("change {number}");
                }
                self.smd.load(&inventory).await
            }
        }
    }

    /// Looks a known machine up again and again, and says how long that took at most.
    async fn probe(&self, over: &Cell<bool>) -> anyhow::Result<Duration> {
        let mut client = SmdCacheClient::new(self.channel.clone());
        let mut longest = Duration::ZERO;
        while !over.get() {
            let asked = Instant::now();
            client.lookup_mac(LookupMacRequest { mac: self.known.clone() }).await?;
            longest = longest.max(asked.elapsed());
            sleep(PROBE_GAP).await;
        }
        Ok(longest)
    }
}

#[derive(Clone, Copy)]
enum Change {
    Nothing,
    One,
    All,
}

fn newcomer(number: usize) -> Inventory {
    let id = format!("x9000c0s0b0n{number}");
    let (mac, address) = (format!("02:be:00:00:00:{number:02x}"), format!("172.31.255.{}", number + 1));
    Inventory {
        interfaces: vec![EthernetInterface::new(&mac, &id, &[&address])],
        components: vec![Component::new(&id, 900_000 + number as i64)],
        groups: Vec::new(),
    }
}
