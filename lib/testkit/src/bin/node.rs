//! node: a pretend machine that boots from the link it is plugged into, and tells its story. `docker compose run --rm node`.

use clap::Parser;
use std::{process::ExitCode, time::Duration};
use testkit::demo::node::{self, Options};
use values::Mac;

/// Boots a pretend machine through DHCP, TFTP and DNS; it takes CAP_NET_RAW
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Its MAC; the default is that of smd-sim's first node
    #[arg(default_value = "02:10:00:00:00:00", value_parser = mac)]
    mac: Mac,
    /// Its firmware, as a number of IANA's (7: UEFI, 64 bit; 0: BIOS; 11: UEFI on ARM)
    #[arg(long, default_value_t = 7)]
    arch: u16,
    /// Where it is plugged in; default: the first interface that is up
    #[arg(long)]
    interface: Option<String>,
    /// How many seconds it goes on asking for an answer
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    wait: u64,
}

fn mac(text: &str) -> Result<Mac, String> {
    text.parse().map_err(|_| "a MAC is six bytes, as in 02:10:00:00:00:00".to_owned())
}

fn main() -> ExitCode {
    let Args { mac, arch, interface, wait } = Args::parse();
    node::run(&Options { mac, architecture: arch, interface, wait: Duration::from_secs(wait) })
}
