//! One forwarder: how it is asked, and how it has fared.

use super::{
    Answer, Question,
    answer::{Received, Sent, Wrong, check},
    health::Health,
    metrics::{Metrics, Of},
    query,
    stream::Stream,
    tasks::Tasks,
    tls::Tls,
    udp,
};
use crate::wire::HEADER;
use config::{Carriage, Forwarder};
use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Why a forwarder gave no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// In time.
    Timeout,
    /// Nobody listens there, or there is no way to it.
    Unreachable,
    /// It closed the connection.
    Closed,
    /// No handshake; why.
    Tls(String),
    /// What came could not be read.
    Malformed,
    /// This host has no socket left: none of the forwarder's fault.
    Local,
}

impl Failure {
    /// Metric labels.
    pub const LABELS: [&'static str; 6] = ["timeout", "unreachable", "closed", "tls", "malformed", "local"];

    /// Place in [`Failure::LABELS`].
    pub fn index(&self) -> usize {
        match self {
            Failure::Timeout => 0,
            Failure::Unreachable => 1,
            Failure::Closed => 2,
            Failure::Tls(_) => 3,
            Failure::Malformed => 4,
            Failure::Local => 5,
        }
    }

    /// The next query would fare no better.
    pub fn is_lasting(&self) -> bool {
        matches!(self, Failure::Unreachable | Failure::Tls(_))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Timeout => f.write_str("it does not answer in time"),
            Failure::Unreachable => f.write_str("it cannot be reached"),
            Failure::Closed => f.write_str("it closes the connection"),
            Failure::Tls(why) => write!(f, "TLS: {why}"),
            Failure::Malformed => f.write_str("what it sends cannot be read"),
            Failure::Local => f.write_str("there is no socket for it"),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        use io::ErrorKind;
        match error.kind() {
            ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::TimedOut
            | ErrorKind::PermissionDenied => Failure::Unreachable,
            _ => Failure::Local,
        }
    }
}

/// A forwarder.
pub struct Upstream {
    /// As in the configuration.
    pub forwarder: Forwarder,
    ca: Option<PathBuf>,
    /// The same as text: metric label, and who an answer is from.
    pub name: Arc<str>,
    stream: Stream,
    state: Mutex<State>,
    counters: Of,
}

#[derive(Default)]
struct State {
    health: Health,
    /// There is a task that probes.
    probed: bool,
}

impl Upstream {
    /// `ca`: for those on TLS.
    pub fn new(forwarder: &Forwarder, ca: Option<&Path>, metrics: &Metrics, tasks: &Tasks) -> Upstream {
        let name: Arc<str> = forwarder.to_string().into();
        let tls = match &forwarder.carriage {
            Carriage::Plain => None,
            // The configuration has `forward_ca` where there is TLS; without one nobody would be trusted.
            Carriage::Tls(name) => Some(Tls::new(forwarder, name.as_ref(), ca.unwrap_or(Path::new("")))),
        };
        let counters = metrics.of(&name);
        counters.healthy.set(1);
        Upstream {
            forwarder: forwarder.clone(),
            ca: ca.map(Path::to_owned),
            stream: Stream::new(forwarder.address, tls, tasks.clone()),
            state: Mutex::default(),
            name,
            counters,
        }
    }

    /// Whether a configuration means this one.
    pub fn is(&self, forwarder: &Forwarder, ca: Option<&Path>) -> bool {
        self.forwarder == *forwarder && (self.ca.as_deref() == ca || forwarder.carriage == Carriage::Plain)
    }

    /// Whether it is to be asked.
    pub fn is_up(&self) -> bool {
        self.state().health.is_up()
    }

    /// Asks it once, and remembers how it fared. True: it was put aside just now, and must be probed.
    pub async fn ask(&self, question: &Question, spelled: &[u8]) -> (Result<Answer, Failure>, bool) {
        self.counters.queries.inc();
        let started = Instant::now();
        let answer = self.attempt(question, spelled).await;
        let needs_probing = match &answer {
            Ok(_) => {
                self.counters.seconds.observe(started.elapsed().as_secs_f64());
                self.answered();
                false
            }
            Err(failure) => self.failed(failure),
        };
        (answer, needs_probing)
    }

    async fn attempt(&self, question: &Question, spelled: &[u8]) -> Result<Answer, Failure> {
        let received = match self.exchange(question, spelled, true).await? {
            Received::NoEdns => self.exchange(question, spelled, false).await?,
            received => received,
        };
        match received {
            // What comes in the clear anybody on the way could have marked so (RFC 4035 §4.9.3).
            Received::Whole(answer) => {
                let authentic = answer.authentic && self.forwarder.carriage != Carriage::Plain;
                Ok(Answer { authentic, ..answer })
            }
            Received::Truncated | Received::NoEdns => Err(Failure::Malformed),
        }
    }

    /// Over UDP, where that is enough; else over the stream.
    async fn exchange(&self, question: &Question, spelled: &[u8], edns: bool) -> Result<Received, Failure> {
        let sent = Sent { id: query::id(), spelled, kind: question.kind() };
        let message = query::write(question, spelled, sent.id, edns);
        if self.forwarder.carriage == Carriage::Plain {
            let wrong = |why| self.counters.wrong(why);
            match udp::ask(self.forwarder.address, &message, sent, wrong).await? {
                Received::Truncated => {}
                received => return Ok(received),
            }
        }
        let mut answer = self.stream.ask(message).await?;
        let mut checked = check(&answer, sent);
        if checked == Err(Wrong::Spelling) {
            // Here nobody else can have written it.
            answer[HEADER..HEADER + spelled.len()].copy_from_slice(spelled);
            checked = check(&answer, sent);
        }
        checked.map_err(|why| {
            self.counters.wrong(why);
            Failure::Malformed
        })
    }

    fn answered(&self) {
        let mut state = self.state();
        if !state.health.is_up() {
            tracing::info!(forwarder = %self.name, "the forwarder answers again");
        }
        state.health = state.health.answered();
        self.counters.healthy.set(1);
    }

    fn failed(&self, failure: &Failure) -> bool {
        self.counters.failed(failure);
        if *failure == Failure::Local {
            return false;
        }
        tracing::debug!(forwarder = %self.name, %failure, "a forwarder gave no answer");
        let mut state = self.state();
        let was_up = state.health.is_up();
        state.health = state.health.failed(failure.is_lasting());
        if state.health.is_up() || !was_up {
            return false;
        }
        tracing::warn!(forwarder = %self.name, why = %failure, "the forwarder is put aside until it answers again");
        self.counters.healthy.set(0);
        !std::mem::replace(&mut state.probed, true)
    }

    /// How long until it is to be probed; `None`: it is up, and nobody probes it any more.
    pub fn next_probe(&self) -> Option<Duration> {
        let mut state = self.state();
        match state.health.probe() {
            Some((wait, health)) => {
                state.health = health;
                Some(wait)
            }
            None => {
                state.probed = false;
                None
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
