//! SMD, two smd-caches and a daemon's inventory, with the history of each machine.

use crate::{CACHES, Step, cable::Cable, history::History};
use daemon::Running;
use inventory::{Inventory, Lookup, Mac, Name, Who, Xname};
use prometheus_client::registry::Registry;
use smd_cache::{Program, config::Settings};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};
use testkit::smd::{Failure, SignedDuration, Sim};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

/// How long the newest may take to be known once all is well: a request that hangs is given up after 5 s, a client that
/// found nobody tries again after 2 s, what went is asked for twice with a second between. Room for a busy machine.
const BOUND: Duration = Duration::from_secs(20);
/// smd-cache reads SMD so often: everything that can happen between two reads happens.
const REFRESH: Duration = Duration::from_millis(30);

/// One machine with one interface.
struct Machine {
    id: String,
    mac: String,
    address: History<IpAddr>,
    nid: History<i64>,
}

/// A smd-cache, running or not.
struct Cache {
    runtime: Option<Runtime>,
    /// The same after each start.
    port: u16,
    cable: Cable,
}

/// Everything that takes part.
pub struct World {
    smd_runtime: Runtime,
    smd: Sim,
    caches: [Cache; CACHES],
    client: Option<(Runtime, Inventory)>,
    machines: Vec<Machine>,
    /// So that no address and no NID is ever given twice.
    given: u16,
    folder: tempfile::TempDir,
}

/// On a port that no connection is given by itself: one to a smd-cache that is dead could be given its port, and keep it.
fn listener() -> std::net::TcpListener {
    let ports = std::iter::repeat_with(|| fastrand::u16(10_240..32_768));
    let mut listeners = ports.map(|port| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)));
    listeners.find_map(Result::ok).expect("some port is free")
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

impl World {
    /// Everything runs; SMD has the first machine.
    pub fn new(machines: usize) -> World {
        let machine = |number: usize| Machine {
            id: format!("x1000c0s{number}b0n0"),
            mac: format!("02:00:00:00:00:{number:02x}"),
            address: History::new(),
            nid: History::new(),
        };
        let smd_runtime = runtime();
        let smd = smd_runtime.block_on(Sim::start(Default::default()));
        // All at once, so that none is given twice.
        let free = [(); CACHES].map(|()| listener());
        let caches = free.each_ref().map(|listener| Cache {
            runtime: None,
            port: listener.local_addr().unwrap().port(),
            cable: smd_runtime.block_on(Cable::to(smd.address())),
        });
        let mut world = World {
            smd_runtime,
            smd,
            caches,
            client: None,
            machines: (0..machines).map(machine).collect(),
            given: 0,
            folder: tempfile::tempdir().unwrap(),
        };
        drop(free);
        world.put(0);
        (0..CACHES).for_each(|number| world.start_cache(number));
        world.start_client();
        world
    }

    /// Lets something happen.
    pub fn take(&mut self, step: &Step) -> Result<(), String> {
        match *step {
            Step::Put(number) => self.put(number),
            Step::Renumber(number) => self.renumber(number),
            Step::Remove(number) => self.remove(number),
            Step::Fail(fault) => self.smd.fail(Failure::all(fault)),
            Step::Refuse => self.smd.refuse(true),
            Step::Heal => self.heal(),
            Step::Blind(number) => self.caches[number].cable.cut(true),
            Step::Clock(minutes) => self.smd.set_clock_offset(SignedDuration::from_mins(minutes)),
            Step::KillCache(number) => self.kill_cache(number),
            Step::StartCache(number) => self.start_cache(number),
            Step::RestartClient => self.start_client(),
            Step::Wait(time) => std::thread::sleep(Duration::from_millis(time)),
            Step::Settle => return self.settle(),
        }
        Ok(())
    }

    fn put(&mut self, number: usize) {
        self.given += 1;
        let [high, low] = self.given.to_be_bytes();
        let address = Ipv4Addr::new(10, 0, high, low);
        let machine = &mut self.machines[number];
        if machine.nid.newest().is_none() {
            machine.nid.becomes(Some(self.given.into()));
        }
        // Before SMD has it, so that nobody can be told of something that is not in the history.
        machine.address.becomes(Some(address.into()));
        let nid = machine.nid.newest().unwrap();
        self.smd.add_node(&machine.id, nid, &machine.mac, &address.to_string());
    }

