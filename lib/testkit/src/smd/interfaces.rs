//! `Inventory/EthernetInterfaces`: the reads with their filters, and the writes.

use super::{
    answer::Answer,
    query::{Pairs, instant},
    state::State,
    types::{Address, EthernetInterface},
    xname,
};
use axum::http::StatusCode;
use serde::Deserialize;

const BASE: &str = "/hsm/v2/Inventory/EthernetInterfaces";
const SAME_MAC: &str =
    "operation would conflict with an existing component ethernet interface that has the same MAC address.";
const SAME_ADDRESS: &str =
    "operation would conflict with an existing IP Address on the same ethernet interface.";

type Filter<'a> = Box<dyn Fn(&EthernetInterface) -> bool + 'a>;

/// `GET` of the collection.
pub(crate) fn list(state: &State, query: &Pairs) -> Answer {
    match filters(query) {
        Ok(filters) => {
            let found: Vec<_> =
                candidates(state, query).filter(|row| filters.iter().all(|f| f(row))).collect();
            Answer::json(&found)
        }
        Err(answer) => answer,
    }
}

/// `ID` is the one filter with an index.
fn candidates<'a>(state: &'a State, query: &Pairs) -> Box<dyn Iterator<Item = &'a EthernetInterface> + 'a> {
    let Some(ids) = query.all("id") else { return Box::new(state.interfaces.iter()) };
    let mut rows: Vec<_> = ids.iter().filter_map(|id| state.interfaces.find(&id.to_lowercase())).collect();
    rows.sort_by(|a, b| a.last_update.cmp(&b.last_update).then_with(|| a.id.cmp(&b.id)));
    rows.dedup_by(|a, b| a.id == b.id);
    Box::new(rows.into_iter())
}

fn filters<'a>(query: &'a Pairs) -> Result<Vec<Filter<'a>>, Answer> {
    let mut filters: Vec<Filter<'a>> = Vec::new();
    if let Some(ids) = query.all("id") {
        let ids: Vec<String> = ids.iter().map(|id| id.to_lowercase()).collect();
        filters.push(Box::new(move |row| ids.contains(&row.id)));
    }
    if let Some(macs) = query.all("macaddress") {
        if macs.contains(&"") {
            return Err(Answer::bad("Invalid component ethernet interface MAC address."));
        }
        let macs: Vec<String> = macs.iter().map(|mac| mac.to_lowercase()).collect();
        filters.push(Box::new(move |row| macs.contains(&row.mac)));
    }
    if let Some(ids) = query.all("componentid") {
        let normal = |id: &&str| if id.is_empty() { Some(String::new()) } else { xname::normal(id) };
        let Some(ids) = ids.iter().map(normal).collect::<Option<Vec<_>>>() else {
            return Err(Answer::bad("Invalid CompID."));
        };
        filters.push(Box::new(move |row| ids.contains(&row.component_id)));
    }
    if let Some(kinds) = query.all("type") {
        let Some(kinds) = kinds.iter().map(|kind| xname::known_kind(kind)).collect::<Option<Vec<_>>>() else {
            return Err(Answer::bad("Invalid HMS type."));
        };
        filters.push(Box::new(move |row| kinds.contains(&row.kind.as_str())));
    }
    let (addresses, networks) = (query.all("ipaddress"), query.all("network"));
    if addresses.is_some() && networks.is_some() {
        return Err(Answer::no_database()); // SMD writes bad SQL for these two together
    }
    if let Some(wanted) = addresses {
        filters.push(Box::new(move |row| any_address(row, &wanted, |address| &address.address)));
    }
    if let Some(wanted) = networks {
        filters.push(Box::new(move |row| any_address(row, &wanted, |address| &address.network)));
    }
    for (key, newer) in [("newerthan", true), ("olderthan", false)] {
        let Some(text) = query.first(key).filter(|text| !text.is_empty()) else { continue };
        let Some(limit) = instant(text) else {
            return Err(Answer::bad("bad query param: Argument was not in a valid RFC3339 time format"));
        };
        filters
            .push(Box::new(move |row| if newer { row.last_update > limit } else { row.last_update < limit }));
    }
    Ok(filters)
}

