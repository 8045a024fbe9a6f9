//! A stand-in for SMD with its exact answers, oddities included, that can be changed and made to fail while it runs.
//!
//! Checked against recordings of the real one: `tests/smd_answers.rs`. Known to be missing: Subscriptions, signatures and
//! claims of tokens, authorisation policies, `service/values` in the real order, and that SMD takes request lines up to
//! 1 MB (here, as in every hyper server, a URI ends at 64 kB).

mod answer;
mod components;
mod control;
mod faults;
mod generate;
mod groups;
mod http;
mod interfaces;
mod listener;
mod query;
mod redfish;
mod rows;
mod state;
mod types;
mod values;
mod xname;

pub use faults::{Failure, Fault};
pub use generate::{MAX_NODES, generate};
pub use jiff::{SignedDuration, Timestamp};
pub use types::{Address, Component, EthernetInterface, Group, Inventory, Members, Partition};

use listener::{Cut, Door};
use state::State;
use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::{Duration, Instant},
};
use tokio::{sync::watch, task::JoinHandle};

/// The token SMD wants for everything but the public reads.
#[derive(Debug, Clone)]
pub struct Token {
    /// What follows `Bearer `.
    pub text: String,
    /// Complain in the words of the TokenSmith backend instead of the older one's.
    pub tokensmith: bool,
    /// From then on it is no good any more; absent: never.
    pub expires: Option<Instant>,
}

impl Token {
    /// One that is good for ever, with the complaints of the older backend.
    pub fn new(text: &str) -> Token {
        Token { text: text.to_owned(), tokensmith: false, expires: None }
    }

    /// The same, good for so long from now.
    pub fn for_time(self, time: Duration) -> Token {
        Token { expires: Some(Instant::now() + time), ..self }
    }
}

/// How a stand-in starts.
#[derive(Debug, Clone)]
pub struct Options {
    /// Port 0: any free one.
    pub listen: SocketAddr,
    /// What it holds at first.
    pub inventory: Inventory,
    /// Absent: nobody is asked for one.
    pub token: Option<Token>,
}

impl Default for Options {
    fn default() -> Options {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Options { listen, inventory: Inventory::default(), token: None }
    }
}

/// What the connections share.
pub(crate) struct Shared {
    state: RwLock<State>,
    failures: Mutex<Vec<Failure>>,
    requests: Mutex<BTreeMap<String, u64>>,
    token: Mutex<Option<Token>>,
    /// Between the two transactions of a re-discovery.
    gap: Mutex<Duration>,
    open: watch::Sender<bool>,
}

impl Shared {
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().expect("nobody panics holding it")
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().expect("nobody panics holding it")
    }

    fn fail(&self, failure: Failure) {
        self.failures.lock().expect("nobody panics holding it").push(failure);
    }

    fn heal(&self) {
        self.failures.lock().expect("nobody panics holding it").clear();
        self.refuse(false);
    }

    fn gap(&self) -> Duration {
        *self.gap.lock().expect("nobody panics holding it")
    }

    fn set_gap(&self, gap: Duration) {
        *self.gap.lock().expect("nobody panics holding it") = gap;
    }

    fn set_token(&self, token: Option<Token>) {
        *self.token.lock().expect("nobody panics holding it") = token;
    }

    fn refuse(&self, refuse: bool) {
        self.open.send_replace(!refuse);
    }

    fn is_refusing(&self) -> bool {
        !*self.open.borrow()
    }

    /// A component with all its interfaces, or the interface with this MAC.
    fn remove(&self, key: &str) -> bool {
        let mut state = self.write();
        let Some(id) = xname::normal(key) else {
            return state.interface_id(key).is_some_and(|id| state.interfaces.remove(&id).is_some());
        };
        let mine: Vec<String> =
            state.interfaces.iter().filter(|row| row.component_id == id).map(|row| row.id.clone()).collect();
        for row in &mine {
            state.interfaces.remove(row);
        }
        state.remove_component(&id) || !mine.is_empty()
    }
}

