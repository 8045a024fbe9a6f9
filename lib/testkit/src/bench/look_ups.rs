//! LookupMac of known machines, beside a gRPC server that does nothing, on the same core in turns.

use super::{
    hello::{HelloReply, HelloRequest, PATH},
    lab::{Lab, Server, table},
};
use anyhow::Context;
use proto::v1::{LookupMacRequest, Outcome, smd_cache_client::SmdCacheClient};
use std::{
    cell::Cell,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};
use tokio::task::LocalSet;
use tonic::{
    Request,
    codegen::http::uri::PathAndQuery,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;

const NODES: usize = 10_000;
/// Turns of each server.
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);
const CONNECTIONS: usize = 4;
/// Calls in flight on each connection: enough that the server never waits for us.
const IN_FLIGHT: usize = 32;

/// What one turn came to.
#[derive(Clone, Copy)]
struct Turn {
    calls_per_second: f64,
    cpu_per_call: f64,
}

pub(super) async fn measure(lab: &Lab) -> anyhow::Result<()> {
    let smd = lab.smd(NODES).await?;
    let interfaces = smd.inventory().await?.interfaces;
    let macs: Vec<String> = interfaces.into_iter().map(|interface| interface.mac).collect();
    let ports = lab.ports()?;
    let more = "  refresh: 1h\n  poll_changes: 0\n";
    let config = lab.configure("look-ups", &smd.url, ports, more)?;
    let mut cache = lab.start("smd-cache", &config)?;
    cache.ready().await?;
    let hello = lab.start_hello(ports.dnsd)?;
    let greeters = connect(ports.dnsd).await?;
    let caches = connect(ports.smd_cache).await?;
    let (mut greetings, mut look_ups) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        greetings.push(turn(&hello, &greeters, |channel, _| greet(channel)).await?);
        let macs = macs.clone();
        let one = move |channel, number: usize| look_up(channel, macs[number % macs.len()].clone());
        look_ups.push(turn(&cache, &caches, one).await?);
    }
    let (greetings, look_ups) = (median(&greetings), median(&look_ups));
    let row = |name: &str, turn: Turn, ratio: String| {
        let calls = format!("{:.0}", turn.calls_per_second);
        vec![name.to_owned(), calls, format!("{:.1} us", turn.cpu_per_call * 1e6), ratio]
    };
    let share = 100.0 * look_ups.calls_per_second / greetings.calls_per_second;
    let rows = [
        row("hello world", greetings, String::new()),
        row("LookupMac", look_ups, format!("{share:.0} % of the calls/s; aim: at least 60 %")),
    ];
    table(&format!("Look-ups over gRPC, {NODES} nodes"), &["server", "calls/s", "CPU per call", ""], &rows);
    Ok(())
}

async fn connect(address: SocketAddr) -> anyhow::Result<Vec<Channel>> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    let mut channels = Vec::new();
    let end = Instant::now() + Duration::from_secs(10);
    while channels.len() < CONNECTIONS {
        match endpoint.connect().await {
            Ok(channel) => channels.push(channel),
            Err(error) if Instant::now() > end => return Err(error).context("the server does not listen"),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    Ok(channels)
}

/// Keeps the server busy for a while.
async fn turn<F>(
    server: &Server,
    channels: &[Channel],
    call: impl Fn(Channel, usize) -> F + Clone + 'static,
) -> anyhow::Result<Turn>
where
    F: Future<Output = anyhow::Result<()>> + 'static,
{
    let (calls, failed) = (Rc::new(Cell::new(0_usize)), Rc::new(Cell::new(0_usize)));
    let tasks = LocalSet::new();
    let (cpu, began) = (server.cpu(), Instant::now());
    for number in 0..CONNECTIONS * IN_FLIGHT {
        let (calls, failed, call) = (calls.clone(), failed.clone(), call.clone());
        let channel = channels[number % CONNECTIONS].clone();
        tasks.spawn_local(async move {
            while began.elapsed() < ROUND {
                let done = calls.get();
                calls.set(done + 1);
                if call(channel.clone(), done).await.is_err() {
                    failed.set(failed.get() + 1);
                }
            }
        });
    }
    tasks.await;
    let (cpu, elapsed) = (server.cpu() - cpu, began.elapsed());
    anyhow::ensure!(failed.get() == 0, "{} of {} calls failed", failed.get(), calls.get());
    let calls = calls.get() as f64;
    Ok(Turn { calls_per_second: calls / elapsed.as_secs_f64(), cpu_per_call: cpu.as_secs_f64() / calls })
}

async fn greet(channel: Channel) -> anyhow::Result<()> {
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await?;
    let codec = ProstCodec::<HelloRequest, HelloReply>::default();
    let request = Request::new(HelloRequest { name: "02:10:00:00:00:01".to_owned() });
    grpc.unary(request, PathAndQuery::from_static(PATH), codec).await?;
    Ok(())
}

async fn look_up(channel: Channel, mac: String) -> anyhow::Result<()> {
    let reply = SmdCacheClient::new(channel).lookup_mac(LookupMacRequest { mac }).await?;
    anyhow::ensure!(reply.get_ref().outcome() == Outcome::Found, "a known machine is not found");
    Ok(())
}

/// Of each figure by itself.
fn median(turns: &[Turn]) -> Turn {
    let middle = |figure: fn(&Turn) -> f64| {
        let mut all: Vec<f64> = turns.iter().map(figure).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    Turn {
        calls_per_second: middle(|turn| turn.calls_per_second),
        cpu_per_call: middle(|turn| turn.cpu_per_call),
    }
}