/// An interface without addresses counts as one with an empty one.
fn any_address(row: &EthernetInterface, wanted: &[&str], part: impl Fn(&Address) -> &String) -> bool {
    let fits = |text: &str| wanted.contains(&text);
    if row.addresses.is_empty() { fits("") } else { row.addresses.iter().any(|address| fits(part(address))) }
}

/// `GET` of one.
pub(crate) fn one(state: &State, id: &str) -> Answer {
    let id = id.to_lowercase();
    match state.interfaces.find(&id) {
        Some(row) => Answer::json(row),
        None => no_such(&id),
    }
}

/// `GET` of one's addresses.
pub(crate) fn addresses(state: &State, id: &str) -> Answer {
    let id = id.to_lowercase();
    match state.interfaces.find(&id) {
        Some(row) => Answer::json(&row.addresses),
        None => no_such(&id),
    }
}

fn no_such(id: &str) -> Answer {
    Answer::missing(&format!("No such component ethernet interface: {id}"))
}

/// A body of a POST or PATCH; absent fields stay as they are.
#[derive(Deserialize)]
struct Given {
    #[serde(rename = "MACAddress")]
    mac: Option<String>,
    #[serde(rename = "Description")]
    description: Option<String>,
    #[serde(rename = "ComponentID")]
    component_id: Option<String>,
    #[serde(rename = "IPAddresses")]
    addresses: Option<Vec<Address>>,
}

/// JSON that does not fit is 500, in Go's words for the two cases recorded.
pub(crate) fn decode<T: for<'de> Deserialize<'de>>(body: &[u8], go_type: &str) -> Result<T, Answer> {
    let internal =
        |why: &str| Answer::problem(StatusCode::INTERNAL_SERVER_ERROR, &format!("error decoding JSON {why}"));
    let value: serde_json::Value = serde_json::from_slice(body).map_err(|_| match body {
        [b'{', c, ..] => internal(&format!(
            "invalid character '{}' looking for beginning of object key string",
            *c as char
        )),
        _ => internal("unexpected end of JSON input"),
    })?;
    let kind = match value {
        serde_json::Value::Array(_) => "array",
        serde_json::Value::String(_) => "string",
        serde_json::Value::Number(_) => "number",
        serde_json::Value::Bool(_) => "bool",
        _ => "object",
    };
    let wrong = || internal(&format!("json: cannot unmarshal {kind} into Go value of type {go_type}"));
    if kind != "object" {
        return Err(wrong());
    }
    serde_json::from_value(value).map_err(|_| wrong())
}

/// `POST` of the collection.
pub(crate) fn create(state: &mut State, body: &[u8]) -> Answer {
    created(state, body).unwrap_or_else(|answer| answer)
}

fn created(state: &mut State, body: &[u8]) -> Result<Answer, Answer> {
    let given: Given = decode(body, "sm.CompEthInterfaceV2")?;
    let id = bare_mac(&given.mac.unwrap_or_default())?;
    let addresses = given.addresses.unwrap_or_default();
    if addresses.iter().any(|address| address.address.is_empty()) {
        return Err(Answer::bad("Invalid CompEthInterface IP Address"));
    }
    let component_id = given.component_id.unwrap_or_default();
    let component_id = if component_id.is_empty() {
        component_id
    } else {
        xname::normal(&component_id).ok_or_else(|| Answer::bad("Invalid CompEthInterface component ID"))?
    };
    if state.interfaces.find(&id).is_some() {
        return Err(Answer::conflict(SAME_MAC));
    }
    let pairs: Vec<&str> = (0..6).map(|n| &id[2 * n..2 * n + 2]).collect();
    let interface = EthernetInterface {
        mac: pairs.join(":"),
        description: given.description.unwrap_or_default(),
        last_update: state.now(),
        kind: xname::kind(&component_id).unwrap_or_default().to_owned(),
        component_id,
        addresses,
        id: id.clone(),
    };
    state.put_interface(interface);
    Ok(Answer::created(&format!("{BASE}/{id}"), false))
}

