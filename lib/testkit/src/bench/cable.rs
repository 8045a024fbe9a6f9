//! A wire of its own: the server at one end, who asks it at the other, each in a network namespace.

use crate::cluster::Namespace;
use anyhow::{Context, ensure};
use nix::{
    sched::{CloneFlags, setns},
    unistd::geteuid,
};
use std::{fs::File, net::Ipv4Addr, process::Command, thread};

/// What answers.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 1);
/// What asks.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 2);

/// Both ends.
pub struct Cable {
    pub server: Namespace,
    pub client: Namespace,
}

impl Cable {
    /// `srv0` at the server's end, `cli0` at the other.
    pub fn new() -> anyhow::Result<Cable> {
        ensure!(
            geteuid().is_root(),
            "this part needs network namespaces: run it as root, or leave it out (PARTS=...)"
        );
        let cable = Cable { server: Namespace::new("server"), client: Namespace::new("client") };
        let Cable { server, client } = &cable;
        server.ip(&format!("link add srv0 type veth peer name cli0 netns {}", client.name()));
        for (end, device, address) in [(server, "srv0", SERVER), (client, "cli0", CLIENT)] {
            end.ip(&format!("addr add {address}/12 dev {device}"));
            end.ip(&format!("link set {device} up"));
        }
        Ok(cable)
    }

    /// Does this in a thread of its own, which lives at the server's end, and so do the programs it starts.
    pub fn at_server<T: Send>(&self, work: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
        within(&self.server, work)
    }

    /// Does this at the other end: a socket opened there stays there.
    pub fn at_client<T: Send>(&self, work: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
        within(&self.client, work)
    }
}

/// Refuses to begin where one of these programs of Debian's packages is missing.
pub fn need(tools: &[(&str, &str)]) -> anyhow::Result<()> {
    for (tool, package) in tools {
        let found = Command::new("which").arg(tool).output().is_ok_and(|output| output.status.success());
        ensure!(found, "{tool} is missing: apt-get install {package}");
    }
    Ok(())
}

fn within<T: Send>(
    namespace: &Namespace,
    work: impl FnOnce() -> anyhow::Result<T> + Send,
) -> anyhow::Result<T> {
    let inside = || {
        let file = File::open(format!("/run/netns/{}", namespace.name())).context("a namespace of ours")?;
        setns(file, CloneFlags::CLONE_NEWNET).context("entering a namespace")?;
        work()
    };
    thread::scope(|scope| scope.spawn(inside).join())
        .unwrap_or_else(|_| Err(anyhow::anyhow!("the bench panicked")))
}
