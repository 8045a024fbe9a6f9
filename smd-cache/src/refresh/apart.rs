//! A thread of its own for reading SMD. A whole inventory arrives in hundreds of pieces, each of which keeps a thread busy for a tenth
//! of a millisecond, and tokio looks for new questions only after some sixty of them: look-ups would wait 10 ms and more. Building
//! happens here, too, and all of it yields to what answers: on one core a look-up would wait for its turn, several milliseconds.

use anyhow::Context;
use tokio::runtime::{Builder, Handle, Runtime};

/// How much the threads here yield (`nice`): on a core that answers all the time they get a tenth of it, in which what one MAC changed
/// is still built within the 150 ms that its look-up waits.
const NICENESS: i32 = 10;

/// Ends without waiting when dropped: what it reads is of no use any more.
pub struct Apart(Option<Runtime>);

impl Apart {
    pub fn new() -> anyhow::Result<Apart> {
        // Linux takes the calling thread for the process; where it may not, everything has the same priority.
        let yields = || rustix::process::setpriority_process(None, NICENESS).unwrap_or_default();
        let mut builder = Builder::new_multi_thread();
        let runtime =
            builder.worker_threads(1).thread_name("smd").on_thread_start(yields).enable_all().build();
        Ok(Apart(Some(runtime.context("a thread that reads SMD")?)))
    }

    /// Where to spawn.
    pub fn handle(&self) -> &Handle {
        self.0.as_ref().expect("taken only when dropped").handle()
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