    fn renumber(&mut self, number: usize) {
        self.given += 1;
        let machine = &mut self.machines[number];
        if machine.nid.newest().is_some() {
            machine.nid.becomes(Some(self.given.into()));
            self.smd.change_component(&machine.id, |component| component.nid = self.given.into());
        }
    }

    fn remove(&mut self, number: usize) {
        let machine = &mut self.machines[number];
        machine.address.becomes(None);
        machine.nid.becomes(None);
        self.smd.remove(&machine.id);
    }

    fn heal(&mut self) {
        self.smd.heal();
        self.caches.iter().for_each(|cache| cache.cable.cut(false));
    }

    fn kill_cache(&mut self, number: usize) {
        if let Some(runtime) = self.caches[number].runtime.take() {
            runtime.shutdown_background();
        }
    }

    fn config(&self, number: usize) -> config::Config {
        let endpoints = self.caches.each_ref().map(|cache| format!("'http://127.0.0.1:{}'", cache.port));
        let (endpoints, folder) = (endpoints.join(", "), self.folder.path().display());
        let text = format!(
            "domain: c.local\n\
             inventory: {{endpoints: [{endpoints}], replica_file: '{folder}/replica'}}\n\
             smd_cache: {{snapshot_file: '{folder}/snapshot-{number}', poll_changes: 100ms, stale_after: 1s}}\n"
        );
        config::parse(&text).unwrap()
    }

