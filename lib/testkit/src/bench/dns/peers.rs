//! The servers that are compared, all on the first core, each on a port of its own: who is not asked costs nothing. One process or
//! thread that answers, no rate limit, no log of queries; everything else as it comes.

use super::data::{Data, ZONE, ZoneFile};
use crate::{
    bench::{
        cable::SERVER,
        lab::{Lab, Ports, Server, Smd},
    },
    smd::{Address, Inventory},
};
use anyhow::Context;
use std::{
    fs,
    net::{Ipv4Addr, Ipv6Addr, SocketAddrV4},
    path::Path,
    process::Command,
};

/// Connections at once, where there is a limit; dnsperf makes fewer.
const TCP_CONNECTIONS: usize = 100;

/// What answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Echo,
    Dnsd,
    Nsd,
    Knot,
    Dnsmasq,
    Coredns,
}

impl Kind {
    pub const ALL: [Kind; 6] = [Kind::Echo, Kind::Dnsd, Kind::Nsd, Kind::Knot, Kind::Dnsmasq, Kind::Coredns];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Echo => "bare echo",
            Kind::Dnsd => "dnsd",
            Kind::Nsd => "NSD",
            Kind::Knot => "Knot",
            Kind::Dnsmasq => "dnsmasq",
            Kind::Coredns => "CoreDNS, `file`",
        }
    }

    /// Where it listens.
    pub fn address(self) -> SocketAddrV4 {
        SocketAddrV4::new(SERVER, 5300 + self as u16)
    }
}

/// dnsd beside smd-cache and a stand-in for SMD.
pub struct Ours {
    pub dnsd: Server,
    pub data: Data,
    /// Behind it, as long as it is measured.
    pub behind: (Server, Smd),
}

impl Ours {
    /// With so many nodes, of which every eighth has an IPv6 address, too.
    pub async fn start(lab: &Lab, nodes: usize) -> anyhow::Result<Ours> {
        let smd = lab.smd(nodes).await?;
        smd.load(&with_ipv6(smd.inventory().await?)).await?;
        let ports = Ports { dnsd: Kind::Dnsd.address().into(), ..lab.ports()? };
        let config = lab.configure("dns", &smd.url, ports, "  refresh: 1h\n  poll_changes: 0\n")?;
        let mut cache = lab.start("smd-cache", &config)?;
        cache.ready().await?;
        let data = Data::read(ports.smd_cache).await?;
        let mut dnsd = lab.start("dnsd", &config)?;
        dnsd.ready().await?;
        Ok(Ours { dnsd, data, behind: (cache, smd) })
    }
}

/// The interfaces of the nodes and BMCs in the first slot of each chassis, with an IPv6 address made of the other one.
fn with_ipv6(inventory: Inventory) -> Inventory {
    let has_one = |id: &str| id.contains("s0b");
    let mut interfaces = inventory.interfaces;
    interfaces.retain(|interface| has_one(&interface.component_id));
    for interface in &mut interfaces {
        let Some(v4) = interface.addresses.first().and_then(|one| one.address.parse::<Ipv4Addr>().ok())
        else {
            continue;
        };
        let network = interface.addresses[0].network.clone();
        let [a, b, c, d] = v4.octets().map(u16::from);
        let v6 = Ipv6Addr::new(0xfd00, a, 0, 0, 0, b, c, d);
        interface.addresses.push(Address { address: v6.to_string(), network });
    }
    Inventory { interfaces, ..Inventory::default() }
}

/// Starts a peer that serves this.
pub fn start(lab: &Lab, kind: Kind, data: &Data) -> anyhow::Result<Server> {
    let room = lab.room(&format!("dns-{kind:?}"))?;
    let address = kind.address();
    match kind {
        Kind::Echo | Kind::Dnsd => {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["--echo", &address.to_string()]);
            lab.measured("echo", &command, room)
        }
        Kind::Nsd => {
            let file = room.join("nsd.conf");
            fs::write(&file, nsd(&room, &data.write_zones(&room)?, address))?;
            // A process namespace, for it is several processes, and the first takes the others along only when asked kindly.
            let mut command = Command::new("unshare");
            command.args(["--pid", "--fork", "--kill-child", "nsd", "-d", "-c"]).arg(file);
            lab.measured("nsd", &command, room)
        }
        Kind::Knot => {
            let file = room.join("knot.conf");
            fs::write(&file, knot(&room, &data.write_zones(&room)?, address))?;
            let mut command = Command::new("knotd");
            command.arg("-c").arg(file);
            lab.measured("knotd", &command, room)
        }
        Kind::Dnsmasq => {
            let hosts = room.join("hosts");
            data.write_hosts(&hosts)?;
            lab.measured("dnsmasq", &dnsmasq(&room, &hosts, address), room)
        }
        Kind::Coredns => {
            let file = room.join("Corefile");
            fs::write(&file, corefile(&data.write_zones(&room)?, address))?;
            let mut command = Command::new(lab.tool("coredns").context("not built")?);
            command.arg("-conf").arg(file).env("GOMAXPROCS", "1");
            lab.measured("coredns", &command, room)
        }
    }
}

fn nsd(room: &Path, zones: &[ZoneFile], address: SocketAddrV4) -> String {
    let room = room.display();
    let mut text = format!(
        "server:
  server-count: 1
  ip-address: {}@{}
  tcp-count: {TCP_CONNECTIONS}
  username: \"\"
  chroot: \"\"
  zonesdir: \"{room}\"
  database: \"\"
  pidfile: \"\"
  zonelistfile: \"{room}/zone.list\"
  xfrdfile: \"{room}/xfrd.state\"
  xfrdir: \"{room}\"
  rrl-ratelimit: 0
  rrl-whitelist-ratelimit: 0
remote-control:
  control-enable: no
",
        address.ip(),
        address.port()
    );
    for ZoneFile { zone, file } in zones {
        text += &format!("zone:\n  name: {zone}\n  zonefile: \"{}\"\n", file.display());
    }
    text
}

fn knot(room: &Path, zones: &[ZoneFile], address: SocketAddrV4) -> String {
    let room = room.display();
    let mut text = format!(
        "server:
  rundir: \"{room}\"
  listen: {}@{}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
  tcp-max-clients: {TCP_CONNECTIONS}
log:
  - target: stderr
    any: error
database:
  storage: \"{room}\"
template:
  - id: default
    storage: \"{room}\"
    zonefile-sync: -1
    journal-content: none
zone:
",
        address.ip(),
        address.port()
    );
    for ZoneFile { zone, file } in zones {
        text += &format!("  - domain: {zone}\n    file: \"{}\"\n", file.display());
    }
    text
}

fn dnsmasq(room: &Path, hosts: &Path, address: SocketAddrV4) -> Command {
    let mut command = Command::new("dnsmasq");
    command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--bind-interfaces"]);
    command.args(["--no-resolv", "--no-hosts", "--local-ttl=60", "--local=/in-addr.arpa/"]);
    command.arg(format!("--local=/{ZONE}/"));
    command.arg(format!("--listen-address={}", address.ip())).arg(format!("--port={}", address.port()));
    command.arg(format!("--addn-hosts={}", hosts.display()));
    command.arg(format!("--pid-file={}/pid", room.display()));
    command
}

fn corefile(zones: &[ZoneFile], address: SocketAddrV4) -> String {
    let block = |ZoneFile { zone, file }: &ZoneFile| {
        format!("{zone}:{} {{\n  file {} {{\n    reload 0\n  }}\n}}\n", address.port(), file.display())
    };
    zones.iter().map(block).collect()
}
