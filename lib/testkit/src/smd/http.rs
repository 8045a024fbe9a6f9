//! One door for every request: count it, check the token, answer it, and spoil the answer where that was asked for.

use super::{
    Fault, Shared, Token, answer::Answer, components, control, faults, groups, interfaces, listener::Cut,
    query::Pairs, redfish, values,
};
use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::Response,
};
use std::{collections::BTreeSet, sync::Arc, time::Instant};

/// SMD itself knows no limit; this keeps a mistaken client from filling the machine. 100,000 interfaces are 23 MB.
const MAX_BODY: usize = 256 << 20;
/// Paths counted apart; ids in paths could make them endless. A guess.
const MAX_COUNTED: usize = 10_000;

pub(crate) async fn handle(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let body = to_bytes(body, MAX_BODY).await.unwrap_or_default();
    if let Some(order) = path.strip_prefix("/control/") {
        return control::answer(&shared, &head.method, order, &body).respond();
    }
    let query = Pairs::of(&head.uri);
    count(&shared, &head.method, &path, &query);
    if shared.is_refusing() {
        cut.now();
        return Response::new(Body::empty());
    }
    let failure =
        faults::meet(&mut shared.failures.lock().expect("nobody panics holding it"), &head.uri.to_string());
    let kind = failure.as_ref().map(|failure| failure.kind);
    let query = if kind == Some(Fault::IgnoresFilters) { Pairs::default() } else { query };
    let asked = Asked { method: &head.method, path: &path, query: &query, headers: &head.headers };
    let right = checked(&shared, asked, body, kind == Some(Fault::Unauthorized)).await;
    match failure {
        Some(failure) => {
            if failure.kind == Fault::Close {
                cut.now();
            }
            let first = if failure.kind == Fault::HalfList { first_half(&shared) } else { BTreeSet::new() };
            faults::spoil(&failure, right, &path, &first).await
        }
        None => right.respond(),
    }
}

/// Half of the components, those whose xnames come first.
fn first_half(shared: &Shared) -> BTreeSet<String> {
    let state = shared.read();
    let all: BTreeSet<&String> = state.components.iter().map(|row| &row.id).collect();
    all.iter().take(all.len() / 2).map(|&id| id.clone()).collect()
}

fn count(shared: &Shared, method: &Method, path: &str, query: &Pairs) {
    let keys = query.keys();
    let mark = if keys.is_empty() { "" } else { "?" };
    let mut requests = shared.requests.lock().expect("nobody panics holding it");
    let key = format!("{method} {path}{mark}{keys}");
    if requests.len() < MAX_COUNTED || requests.contains_key(&key) {
        *requests.entry(key).or_default() += 1;
    }
}

/// What of a request decides its answer.
struct Asked<'a> {
    method: &'a Method,
    path: &'a str,
    query: &'a Pairs,
    headers: &'a HeaderMap,
}

async fn checked(shared: &Shared, asked: Asked<'_>, body: Bytes, refused: bool) -> Answer {
    let Asked { method, path, query, headers } = asked;
    let Some(rest) = path.strip_prefix("/hsm/v2/") else { return Answer::no_page() };
    let rest = rest.trim_end_matches('/');
    let parts: Vec<String> = rest.split('/').map(decoded).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    if !is_public(method, &parts)
        && let Err(answer) = shared.check_token(headers, refused)
    {
        return answer;
    }
    match (method.as_str(), &parts[..]) {
        ("PUT", ["Inventory", "RedfishEndpoints", id]) => {
            redfish::forget(&mut shared.write(), id); // the lock is let go between the two transactions
            tokio::time::sleep(shared.gap()).await;
            redfish::create(&mut shared.write(), &body)
        }
        ("GET", _) => read(shared, &parts, query),
        _ => write(shared, method.as_str(), &parts, &body),
    }
}

