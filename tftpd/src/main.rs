//! tftpd: boot loaders and scripts over TFTP.

use clap::Parser;
use std::process::ExitCode;

/// Boot loaders and scripts over TFTP, read-only and from memory
#[derive(Parser)]
#[command(name = "tftpd", version = daemon::VERSION)]
struct Flags {
    #[command(flatten)]
    args: daemon::Args,
}

fn main() -> ExitCode {
    daemon::main(config::Program::Tftpd, Flags::parse().args, tftpd::serve)
}
