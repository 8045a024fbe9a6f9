//! The program: its flags, then [`daemon::main`] or a question to the running one.

use anyhow::Context;
use clap::{Parser, Subcommand};
use config::Program;
use daemon::ask;
use dnsd::explain::Explained;
use std::{path::Path, process::ExitCode};

/// DNS for the machines in SMD
#[derive(Parser)]
#[command(name = "dnsd", version = daemon::VERSION)]
struct Arguments {
    #[command(flatten)]
    common: daemon::Args,
    #[command(subcommand)]
    question: Option<Question>,
}

#[derive(Subcommand)]
enum Question {
    /// What the running dnsd answers, and why; exit code 3: no such record, 4: it cannot be told
    Explain {
        /// A name (without a dot: in the domain), or an address for its reverse name
        name: String,
        /// A, AAAA, PTR, SOA ...; default: A, for an address PTR
        r#type: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let Some(Question::Explain { name, r#type, json }) = arguments.question else {
        return daemon::main(Program::Dnsd, arguments.common, dnsd::serve);
    };
    match explain(&arguments.common.config, name, r#type, json) {
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

fn explain(file: &Path, name: String, kind: Option<String>, json: bool) -> anyhow::Result<(String, u8)> {
    let query: Vec<_> = [("name", name)].into_iter().chain(kind.map(|kind| ("type", kind))).collect();
    let page = ask::running(Program::Dnsd, file, "/explain", &query)?;
    let explained: Explained =
        serde_json::from_str(&page).context("what answers is no dnsd of this release")?;
    let text = match json {
        true => format!("{}\n", serde_json::to_string_pretty(&explained)?),
        false => ask::indented(&explained.text),
    };
    Ok((text, explained.exit_code()))
}