/// 12 hexadecimal digits with any of `:` `-` `.` between them, as `POST` accepts them.
fn bare_mac(text: &str) -> Result<String, Answer> {
    let digits = text.to_lowercase().replace([':', '-', '.'], "");
    if digits.len() != 12 {
        return Err(Answer::bad("MAC string has invalid length"));
    }
    if !digits.bytes().all(|c| c.is_ascii_hexdigit()) {
        return Err(Answer::bad(&format!("strconv.ParseInt: parsing \"{digits}\": invalid syntax")));
    }
    Ok(digits)
}

/// `PATCH` of one. Its id is not lower-cased; an id that is not there is 200 with an empty object.
pub(crate) fn patch(state: &mut State, id: &str, body: &[u8]) -> Answer {
    patched(state, id, body).unwrap_or_else(|answer| answer)
}

fn patched(state: &mut State, id: &str, body: &[u8]) -> Result<Answer, Answer> {
    let given: Given = decode(body, "sm.CompEthInterfaceV2Patch")?;
    if given.description.is_none() && given.component_id.is_none() && given.addresses.is_none() {
        return Err(Answer::bad("Request must have at least one patch field."));
    }
    let component_id = match &given.component_id {
        None => None,
        Some(text) => Some(
            xname::normal(text)
                .ok_or_else(|| Answer::bad("bad query param: Argument was not a valid xname ID"))?,
        ),
    };
    let touch = given.addresses.is_some();
    let changed = state.change_interface(id, touch, |row| {
        if let Some(description) = given.description {
            row.description = description;
        }
        if let Some(component_id) = component_id {
            row.kind = xname::kind(&component_id).unwrap_or_default().to_owned();
            row.component_id = component_id;
        }
        if let Some(addresses) = given.addresses {
            row.addresses = addresses;
        }
    });
    Ok(match changed {
        Some(row) => Answer::json(&row),
        None => Answer::with(StatusCode::OK, "application/json", EMPTY_OBJECT.to_vec()),
    })
}

const EMPTY_OBJECT: &[u8] =
    b"{\"ID\":\"\",\"Description\":\"\",\"MACAddress\":\"\",\"LastUpdate\":\"\",\"ComponentID\":\"\",\"Type\":\"\",\"IPAddresses\":null}\n";

/// `DELETE` of one.
pub(crate) fn delete(state: &mut State, id: &str) -> Answer {
    match state.interfaces.remove(&id.to_lowercase()) {
        Some(_) => Answer::message("deleted 1 entry"),
        None => Answer::missing("no such component ethernet interface."),
    }
}

/// `DELETE` of the collection.
pub(crate) fn delete_all(state: &mut State) -> Answer {
    let count = state.interfaces.len();
    state.interfaces.clear();
    Answer::message(&format!("deleted {count} entries"))
}

/// `POST` of an address.
pub(crate) fn add_address(state: &mut State, id: &str, body: &[u8]) -> Answer {
    let address: Address = match decode(body, "sm.IPAddressMapping") {
        Ok(address) => address,
        Err(answer) => return answer,
    };
    let id = id.to_lowercase();
    let Some(row) = state.interfaces.find(&id) else { return no_such(&id) };
    if row.addresses.iter().any(|known| known.address == address.address) {
        return Answer::conflict(SAME_ADDRESS);
    }
    let path = format!("{BASE}/{id}/IPAddresses/{}", address.address);
    state.change_interface(&id, true, |row| row.addresses.push(address));
    Answer::created(&path, false)
}

/// `DELETE` of an address.
pub(crate) fn delete_address(state: &mut State, id: &str, address: &str) -> Answer {
    let id = id.to_lowercase();
    let has = |row: &EthernetInterface| row.addresses.iter().any(|known| known.address == address);
    if !state.interfaces.find(&id).is_some_and(has) {
        return Answer::missing("component ethernet interface has no such ip address.");
    }
    state.change_interface(&id, true, |row| row.addresses.retain(|known| known.address != address));
    Answer::message("deleted 1 entry")
}
