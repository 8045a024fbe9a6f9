//! The servers that are compared, each on the first core and alone on the wire.

use super::{JUDGE, NODES};
use crate::bench::{
    cable::{Cable, SERVER},
    lab::{Lab, Server},
};
use anyhow::Context;
use std::{fs, path::Path, process::Command};

/// Kea without its file, with it (which it does not sync), and dnsmasq.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    Kea { persist: bool },
    Dnsmasq,
}

impl Peer {
    pub const ALL: [Peer; 3] = [Peer::Kea { persist: false }, Peer::Kea { persist: true }, Peer::Dnsmasq];

    pub fn name(self) -> &'static str {
        match self {
            Peer::Kea { persist: false } => "Kea, leases in memory",
            Peer::Kea { persist: true } => "Kea, leases in a file (not synced)",
            Peer::Dnsmasq => "dnsmasq, leases in a file (not synced)",
        }
    }

    /// Starts it with a pool of 65,000 addresses.
    pub fn start(self, lab: &Lab) -> anyhow::Result<Server> {
        let directory = lab.room("peer")?;
        for file in fs::read_dir(&directory)?.flatten() {
            fs::remove_file(file.path())?; // leases of the run before
        }
        match self {
            Peer::Kea { persist } => {
                let file = directory.join("kea.json");
                fs::write(&file, kea(&directory, persist))?;
                let mut command = Command::new("kea-dhcp4");
                command.arg("-c").arg(&file);
                command.env("KEA_PIDFILE_DIR", &directory).env("KEA_LOCKFILE_DIR", "none");
                lab.measured("kea-dhcp4", &command, directory)
            }
            Peer::Dnsmasq => {
                let mut command = Command::new("dnsmasq");
                command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--user=root"]);
                command.args(["--no-ping", "--quiet-dhcp", "--dhcp-lease-max=70000", "--interface=srv0"]);
                command.arg("--dhcp-range=172.20.0.1,172.20.255.254,255.240.0.0,1h");
                command.arg(format!("--dhcp-leasefile={}/leases", directory.display()));
                command.arg(format!("--pid-file={}/pid", directory.display()));
                lab.measured("dnsmasq", &command, directory)
            }
        }
    }
}

fn kea(directory: &Path, persist: bool) -> String {
    let leases = directory.join("leases.csv");
    let value = serde_json::json!({"Dhcp4": {
        "interfaces-config": {"interfaces": [format!("srv0/{SERVER}")], "dhcp-socket-type": "udp"},
        "lease-database": {"type": "memfile", "persist": persist, "name": leases},
        "multi-threading": {"enable-multi-threading": false},
        "valid-lifetime": 3600,
        "subnet4": [{"id": 1, "subnet": "172.16.0.0/12", "pools": [{"pool": "172.20.0.0 - 172.20.255.255"}]}],
        "loggers": [{"name": "kea-dhcp4", "severity": "ERROR", "output_options": [{"output": "stderr"}]}],
    }});
    value.to_string()
}

/// dhcpd beside smd-cache and a stand-in for SMD with [`NODES`] nodes.
pub struct Ours {
    pub dhcpd: Server,
    _cache: Server,
    _smd: crate::bench::lab::Smd,
}

impl Ours {
    /// `pool`: what stands under `dhcpd.v4.unknown`.
    pub async fn start(lab: &Lab, name: &str, pool: Option<&str>) -> anyhow::Result<Ours> {
        let smd = lab.smd(NODES).await?;
        let unknown = pool.map_or(String::new(), |pool| format!(", unknown: {{{pool}}}"));
        let v4 = format!(
            "{{listen: [\"0.0.0.0:67\"], server_id: {SERVER}, router: [{SERVER}], netmask: 255.240.0.0, lease_time: 1h, \
             subnets: [{{cidr: 172.16.0.0/12}}]{unknown}}}"
        );
        let more = "  refresh: 1h\n  poll_changes: 0\n";
        let config = lab.configure_with(name, &smd.url, lab.ports()?, &v4, more)?;
        let mut cache = lab.start("smd-cache", &config)?;
        cache.ready().await?;
        let mut dhcpd = lab.start("dhcpd", &config)?;
        dhcpd.ready().await?;
        Ok(Ours { dhcpd, _cache: cache, _smd: smd })
    }
}

/// What `timeout` returns when it had to end something.
const ENDED: i32 = 124;
/// An avalanche ends by itself once all have an address, or never.
const PATIENCE: &str = "60";

/// What a run of perfdhcp said.
#[derive(Debug, Default)]
pub struct Judgement {
    /// OFFERs and ACKs that it heard.
    pub replies: u64,
    /// Messages that it counts as not answered within a second.
    pub drops: u64,
    /// How long an avalanche took, in its words; absent when it was ended before.
    pub took: Option<String>,
    /// Messages it sent again.
    pub again: u64,
}

/// perfdhcp with MACs from a file, as a relay on the machines' side of the wire.
pub fn perfdhcp(cable: &Cable, macs: &Path, arguments: &[&str]) -> anyhow::Result<Judgement> {
    let mut command = cable.client.command("timeout");
    command
        .args([PATIENCE, "perfdhcp", "-4", "-l", &JUDGE.to_string(), "-M"])
        .arg(macs)
        .args(arguments)
        .arg(SERVER.to_string());
    let output = command.output().context("perfdhcp cannot be started")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let sum = |name: &str| {
        let numbers = text.lines().filter_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
        numbers.sum()
    };
    let took = text.lines().find_map(|line| line.strip_prefix("It took 00:")?.split(' ').next());
    let judgement = Judgement {
        replies: sum("received packets:") + sum("Responses received:"),
        drops: sum("drops:"),
        took: took.map(str::to_owned),
        again: sum("Requests resent:"),
    };
    let ended = output.status.success() || judgement.replies > 0 || output.status.code() == Some(ENDED);
    anyhow::ensure!(ended, "perfdhcp failed:\n{text}{}", String::from_utf8_lossy(&output.stderr));
    Ok(judgement)
}

impl Judgement {
    /// Of an avalanche, in words.
    pub fn avalanche(&self) -> String {
        match &self.took {
            Some(took) => format!("{took}, {} sent again", self.again),
            None => format!("not within {PATIENCE} s"),
        }
    }
}
