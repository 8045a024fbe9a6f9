//! Figures in docs/benchmarks.md (`make bench`). The work is done in `testkit::bench`; this is the command line around it.

use clap::{Parser, ValueEnum};
use std::{env::current_exe, net::SocketAddr, process::ExitCode};
use testkit::bench::{self, ALL, Part};

/// Measures smd-cache and how soon the daemons answer, beside peers, as CPU of the server
#[derive(Parser)]
#[command(name = "bench", version)]
struct Args {
    /// Only these
    #[arg(value_enum)]
    parts: Vec<Which>,
    /// A flood of 20 seconds instead of 5 minutes
    #[arg(long)]
    short: bool,
    /// Serve greetings on this address instead: the peer of look-ups
    #[arg(long, hide = true)]
    hello: Option<SocketAddr>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Which {
    LookUps,
    Refresh,
    Change,
    Start,
    Dhcp,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.hello {
        Some(address) => bench::hello::serve(address),
        None => measure(&args.parts, args.short),
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
    };
    let parts: Vec<Part> = if which.is_empty() { ALL.to_vec() } else { which.iter().map(part).collect() };
    let programs = current_exe()?.parent().map(Into::into).unwrap_or_default();
    bench::run(&parts, programs, short)
}
