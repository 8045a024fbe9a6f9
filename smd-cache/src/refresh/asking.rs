//! The way to the owner: asking for a read, and handing over what was pulled through.

use super::reads::Asked;
use crate::records::{ComponentRecord, Decoded, InterfaceRecord, Read};
use proto::v1;
use tokio::sync::{mpsc, oneshot};
use values::Xname;

/// People and scripts that wait for a read at the same time. A guess.
pub(super) const MAX_ASKED: usize = 64;

/// Answers to `?ID=` that wait to be taken in. They are taken in together, so more than a few wait only behind a build.
pub(super) const MAX_PULLED: usize = 64;

/// Asks the owner for a read that begins after this.
#[derive(Debug)]
pub struct Ask {
    pub(super) kind: Kind,
    pub(super) answer: Answer,
}

/// Who asks is told this way.
pub(super) type Answer = oneshot::Sender<Result<v1::Freshness, String>>;

/// What is asked of the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What changed.
    Changes,
    /// Everything.
    Whole,
    /// Everything, and to believe it whatever it says.
    Forced,
}

/// What SMD has of some MACs, to be taken in.
pub struct Pulled {
    /// The read.
    pub read: Read,
    /// What was found.
    pub interfaces: Decoded<InterfaceRecord>,
    /// Components that were not known.
    pub components: Vec<Asked<Xname, ComponentRecord>>,
    /// Told when it can be looked up.
    pub done: oneshot::Sender<()>,
}

/// The way to the owner; cheap to clone.
#[derive(Debug, Clone)]
pub struct Refresher {
    asks: mpsc::Sender<Ask>,
    pulled: mpsc::Sender<Pulled>,
}

/// The owner's end of it.
pub struct Inbox {
    pub(super) asks: mpsc::Receiver<Ask>,
    pub(super) pulled: mpsc::Receiver<Pulled>,
}

/// Why a read that was asked for did not come about.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// [`MAX_ASKED`] wait already.
    #[error("{MAX_ASKED} callers wait for a read already")]
    TooMany,
    /// SMD could not be read; what is held stays.
    #[error("{0}")]
    Failed(String),
    /// The program ends.
    #[error("smd-cache ends")]
    Ending,
}

impl Refresher {
    /// A pair: for those who ask, and for the owner.
    pub fn new() -> (Refresher, Inbox) {
        let (asks, asked) = mpsc::channel(MAX_ASKED);
        let (pulled, inbox) = mpsc::channel(MAX_PULLED);
        (Refresher { asks, pulled }, Inbox { asks: asked, pulled: inbox })
    }

    /// Waits for a read that begins after this call. Callers that come during one share the next.
    pub async fn refresh(&self, kind: Kind) -> Result<v1::Freshness, AskError> {
        let (answer, answered) = oneshot::channel();
        self.asks.try_send(Ask { kind, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => AskError::TooMany,
            mpsc::error::TrySendError::Closed(_) => AskError::Ending,
        })?;
        answered.await.map_err(|_| AskError::Ending)?.map_err(AskError::Failed)
    }

    /// Hands over what was pulled through; returns when it can be looked up. False: the owner cannot take it.
    pub async fn take_in(
        &self,
        read: Read,
        interfaces: Decoded<InterfaceRecord>,
        components: Vec<Asked<Xname, ComponentRecord>>,
    ) -> bool {
        let (done, taken) = oneshot::channel();
        let pulled = Pulled { read, interfaces, components, done };
        self.pulled.send(pulled).await.is_ok() && taken.await.is_ok()
    }
}
