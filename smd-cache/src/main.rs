//! Reads SMD's inventory and serves it to dhcpd, dnsd and tftpd.

use clap::Parser;
use std::process::ExitCode;

/// Reads SMD's inventory and serves one indexed, named snapshot of it over gRPC
#[derive(Parser)]
#[command(name = "smd-cache", version = daemon::VERSION)]
struct Arguments {
    #[command(flatten)]
    daemon: daemon::Args,
}

fn main() -> ExitCode {
    daemon::main(config::Program::SmdCache, Arguments::parse().daemon, smd_cache::serve)
}
