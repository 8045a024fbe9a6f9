//! The demo: one node boots from SMD's inventory through the four programs, told as a story.
//!
//! ```text
//! settings   free ports, the configuration file, the loader: in a directory of its own
//! programs   smd-sim and the four programs as children, which never outlive the demo
//! story      the boot against the running programs, compared with what SMD has
//! boot       its steps; each says what it saw or why it failed
//! node       the same steps of a pretend machine on a link, which knows nothing but its MAC
//! page       how it looks
//! ```
//! Nothing needs a privilege: ports are high ones of 127.0.0.1, and the machine that boots is played by a client that says
//! it is a relay, whose replies may go to any port (RFC 8357).

mod boot;
mod decoded;
pub mod node;
mod page;
mod programs;
mod settings;
mod story;

use anyhow::Context;
use page::Page;
use programs::Programs;
pub use programs::{BECOME, become_program};
use settings::Settings;
use std::{
    future::Future,
    path::{Path, PathBuf},
    pin::pin,
    process::ExitCode,
    time::{Duration, Instant},
};
use tokio::signal::unix::{SignalKind, signal};

/// How often the children are looked at while the demo stays up.
const LOOK_AFTER: Duration = Duration::from_millis(200);
/// What a shell reports for a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// What can be chosen.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many nodes the made-up cluster has.
    pub nodes: usize,
    /// End after the story.
    pub once: bool,
    /// Where the programs are.
    pub programs: PathBuf,
}

/// Runs the demo; whatever happens, no child is left when it returns. Call it from the main thread: the children end
/// with the thread that started them.
pub fn run(options: &Options) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = runtime.context("no runtime").and_then(|runtime| runtime.block_on(until_told(options)));
    ended.unwrap_or_else(|error| {
        eprintln!("\ndemo: {error:#}");
        ExitCode::FAILURE
    })
}

/// The demo, or as much of it as there was before somebody said stop.
async fn until_told(options: &Options) -> anyhow::Result<ExitCode> {
    let directory = tempfile::Builder::new().prefix("coresmd-demo-").tempdir();
    let directory = directory.context("no temporary directory can be made")?;
    // Both live outside of the future that is dropped when somebody says stop: children end first, then their directory.
    let mut programs = Programs::new(&options.programs, directory.path());
    let page = Page::new();
    let mut stop = pin!(stop()?);
    let ended = tokio::select! {
        ended = play(options, directory.path(), &mut programs, &page) => ended,
        () = &mut stop => return Ok(ExitCode::from(INTERRUPTED)),
    };
    let stayed = match ended {
        Ok(()) if !options.once => tokio::select! {
            ended = stay(&mut programs, &page) => ended,
            () = &mut stop => {
                page.text("\nStopping.");
                Ok(())
            }
        },
        ended => ended,
    };
    if stayed.is_err() && !page.is_closed() {
        programs.show_logs();
    }
    stayed.map(|()| ExitCode::SUCCESS)
}

/// Ctrl-C, SIGTERM, or the terminal is gone.
fn stop() -> anyhow::Result<impl Future<Output = ()>> {
    let listen = |kind| signal(kind).context("signals cannot be heard");
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hangup = listen(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}

async fn play(
    options: &Options,
    directory: &Path,
    programs: &mut Programs,
    page: &Page,
) -> anyhow::Result<()> {
    let began = Instant::now();
    page.title(&format!(
        "One node boots from SMD's inventory, in a made-up cluster of {} nodes",
        options.nodes
    ));
    let settings = Settings::prepare(directory)?;
    programs.start(&settings, options.nodes, page).await?;
    let machines = story::tell(&settings, page, options.nodes).await?;
    page.text(&format!("\nThat took {:.1} s.", began.elapsed().as_secs_f64()));
    anyhow::ensure!(!page.is_closed(), "nobody reads what it says");
    if !options.once {
        settings.to_try(&options.programs, &machines, page)?;
    }
    Ok(())
}

/// Until a child ends, which is a failure.
async fn stay(programs: &mut Programs, page: &Page) -> anyhow::Result<()> {
    page.text("\nEverything stays up until Ctrl-C.");
    loop {
        programs.look_after()?;
        tokio::time::sleep(LOOK_AFTER).await;
    }
}
