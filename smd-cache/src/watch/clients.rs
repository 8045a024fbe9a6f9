//! Who watches: for `GetStatus` and `/targets`, and so that there is a bound.

use crate::snapshot::contract::timestamp;
use jiff::Timestamp;
use proto::v1;
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A daemon of each kind on three hundred hosts. A guess.
pub const MAX_WATCHERS: usize = 1_000;

/// What a client says of itself is cut to this many characters.
const MAX_WORD: usize = 64;

/// The open Watches.
#[derive(Debug, Clone, Default)]
pub struct Clients(Arc<Mutex<Open>>);

#[derive(Debug, Default)]
struct Open {
    last_number: u64,
    clients: BTreeMap<u64, Client>,
}

#[derive(Debug)]
struct Client {
    name: String,
    version: String,
    host: Option<IpAddr>,
    admin_port: u16,
    connected_at: Timestamp,
    generation: u64,
}

/// There are [`MAX_WATCHERS`] already.
#[derive(Debug, thiserror::Error)]
#[error("there are {MAX_WATCHERS} Watches already")]
pub struct TooMany;

/// One open Watch; struck off when dropped.
#[derive(Debug)]
pub struct Registered {
    clients: Clients,
    number: u64,
    name: String,
}

impl Clients {
    /// Takes a Watch in.
    pub fn register(
        &self,
        name: &str,
        version: &str,
        host: Option<IpAddr>,
        admin_port: u16,
    ) -> Result<Registered, TooMany> {
        let mut open = self.open();
        if open.clients.len() >= MAX_WATCHERS {
            return Err(TooMany);
        }
        open.last_number += 1;
        let number = open.last_number;
        let name = word(name);
        let client = Client {
            name: name.clone(),
            version: word(version),
            host,
            admin_port,
            connected_at: Timestamp::now(),
            generation: 0,
        };
        open.clients.insert(number, client);
        Ok(Registered { clients: self.clone(), number, name })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.open().clients.len()
    }

    /// All of them, the longest connected first.
    pub fn messages(&self) -> Vec<v1::Client> {
        let message = |client: &Client| v1::Client {
            name: client.name.clone(),
            version: client.version.clone(),
            host: client.host.map(|host| host.to_string()).unwrap_or_default(),
            admin_port: client.admin_port.into(),
            connected_at: Some(timestamp(client.connected_at)),
            generation: client.generation,
        };
        self.open().clients.values().map(message).collect()
    }

    /// Where their admin HTTP is: the host is the connection's, only the port is the client's word. Sorted, each once.
    pub fn targets(&self) -> Vec<SocketAddr> {
        let target = |client: &Client| Some(SocketAddr::new(client.host?, client.admin_port));
        let mut targets: Vec<_> =
            self.open().clients.values().filter(|client| client.admin_port != 0).filter_map(target).collect();
        targets.sort_unstable();
        targets.dedup();
        targets
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registered {
    /// The generation it was sent last.
    pub fn sent(&self, generation: u64) {
        if let Some(client) = self.clients.open().clients.get_mut(&self.number) {
            client.generation = generation;
        }
    }

    /// What it calls itself.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.clients.open().clients.remove(&self.number);
    }
}

fn word(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_WORD).collect()
}
