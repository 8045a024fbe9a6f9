//! SMD's JSON, each record by itself: a bad one is rejected alone, the others live.

use super::{AddressRecord, ComponentRecord, InterfaceRecord, Problem, Reason};
use jiff::Timestamp;
use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{borrow::Cow, collections::HashSet, fmt, marker::PhantomData, net::IpAddr, sync::Arc};
use values::{Mac, Xname};

/// Longest description, role, network ... that is kept, in bytes; the rest is cut off. A guess: SMD itself has no limit,
/// and nothing that people write there is longer.
pub const MAX_TEXT: usize = 256;

/// How much of a record without an `ID` is shown. A guess: enough to find it.
const MAX_SHOWN: usize = 120;

/// An answer, record by record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded<R> {
    /// In the answer's order.
    pub records: Vec<R>,
    /// Those that could not be used at all.
    pub rejected: Vec<Rejected>,
}

/// A record that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rejected {
    /// SMD's `ID` where it has one, else the record's beginning.
    pub key: String,
    /// Why.
    pub problem: Problem,
}

/// A body that is not SMD's answer at all: nothing of it is believed.
#[derive(Debug, thiserror::Error)]
#[error("the body is not {expected}: {cause}")]
pub struct BadBody {
    expected: &'static str,
    cause: serde_json::Error,
}

/// The body of `GET Inventory/EthernetInterfaces`: an array.
pub fn decode_interfaces(body: &[u8]) -> Result<Decoded<InterfaceRecord>, BadBody> {
    let expected = "an array of Ethernet interfaces";
    let rows: Rows<InterfaceRecord> =
        serde_json::from_slice(body).map_err(|cause| BadBody { expected, cause })?;
    Ok(rows.0)
}

/// The body of `GET State/Components`: an object with the array `Components`.
pub fn decode_components(body: &[u8]) -> Result<Decoded<ComponentRecord>, BadBody> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(rename = "Components")]
        components: Rows<ComponentRecord>,
    }
    let expected = "an object with an array 'Components'";
    let body: Body = serde_json::from_slice(body).map_err(|cause| BadBody { expected, cause })?;
    Ok(body.components.0)
}

/// An array of which each row is decoded as it is met.
struct Rows<R>(Decoded<R>);

/// A record that may be misshapen by itself.
trait FromRow: Sized {
    fn from_row(row: &RawValue, texts: &mut Texts) -> Result<Self, Rejected>;
}

impl FromRow for InterfaceRecord {
    fn from_row(row: &RawValue, texts: &mut Texts) -> Result<Self, Rejected> {
        interface(row, texts)
    }
}

impl FromRow for ComponentRecord {
    fn from_row(row: &RawValue, texts: &mut Texts) -> Result<Self, Rejected> {
        component(row, texts)
    }
}

impl<'de, R: FromRow> Deserialize<'de> for Rows<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(RowsVisitor(PhantomData))
    }
}

struct RowsVisitor<R>(PhantomData<R>);

impl<'de, R: FromRow> Visitor<'de> for RowsVisitor<R> {
    type Value = Rows<R>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<Rows<R>, A::Error> {
        let mut texts = Texts::default();
        let mut decoded = Decoded { records: Vec::new(), rejected: Vec::new() };
        while let Some(row) = rows.next_element::<&RawValue>()? {
            match R::from_row(row, &mut texts) {
                Ok(record) => decoded.records.push(record),
                Err(rejected) => decoded.rejected.push(rejected),
            }
        }
        Ok(Rows(decoded))
    }
}

/// Types, roles, networks: each text once, however many records have it.
#[derive(Default)]
pub struct Texts(HashSet<Arc<str>>);

impl Texts {
    /// The shared text.
    pub fn of(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return known.clone();
        }
        let text: Arc<str> = text.into();
        self.0.insert(text.clone());
        text
    }
}

