//! Failing on purpose: how an answer is spoiled, for which paths, and how often.

use super::answer::{Answer, line};
use axum::{
    body::{Body, Bytes},
    http::StatusCode,
    response::Response,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{collections::BTreeSet, io, time::Duration};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The connection is closed without a byte of answer.
    Close,
    /// The answer never comes.
    Hang,
    /// The answer comes, but `delay_ms` later.
    Slow,
    /// 500 with a problem that says nothing.
    #[serde(rename = "500")]
    Error500,
    /// What a proxy's login page looks like: 200, but HTML.
    Html,
    /// The connection ends in the middle of the body.
    HalfBody,
    /// A whole answer whose JSON ends in the middle.
    CutJson,
    /// 200 with an empty list.
    Empty,
    /// 200 with half of the machines: those whose xnames come first. The same ones everywhere, also where the others are
    /// asked for by name.
    HalfList,
    /// 200 with JSON of another shape.
    WrongShape,
    /// The body comes in pieces of 1 kB, `delay_ms` apart.
    Trickle,
    /// Filters are not looked at: everything comes back, as SMD does for a key it does not know.
    IgnoresFilters,
    /// What wants a token is 401, whatever token was given.
    Unauthorized,
    /// SMD's database is gone: reads are 500, `service/ready` is 503, `service/liveness` stays 204.
    DatabaseDown,
}

/// A fault, and the requests it meets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What goes wrong.
    pub kind: Fault,
    /// Only requests whose path and query contain this text; absent: all.
    #[serde(default)]
    pub path: Option<String>,
    /// Only the next so many requests; absent: until healed.
    #[serde(default)]
    pub requests: Option<u32>,
    /// For [`Fault::Slow`] and [`Fault::Trickle`].
    #[serde(default)]
    pub delay_ms: u64,
}

impl Failure {
    /// Every request until healed.
    pub fn all(kind: Fault) -> Failure {
        Failure { kind, path: None, requests: None, delay_ms: 0 }
    }

    /// The next so many requests.
    pub fn next(kind: Fault, requests: u32) -> Failure {
        Failure { requests: Some(requests), ..Failure::all(kind) }
    }

    /// The same with this delay, for [`Fault::Slow`] and [`Fault::Trickle`].
    pub fn by(self, delay: Duration) -> Failure {
        Failure { delay_ms: delay.as_millis() as u64, ..self }
    }

    /// Only requests whose path and query contain the text.
    pub fn on(self, path: &str) -> Failure {
        Failure { path: Some(path.to_owned()), ..self }
    }
}

/// The failure a request meets, if any; used-up ones are dropped.
pub(crate) fn meet(failures: &mut Vec<Failure>, path_and_query: &str) -> Option<Failure> {
    let hit =
        |failure: &Failure| failure.path.as_ref().is_none_or(|part| path_and_query.contains(part.as_str()));
    let index = failures.iter().position(hit)?;
    let failure = failures[index].clone();
    if let Some(left) = &mut failures[index].requests {
        *left = left.saturating_sub(1);
        if *left == 0 {
            failures.remove(index);
        }
    }
    Some(failure)
}

const LOGIN_PAGE: &str =
    "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Sign in to go on</body></html>\n";

/// A piece of [`Fault::Trickle`].
const PIECE: usize = 1024;

/// The answer that goes out in place of the right one; `first` are the machines that [`Fault::HalfList`] leaves.
/// [`Fault::Close`] is done by the connection itself, [`Fault::IgnoresFilters`] and [`Fault::Unauthorized`] before there is
/// an answer.
pub(crate) async fn spoil(
    failure: &Failure,
    right: Answer,
    path: &str,
    first: &BTreeSet<String>,
) -> Response {
    match failure.kind {
        Fault::Close | Fault::IgnoresFilters | Fault::Unauthorized => right.respond(),
        Fault::Hang => std::future::pending().await,
        Fault::Slow => {
            tokio::time::sleep(Duration::from_millis(failure.delay_ms)).await;
            right.respond()
        }
        Fault::Error500 => {
            Answer::problem(StatusCode::INTERNAL_SERVER_ERROR, "something went wrong").respond()
        }
        Fault::Html => Answer::with(StatusCode::OK, "text/html; charset=utf-8", LOGIN_PAGE.into()).respond(),
        Fault::HalfBody => half_body(right),
        Fault::CutJson => {
            let half = right.body.len() / 2;
            Answer { body: right.body.slice(..half), ..right }.respond()
        }
        Fault::Empty if path.ends_with("/Components") => {
            Answer::json(&serde_json::json!({"Components": []})).respond()
        }
        Fault::Empty => Answer::json(&serde_json::json!([])).respond(),
        Fault::HalfList => half_list(right, first).respond(),
        Fault::WrongShape => wrong_shape(path).respond(),
        Fault::Trickle => trickle(right, Duration::from_millis(failure.delay_ms)),
        Fault::DatabaseDown => no_database(right, path).respond(),
    }
}

/// What a gateway says that speaks JSON; `State/Components` as a bare list, which other versions of SMD might answer.
fn wrong_shape(path: &str) -> Answer {
    match path.ends_with("/Components") {
        true => Answer::json(&serde_json::json!([{"ID": "x1000c0s0b0n0"}])),
        false => Answer::json(&serde_json::json!({"message": "no healthy upstream", "data": []})),
    }
}

/// Only a collection has a half: the rows of these machines.
fn half_list(right: Answer, first: &BTreeSet<String>) -> Answer {
    let halved = serde_json::from_slice(&right.body).ok().and_then(|mut body: Value| {
        let list = if body.is_array() { &mut body } else { body.get_mut("Components")? };
        list.as_array_mut()?.retain(|row| is_of(row, first));
        Some(line(&body))
    });
    match halved {
        Some(body) => Answer { body: body.into(), ..right },
        None => right,
    }
}

/// A row of interfaces or components of these machines; what is of no machine (a group) is.
fn is_of(row: &Value, machines: &BTreeSet<String>) -> bool {
    let machine = row.get("ComponentID").or_else(|| row.get("ID")).and_then(Value::as_str);
    machine.is_none_or(|machine| machines.contains(machine))
}

fn trickle(right: Answer, pause: Duration) -> Response {
    let body = right.body.clone();
    let pieces = futures::stream::unfold(0, move |at| {
        let piece = body.slice(at.min(body.len())..(at + PIECE).min(body.len()));
        async move {
            if piece.is_empty() {
                return None;
            }
            tokio::time::sleep(pause).await;
            Some((Ok::<_, io::Error>(piece), at + PIECE))
        }
    });
    let mut response = right.respond();
    *response.body_mut() = Body::from_stream(pieces);
    response
}

fn no_database(right: Answer, path: &str) -> Answer {
    match path.rsplit_once("/service/") {
        Some((_, "ready")) => Answer::problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "HSM's database is unhealthy: driver: bad connection",
        ),
        Some(_) => right,
        None => Answer::no_database(),
    }
}

/// The first half of the body, then an error: hyper breaks the connection off.
fn half_body(right: Answer) -> Response {
    let half: Bytes = right.body.slice(..right.body.len() / 2);
    let parts = futures::stream::unfold(0, move |step| {
        let half = half.clone();
        async move {
            match step {
                0 => Some((Ok(half), 1)),
                1 => {
                    // Let the first half reach the wire before the connection breaks: a guess, generous on loopback.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    Some((Err(io::Error::from(io::ErrorKind::ConnectionReset)), 2))
                }
                _ => None,
            }
        }
    });
    let mut response = right.respond();
    *response.body_mut() = Body::from_stream(parts);
    response
}
