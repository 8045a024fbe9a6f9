//! smd-sim shows and hides changes as SMD does: what a delta poll sees, and what none can see.

#![allow(clippy::unwrap_used)] // helpers of tests are not recognised as tests

use serde_json::Value;
use std::time::Duration;
use testkit::smd::{
    Component, EthernetInterface, Failure, Fault, Inventory, SignedDuration, Sim, Timestamp, Token, generate,
};

const INTERFACES: &str = "/hsm/v2/Inventory/EthernetInterfaces";
const COMPONENTS: &str = "/hsm/v2/State/Components";
/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// One node with one interface, which SMD has had since this moment.
async fn one_node() -> (Sim, Timestamp) {
    let sim = Sim::start(Inventory::default()).await;
    sim.add_node("x1c0s0b0n0", 1, "02:00:00:00:00:01", "172.16.0.1");
    let since = sim.inventory().interfaces[0].last_update;
    (sim, since)
}

async fn text(sim: &Sim, path: &str) -> String {
    testkit::http().get(format!("{}{path}", sim.url())).send().await.unwrap().text().await.unwrap()
}

async fn json(sim: &Sim, path: &str) -> Value {
    serde_json::from_str(&text(sim, path).await).unwrap()
}

/// The MACs that are newer than a moment.
async fn newer(sim: &Sim, than: Timestamp) -> Vec<String> {
    let list = json(sim, &format!("{INTERFACES}?NewerThan={than}")).await;
    list.as_array().unwrap().iter().map(|row| row["MACAddress"].as_str().unwrap().to_owned()).collect()
}

