//! A thread of its own for reading SMD. A whole inventory arrives in hundreds of pieces, each of which keeps a thread busy for a tenth
//! of a millisecond, and tokio looks for new questions only after some sixty of them: look-ups would wait 10 ms and more.

use anyhow::Context;
use tokio::runtime::{Builder, Handle, Runtime};

/// Ends without waiting when dropped: what it reads is of no use any more.
pub struct Apart(Option<Runtime>);

impl Apart {
    pub fn new() -> anyhow::Result<Apart> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("smd").enable_all().build();
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
