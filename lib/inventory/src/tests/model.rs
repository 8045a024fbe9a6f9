//! Any order of changes, reads, losses, restarts and questions: what is answered is a state SMD had, and for no key one that is
//! older than what was answered before.
//!
//! The client is the real one but for its sockets: `Session`, the layers, the replica file's content. SMD is a list of all
//! its states; the servers are two simple smd-caches with clocks of their own, which decide who is synced as DESIGN.md says.

mod world;

use super::*;
use crate::{
    clock,
    keys::AnyKey,
    watch::{Effect, Session},
};
use proptest::prelude::*;
use std::collections::HashMap;
use world::{KEYS, Version, World};

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    /// A machine is added, changed or removed.
    Change {
        key: u8,
        removed: bool,
    },
    Wait {
        tenths: u64,
    },
    /// SMD can be seen by this server, or not any more.
    Sees {
        server: usize,
        sees: bool,
    },
    Begin(usize),
    End(usize),
    Delta(usize),
    /// With what it has on disk.
    Restart {
        server: usize,
        forgets: bool,
    },
    /// The client's Watch ends and goes on there.
    Connect(usize),
    Lose,
    /// So many events arrive.
    Deliver(usize),
    Ask(u8),
    AskName(u8),
    /// The client starts again from its replica file.
    RestartClient,
}

fn step() -> impl Strategy<Value = Step> {
    let server = || 0..2usize;
    prop_oneof![
        6 => (0..KEYS, any::<bool>()).prop_map(|(key, removed)| Step::Change { key, removed }),
        5 => (1..80u64).prop_map(|tenths| Step::Wait { tenths }),
        2 => (server(), any::<bool>()).prop_map(|(server, sees)| Step::Sees { server, sees }),
        4 => server().prop_map(Step::Begin),
        4 => server().prop_map(Step::End),
        3 => server().prop_map(Step::Delta),
        2 => (server(), any::<bool>()).prop_map(|(server, forgets)| Step::Restart { server, forgets }),
        3 => server().prop_map(Step::Connect),
        1 => Just(Step::Lose),
        8 => (1..6usize).prop_map(Step::Deliver),
        10 => (0..KEYS).prop_map(Step::Ask),
        3 => (0..KEYS).prop_map(Step::AskName),
        1 => Just(Step::RestartClient),
    ]
}

struct Client {
    session: Session,
    layers: Arc<Layers>,
    at: Option<(usize, world::Watch)>,
}

impl Client {
    fn holding(replica: Replica) -> Client {
        let layers = Layers::new(Replica::default(), None, Arc::default(), TaskTracker::new());
        layers.calls.got(&replica.origin().instance, clock::now());
        let mut client = Client { session: Session::new(replica, true), layers: Arc::new(layers), at: None };
        client.lose();
        client
    }

    fn carry_out(&mut self, effect: Effect) {
        let restarts = effect.restart.is_some();
        self.layers.take(effect, self.session.link(), self.session.standard());
        if restarts {
            self.lose();
        }
    }

    fn lose(&mut self) {
        self.at = None;
        let effect = self.session.lost();
        self.carry_out(effect);
    }

    fn connect(&mut self, world: &World, server: usize) {
        self.lose();
        let told = self.layers.calls.told(self.session.request().freshness);
        self.at = Some((server, world.servers[server].watch(told)));
    }

    /// Whether there is more than heartbeats.
    fn deliver(&mut self, world: &World) -> bool {
        let Some((server, watch)) = &mut self.at else { return false };
        let event = world.servers[*server].next(watch, world);
        let more = !matches!(event, Event::Heartbeat(_));
        let effect = self.session.event(event);
        self.carry_out(effect);
        more
    }

    fn ask<K: Key>(&self, world: &World, key: K) -> Lookup<K::Answer> {
        if let Some(answer) = self.layers.peek(&key) {
            return answer;
        }
        let any: AnyKey = key.any();
        let at = self.at.as_ref().filter(|_| self.session.link().connected);
        let reply = at.map(|(server, _)| world.servers[*server].answer(world, &any));
        let called =
            reply.map_or(calls::Called::Unavailable, |reply| self.layers.calls.understand(&any, reply));
        self.layers.conclude(key, called)
    }
}

