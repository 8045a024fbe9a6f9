//! DHCPv4 beside Kea and dnsmasq from Debian: the same machines behind the same relay, CPU of the server for each reply;
//! ten thousand machines powered on at once; a flood of DISCOVERs that nobody knows. perfdhcp judges besides.

mod machines;
mod servers;

use super::{
    cable::{CLIENT as RELAY, Cable, SERVER, need},
    lab::{Lab, Server, median, table},
};
use anyhow::{Context, ensure};
use machines::{Machines, Outcome};
use servers::{Ours, Peer, perfdhcp};
use std::{
    fs,
    net::Ipv4Addr,
    path::PathBuf,
    time::{Duration, Instant},
};
use values::Mac;

const NODES: usize = 10_000;
/// Where perfdhcp is: its own relay, for both want port 67.
const JUDGE: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 3);
/// Exchanges at the same time: enough that no server waits for us, few enough for every socket's buffer.
const AT_ONCE: usize = 64;
/// Rounds of all machines; the figure is their median.
const ROUNDS: usize = 5;
/// How long a round may take: dnsmasq needs longer for all machines, and what it did until then is its figure.
const LIMIT: Duration = Duration::from_secs(20);
/// What a ROM waits before it gives up: 4, 8, 16 and 32 seconds.
const POWER_ON: Duration = Duration::from_secs(60);
/// One round is enough where it takes longer than this.
const LONG_ROUND: Duration = Duration::from_secs(5);
/// Exchanges a second for perfdhcp: what each of the servers can do.
const RATE: &str = "1000";
/// DISCOVERs a second in the flood.
const FLOOD: u32 = 20_000;
/// How long the flood lasts, also with `--short`.
const FLOOD_TIME: [Duration; 2] = [Duration::from_secs(300), Duration::from_secs(20)];
/// From Debian, in packages of these names.
const TOOLS: [(&str, &str); 5] = [
    ("kea-dhcp4", "kea-dhcp4-server"),
    ("perfdhcp", "kea-admin"),
    ("dnsmasq", "dnsmasq-base"),
    ("ip", "iproute2"),
    ("taskset", "util-linux"),
];
/// `dhcpd.v4.unknown` for the pool; the leases' file is put in front.
const POOL: &str = "lease_time: 1h, pools: [{subnet: 172.16.0.0/12, start: 172.20.0.0, end: 172.20.255.255}]";

/// Behind a relay at the other end of the wire.
pub(super) fn measure(lab: &Lab, short: bool) -> anyhow::Result<()> {
    need(&TOOLS)?;
    let cable = Cable::new()?;
    cable.client.ip(&format!("addr add {JUDGE}/12 dev cli0"));
    cable.at_server(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(Bench::new(lab, &cable)?.all(short))
    })
}

struct Bench<'a> {
    lab: &'a Lab,
    cable: &'a Cable,
    machines: Machines,
    known: Vec<Mac>,
    strangers: Vec<Mac>,
}

/// A line of the tables.
struct Row {
    name: String,
    per_second: f64,
    cpu: f64,
    judged_cpu: f64,
    judged_drops: u64,
    avalanche: Outcome,
    judged_avalanche: String,
}

