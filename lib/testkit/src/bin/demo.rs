//! One node boots from SMD's inventory through the four programs, and tells its story (`make demo`).
//!
//! The work is done in `testkit::demo`; this is the command line around it.

use clap::Parser;
use std::{
    env::{args_os, current_exe},
    process::ExitCode,
};
use testkit::{
    demo::{self, BECOME, Options},
    smd::MAX_NODES,
};

/// Boots one node of a made-up cluster through smd-cache, dhcpd, dnsd and tftpd, and shows every step
#[derive(Parser)]
#[command(name = "demo", version)]
struct Args {
    /// End after the story instead of staying up
    #[arg(long)]
    once: bool,
    /// How many nodes the cluster has
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=MAX_NODES as i64))]
    nodes: u32,
}

fn main() -> ExitCode {
    let mut words = args_os().skip(1);
    if words.next().is_some_and(|word| word == BECOME)
        && let (Some(parent), Some(program)) = (words.next(), words.next())
    {
        let arguments: Vec<_> = words.collect();
        let error = demo::become_program(&parent.to_string_lossy(), &program, &arguments);
        eprintln!("{} cannot be run: {error}", program.display());
        return ExitCode::FAILURE;
    }
    let args = Args::parse();
    let programs = match current_exe() {
        Ok(path) => path.parent().map(Into::into).unwrap_or_default(),
        Err(error) => {
            eprintln!("demo: it cannot be told where the programs are: {error}");
            return ExitCode::FAILURE;
        }
    };
    demo::run(&Options { nodes: args.nodes as usize, once: args.once, programs })
}
