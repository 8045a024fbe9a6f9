//! `Explain`: everything that leads to an answer, from the picture that gives the answer and by the rules it was built by.
//!
//! Pure: a view, a key and what the look-up of that key said go in; rules with what became of each, the problems that concern
//! the key, and sentences come out. Rules are put to things by the same walk that `snapshot::build` makes, so the two cannot
//! differ.

mod concern;
mod missing;
mod text;
mod trace;
mod wish;

#[cfg(test)]
mod tests;

pub use text::duration;

use crate::{
    naming::Naming,
    snapshot::{Bearer, Component, Interface, Snapshot},
    state::View,
};
use jiff::Timestamp;
use proto::v1::{self, LookupReply, explain_request};
use std::{net::IpAddr, sync::Arc};
use trace::Judged;
use values::{Mac, Name, Xname};

/// Interfaces of one component that are explained; real ones have a dozen. A guess.
pub const MAX_INTERFACES: usize = 32;

/// Rules put to something, in one reply: with [`MAX_SENTENCES`] it stays far below the 4 MB that clients accept.
pub const MAX_TRACES: usize = 1_000;

/// Problems in one reply. A guess: nobody reads more, and ListProblems has all.
pub const MAX_PROBLEMS: usize = 50;

/// Sentences in one reply. A guess: some screens.
pub const MAX_SENTENCES: usize = 200;

/// What is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// An interface.
    Mac(Mac),
    /// Whoever holds it.
    Address(IpAddr),
    /// Whoever bears it.
    Name(Name),
    /// A component.
    Id(Xname),
}

impl Key {
    /// Parses the request; the error is a sentence.
    pub fn of(request: &v1::ExplainRequest) -> Result<Key, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        match &request.key {
            Some(explain_request::Key::Mac(mac)) => mac.parse().map(Key::Mac).map_err(|bad| text(&bad)),
            Some(explain_request::Key::Address(address)) => {
                crate::service::parse_address(address).map(Key::Address)
            }
            Some(explain_request::Key::Name(name)) => name.parse().map(Key::Name).map_err(|bad| text(&bad)),
            Some(explain_request::Key::Id(id)) => id.parse().map(Key::Id).map_err(|bad| text(&bad)),
            None => Err("say what to explain: one of mac, address, name, id".to_owned()),
        }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Key::Mac(mac) => write!(f, "{mac}"),
            Key::Address(address) => write!(f, "{address}"),
            Key::Name(name) => write!(f, "{name}"),
            Key::Id(id) => write!(f, "{id}"),
        }
    }
}

/// Explains `key`. `found` is what its look-up says of it; `now` is for ages.
pub fn explain(view: &View, key: &Key, mut found: LookupReply, now: Timestamp) -> v1::ExplainReply {
    found.interfaces.truncate(MAX_INTERFACES);
    let scene = Scene::new(view, key);
    let judged = scene.judge();
    let problems = concern::problems(&scene, &judged);
    let sentences = text::sentences(&scene, &judged, &problems, &found, now);
    let rules = judged.iter().flat_map(|judged| judged.traces(scene.naming));
    v1::ExplainReply {
        rules: rules.take(MAX_TRACES).collect(),
        problems: problems.iter().take(MAX_PROBLEMS).map(|problem| (*problem).into()).collect(),
        text: bounded(sentences),
        found: Some(found),
    }
}

/// What the key stands for in a picture.
struct Scene<'a> {
    view: &'a View,
    naming: &'a Naming,
    key: &'a Key,
    /// `None`: nothing was ever read.
    snapshot: Option<&'a Snapshot>,
    /// At most [`MAX_INTERFACES`].
    interfaces: Vec<&'a Arc<Interface>>,
    /// How many more there are.
    left_out: usize,
    /// The component the key names or whose name it is.
    component: Option<&'a Arc<Component>>,
    /// The name is only a parent of names.
    parent: bool,
}

impl<'a> Scene<'a> {
    fn new(view: &'a View, key: &'a Key) -> Scene<'a> {
        let snapshot = view.snapshot.as_deref();
        let mut scene = Scene {
            view,
            naming: &view.naming,
            key,
            snapshot,
            interfaces: Vec::new(),
            left_out: 0,
            component: None,
            parent: false,
        };
        if let Some(snapshot) = snapshot {
            scene.find(snapshot);
        }
        scene
    }

    fn find(&mut self, snapshot: &'a Snapshot) {
        match self.key {
            Key::Mac(mac) => self.show(snapshot.interface(*mac)),
            Key::Address(address) => self.show(snapshot.by_address(*address)),
            Key::Id(id) => {
                self.component = snapshot.component(id);
                self.show(snapshot.interfaces_of(id));
            }
            Key::Name(name) => match snapshot.by_name(name) {
                Bearer::Nobody => {}
                Bearer::Parent => self.parent = true,
                Bearer::Component(component, interfaces) => {
                    self.component = Some(component);
                    self.show(interfaces);
                }
            },
        }
    }

    fn show(&mut self, interfaces: impl IntoIterator<Item = &'a Arc<Interface>>) {
        let mut interfaces = interfaces.into_iter();
        self.interfaces = interfaces.by_ref().take(MAX_INTERFACES).collect();
        self.left_out = interfaces.count();
    }

    fn is_held(&self) -> bool {
        self.parent || self.component.is_some() || !self.interfaces.is_empty()
    }

    /// The owner of an interface, where it exists.
    fn owner(&self, interface: &Interface) -> Option<&'a Arc<Component>> {
        self.snapshot?.component(interface.component_id.as_ref()?)
    }

    /// The component the key names, else those of the interfaces; each once.
    fn owners(&self) -> impl Iterator<Item = &'a Arc<Component>> {
        let mut owners: Vec<&Arc<Component>> = self.component.into_iter().collect();
        owners.extend(self.interfaces.iter().filter_map(|interface| self.owner(interface)));
        owners.dedup_by(|a, b| a.id == b.id);
        owners.into_iter()
    }

    /// Rules put to every interface without an address, to each address, and to a component that has none.
    fn judge(&self) -> Vec<Judged<'a>> {
        let mut judged = Vec::new();
        for interface in &self.interfaces {
            let owner = self.owner(interface);
            judged.push(Judged::interface(self.naming, interface, owner, None));
            let each = |address| Judged::interface(self.naming, interface, owner, Some(address));
            judged.extend(interface.addresses.iter().map(each));
        }
        let alone = self.interfaces.iter().all(|interface| interface.addresses.is_empty());
        judged.extend(self.component.filter(|_| alone).map(|one| Judged::component(self.naming, one)));
        judged
    }
}

fn bounded(mut sentences: Vec<String>) -> Vec<String> {
    if sentences.len() > MAX_SENTENCES {
        let more = sentences.len() - (MAX_SENTENCES - 1);
        sentences.truncate(MAX_SENTENCES - 1);
        sentences.push(format!("{more} more sentences are left out."));
    }
    sentences
}
