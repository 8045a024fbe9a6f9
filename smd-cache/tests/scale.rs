//! What building costs at the size that smd-cache is made for: 100,000 interfaces, 75,000 components.
//!
//! `cargo test --release -p smd-cache --test scale -- --ignored --nocapture` prints it.
#![allow(clippy::unwrap_used)] // all of it is a test

use jiff::Timestamp;
use serde_json::{Value, json};
use smd_cache::{
    naming::Naming,
    records::{Read, Records, decode_components, decode_interfaces},
    snapshot::{Touched, build, patch},
};
use std::{
    fmt,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

const RULES: &str = r#"
domain: cluster.local
rules: ["type:Node,hostname:nid{05d}", "type:NodeBMC,hostname:bmc{05d}"]
"#;

/// Two nodes, three interfaces and a BMC with its own: so many make 100,000 interfaces.
const PAIRS: usize = 25_000;

fn xname(pair: usize) -> String {
    format!("x{}c{}s{}b{}", 1000 + pair / 128, pair / 16 % 8, pair / 2 % 8, pair % 2)
}

fn interface(number: usize, network: u8, owner: &str) -> Value {
    let [_, a, b, c] = (number as u32).to_be_bytes();
    let mac = format!("02:{network:02x}:00:{a:02x}:{b:02x}:{c:02x}");
    let address = Ipv4Addr::from(u32::from_be_bytes([network, 0, 0, 0]) + number as u32).to_string();
    json!({
        "ID": mac.replace(':', ""),
        "Description": "Ethernet NIC",
        "MACAddress": mac,
        "LastUpdate": format!("2026-01-01T00:00:00.{:06}Z", number),
        "ComponentID": owner,
        "Type": "Node",
        "IPAddresses": [{"IPAddress": address, "Network": "NMN"}],
    })
}

fn component(id: &str, kind: &str, nid: usize) -> Value {
    json!({"ID": id, "Type": kind, "NID": nid, "State": "Ready", "Flag": "OK", "Enabled": true, "Role": "Compute",
        "Arch": "X86", "Class": "River", "NetType": "Sling"})
}

fn bodies() -> (String, String) {
    let (mut interfaces, mut components) = (Vec::new(), Vec::new());
    for pair in 0..PAIRS {
        let bmc = xname(pair);
        components.push(component(&bmc, "NodeBMC", 0));
        interfaces.push(interface(pair, 20, &bmc));
        for node in 0..2 {
            let (number, id) = (pair * 2 + node, format!("{bmc}n{node}"));
            components.push(component(&id, "Node", number + 1));
            interfaces.push(interface(number, 10, &id));
            if node == 0 {
                interfaces.push(interface(number, 30, &id));
            }
        }
    }
    (Value::from(interfaces).to_string(), json!({ "Components": components }).to_string())
}

/// Of several tries the best: others use the machine, too.
fn timed<T>(what: impl fmt::Display, mut work: impl FnMut() -> T) -> T {
    let mut best = Duration::MAX;
    let mut last = None;
    for _ in 0..TRIES {
        drop(last.take());
        let started = Instant::now();
        last = Some(work());
        best = best.min(started.elapsed());
    }
    println!("{what:<40} {:>8.2} ms", best.as_secs_f64() * 1e3);
    last.unwrap()
}

const TRIES: usize = 5;

#[test]
#[ignore = "a measurement"]
fn what_building_costs() {
    let naming = Naming::from_config(&config::parse(RULES).unwrap());
    let (interfaces, components) = bodies();
    let read = |sequence| Read { sequence, started_at: Timestamp::UNIX_EPOCH };
    let mut records = Records::new();
    let decoded = timed("decode interfaces", || decode_interfaces(interfaces.as_bytes()).unwrap());
    records.apply_whole_interfaces(read(1), decoded);
    let decoded = timed("decode components", || decode_components(components.as_bytes()).unwrap());
    records.apply_whole_components(read(2), decoded);
    let (snapshot, _) = timed("build", || build(&records, &naming, None, Timestamp::UNIX_EPOCH));
    timed("build again", || build(&records, &naming, Some(&snapshot), Timestamp::UNIX_EPOCH));
}

/// So many interfaces with another description.
fn described(bodies: &str, changed: usize) -> Vec<Value> {
    let rows: Vec<Value> = serde_json::from_str(bodies).unwrap();
    let step = rows.len() / changed;
    let other = |mut row: Value| {
        row["Description"] = "replaced".into();
        row
    };
    rows.into_iter().step_by(step).take(changed).map(other).collect()
}

#[test]
#[ignore = "a measurement"]
fn what_patching_costs() {
    let naming = Naming::from_config(&config::parse(RULES).unwrap());
    let (interfaces, components) = bodies();
    let read = |sequence| Read { sequence, started_at: Timestamp::UNIX_EPOCH };
    let mut records = Records::new();
    records.apply_whole_interfaces(read(1), decode_interfaces(interfaces.as_bytes()).unwrap());
    records.apply_whole_components(read(2), decode_components(components.as_bytes()).unwrap());
    let (start, problems) = build(&records, &naming, None, Timestamp::UNIX_EPOCH);
    for (sequence, changed) in (3..).zip([1, 1, 1, 10, 100, 1000]) {
        let rows = Value::from(described(&interfaces, changed)).to_string();
        let decoded = decode_interfaces(rows.as_bytes()).unwrap();
        let macs = decoded.records.iter().map(|record| record.mac).collect();
        records.apply_interfaces(read(sequence), decoded);
        let touched = Touched { macs, ..Touched::default() };
        let (patched, _) = timed(format!("patch {changed}"), || {
            patch(&records, &naming, &start, &problems, &touched, Timestamp::UNIX_EPOCH).unwrap()
        });
        let change = timed(format!("change of {changed}"), || patched.change_from(&start));
        assert!(change.put_interfaces.len() >= changed);
        timed("problems of the records", || records.problems().count());
    }
}
