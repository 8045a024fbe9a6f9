//! `/control/`: what one does to a stand-in and not to SMD. Bodies are JSON.
//!
//! | order | body | does |
//! |---|---|---|
//! | `GET inventory` | | everything stored, in the form `POST machines` takes |
//! | `POST machines` | `{"EthernetInterfaces", "Components", "groups"}` | adds, or replaces what has the same key; nothing is checked |
//! | `POST node` | `{"id", "mac", "address", "nid"}` | one node with one interface |
//! | `DELETE machines/{xname or MAC}` | | a component with its interfaces, or one interface |
//! | `POST fail` | [`Failure`] | the matching requests fail |
//! | `DELETE fail` | | all is well again |
//! | `POST refuse` | `{"seconds"}` | the port is closed for so long |
//! | `POST gap` | `{"ms"}` | a re-discovery (PUT) leaves its interfaces missing for so long |
//! | `POST clock` | `{"offset_seconds"}` | the database's clock is so far from ours, also back |
//! | `POST token` | `{"text", "tokensmith", "seconds"}` | wants this token, which expires after so long |
//! | `DELETE token` | | wants none |
//! | `GET requests`, `DELETE requests` | | how many there were, by method, path and query keys |

use super::{
    Failure, Shared, SignedDuration, Token,
    answer::Answer,
    types::{Component, EthernetInterface, Inventory},
};
use axum::http::{Method, StatusCode};
use serde::{Deserialize, de::DeserializeOwned};
use std::{sync::Arc, time::Duration};

#[derive(Deserialize)]
struct Node {
    id: String,
    mac: String,
    address: String,
    #[serde(default)]
    nid: i64,
}

#[derive(Deserialize)]
struct Refuse {
    seconds: f64,
}

#[derive(Deserialize)]
struct Gap {
    ms: u64,
}

#[derive(Deserialize)]
struct Clock {
    offset_seconds: f64,
}

#[derive(Deserialize)]
struct Wanted {
    text: String,
    #[serde(default)]
    tokensmith: bool,
    #[serde(default)]
    seconds: Option<f64>,
}

/// Longest time the port can be closed over HTTP: nobody could open it again. A guess.
const MAX_REFUSE: f64 = 600.0;

pub(crate) fn answer(shared: &Arc<Shared>, method: &Method, order: &str, body: &[u8]) -> Answer {
    match (method.as_str(), order) {
        ("GET", "inventory") => Answer::json(&shared.read().dump()),
        ("POST", "machines") => with(body, |inventory: Inventory| shared.write().load(inventory)),
        ("POST", "node") => with(body, |node: Node| shared.write().load(node.inventory())),
        ("POST", "fail") => with(body, |failure: Failure| shared.fail(failure)),
        ("DELETE", "fail") => {
            shared.heal();
            Answer::done()
        }
        ("POST", "refuse") => with(body, |refuse: Refuse| refuse_for(shared, refuse.seconds)),
        ("POST", "gap") => with(body, |gap: Gap| shared.set_gap(Duration::from_millis(gap.ms))),
        ("POST", "clock") => with(body, |clock: Clock| {
            let offset = SignedDuration::try_from_secs_f64(clock.offset_seconds).unwrap_or_default();
            shared.write().set_clock_offset(offset);
        }),
        ("POST", "token") => with(body, |wanted: Wanted| shared.set_token(Some(wanted.token()))),
        ("DELETE", "token") => {
            shared.set_token(None);
            Answer::done()
        }
        ("GET", "requests") => Answer::json(&*shared.requests.lock().expect("nobody panics holding it")),
        ("DELETE", "requests") => {
            shared.requests.lock().expect("nobody panics holding it").clear();
            Answer::done()
        }
        ("DELETE", _) => match order.strip_prefix("machines/") {
            Some(key) if shared.remove(key) => Answer::done(),
            Some(key) => Answer::missing(&format!("there is no '{key}'")),
            None => Answer::no_page(),
        },
        _ => Answer::no_page(),
    }
}

fn with<T: DeserializeOwned>(body: &[u8], act: impl FnOnce(T)) -> Answer {
    match serde_json::from_slice(body) {
        Ok(value) => {
            act(value);
            Answer::done()
        }
        Err(error) => Answer::problem(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

fn refuse_for(shared: &Arc<Shared>, seconds: f64) {
    let time = Duration::from_secs_f64(seconds.clamp(0.0, MAX_REFUSE));
    shared.refuse(true);
    let shared = shared.clone();
    tokio::spawn(async move {
        tokio::time::sleep(time).await;
        shared.refuse(false);
    });
}

impl Wanted {
    fn token(self) -> Token {
        let good_for = self.seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let token = Token { tokensmith: self.tokensmith, ..Token::new(&self.text) };
        good_for.map_or(token.clone(), |time| token.for_time(time))
    }
}

impl Node {
    fn inventory(&self) -> Inventory {
        Inventory {
            interfaces: vec![EthernetInterface::new(&self.mac, &self.id, &[&self.address])],
            components: vec![Component::new(&self.id, self.nid)],
            groups: Vec::new(),
        }
    }
}
