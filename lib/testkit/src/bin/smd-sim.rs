//! smd-sim: stands in for SMD in demos, tests and experiments.

use anyhow::Context;
use clap::Parser;
use std::{net::SocketAddr, path::PathBuf};
use testkit::smd::{Inventory, Options, Sim, Token, generate};
use tokio::signal::unix::{SignalKind, signal};

/// A stand-in for SMD with its exact answers; `/control/` changes it and makes it fail while it runs
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:27779")]
    listen: SocketAddr,
    /// Make up a cluster of so many nodes
    #[arg(long, default_value_t = 0)]
    nodes: usize,
    /// The same seed makes up the same cluster
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Load this too: {"EthernetInterfaces": [...], "Components": [...], "groups": [...]}
    #[arg(long)]
    file: Option<PathBuf>,
    /// Want this bearer token where SMD wants one
    #[arg(long)]
    token: Option<String>,
    /// Complain about tokens in TokenSmith's words
    #[arg(long)]
    tokensmith: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let token = args.token.map(|text| Token { tokensmith: args.tokensmith, ..Token::new(&text) });
    let options = Options { listen: args.listen, inventory: generate(args.nodes, args.seed), token };
    let sim = Sim::start_with(options).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    if let Some(file) = &args.file {
        let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let inventory: Inventory =
            serde_json::from_slice(&text).with_context(|| format!("{} is no inventory", file.display()))?;
        sim.load(inventory);
    }
    let held = sim.inventory();
    println!(
        "smd-sim: {} interfaces, {} components, {} groups on {}",
        held.interfaces.len(),
        held.components.len(),
        held.groups.len(),
        sim.url()
    );
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for a signal")?;
    tokio::select! {
        () = sim.join() => anyhow::bail!("the server ended"),
        _ = terminate.recv() => Ok(()), // process 1 of a container ignores it unless handled
        result = tokio::signal::ctrl_c() => result.context("cannot wait for a signal"),
    }
}
