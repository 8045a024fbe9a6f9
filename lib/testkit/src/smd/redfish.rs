//! `Inventory/RedfishEndpoints`, Magellan's way in: MACs are only lower-cased, nodes are numbered within each BMC, and
//! the answer is several JSON documents under the status of the first complaint although everything else is stored.

use super::{
    answer::{Answer, line, problem_line},
    interfaces::decode,
    state::State,
    types::{Address, Component, EthernetInterface},
    xname,
};
use axum::http::StatusCode;
use serde::Deserialize;

#[derive(Deserialize)]
struct Endpoint {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "MACAddr", default)]
    mac: String,
    #[serde(rename = "Managers", default)]
    managers: Vec<System>,
    #[serde(rename = "Systems", default)]
    systems: Vec<System>,
}

#[derive(Deserialize)]
struct System {
    #[serde(default)]
    ethernet_interfaces: Vec<Nic>,
}

#[derive(Deserialize)]
struct Nic {
    mac: String,
    #[serde(default)]
    ip: String,
    #[serde(default)]
    description: String,
}

/// `POST`, and the second half of `PUT`.
pub(crate) fn create(state: &mut State, text: &[u8]) -> Answer {
    let endpoint: Endpoint = match decode(text, "rf.RawRedfishEP") {
        Ok(endpoint) => endpoint,
        Err(answer) => return answer,
    };
    let Some(bmc) = xname::normal(&endpoint.id) else { return Answer::bad("Invalid xname") };
    let mut complaints = Vec::new();
    discover(state, &bmc, None, &endpoint.managers, &mut complaints);
    // SMD then tries the endpoint's own MAC, which the manager has brought already.
    if state.interfaces.find(&id_of(&endpoint.mac)).is_some() {
        complaints.push((StatusCode::CONFLICT, SAME_MAC));
    }
    for (index, system) in endpoint.systems.iter().enumerate() {
        let node = format!("{bmc}n{index}");
        discover(state, &node, Some(index as i64 + 1), std::slice::from_ref(system), &mut complaints);
    }
    let status = complaints.first().map_or(StatusCode::CREATED, |(status, _)| *status);
    let mut body: Vec<u8> =
        complaints.iter().flat_map(|(status, detail)| problem_line(*status, detail)).collect();
    body.extend(line(&[serde_json::json!({ "URI": format!("/hsm/v2/Inventory/RedfishEndpoints/{bmc}") })]));
    Answer::documents(status, body)
}

/// The first half of `PUT`: SMD deletes and inserts in two transactions, and a reader may come between them.
pub(crate) fn forget(state: &mut State, id: &str) {
    let Some(bmc) = xname::normal(id) else { return };
    let of = |component: &str| {
        component == bmc || component.strip_prefix(&bmc).is_some_and(|c| c.starts_with('n'))
    };
    let gone: Vec<String> =
        state.interfaces.iter().filter(|row| of(&row.component_id)).map(|row| row.id.clone()).collect();
    for id in gone {
        state.interfaces.remove(&id);
    }
}

const SAME_MAC: &str =
    "operation would conflict with an existing component ethernet interface that has the same MAC address.";

fn id_of(mac: &str) -> String {
    mac.to_lowercase().replace(':', "")
}

fn discover(
    state: &mut State,
    id: &str,
    nid: Option<i64>,
    parts: &[System],
    complaints: &mut Vec<(StatusCode, &'static str)>,
) {
    if state.components.find(id).is_none() {
        let kind = xname::kind(id).unwrap_or_default().to_owned();
        let power = if nid.is_some() { "On" } else { "" };
        state.put_component(Component {
            id: id.to_owned(),
            kind,
            state: power.to_owned(),
            enabled: Some(true),
            nid: nid.unwrap_or_default(),
            ..Component::default()
        });
    }
    for nic in parts.iter().flat_map(|part| &part.ethernet_interfaces) {
        if nic.ip.is_empty() {
            complaints.push((StatusCode::BAD_REQUEST, "Invalid CompEthInterface IP Address"));
        } else if state.interfaces.find(&id_of(&nic.mac)).is_some() {
            complaints.push((StatusCode::CONFLICT, SAME_MAC));
        } else {
            let interface = EthernetInterface {
                id: id_of(&nic.mac),
                description: nic.description.clone(),
                mac: nic.mac.to_lowercase(),
                last_update: state.now(),
                component_id: id.to_owned(),
                kind: xname::kind(id).unwrap_or_default().to_owned(),
                addresses: vec![Address { address: nic.ip.clone(), network: String::new() }],
            };
            state.put_interface(interface);
        }
    }
}