/// A running stand-in; it ends when dropped.
pub struct Sim {
    shared: Arc<Shared>,
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Sim {
    /// Starts one on a free port of 127.0.0.1.
    pub async fn start(inventory: Inventory) -> Sim {
        let options = Options { inventory, ..Options::default() };
        Sim::start_with(options).await.expect("127.0.0.1 has a free port")
    }

    /// Starts one as told; the error is that of binding.
    pub async fn start_with(options: Options) -> io::Result<Sim> {
        let (open, opened) = watch::channel(true);
        let shared = Arc::new(Shared {
            state: RwLock::default(),
            failures: Mutex::default(),
            requests: Mutex::default(),
            token: Mutex::new(options.token),
            gap: Mutex::default(),
            open,
        });
        shared.write().load(options.inventory);
        let door = Door::bind(options.listen, opened).await?;
        let address = door.address();
        let service = axum::Router::new()
            .fallback(http::handle)
            .with_state(shared.clone())
            .into_make_service_with_connect_info::<Cut>();
        let server = tokio::spawn(async move {
            let _ = axum::serve(door, service).await;
        });
        Ok(Sim { shared, address, server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// For `smd_cache.smd.url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds rows, or replaces those of the same key. Nothing is checked. Rows without `LastUpdate` get the time of now.
    pub fn load(&self, inventory: Inventory) {
        self.shared.write().load(inventory);
    }

    /// Adds, or replaces, a node with one interface.
    pub fn add_node(&self, id: &str, nid: i64, mac: &str, address: &str) {
        let interfaces = vec![EthernetInterface::new(mac, id, &[address])];
        self.load(Inventory { interfaces, components: vec![Component::new(id, nid)], groups: Vec::new() });
    }

    /// Gives an interface these addresses, as a PATCH does. False: no such MAC.
    pub fn set_addresses(&self, mac: &str, addresses: &[&str]) -> bool {
        let mut state = self.shared.write();
        let Some(id) = state.interface_id(mac) else { return false };
        let wanted = EthernetInterface::new(mac, "", addresses).addresses;
        state.change_interface(&id, true, |row| row.addresses = wanted).is_some()
    }

    /// Changes a component in place, as a PATCH does: no time anywhere tells of it. False: no such xname.
    pub fn change_component(&self, id: &str, change: impl FnOnce(&mut Component)) -> bool {
        let mut state = self.shared.write();
        let Some(mut row) = state.components.find(id).cloned() else { return false };
        change(&mut row);
        state.put_component(row);
        true
    }

    /// Removes a component with its interfaces (an xname), or one interface (a MAC). False: there was none.
    pub fn remove(&self, key: &str) -> bool {
        self.shared.remove(key)
    }

    /// Everything it holds.
    pub fn inventory(&self) -> Inventory {
        self.shared.read().dump()
    }

    /// Lets requests fail; several failures are looked at in the order they were given.
    pub fn fail(&self, failure: Failure) {
        self.shared.fail(failure);
    }

    /// Closes the port (connections are refused) or opens it again.
    pub fn refuse(&self, refuse: bool) {
        self.shared.refuse(refuse);
    }

    /// Ends all failures.
    pub fn heal(&self) {
        self.shared.heal();
    }

    /// Wants this token from now on.
    pub fn set_token(&self, token: Option<Token>) {
        self.shared.set_token(token);
    }

    /// How long a re-discovery (`PUT Inventory/RedfishEndpoints/{id}`) leaves its interfaces missing.
    pub fn set_gap(&self, gap: Duration) {
        self.shared.set_gap(gap);
    }

    /// Sets the database's running clock so far from ours, also back: `LastUpdate` of what is written from now on.
    pub fn set_clock_offset(&self, offset: SignedDuration) {
        self.shared.write().set_clock_offset(offset);
    }

    /// What the database's clock shows, one time a write and the last one for ever; nothing: it runs.
    pub fn set_clock(&self, times: impl IntoIterator<Item = Timestamp>) {
        self.shared.write().clock = times.into_iter().collect();
    }

    /// How many requests there were, by `METHOD path?keys`.
    pub fn requests(&self) -> BTreeMap<String, u64> {
        self.shared.requests.lock().expect("nobody panics holding it").clone()
    }

    /// Runs until the server ends, which it does only when its task is aborted.
    pub async fn join(mut self) {
        let _ = (&mut self.server).await;
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.server.abort();
    }
}
