//! The program: its flags, then [`daemon::main`].

use clap::Parser;
use std::process::ExitCode;

/// DNS for the machines in SMD
#[derive(Parser)]
#[command(name = "dnsd", version = daemon::VERSION)]
struct Arguments {
    #[command(flatten)]
    common: daemon::Args,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    daemon::main(config::Program::Dnsd, arguments.common, dnsd::serve)
}
