//! The program: its flags, then [`daemon::main`] or a question to the running one.

use anyhow::Context;
use clap::{Parser, Subcommand};
use config::Program;
use daemon::ask;
use dhcpd::{
    explain::{Explained, Kind},
    leases::page::{self, Line},
    unknown::{Row, table},
};
use std::{net::Ipv4Addr, path::Path, process::ExitCode};
use values::Mac;

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
    /// The addresses of pools: who has which for how long
    Leases {
        #[command(subcommand)]
        what: Leases,
    },
    /// What the running dhcpd would answer to this MAC, and why; exit code 3: silence, 4: silence because nobody can tell
    Explain {
        /// In any spelling
        mac: Mac,
        /// As if it came through this relay (giaddr)
        #[arg(long, value_name = "ADDRESS")]
        relay: Option<Ipv4Addr>,
        /// As if it was heard on this interface; default: the one in whose network the machine has an address
        #[arg(long, value_name = "NAME")]
        interface: Option<String>,
        /// Architecture of its firmware (option 93): 0 BIOS, 7 UEFI x86-64, 11 UEFI arm64, 16 UEFI x86-64 over HTTP
        #[arg(long, value_name = "NUMBER")]
        arch: Option<u16>,
        /// User class (option 77): iPXE is the boot loader
        #[arg(long, value_name = "TEXT")]
        user_class: Option<String>,
        /// What it sends
        #[arg(long, value_enum, default_value = "discover")]
        message: Kind,
        /// The address it wants, or, where it renews, rebinds or informs, has
        #[arg(long, value_name = "ADDRESS")]
        requested: Option<Ipv4Addr>,
        /// The options it asks for (option 55), as 1,3,108; default: as if it asked for all
        #[arg(long, value_name = "NUMBERS")]
        options: Option<String>,
        /// As JSON, with all options of the answer
        #[arg(long)]
        json: bool,
    },
}

#[derive(Subcommand)]
enum Leases {
    /// Every address that is offered, leased, set aside, or was given once
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Frees what a MAC holds; to be used when the machine is gone, for nobody tells it
    Release {
        /// In any spelling
        mac: Mac,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let Some(question) = arguments.question else {
        return daemon::main(Program::Dhcpd, arguments.common, dhcpd::serve);
    };
    match answer(&arguments.common.config, question) {
        Ok((text, code)) => {
            print!("{text}");
            ExitCode::from(code)
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn answer(file: &Path, question: Question) -> anyhow::Result<(String, u8)> {
    match question {
        Question::Unknown { json } => Ok((unknown(file, json)?, 0)),
        Question::Leases { what: Leases::List { json } } => Ok((leases(file, json)?, 0)),
        Question::Leases { what: Leases::Release { mac } } => release(file, mac),
        Question::Explain { mac, relay, interface, arch, user_class, message, requested, options, json } => {
            let given = [
                ("relay", relay.map(|relay| relay.to_string())),
                ("interface", interface),
                ("arch", arch.map(|arch| arch.to_string())),
                ("user_class", user_class),
                ("requested", requested.map(|address| address.to_string())),
                ("options", options),
            ];
            let given = given.into_iter().filter_map(|(key, value)| Some((key, value?)));
            let all = [("mac", mac.to_string()), ("message", message.label().to_owned())];
            explain(file, &all.into_iter().chain(given).collect::<Vec<_>>(), json)
        }
    }
}

fn unknown(file: &Path, json: bool) -> anyhow::Result<String> {
    let page = ask::running(Program::Dhcpd, file, "/unknown", &[])?;
    let rows: Vec<Row> = serde_json::from_str(&page).context("what answers is no dhcpd")?;
    Ok(if json { format!("{}\n", serde_json::to_string_pretty(&rows)?) } else { table(&rows) })
}

fn leases(file: &Path, json: bool) -> anyhow::Result<String> {
    let page = ask::running(Program::Dhcpd, file, "/leases", &[])?;
    let lines: Vec<Line> = serde_json::from_str(&page).context("what answers is no dhcpd of this release")?;
    Ok(if json { format!("{}\n", serde_json::to_string_pretty(&lines)?) } else { page::table(&lines) })
}

/// Exit code 3: it holds nothing.
fn release(file: &Path, mac: Mac) -> anyhow::Result<(String, u8)> {
    let page = ask::tell(Program::Dhcpd, file, "/leases/release", &[("mac", mac.to_string())])?;
    let freed: Vec<Ipv4Addr> =
        serde_json::from_str(&page).context("what answers is no dhcpd of this release")?;
    Ok(match freed.is_empty() {
        true => (format!("{mac} holds no address of a pool\n"), 3),
        false => (freed.iter().map(|address| format!("{address} is free\n")).collect(), 0),
    })
}

fn explain(file: &Path, query: &[(&str, String)], json: bool) -> anyhow::Result<(String, u8)> {
    let page = ask::running(Program::Dhcpd, file, "/explain", query)?;
    let explained: Explained =
        serde_json::from_str(&page).context("what answers is no dhcpd of this release")?;
    let text = match json {
        true => format!("{}\n", serde_json::to_string_pretty(&explained)?),
        false => ask::indented(&explained.text),
    };
    Ok((text, explained.exit_code()))
}