/// What was answered so far: for each question the oldest state that the last answer fits to.
#[derive(Default)]
struct Memory(HashMap<(bool, u8), usize>);

impl Memory {
    /// Fails on an answer that fits to no state since the last one.
    fn check(
        &mut self,
        world: &World,
        by_name: bool,
        key: u8,
        answer: Option<Version>,
    ) -> Result<(), String> {
        let floor = self.0.get(&(by_name, key)).copied().unwrap_or(0);
        let fits =
            (floor..world.states.len()).find(|state| world.states[*state].get(&key).copied() == answer);
        match fits {
            Some(state) => drop(self.0.insert((by_name, key), state)),
            None => {
                return Err(format!(
                    "{key} (by name: {by_name}) is {answer:?}, which it is not since state {floor}"
                ));
            }
        }
        Ok(())
    }
}

fn run(steps: &[Step], skews: [i64; 2]) -> Result<(), TestCaseError> {
    let mut world = World::new(skews);
    world.set_clock();
    let mut client = Client::holding(Replica::default());
    let mut memory = Memory::default();
    settle(&mut world, &mut client, 0);
    for step in steps {
        play(step, &mut world, &mut client, &mut memory)
            .map_err(|why| TestCaseError::fail(format!("{why}\nat {step:?}\n{world:?}")))?;
    }
    // Whatever happened: a server that sees and reads leads everybody to the newest state. (What was pulled through may
    // live in the cache for a minute longer; a client that was started anew has none.)
    client = Client::holding((*client.layers.snapshot()).clone());
    settle(&mut world, &mut client, 1);
    for key in 0..KEYS {
        let (found, newest) = (version(client.ask(&world, world::mac(key))), world.newest(key));
        prop_assert_eq!(found, Ok(newest), "key {} at the end\n{:?}", key, world);
    }
    clock::SET.set(None);
    Ok(())
}

fn settle(world: &mut World, client: &mut Client, server: usize) {
    world.wait(20);
    client.connect(world, server);
    world.servers[server].sees = true;
    world.wait(20);
    world.begin(server);
    world.end(server);
    while client.deliver(world) {}
}

fn play(step: &Step, world: &mut World, client: &mut Client, memory: &mut Memory) -> Result<(), String> {
    match *step {
        Step::Change { key, removed } => world.change(key, removed),
        Step::Wait { tenths } => world.wait(tenths),
        Step::Sees { server, sees } => world.servers[server].sees = sees,
        Step::Begin(server) => world.begin(server),
        Step::End(server) => world.end(server),
        Step::Delta(server) => world.delta(server),
        Step::Restart { server, forgets } => {
            world.restart(server, forgets);
            if client.at.as_ref().is_some_and(|(at, _)| *at == server) {
                client.lose();
            }
        }
        Step::Connect(server) => client.connect(world, server),
        Step::Lose => client.lose(),
        Step::Deliver(events) => (0..events).for_each(|_| {
            client.deliver(world);
        }),
        Step::Ask(key) => {
            if let Ok(answer) = version(client.ask(world, world::mac(key))) {
                memory.check(world, false, key, answer)?;
            }
        }
        Step::AskName(key) => match client.ask(world, world::name(key)) {
            Lookup::Unavailable => {}
            answer => memory.check(world, true, key, named(answer))?,
        },
        Step::RestartClient => {
            // What was pulled through is not on disk: what was answered of it does not count any more.
            *memory = Memory::default();
            *client = Client::holding((*client.layers.snapshot()).clone());
        }
    }
    Ok(())
}

/// Err: it cannot be told.
fn version(answer: Lookup<Interface>) -> Result<Option<Version>, ()> {
    match answer {
        Lookup::Found(interface, _) => {
            Ok(interface.addresses.first().map(|held| world::version(held.address)))
        }
        Lookup::Unknown => Ok(None),
        Lookup::Unavailable => Err(()),
    }
}

fn named(answer: Lookup<Bearers>) -> Option<Version> {
    match answer {
        Lookup::Found(bearers, _) => bearers.addresses.first().map(|address| world::version(*address)),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn nobody_is_told_what_smd_never_said_nor_what_is_older_than_before(
        steps in proptest::collection::vec(step(), 1..100),
        skews in [-450..450i64, -450..450i64],
    ) {
        run(&steps, skews)?;
    }
}