    fn start_cache(&mut self, number: usize) {
        if self.caches[number].runtime.is_some() {
            return;
        }
        let mut settings = Settings::of(&self.config(number));
        settings.listen = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, self.caches[number].port))];
        settings.admin = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        settings.smd.url = format!("http://{}", self.caches[number].cable.address());
        settings.refresh = REFRESH;
        let runtime = runtime();
        let end = Instant::now() + BOUND;
        loop {
            let running = Running::new(config::Program::SmdCache, self.config(number));
            match runtime.block_on(Program::start(running, settings.clone())) {
                Ok(program) => break drop(runtime.spawn(program.run())),
                Err(error) => assert!(Instant::now() < end, "{error:#}"), // the one before is not quite dead
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.caches[number].runtime = Some(runtime);
    }

    fn start_client(&mut self) {
        if let Some((runtime, _)) = self.client.take() {
            runtime.shutdown_background();
        }
        for machine in &mut self.machines {
            machine.address.reader_starts();
            machine.nid.reader_starts();
        }
        let runtime = runtime();
        let config = self.config(0).inventory;
        let who = Who { name: "dhcpd", version: "0", admin_port: 0 };
        let start =
            async { Inventory::start(&config, who, &mut Registry::default(), CancellationToken::new()) };
        let inventory = runtime.block_on(start);
        self.client = Some((runtime, inventory));
    }

    fn ask<K: inventory::Key>(&self, key: K) -> Lookup<K::Answer> {
        let (runtime, inventory) = self.client.as_ref().expect("it always runs");
        runtime.block_on(inventory.lookup(key))
    }

    /// Asks about everything, once.
    pub fn read(&mut self) -> Result<(), String> {
        for number in 0..self.machines.len() {
            self.read_address(number)?;
            self.read_nid(number)?;
            self.read_name(number)?;
        }
        Ok(())
    }

    fn read_address(&mut self, number: usize) -> Result<(), String> {
        let answer = self.ask(self.machines[number].mac.parse::<Mac>().unwrap());
        let told = told(answer, |interface| interface.addresses.first().map(|entry| entry.address));
        let stale = self.stale();
        let Machine { mac, address, .. } = &mut self.machines[number];
        check(address, told, stale).map_err(|why| format!("the address of {mac}: {why}"))
    }

    fn read_nid(&mut self, number: usize) -> Result<(), String> {
        let answer = self.ask(self.machines[number].id.parse::<Xname>().unwrap());
        let told = told(answer, |machine| machine.component.nid);
        let stale = self.stale();
        let Machine { id, nid, .. } = &mut self.machines[number];
        check(nid, told, stale).map_err(|why| format!("the NID of {id}: {why}"))
    }

    /// A name leads to an address that its machine had.
    fn read_name(&mut self, number: usize) -> Result<(), String> {
        let Some(nid) = *self.machines[number].nid.newest() else { return Ok(()) };
        let name = name(nid);
        let Lookup::Found(bearers, freshness) = self.ask(name.clone()) else { return Ok(()) };
        let Some(address) = bearers.addresses.first() else { return Ok(()) };
        let history = &mut self.machines[number].address;
        history
            .is_read(&Some(*address), !freshness.stale)
            .map_err(|why| format!("the address of {name}: {why}"))
    }

    fn stale(&self) -> bool {
        self.client.as_ref().expect("it always runs").1.health().stale
    }

    /// All is made well; then the newest is known within [`BOUND`].
    fn settle(&mut self) -> Result<(), String> {
        self.heal();
        (0..CACHES).for_each(|number| self.start_cache(number));
        let end = Instant::now() + BOUND;
        loop {
            self.read()?;
            let Err(missing) = self.is_newest() else { return Ok(()) };
            if Instant::now() > end {
                return Err(format!("after {BOUND:?}: {missing}"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn is_newest(&self) -> Result<(), String> {
        for machine in &self.machines {
            let address = told(self.ask(machine.mac.parse::<Mac>().unwrap()), |interface| {
                interface.addresses.first().map(|entry| entry.address)
            });
            let nid = told(self.ask(machine.id.parse::<Xname>().unwrap()), |known| known.component.nid);
            let newest = (Ok((*machine.address.newest(), false)), Ok((*machine.nid.newest(), false)));
            if (&address, &nid) != (&newest.0, &newest.1) {
                return Err(format!("{} is still {address:?}, {nid:?} instead of {newest:?}", machine.id));
            }
            let (Some(nid), Some(address)) = (machine.nid.newest(), machine.address.newest()) else {
                continue;
            };
            match self.ask(name(*nid)) {
                Lookup::Found(bearers, _) if bearers.addresses == [*address] => {}
                other => return Err(format!("{} is still {other:?}", name(*nid))),
            }
            match self.ask(*address) {
                Lookup::Found(holders, _) if holders.interfaces.len() == 1 => {}
                other => return Err(format!("{address} is still {other:?}")),
            }
        }
        Ok(())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        (0..CACHES).for_each(|number| self.kill_cache(number));
        if let Some((runtime, _)) = self.client.take() {
            runtime.shutdown_background();
        }
        let _in_its_runtime = self.smd_runtime.enter();
    }
}

fn name(nid: i64) -> Name {
    format!("nid{nid:04}.c.local").parse().unwrap()
}

/// It cannot be told.
#[derive(Debug, PartialEq)]
struct Unavailable;

/// What an answer says, and whether it says that it is stale.
fn told<A, T>(answer: Lookup<A>, part: impl Fn(&A) -> Option<T>) -> Result<(Option<T>, bool), Unavailable> {
    match answer {
        Lookup::Found(found, freshness) => Ok((part(&found), freshness.stale)),
        Lookup::Unknown => Ok((None, false)),
        Lookup::Unavailable => Err(Unavailable),
    }
}

/// Somebody who knows something goes on knowing it; everything else follows the history. An answer that says nothing of
/// its age is as old as the inventory says it is.
fn check<T: Clone + PartialEq + std::fmt::Debug>(
    history: &mut History<T>,
    told: Result<(Option<T>, bool), Unavailable>,
    stale: bool,
) -> Result<(), String> {
    match told {
        Ok((state, marked)) => history.is_read(&state, !(marked || state.is_none() && stale)),
        Err(Unavailable) if history.is_known_to_reader() => {
            Err("what was known cannot be told any more".to_owned())
        }
        Err(Unavailable) => Ok(()),
    }
}