async fn send(sim: &Sim, method: &str, path: &str, body: &str) -> u16 {
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    let request = testkit::http().request(method, format!("{}{path}", sim.url())).body(body.to_owned());
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn newer_than_is_strict_to_the_microsecond() {
    let (sim, since) = one_node().await;
    let before = since - SignedDuration::from_micros(1);
    assert_eq!(newer(&sim, before).await, ["02:00:00:00:00:01"]);
    assert!(newer(&sim, since).await.is_empty());
    let plus = since.to_string().replace('Z', "+00:00");
    assert!(text(&sim, &format!("{INTERFACES}?NewerThan={plus}")).await.contains("not in a valid RFC3339"));
    let escaped = plus.replace('+', "%2B");
    assert_eq!(text(&sim, &format!("{INTERFACES}?NewerThan={escaped}")).await, "[]\n");
    assert_eq!(
        json(&sim, &format!("{INTERFACES}?NewerThan=")).await.as_array().unwrap().len(),
        1,
        "no filter"
    );
}

/// Each change SMD knows, and whether a delta poll sees it.
#[tokio::test]
async fn a_delta_poll_sees_new_interfaces_and_addresses_and_nothing_else() {
    let one = format!("{INTERFACES}/020000000001");
    let (address, addresses) =
        (format!("{one}/IPAddresses"), r#"{"IPAddresses":[{"IPAddress":"172.16.0.1"}]}"#);
    let group = r#"{"label":"g","members":{"ids":["x1c0s0b0n0"]}}"#;
    let node = r#"{"Components":[{"ID":"x1c0s0b0n1","State":"On"}]}"#;
    let interface = r#"{"MACAddress":"020000000002","ComponentID":"x1c0s0b0n0"}"#;
    let component = format!("{COMPONENTS}/x1c0s0b0n0");
    let (nid, role) = (format!("{component}/NID"), format!("{component}/Role"));
    let cases: &[(&str, &str, &str, &[&str])] = &[
        ("POST", INTERFACES, interface, &["02:00:00:00:00:02"]),
        ("PATCH", &one, addresses, &["02:00:00:00:00:01"]),
        ("POST", &address, r#"{"IPAddress":"172.16.0.9"}"#, &["02:00:00:00:00:01"]),
        ("PATCH", &one, r#"{"ComponentID":"x1c0s0b0n1"}"#, &[]),
        ("PATCH", &one, r#"{"Description":"other"}"#, &[]),
        ("DELETE", &one, "", &[]),
        ("POST", COMPONENTS, node, &[]),
        ("PATCH", &nid, r#"{"NID":7}"#, &[]),
        ("PATCH", &role, r#"{"Role":"Service"}"#, &[]),
        ("POST", "/hsm/v2/groups", group, &[]),
        ("DELETE", &component, "", &[]),
    ];
    for (method, path, body, seen) in cases {
        let (sim, since) = one_node().await;
        let status = send(&sim, method, path, body).await;
        assert!(status < 300, "{method} {path}: {status}");
        assert_eq!(newer(&sim, since).await, *seen, "{method} {path} {body}");
    }
}

#[tokio::test]
async fn a_transaction_that_took_long_appears_late_with_an_older_time() {
    let (sim, since) = one_node().await;
    let mut slow = EthernetInterface::new("02:00:00:00:00:02", "x1c0s0b0n0", &[]);
    slow.last_update = since - SignedDuration::from_secs(3);
    sim.load(Inventory { interfaces: vec![slow], ..Inventory::default() });
    assert!(newer(&sim, since).await.is_empty(), "a poller without overlap never learns of it");
    let overlap = since - SignedDuration::from_secs(10);
    assert_eq!(newer(&sim, overlap).await.len(), 2);
}

#[tokio::test]
async fn the_clock_of_smd_can_be_hours_off_and_set_back() {
    let (sim, since) = one_node().await;
    sim.set_clock_offset(SignedDuration::from_hours(5));
    sim.set_addresses("02:00:00:00:00:01", &["172.16.0.2"]);
    let ahead = sim.inventory().interfaces[0].last_update;
    assert!(ahead > since + SignedDuration::from_hours(4));
    assert_eq!(send(&sim, "POST", "/control/clock", r#"{"offset_seconds": -7200}"#).await, 204);
    sim.set_addresses("02:00:00:00:00:01", &["172.16.0.3"]);
    assert!(sim.inventory().interfaces[0].last_update < since);
    assert!(newer(&sim, since).await.is_empty());
}

#[tokio::test]
async fn ids_are_asked_for_several_at_a_time_and_only_what_is_there_comes_back() {
    let sim = Sim::start(generate(3, 1)).await;
    let held = sim.inventory();
    let (a, b) = (&held.interfaces[0], &held.interfaces[1]);
    let some = format!("{INTERFACES}?ID={}&ID={}&ID=020000ffffff&ID={}", a.id, b.id.to_uppercase(), a.id);
    let found = json(&sim, &some).await;
    let mut ids: Vec<&str> =
        found.as_array().unwrap().iter().map(|row| row["ID"].as_str().unwrap()).collect();
    ids.sort_unstable();
    let mut wanted = [a.id.as_str(), &b.id];
    wanted.sort_unstable();
    assert_eq!(ids, wanted);
    assert_eq!(text(&sim, &format!("{INTERFACES}?ID=020000ffffff")).await, "[]\n");
    let id = &held.components[0].id;
    let found = json(&sim, &format!("{COMPONENTS}?id={id}&id=x9c0s0b0n0&id={}", id.to_uppercase())).await;
    assert_eq!(found["Components"].as_array().unwrap().len(), 1, "{found}");
}

#[tokio::test]
async fn re_discovery_shows_a_gap_and_then_new_times() {
    let sim = Sim::start(Inventory::default()).await;
    let path = "/hsm/v2/Inventory/RedfishEndpoints/x1c0s0b0";
    let body = r#"{"ID":"x1c0s0b0","MACAddr":"02:00:00:00:00:0b",
        "Systems":[{"ethernet_interfaces":[{"mac":"02-00-00-00-00-0A","ip":"172.16.0.10"}]}]}"#;
    send(&sim, "POST", "/hsm/v2/Inventory/RedfishEndpoints", body).await;
    let before = sim.inventory().interfaces[0].clone();
    assert_eq!(before.mac, "02-00-00-00-00-0a", "lower-cased only");
    sim.set_gap(Duration::from_millis(200));
    let put = async {
        send(&sim, "PUT", path, body).await;
    };
    let look = async {
        while !sim.inventory().interfaces.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(text(&sim, &format!("{INTERFACES}?ID={}", before.id)).await, "[]\n", "no tombstone");
    };
    tokio::time::timeout(PATIENCE, async { tokio::join!(put, look) }).await.expect("the gap is seen");
    let after = sim.inventory().interfaces[0].clone();
    assert!(after.last_update > before.last_update);
    assert_eq!(EthernetInterface { last_update: before.last_update, ..after }, before);
}

#[tokio::test]
async fn a_change_in_place_touches_no_time() {
    let (sim, since) = one_node().await;
    assert!(sim.change_component("x1c0s0b0n0", |node| node.nid = 9));
    assert!(!sim.change_component("x9c0s0b0n0", |node| node.nid = 9));
    assert_eq!(sim.inventory().components, [Component::new("x1c0s0b0n0", 9)]);
    assert!(newer(&sim, since).await.is_empty());
}

#[tokio::test]
async fn half_a_list_is_the_same_machines_everywhere() {
    let sim = Sim::start(generate(40, 1)).await;
    sim.fail(Failure::all(Fault::HalfList));
    let ids = |list: &Value, key: &str| -> std::collections::BTreeSet<String> {
        list.as_array().unwrap().iter().map(|row| row[key].as_str().unwrap().to_owned()).collect()
    };
    let components = ids(&json(&sim, COMPONENTS).await["Components"], "ID");
    let interfaces = ids(&json(&sim, INTERFACES).await, "ComponentID");
    assert_eq!(components.len(), sim.inventory().components.len() / 2);
    assert_eq!(interfaces, components);
    let other = sim.inventory().interfaces.into_iter().find(|row| !components.contains(&row.component_id));
    let by_name = format!("{INTERFACES}?ID={}", other.unwrap().id);
    assert_eq!(text(&sim, &by_name).await, "[]\n", "it sticks to its lie");
}

#[tokio::test]
async fn an_answer_can_be_whole_where_a_part_was_asked_for() {
    let sim = Sim::start(generate(4, 1)).await;
    sim.fail(Failure::all(Fault::IgnoresFilters));
    let all = text(&sim, INTERFACES).await;
    for filter in ["ID=020000ffffff", "NewerThan=2099-01-01T00:00:00Z"] {
        assert_eq!(text(&sim, &format!("{INTERFACES}?{filter}")).await, all, "{filter}");
    }
}

#[tokio::test]
async fn a_slow_body_trickles_and_is_whole_in_the_end() {
    let sim = Sim::start(generate(20, 1)).await;
    let whole = text(&sim, INTERFACES).await;
    let pause = Duration::from_millis(20);
    sim.fail(Failure::all(Fault::Trickle).by(pause));
    let began = std::time::Instant::now();
    assert_eq!(text(&sim, INTERFACES).await, whole);
    assert!(began.elapsed() > pause * (whole.len() / 1024) as u32);
}

#[tokio::test]
async fn json_of_another_shape_is_json() {
    let sim = Sim::start(generate(2, 1)).await;
    sim.fail(Failure::all(Fault::WrongShape));
    assert!(json(&sim, INTERFACES).await.is_object());
    assert!(json(&sim, COMPONENTS).await.is_array());
}

#[tokio::test]
async fn a_token_expires_and_another_one_helps() {
    let sim = Sim::start(generate(2, 1)).await;
    let ask = async |token: &str| {
        let get = testkit::http().get(format!("{}/hsm/v2/groups", sim.url())).bearer_auth(token);
        let answer = get.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(send(&sim, "POST", "/control/token", r#"{"text": "old", "seconds": 3600}"#).await, 204);
    assert_eq!(ask("old").await.0, 200);
    sim.set_token(Some(Token::new("old").for_time(Duration::ZERO)));
    assert_eq!(ask("old").await, (401, "token is expired\n".to_owned()));
    sim.set_token(Some(Token::new("new")));
    assert_eq!(ask("old").await, (401, "token is unauthorized\n".to_owned()));
    assert_eq!(ask("new").await.0, 200);
    sim.fail(Failure::next(Fault::Unauthorized, 1));
    assert_eq!(ask("new").await.0, 401);
    assert_eq!(ask("new").await.0, 200);
    assert_eq!(send(&sim, "DELETE", "/control/token", "").await, 204);
    assert_eq!(ask("none at all").await.0, 200);
}