impl<'a> Bench<'a> {
    fn new(lab: &'a Lab, cable: &'a Cable) -> anyhow::Result<Bench<'a>> {
        let machines = cable.at_client(|| Machines::new(RELAY, SERVER))?;
        // As `smd::generate` numbers the nodes' first interfaces; strangers are in nobody's inventory.
        Ok(Bench { lab, cable, machines, known: macs(0x02, 0x10), strangers: macs(0x06, 0x00) })
    }

    async fn all(mut self, short: bool) -> anyhow::Result<()> {
        let mut rows = Vec::new();
        let ours = Ours::start(self.lab, "dhcp-known", None).await?;
        rows.push(self.row("dhcpd, known nodes", &ours.dhcpd, &self.known.clone())?);
        let flood = self.flood(&ours.dhcpd, FLOOD_TIME[usize::from(short)])?;
        drop(ours);
        let store =
            format!("lease_store: \"sqlite:{}\", {POOL}", self.lab.room("pool")?.join("leases.db").display());
        match Ours::start(self.lab, "dhcp-pool", Some(&store)).await {
            Ok(ours) => {
                rows.push(self.row("dhcpd, pool, leases on disk", &ours.dhcpd, &self.strangers.clone())?)
            }
            Err(error) => println!("no pool: {error:#}\n"),
        }
        for peer in Peer::ALL {
            let server = peer.start(self.lab)?;
            rows.push(self.row(peer.name(), &server, &self.strangers.clone())?);
        }
        print(&rows, &flood);
        Ok(())
    }

    fn row(&mut self, name: &str, server: &Server, macs: &[Mac]) -> anyhow::Result<Row> {
        self.wait(macs[0]).with_context(|| name.to_owned())?;
        // First of all: nobody has a lease yet.
        let avalanche = self.machines.boot(macs, NODES, POWER_ON)?;
        let (mut per_second, mut cpu) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let before = server.cpu();
            let round = self.machines.boot(macs, AT_ONCE, LIMIT)?;
            cpu.push((server.cpu() - before).as_secs_f64() * 1e6 / round.replies as f64);
            ensure!(round.bound > 0, "{name} binds nobody");
            per_second.push(round.bound as f64 / round.took.as_secs_f64());
            if round.took > LONG_ROUND {
                break;
            }
        }
        let file = self.file(macs)?;
        let before = server.cpu();
        let judged = perfdhcp(self.cable, &file, &["-r", RATE, "-p", "5", "-W", "500000"])?;
        let judged_cpu = (server.cpu() - before).as_secs_f64() * 1e6 / judged.replies as f64;
        let judged_avalanche = perfdhcp(self.cable, &file, &["-R", "10000", "--scenario", "avalanche"])?;
        let row = Row {
            name: name.to_owned(),
            per_second: median(per_second),
            cpu: median(cpu),
            judged_cpu,
            judged_drops: judged.drops,
            avalanche,
            judged_avalanche: judged_avalanche.avalanche(),
        };
        let Outcome { bound, took, again, .. } = &row.avalanche;
        println!(
            "{name}: {:.1} us a reply, {:.0}/s; avalanche {bound} in {took:.2?}, {again} again; {} judged, {}",
            row.cpu, row.per_second, row.judged_cpu, row.judged_avalanche
        );
        Ok(row)
    }

    /// Until the server answers.
    fn wait(&mut self, mac: Mac) -> anyhow::Result<()> {
        let end = Instant::now() + Duration::from_secs(20);
        while !self.machines.is_answered(mac) {
            ensure!(Instant::now() < end, "the server does not answer");
        }
        Ok(())
    }

    fn file(&self, macs: &[Mac]) -> anyhow::Result<PathBuf> {
        let file = self.lab.room("perfdhcp")?.join("macs");
        let lines: String = macs.iter().map(|mac| format!("{mac}\n")).collect();
        fs::write(&file, lines)?;
        Ok(file)
    }

    fn flood(&mut self, server: &Server, time: Duration) -> anyhow::Result<Vec<String>> {
        // The list of unknown MACs is full after a second: what comes later must add nothing.
        self.machines.flood(Duration::from_secs(1), FLOOD)?;
        let (before, _) = server.memory();
        let sent = self.machines.flood(time, FLOOD)?;
        let (after, most) = server.memory();
        self.wait(self.known[0]).context("after the flood")?;
        let megabytes = |size: f64| format!("{size:.1} MB");
        let seconds = format!("{} s", time.as_secs());
        Ok(vec![seconds, sent.to_string(), megabytes(before), megabytes(after), megabytes(most)])
    }
}

/// Locally administered, the second byte as given, counted in the last three.
fn macs(first: u8, second: u8) -> Vec<Mac> {
    let of = |number: u32| {
        let [_, a, b, c] = number.to_be_bytes();
        Mac([first, second, 0, a, b, c])
    };
    (0..NODES as u32).map(of).collect()
}

fn print(rows: &[Row], flood: &[String]) {
    let kea = rows.iter().find(|row| row.name.starts_with("Kea")).map_or(f64::NAN, |row| row.cpu);
    let line = |row: &Row| {
        vec![
            row.name.clone(),
            format!("{:.1} us", row.cpu),
            format!("{:.2}", row.cpu / kea),
            format!("{:.0}", row.per_second),
            format!("{:.1} us", row.judged_cpu),
            row.judged_drops.to_string(),
        ]
    };
    let head = [
        "server",
        "CPU per reply",
        "of Kea's",
        "exchanges/s",
        "perfdhcp at 1,000 exchanges/s: CPU per reply",
        "drops",
    ];
    table(
        "DHCPv4, four messages, 10000 machines behind a relay",
        &head,
        &rows.iter().map(line).collect::<Vec<_>>(),
    );
    println!("Aims: 8 us for known nodes, 16 us for the pool.\n");
    let line = |row: &Row| {
        let Outcome { bound, addresses, again, took, .. } = &row.avalanche;
        vec![
            row.name.clone(),
            format!("{bound} with {addresses} addresses"),
            format!("{:.2} s", took.as_secs_f64()),
            again.to_string(),
            row.judged_avalanche.clone(),
        ]
    };
    let head = ["server", "bound", "time", "messages sent again", "perfdhcp's avalanche"];
    table("10000 machines powered on at once", &head, &rows.iter().map(line).collect::<Vec<_>>());
    let head = ["time", "DISCOVERs of random MACs", "resident before", "after", "at its highest"];
    table("dhcpd, memory in a flood", &head, &[flood.to_vec()]);
}
