//! Figures in docs/benchmarks.md (`make bench`). The work is done in `testkit::bench`; this is the command line around it.

use clap::{Parser, ValueEnum};
use std::{
    env::current_exe,
    net::{SocketAddr, SocketAddrV4},
    process::ExitCode,
};
use testkit::bench::{self, ALL, Part};

/// Measures smd-cache and how well the daemons answer, beside peers, as CPU of the server
#[derive(Parser)]
#[command(name = "bench", version)]
struct Args {
    /// Only these
    #[arg(value_enum)]
    parts: Vec<Which>,
    /// A flood of 20 seconds instead of 5 minutes, one short round of DNS instead of several
    #[arg(long)]
    short: bool,
    /// Serve greetings on this address instead: the peer of look-ups
    #[arg(long, hide = true)]
    hello: Option<SocketAddr>,
    /// Send datagrams back on this address instead: the peer of DNS
    #[arg(long, hide = true)]
    echo: Option<SocketAddrV4>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Which {
    LookUps,
    Refresh,
    Change,
    Start,
    Dhcp,
    Dns,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match (args.hello, args.echo) {
        (Some(address), _) => bench::hello::serve(address),
        (None, Some(address)) => bench::dns::echo::serve(address),
        (None, None) => measure(&args.parts, args.short),
    };
    done.map_or_else(
        |error| {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

fn measure(which: &[Which], short: bool) -> anyhow::Result<()> {
    let part = |which: &Which| match which {
        Which::LookUps => Part::LookUps,
        Which::Refresh => Part::Refresh,
        Which::Change => Part::Change,
        Which::Start => Part::Start,
        Which::Dhcp => Part::Dhcp,
        Which::Dns => Part::Dns,
    };
    let parts: Vec<Part> = if which.is_empty() { ALL.to_vec() } else { which.iter().map(part).collect() };
    let programs = current_exe()?.parent().map(Into::into).unwrap_or_default();
    bench::run(&parts, programs, short)
}
