//! Profile `observability`: Prometheus finds every program, and what the dashboard and the alerts ask for is there.

use crate::stack::{NODE1, SERVER, Stack, repository};
use serde_json::Value;
use std::{fs, time::Duration};
use testkit::cluster::within;

/// A discovery and a scrape every 5 s each; twice of both, on a busy machine.
const SEEN: Duration = Duration::from_secs(60);
/// What `$__rate_interval` becomes, and Grafana's variable.
const IN_A_PANEL: [(&str, &str); 2] = [("$__rate_interval", "1m"), ("$instance", ".*")];
/// Parts of questions that have no answer while all is well.
const EMPTY_WHEN_WELL: [&str; 1] = ["ALERTS{"];

#[test]
fn prometheus_finds_every_replica_and_the_dashboard_asks_for_what_there_is() {
    let stack = Stack::new();
    stack.load_what_draws();
    stack.compose("--profile observability up -d --wait --scale dnsd=3");
    stack.compose("exec prometheus promtool check config /etc/prometheus/prometheus.yml");
    are_up(&stack, 6);
    every_rule_is_well(&stack);
    every_panel_has_data(&stack);

    stack.compose("--profile observability up -d --wait");
    are_up(&stack, 4);

    // Without smd-cache nobody is forgotten, and it is noticed.
    stack.compose("--profile observability stop smd-cache");
    within(SEEN, "an alert is on its way", || {
        let alerts = api(&stack, "alerts");
        alerts["alerts"].as_array().unwrap().iter().any(is_of("CoreSMDSmdCacheMissing")).then_some(())
    });
    are_up(&stack, 3);
    // Asked of Prometheus: which of the three is left, and so its port, nobody knows.
    let stale =
        || query(&stack, "sum(dnsd_stale_replies_total)")[0]["value"][1].as_str()?.parse::<f64>().ok();
    let before = stale();
    assert!(before.is_some(), "dnsd is not asked");
    stack.line(&format!("dig +short @{SERVER} {}", NODE1.fqdn));
    within(SEEN, "an answer without smd-cache is stale", || (stale() > before).then_some(()));
    stack.compose("--profile observability down -v");
}

/// An answer of Prometheus' API.
fn api(stack: &Stack, path: &str) -> Value {
    let page = stack.line(&format!("curl -sfS 127.0.0.1:9090/api/v1/{path}"));
    let mut page: Value = serde_json::from_str(&page).unwrap();
    assert_eq!(page["status"], "success", "{path}: {page}");
    page["data"].take()
}

/// The series that a question finds.
fn query(stack: &Stack, question: &str) -> Vec<Value> {
    let encoded: String = question.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let data = api(stack, &format!("query?query={encoded}"));
    data["result"].as_array().unwrap_or_else(|| panic!("{question}: {data}")).clone()
}

fn are_up(stack: &Stack, number: usize) {
    within(SEEN, &format!("{number} programs are up"), || {
        (query(stack, "up == 1").len() == number).then_some(())
    });
}

fn is_of(alert: &str) -> impl Fn(&Value) -> bool {
    move |firing| firing["labels"]["alertname"] == alert
}

/// Without its threshold each finds something, else it could never fire.
fn every_rule_is_well(stack: &Stack) {
    traffic(stack);
    let rules = api(stack, "rules");
    let rules = rules["groups"][0]["rules"].as_array().unwrap();
    assert!(rules.len() >= 12, "{} rules", rules.len());
    for rule in rules {
        for text in ["summary", "description"] {
            assert!(rule["annotations"][text].is_string(), "no {text}: {rule}");
        }
        let question = rule["query"].as_str().unwrap();
        for part in question.split(" or ") {
            has_data(stack, watched(part));
        }
    }
}

/// `X` of `X > 3` and of `absent(X)`.
fn watched(rule: &str) -> &str {
    let absent = rule.strip_prefix("absent(").and_then(|rest| rest.strip_suffix(')'));
    absent.or_else(|| rule.rsplitn(3, ' ').nth(2)).unwrap_or(rule)
}

fn every_panel_has_data(stack: &Stack) {
    let dashboard = fs::read_to_string(repository().join("deploy/grafana/dashboards/coresmd.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut asked = 0;
    for target in panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten() {
        let mut question = target["expr"].as_str().unwrap().to_owned();
        for (variable, value) in IN_A_PANEL {
            question = question.replace(variable, value);
        }
        // What is hidden while it is zero is there all the same.
        has_data(stack, question.strip_suffix(" > 0").unwrap_or(&question));
        asked += 1;
    }
    assert!(asked >= 30, "{asked} questions");
}

#[track_caller]
fn has_data(stack: &Stack, question: &str) {
    if EMPTY_WHEN_WELL.iter().any(|part| question.contains(part)) {
        query(stack, question);
        return;
    }
    within(SEEN, &format!("Prometheus has an answer to {question}"), || {
        (!query(stack, question).is_empty()).then_some(())
    });
}

/// Something of each kind.
fn traffic(stack: &Stack) {
    for mac in [NODE1.mac, "02:de:00:00:00:01"] {
        stack.compose(&format!("run --rm --no-deps node {mac}"));
    }
    stack.try_line(&format!("dig @{SERVER} openchami.cluster axfr"));
    stack.try_line(&format!("dig @{SERVER} +tcp {}", NODE1.fqdn));
    stack.try_line(&format!("dig @{SERVER} smd"));
    stack.try_line(&format!("curl -s tftp://{SERVER}/nothing"));
}
