//! From exec to ready while SMD is down, and what that takes of memory.

use super::lab::{Lab, Sorted, table};
use std::time::Duration;

const NODES: usize = 10_000;
const TIMES: usize = 5;

pub(super) async fn measure(lab: &Lab) -> anyhow::Result<()> {
    let ports = lab.ports()?;
    let smd = lab.smd(NODES).await?;
    let config = lab.configure("start", &smd.url, ports, "  refresh: 1s\n")?;
    let names = ["smd-cache", "dhcpd", "dnsd"];
    let mut rows = Vec::new();
    {
        // The files are written at the end at the latest.
        let mut servers = Vec::new();
        for name in names {
            let mut server = lab.start(name, &config)?;
            let took = server.ready().await?;
            let (resident, _) = server.memory();
            rows.push((name, took, resident));
            servers.push(server);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        for server in servers.into_iter().rev() {
            server.stop().await;
        }
    }
    drop(smd);
    let mut lines = Vec::new();
    for (name, with_smd, resident) in rows {
        let mut alone = Vec::new();
        for _ in 0..TIMES {
            let mut server = lab.start(name, &config)?;
            alone.push(server.ready().await?);
            server.stop().await;
        }
        let alone = Sorted::new(alone);
        lines.push(vec![
            name.to_owned(),
            format!("{:.0} ms", with_smd.as_secs_f64() * 1e3),
            format!("{:.0} ms", alone.median()),
            format!("{resident:.0} MB"),
        ]);
    }
    let head = ["program", "beside SMD and smd-cache", "alone, from its file", "resident"];
    table(&format!("From exec to ready, {NODES} nodes; aim: at most 200 ms"), &head, &lines);
    Ok(())
}