/// Text that may be missing or null.
type Text<'a> = Option<Cow<'a, str>>;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InterfaceJson<'a> {
    #[serde(rename = "ID", borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    description: Text<'a>,
    #[serde(rename = "MACAddress", borrow, default)]
    mac_address: Text<'a>,
    #[serde(borrow, default)]
    last_update: Text<'a>,
    #[serde(rename = "ComponentID", borrow, default)]
    component_id: Text<'a>,
    #[serde(borrow, default)]
    r#type: Text<'a>,
    #[serde(rename = "IPAddresses", borrow, default)]
    ip_addresses: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AddressJson<'a> {
    #[serde(rename = "IPAddress", borrow, default)]
    ip_address: Text<'a>,
    #[serde(borrow, default)]
    network: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ComponentJson<'a> {
    #[serde(rename = "ID", borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    r#type: Text<'a>,
    #[serde(borrow, default)]
    state: Text<'a>,
    #[serde(borrow, default)]
    flag: Text<'a>,
    #[serde(default)]
    enabled: Option<bool>,
    #[serde(borrow, default)]
    role: Text<'a>,
    #[serde(borrow, default)]
    sub_role: Text<'a>,
    #[serde(rename = "NID", borrow, default)]
    nid: Option<&'a RawValue>,
    #[serde(borrow, default)]
    arch: Text<'a>,
    #[serde(borrow, default)]
    class: Text<'a>,
}

