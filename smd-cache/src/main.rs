//! The program: its flags, then [`daemon::main`] or a question to the running one.

mod allocator;

use clap::Parser;
use smd_cache::ask::{self, Question};
use std::process::ExitCode;

/// Reads SMD's inventory and serves one indexed, named snapshot of it over gRPC
#[derive(Parser)]
#[command(name = "smd-cache", version = daemon::VERSION)]
struct Arguments {
    #[command(flatten)]
    daemon: daemon::Args,
    #[command(subcommand)]
    question: Option<Question>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.question {
        None => {
            allocator::settle();
            daemon::main(config::Program::SmdCache, arguments.daemon, smd_cache::serve)
        }
        Some(question) => ask::main(&arguments.daemon.config, &question),
    }
}
