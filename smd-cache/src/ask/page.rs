//! Replies for people, and as JSON.

use crate::explain::duration;
use anyhow::Context;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};
use proto::v1;
use std::collections::BTreeMap;

/// Everything of `GetStatus` that people look for, the worst first.
pub fn status(status: &v1::Status, endpoint: &str, now: i64) -> String {
    let freshness = status.freshness.clone().unwrap_or_default();
    let state = match (status.ready, freshness.stale) {
        (false, _) => "not ready",
        (true, true) => "ready, but stale",
        (true, false) => "ready",
    };
    let mut page = format!("smd-cache {} at {endpoint}: {state}\n", status.version);
    let mut section = |title: &str, lines: Vec<String>| {
        let titles = std::iter::once(title).chain(std::iter::repeat(""));
        page.extend(lines.iter().zip(titles).map(|(line, title)| format!("{title:<10}{line}\n")));
    };
    let ago = |at: Option<prost_types::Timestamp>| ago(at, now);
    section("warnings", status.warnings.clone());
    section("SMD", vec![format!("read {}, whole {}", ago(freshness.read_at), ago(freshness.whole_read_at))]);
    section(
        "holds",
        vec![
            format!(
                "{} interfaces ({} that DHCP can serve), {} components",
                status.interfaces, status.servable_interfaces, status.components
            ),
            format!(
                "{} addresses, {} names, in generation {}",
                status.addresses, status.names, freshness.generation
            ),
        ],
    );
    section("sources", status.sources.iter().map(|source| self::source(source, now)).collect());
    section("problems", counts(&status.problems_by_reason));
    section(
        "zones",
        status.zones.iter().map(|zone| format!("{} (serial {})", zone.name, zone.serial)).collect(),
    );
    let mut clients: Vec<_> = status.clients.iter().collect();
    clients.sort_by_key(|client| (&client.name, &client.host, client.admin_port));
    section("clients", clients.iter().map(|client| self::client(client, now)).collect());
    section("started", vec![format!("{}, instance {}", ago(status.started_at), freshness.instance)]);
    page
}

fn source(source: &v1::Source, now: i64) -> String {
    let v1::Source { name, successes, failures, last_error, .. } = source;
    let failed = match failures {
        0 => "0 failed".to_owned(),
        many => format!("{many} failed, the last {}: {last_error}", ago(source.last_failure, now)),
    };
    format!("{name}: read {} ({successes} good, {failed})", ago(source.last_success, now))
}

fn client(client: &v1::Client, now: i64) -> String {
    let v1::Client { name, version, host, admin_port, generation, .. } = client;
    let host = if host.is_empty() { "the Unix socket" } else { host };
    let admin = if *admin_port == 0 { String::new() } else { format!(", admin port {admin_port}") };
    format!(
        "{name} {version} from {host}{admin}, since {}, generation {generation}",
        ago(client.connected_at, now)
    )
}

fn counts(by_reason: &std::collections::HashMap<String, u64>) -> Vec<String> {
    let sorted: BTreeMap<_, _> = by_reason.iter().collect();
    match sorted.is_empty() {
        true => vec!["none".to_owned()],
        false => sorted.iter().map(|(reason, count)| format!("{count} {reason}")).collect(),
    }
}

fn ago(at: Option<prost_types::Timestamp>, now: i64) -> String {
    at.map_or_else(|| "never".to_owned(), |at| format!("{} ago", duration(now - at.seconds)))
}

/// By reason, a line each.
pub fn problems(problems: &[v1::Problem]) -> String {
    if problems.is_empty() {
        return "no problem with SMD's records\n".to_owned();
    }
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for problem in problems {
        by_reason.entry(&problem.reason).or_default().push(&problem.message);
    }
    let part = |(reason, messages): (&str, Vec<&str>)| {
        let lines: String = messages.iter().map(|message| format!("  {message}\n")).collect();
        format!("{reason} ({})\n{lines}", messages.len())
    };
    by_reason.into_iter().map(part).collect()
}

/// What came of a Refresh.
pub fn refreshed(reply: &v1::RefreshReply) -> String {
    let generation = reply.freshness.as_ref().map_or(0, |freshness| freshness.generation);
    format!("SMD was read: generation {generation}\n")
}

/// A reply in protobuf's own JSON.
pub fn json(name: &str, message: &impl Message) -> anyhow::Result<String> {
    Ok(format!("{}\n", serde_json::to_string_pretty(&dynamic(name, message)?)?))
}

/// Several as one list.
pub fn json_list(name: &str, messages: &[impl Message]) -> anyhow::Result<String> {
    let all: Vec<_> = messages.iter().map(|message| dynamic(name, message)).collect::<anyhow::Result<_>>()?;
    Ok(format!("{}\n", serde_json::to_string_pretty(&all)?))
}

fn dynamic(name: &str, message: &impl Message) -> anyhow::Result<DynamicMessage> {
    let pool = DescriptorPool::decode(proto::DESCRIPTORS).context("our own contract")?;
    let full = format!("smdcache.v1.{name}");
    let descriptor = pool.get_message_by_name(&full).with_context(|| format!("no message {full}"))?;
    DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice()).context("our own message")
}
