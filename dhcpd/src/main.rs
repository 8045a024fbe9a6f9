//! The program: its flags, then [`daemon::main`] or a question to the running one.

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};
use dhcpd::unknown::{Row, table};
use std::{net::SocketAddr, path::Path, process::ExitCode};

/// DHCPv4 for the machines in SMD
#[derive(Parser)]
#[command(name = "dhcpd", version = daemon::VERSION)]
struct Arguments {
    #[command(flatten)]
    common: daemon::Args,
    #[command(subcommand)]
    question: Option<Question>,
}

#[derive(Subcommand)]
enum Question {
    /// Which MACs asked the running dhcpd for an address and are not in SMD
    Unknown {
        /// As JSON; each with the body of a POST to SMD's Inventory/EthernetInterfaces
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.question {
        None => daemon::main(config::Program::Dhcpd, arguments.common, dhcpd::serve),
        Some(Question::Unknown { json }) => match unknown(&arguments.common.config, json) {
            Ok(text) => {
                print!("{text}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("{error:#}");
                ExitCode::FAILURE
            }
        },
    }
}

fn unknown(file: &Path, json: bool) -> anyhow::Result<String> {
    let address = admin_address(file)?;
    let (status, page) = daemon::health::fetch(address, "/unknown")
        .with_context(|| format!("dhcpd does not answer at {address}"))?;
    if status != 200 {
        bail!("dhcpd at {address} answers with {status}");
    }
    let rows: Vec<Row> = serde_json::from_str(&page).with_context(|| format!("{address} is no dhcpd"))?;
    Ok(if json { format!("{}\n", serde_json::to_string_pretty(&rows)?) } else { table(&rows) })
}

/// What the running program wrote, else what the configuration says.
fn admin_address(file: &Path) -> anyhow::Result<SocketAddr> {
    let written = daemon::runtime::admin_address("dhcpd");
    written.or_else(|none| {
        let text = std::fs::read_to_string(file);
        let text = text.with_context(|| format!("{none}; and {} cannot be read", file.display()))?;
        Ok(config::parse(&text).with_context(|| format!("{} has mistakes", file.display()))?.dhcpd.admin)
    })
}
