//! smd-sim answers as SMD does: recordings of the real one are replayed in the order of their story, and status, headers
//! and body are compared.

#![allow(clippy::unwrap_used)] // helpers of tests are not recognised as tests

#[path = "smd_answers/story.rs"]
mod story;

use serde::Deserialize;
use serde_json::Value;
use std::{collections::BTreeMap, path::Path};
use testkit::smd::{Options, Sim, Timestamp, Token};

/// Recordings that are not replayed, and why.
const NOT_REPLAYED: &[(&str, &str)] = &[
    ("auth-enforce-", "authorisation policies are not imitated"),
    ("auth-legacy-expired", "tokens are compared, not decoded"),
    ("auth-legacy-no-sub", "tokens are compared, not decoded"),
    ("subscriptions", "notifications are not imitated: smd-cache does not use them"),
    ("empty-subscriptions", "the same"),
    ("delete-subscriptions", "the same"),
    ("write-subscription", "the same"),
];

/// Compared as sets: SMD lists these in no particular order.
const UNORDERED: &[&str] = &["memberships", "values"];

#[derive(Debug, Deserialize)]
struct Recording {
    request: String,
    #[serde(default)]
    request_headers: BTreeMap<String, String>,
    #[serde(default)]
    request_body: Option<Value>,
    status: u16,
    headers: BTreeMap<String, String>,
    body: Value,
}

fn recordings() -> BTreeMap<String, Recording> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/smd");
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        all.insert(name, serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap());
    }
    all
}

/// What came back, and how it differs from the recording.
async fn replay(http: &reqwest::Client, sim: &Sim, name: &str, recording: &Recording) -> Vec<String> {
    let (method, path) = recording.request.split_once(' ').unwrap();
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    let mut request = http.request(method, format!("{}{path}", sim.url()));
    for (key, value) in &recording.request_headers {
        request = request.header(key, if key == "Authorization" { story::token_of(name) } else { value });
    }
    if let Some(body) = &recording.request_body {
        request = request.body(body.as_str().map_or_else(|| body.to_string(), str::to_owned));
    }
    let response = request.send().await.unwrap();
    let mut wrong = Vec::new();
    let mut differ = |what: &str, got: String, wanted: String| {
        if got != wanted {
            wrong.push(format!("{name}: {} : {what}\n   ours {got}\n    SMD {wanted}", recording.request));
        }
    };
    differ("status", response.status().as_u16().to_string(), recording.status.to_string());
    for key in
        ["Content-Type", "Content-Length", "Transfer-Encoding", "Allow", "Location", "X-Content-Type-Options"]
    {
        let ours = response.headers().get(key).map(|value| value.to_str().unwrap());
        let wanted = recording.headers.get(key).map(String::as_str);
        differ(key, format!("{ours:?}"), format!("{wanted:?}"));
    }
    let text = response.text().await.unwrap();
    let ours = match &recording.body {
        Value::String(_) => Value::String(text),
        _ if text.is_empty() => Value::Null,
        _ => serde_json::from_str(&text).unwrap_or(Value::String(text)),
    };
    let sorted = UNORDERED.contains(&name) || name.starts_with("values-");
    let body = |value: &Value| if sorted { sorted_lists(value) } else { value.clone() }.to_string();
    differ("body", body(&ours), body(&recording.body));
    wrong
}

fn sorted_lists(value: &Value) -> Value {
    match value {
        Value::Array(list) => {
            let mut list: Vec<Value> = list.iter().map(sorted_lists).collect();
            list.sort_by_key(Value::to_string);
            Value::Array(list)
        }
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), sorted_lists(value))).collect(),
        other => other.clone(),
    }
}

#[tokio::test]
async fn every_recording_is_answered_as_smd_did() {
    let all = recordings();
    let http = testkit::http();
    let mut told = Vec::new();
    let mut wrong = Vec::new();
    for chapter in story::chapters(&all) {
        let token = chapter.tokensmith.map(|tokensmith| Token { tokensmith, ..Token::new(story::TOKEN) });
        let inventory = chapter.inventory;
        let sim = Sim::start_with(Options { inventory, token, ..Options::default() }).await.unwrap();
        for name in &chapter.names {
            let recording = &all[name];
            sim.set_clock(story::times_of(name, recording, &all));
            if name.starts_with("database-down") {
                sim.fail(testkit::smd::Failure::next(testkit::smd::Fault::DatabaseDown, 1));
            }
            wrong.extend(replay(&http, &sim, name, recording).await);
            told.push(name.clone());
        }
    }
    for name in all.keys() {
        let excused = NOT_REPLAYED.iter().any(|(prefix, _)| name.starts_with(prefix));
        if excused == told.contains(name) {
            wrong.push(format!("{name}: neither replayed nor excused, or both"));
        }
    }
    assert!(wrong.is_empty(), "{} differences\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn times_are_printed_with_trailing_zeros_cut() {
    for (text, printed) in [
        ("2026-11-23T00:07:24.606600Z", "2026-11-23T00:07:24.6066Z"),
        ("2026-11-23T00:07:05.000000Z", "2026-11-23T00:07:05Z"),
        ("2026-11-22T19:07:24.446392-05:00", "2026-11-23T00:07:24.446392Z"),
    ] {
        assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), printed);
    }
}