/// Percent-decoding of one part of a path.
fn decoded(part: &str) -> String {
    let pair = |at: usize| part.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
    let mut bytes = Vec::with_capacity(part.len());
    let mut at = 0;
    while at < part.len() {
        match part.as_bytes()[at] {
            b'%' if pair(at).is_some() => {
                bytes.extend(pair(at));
                at += 3;
            }
            byte => {
                bytes.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The reads that never want a token.
fn is_public(method: &Method, parts: &[&str]) -> bool {
    method == Method::GET
        && matches!(parts, ["State", "Components"] | ["Inventory", "EthernetInterfaces"] | ["service", ..])
}

impl Shared {
    /// Without a token configured everything is allowed, unless it is `refused` on purpose.
    fn check_token(&self, headers: &HeaderMap, refused: bool) -> Result<(), Answer> {
        match &*self.token.lock().expect("nobody panics holding it") {
            Some(token) => token.check(headers, refused),
            None if refused => Err(Answer::text(StatusCode::UNAUTHORIZED, "token is unauthorized")),
            None => Ok(()),
        }
    }
}

impl Token {
    fn check(&self, headers: &HeaderMap, refused: bool) -> Result<(), Answer> {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let (none, wrong, expired) = match self.tokensmith {
            true => ("missing bearer token", "invalid token", "invalid token"),
            false => ("no token found", "token is unauthorized", "token is expired"),
        };
        let why = match given.and_then(|text| text.strip_prefix("Bearer ")) {
            None => none,
            Some(text) if text != self.text || refused => wrong,
            Some(_) if self.expires.is_some_and(|end| Instant::now() >= end) => expired,
            Some(_) => return Ok(()),
        };
        Err(Answer::text(StatusCode::UNAUTHORIZED, why))
    }
}

fn read(shared: &Shared, parts: &[&str], query: &Pairs) -> Answer {
    let state = shared.read();
    match parts {
        ["Inventory", "EthernetInterfaces"] => interfaces::list(&state, query),
        ["Inventory", "EthernetInterfaces", id] => interfaces::one(&state, id),
        ["Inventory", "EthernetInterfaces", id, "IPAddresses"] => interfaces::addresses(&state, id),
        ["State", "Components"] => components::list(&state, query),
        ["State", "Components", "ByNID", nid] => components::by_nid(&state, nid),
        ["State", "Components", id] => components::one(&state, id),
        ["groups"] => groups::list(&state, query),
        ["groups", "labels"] => groups::labels(&state),
        ["groups", label] => groups::one(&state, label),
        ["groups", label, "members"] => groups::members(&state, label),
        ["partitions"] => groups::partitions(&state),
        ["memberships"] => groups::memberships(&state),
        ["memberships", id] => groups::membership(&state, id),
        ["service", "ready"] => Answer::message("HSM is healthy"),
        ["service", "liveness"] => Answer::nothing(),
        ["service", "values"] => values::all(),
        ["service", "values", name] => values::one(name).unwrap_or_else(Answer::no_page),
        ["Inventory", "RedfishEndpoints"] => Answer::only("GET,POST,DELETE"),
        _ => Answer::no_page(),
    }
}

fn write(shared: &Shared, method: &str, parts: &[&str], body: &[u8]) -> Answer {
    let state = &mut *shared.write();
    match (method, parts) {
        ("POST", ["Inventory", "EthernetInterfaces"]) => interfaces::create(state, body),
        ("DELETE", ["Inventory", "EthernetInterfaces"]) => interfaces::delete_all(state),
        ("PATCH", ["Inventory", "EthernetInterfaces", id]) => interfaces::patch(state, id, body),
        ("DELETE", ["Inventory", "EthernetInterfaces", id]) => interfaces::delete(state, id),
        ("POST", ["Inventory", "EthernetInterfaces", id, "IPAddresses"]) => {
            interfaces::add_address(state, id, body)
        }
        ("DELETE", ["Inventory", "EthernetInterfaces", id, "IPAddresses", address]) => {
            interfaces::delete_address(state, id, address)
        }
        ("POST", ["Inventory", "RedfishEndpoints"]) => redfish::create(state, body),
        ("POST", ["State", "Components"]) => components::create(state, body),
        ("POST", ["State", "Components", "Query"] | ["State", "Components", "ByNID", "Query"]) => {
            components::ask(state, body)
        }
        ("DELETE", ["State", "Components"]) => components::delete_all(state),
        ("DELETE", ["State", "Components", id]) => components::delete(state, id),
        ("PATCH", ["State", "Components", id, field]) => components::patch(state, id, field, body),
        ("POST", ["groups"]) => groups::create(state, body),
        ("DELETE", ["groups", label]) => groups::delete(state, label),
        ("POST", ["groups", label, "members"]) => groups::add_member(state, label, body),
        ("DELETE", ["groups", label, "members", id]) => groups::delete_member(state, label, id),
        ("POST", ["partitions"]) => groups::create_partition(state, body),
        (_, ["Inventory", "EthernetInterfaces"] | ["State", "Components"]) => Answer::only("GET,POST,DELETE"),
        (_, ["Inventory", "EthernetInterfaces", _]) => Answer::only("GET,PATCH,DELETE"),
        (_, ["groups"] | ["partitions"]) => Answer::only("GET,POST"),
        (_, ["memberships"] | ["service", _]) => Answer::only("GET"),
        _ => Answer::no_page(),
    }
}