fn interface(row: &RawValue, texts: &mut Texts) -> Result<InterfaceRecord, Rejected> {
    let json: InterfaceJson = object(row)?;
    let spelt = json.mac_address.as_deref().unwrap_or("");
    let id = match json.id.as_deref().unwrap_or("") {
        "" => spelt,
        id => id,
    };
    let reject = |problem| Err(Rejected { key: shown(id, row), problem });
    let mac: Mac = match spelt.parse() {
        Ok(mac) => mac,
        Err(bad) => return reject(Problem::new(Reason::BadMac, format!("interface '{}': {bad}", cut(id)))),
    };
    if !mac.is_usable() {
        let message = format!("{mac} is all zeros or a group address: no machine can have it");
        return reject(Problem::new(Reason::UnusableMac, message).of_mac(mac));
    }
    let mut notes = Notes { mac: Some(mac), texts, problems: Vec::new() };
    let component_id = notes.owner(json.component_id.as_deref().unwrap_or(""));
    Ok(InterfaceRecord {
        last_update: notes.instant(json.last_update.as_deref()),
        id: cut(id),
        mac,
        description: notes.text("Description", json.description),
        component_id,
        kind: notes.text("Type", json.r#type),
        addresses: notes.addresses(json.ip_addresses.unwrap_or_default()),
        problems: notes.problems,
    })
}

fn component(row: &RawValue, texts: &mut Texts) -> Result<ComponentRecord, Rejected> {
    let json: ComponentJson = object(row)?;
    let spelt = json.id.as_deref().unwrap_or("");
    let id: Xname = match spelt.parse() {
        Ok(id) => id,
        Err(bad) => {
            let problem = Problem::new(Reason::BadXname, format!("a component's ID: {bad}"));
            return Err(Rejected { key: shown(spelt, row), problem });
        }
    };
    let mut notes = Notes { mac: None, texts, problems: Vec::new() };
    let mut record = ComponentRecord {
        kind: notes.text("Type", json.r#type),
        nid: notes.nid(json.nid),
        role: notes.text("Role", json.role),
        sub_role: notes.text("SubRole", json.sub_role),
        arch: notes.text("Arch", json.arch),
        class: notes.text("Class", json.class),
        state: notes.text("State", json.state),
        flag: notes.text("Flag", json.flag),
        enabled: json.enabled,
        groups: Vec::new(),
        problems: notes.problems,
        id,
    };
    for problem in &mut record.problems {
        problem.component_id = Some(record.id.clone());
    }
    Ok(record)
}

/// Turns text into values and writes down what is lost on the way.
struct Notes<'t> {
    mac: Option<Mac>,
    texts: &'t mut Texts,
    problems: Vec<Problem>,
}

impl Notes<'_> {
    fn note(&mut self, reason: Reason, message: String) {
        self.problems.push(Problem { mac: self.mac, ..Problem::new(reason, message) });
    }

    fn text(&mut self, field: &str, text: Text) -> Arc<str> {
        let text = text.unwrap_or_default();
        if text.len() > MAX_TEXT {
            self.note(
                Reason::LongText,
                format!("{field} has {} bytes; only {MAX_TEXT} are kept", text.len()),
            );
        }
        self.texts.of(&text[..text.floor_char_boundary(MAX_TEXT)])
    }

    fn owner(&mut self, text: &str) -> Option<Xname> {
        if text.trim().is_empty() {
            return None;
        }
        text.parse().map_err(|bad| self.note(Reason::BadXname, format!("ComponentID: {bad}"))).ok()
    }

    fn instant(&mut self, text: Option<&str>) -> Option<Timestamp> {
        let text = text.filter(|text| !text.is_empty())?;
        let message = |_| format!("LastUpdate '{}' is no RFC 3339 instant", cut(text));
        text.parse().map_err(|error: jiff::Error| self.note(Reason::BadTime, message(error))).ok()
    }

    /// A number or the text of one. SMD leaves 0 out, and so do we.
    fn nid(&mut self, raw: Option<&RawValue>) -> Option<i64> {
        let text = raw?.get().trim_matches('"').trim();
        match text.parse::<i64>() {
            Ok(0) => None,
            Ok(nid) if nid > 0 => Some(nid),
            _ if text.is_empty() || text == "null" => None,
            _ => {
                self.note(Reason::BadNid, format!("NID {} is no positive number", cut(text)));
                None
            }
        }
    }

    /// Those that can be used, each once.
    fn addresses(&mut self, rows: Vec<&RawValue>) -> Vec<AddressRecord> {
        let mut addresses: Vec<AddressRecord> = Vec::with_capacity(rows.len());
        let mut seen = HashSet::new();
        for row in rows {
            if let Some(record) = self.address(row).filter(|record| seen.insert(record.address)) {
                addresses.push(record);
            }
        }
        addresses
    }

    fn address(&mut self, row: &RawValue) -> Option<AddressRecord> {
        let Ok(json) = object::<AddressJson>(row) else {
            self.note(Reason::BadAddress, format!("{} is no address record", start(row.get())));
            return None;
        };
        let text = json.ip_address.as_deref().unwrap_or("").trim();
        if text.is_empty() {
            self.note(Reason::EmptyAddress, "an address without text is skipped".to_owned());
            return None;
        }
        // ::ffff:172.16.0.1 is an IPv4 address written so that IPv6 code can hold it (RFC 4291 §2.5.5.2).
        match text.parse::<IpAddr>().map(|address| address.to_canonical()) {
            Ok(address) if is_usable(address) => {
                Some(AddressRecord { address, network: self.text("Network", json.network) })
            }
            Ok(address) => {
                let message = format!("{address} cannot be a machine's address; it is skipped");
                self.note(Reason::BadAddress, message);
                None
            }
            Err(_) => {
                let message =
                    format!("'{}' is neither an IPv4 nor an IPv6 address; it is skipped", start(text));
                self.note(Reason::BadAddress, message);
                None
            }
        }
    }
}

/// Whether one machine can have it on a network.
fn is_usable(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    !(address.is_unspecified() || address.is_multicast() || address.is_loopback() || broadcast)
}

/// The record, which must be an object: a list of values without names would do for serde.
fn object<'a, T: Deserialize<'a>>(row: &'a RawValue) -> Result<T, Rejected> {
    let misshapen = |cause: &dyn fmt::Display| {
        let message = format!("{} is not the record SMD documents: {cause}", start(row.get()));
        Rejected { key: start(row.get()), problem: Problem::new(Reason::BadRecord, message) }
    };
    if !row.get().starts_with('{') {
        return Err(misshapen(&"no object"));
    }
    serde_json::from_str(row.get()).map_err(|cause| misshapen(&cause))
}

fn shown(id: &str, row: &RawValue) -> String {
    if id.is_empty() { start(row.get()) } else { cut(id) }
}

fn start(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_SHOWN)].to_owned()
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_TEXT)].to_owned()
}

#[cfg(test)]
mod tests;
