//! Packets that disappear between programs: nftables rules in the namespace of a machine.

use super::namespace::Namespace;
use std::{
    io::Write,
    net::IpAddr,
    process::Stdio,
    sync::atomic::{AtomicU32, Ordering},
};

/// What becomes of packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nobody hears of them, as behind a broken cable.
    Silence,
    /// Connections are reset, as by a host where nobody listens.
    Reset,
}

/// Keeps packets from arriving at a machine, until dropped.
pub struct Wall {
    machine: String,
    table: String,
}

impl Wall {
    /// Around a TCP service: what goes to the port and what comes from it. With an address only where it is that of the
    /// service. Loopback counts as well, so it stands between programs of one machine, too.
    pub fn around(machine: &Namespace, address: Option<IpAddr>, port: u16, fate: Fate) -> Wall {
        let address = |side: &str| match address {
            Some(IpAddr::V4(address)) => format!("ip {side} {address} "),
            Some(IpAddr::V6(address)) => format!("ip6 {side} {address} "),
            None => String::new(),
        };
        let (to, from) = (address("daddr"), address("saddr"));
        let rules = match fate {
            Fate::Silence => {
                vec![format!("{to}tcp dport {port} drop"), format!("{from}tcp sport {port} drop")]
            }
            // What comes from the port are the resets, too.
            Fate::Reset => vec![format!("{to}tcp dport {port} reject with tcp reset")],
        };
        Wall::of(machine, &rules)
    }

    /// Rules for what arrives, in nftables' words.
    ///
    /// # Panics
    /// When nft is missing or does not take them.
    pub fn of(machine: &Namespace, rules: &[String]) -> Wall {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let wall = Wall {
            machine: machine.name().to_owned(),
            table: format!("wall{}", COUNT.fetch_add(1, Ordering::Relaxed)),
        };
        let head = "type filter hook input priority 0; policy accept;";
        let rules = rules.join("\n");
        wall.nft(&format!("table inet {} {{\nchain in {{\n{head}\n{rules}\n}}\n}}\n", wall.table));
        wall
    }

    fn nft(&self, text: &str) {
        let mut command = std::process::Command::new("ip");
        command.args(["netns", "exec", &self.machine]).arg(super::tool("nft")).args(["-f", "-"]);
        let mut nft = command.stdin(Stdio::piped()).spawn().expect("ip, of package iproute2");
        let written = nft.stdin.take().map(|mut pipe| pipe.write_all(text.as_bytes()));
        let status = nft.wait().expect("a child of ours");
        assert!(status.success() && written.is_some_and(|it| it.is_ok()), "nft does not take this:\n{text}");
    }
}

impl Drop for Wall {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.nft(&format!("delete table inet {}\n", self.table));
        } // else the namespace goes, and the rules with it
    }
}
