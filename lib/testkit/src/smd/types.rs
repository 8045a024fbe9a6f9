//! SMD's records as its JSON has them: the order of fields, and what is left out when empty, are part of the answer.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

/// One row of `Inventory/EthernetInterfaces`. All seven fields are always there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EthernetInterface {
    /// The MAC without colons, or however the row came in.
    #[serde(rename = "ID", default)]
    pub id: String,
    /// Free text.
    #[serde(rename = "Description", default)]
    pub description: String,
    /// As stored.
    #[serde(rename = "MACAddress")]
    pub mac: String,
    /// Microseconds, trailing zeros cut; what is loaded without it gets the time of loading.
    #[serde(rename = "LastUpdate", default, with = "instant")]
    pub last_update: Timestamp,
    /// xname or empty.
    #[serde(rename = "ComponentID", default)]
    pub component_id: String,
    /// Derived from the form of the xname.
    #[serde(rename = "Type", default)]
    pub kind: String,
    /// In the order they were written.
    #[serde(rename = "IPAddresses", default)]
    pub addresses: Vec<Address>,
}

/// One address of an interface: text that SMD does not look at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Address {
    /// Any text.
    #[serde(rename = "IPAddress")]
    pub address: String,
    /// Left out when empty.
    #[serde(rename = "Network", default, skip_serializing_if = "String::is_empty")]
    pub network: String,
}

/// One row of `State/Components`; what is empty is left out, apart from `Enabled`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Component {
    /// xname.
    #[serde(rename = "ID", default)]
    pub id: String,
    /// Derived from the form of the xname.
    #[serde(rename = "Type", default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// On, Off, Ready ...
    #[serde(rename = "State", default, skip_serializing_if = "String::is_empty")]
    pub state: String,
    /// OK, Warning ...
    #[serde(rename = "Flag", default, skip_serializing_if = "String::is_empty")]
    pub flag: String,
    /// Shown when false; left out only in `stateonly` and `nidonly` reads.
    #[serde(rename = "Enabled", default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Compute, Management ...
    #[serde(rename = "Role", default, skip_serializing_if = "String::is_empty")]
    pub role: String,
    /// Master, Worker ...
    #[serde(rename = "SubRole", default, skip_serializing_if = "String::is_empty")]
    pub sub_role: String,
    /// 0 is left out.
    #[serde(rename = "NID", default, skip_serializing_if = "is_zero", deserialize_with = "nid")]
    pub nid: i64,
    /// Sling, Ethernet ...
    #[serde(rename = "NetType", default, skip_serializing_if = "String::is_empty")]
    pub net_type: String,
    /// X86, ARM ...
    #[serde(rename = "Arch", default, skip_serializing_if = "String::is_empty")]
    pub arch: String,
    /// River, Mountain, Hill.
    #[serde(rename = "Class", default, skip_serializing_if = "String::is_empty")]
    pub class: String,
}

/// A group, or a partition (whose label is called `name`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub label: String,
    /// Always shown.
    #[serde(default)]
    pub description: String,
    /// Left out when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// A component is in one group at most of those that share this word.
    #[serde(rename = "exclusiveGroup", default, skip_serializing_if = "String::is_empty")]
    pub exclusive: String,
    /// xnames.
    #[serde(default)]
    pub members: Members,
}

/// A partition; as far as recorded, only these two fields.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Partition {
    /// Its name.
    pub name: String,
    /// xnames.
    #[serde(default)]
    pub members: Members,
}

/// The list of a group's members.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Members {
    /// xnames.
    #[serde(default)]
    pub ids: Vec<String>,
}

/// Everything SMD holds; the form of `inventory.json` files, of the generator and of `/control/machines`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Inventory {
    /// The body of `GET Inventory/EthernetInterfaces`.
    #[serde(rename = "EthernetInterfaces", default)]
    pub interfaces: Vec<EthernetInterface>,
    /// The body of `GET State/Components`, or the bare list in it.
    #[serde(rename = "Components", default, deserialize_with = "components")]
    pub components: Vec<Component>,
    /// The body of `GET groups`.
    #[serde(default)]
    pub groups: Vec<Group>,
}

/// A body of `State/Components`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Components {
    #[serde(rename = "Components", default)]
    pub(crate) components: Vec<Component>,
}

impl EthernetInterface {
    /// A row as `POST Inventory/EthernetInterfaces` would store it, without the checks.
    pub fn new(mac: &str, component_id: &str, addresses: &[&str]) -> EthernetInterface {
        let addresses =
            addresses.iter().map(|&text| Address { address: text.to_owned(), network: String::new() });
        EthernetInterface {
            id: mac.to_lowercase().replace(':', ""),
            description: String::new(),
            mac: mac.to_lowercase(),
            last_update: Timestamp::default(),
            component_id: component_id.to_owned(),
            kind: super::xname::kind(component_id).unwrap_or_default().to_owned(),
            addresses: addresses.collect(),
        }
    }
}

impl Component {
    /// A running, enabled component; its type comes from its name.
    pub fn new(id: &str, nid: i64) -> Component {
        let kind = super::xname::kind(id).unwrap_or_default();
        Component {
            id: id.to_owned(),
            kind: kind.to_owned(),
            state: "On".to_owned(),
            flag: "OK".to_owned(),
            enabled: Some(true),
            role: if kind == "Node" { "Compute".to_owned() } else { String::new() },
            nid,
            ..Component::default()
        }
    }
}

/// RFC 3339 text; jiff cuts trailing zeros as SMD does.
mod instant {
    use super::{Deserialize, Deserializer, Timestamp};
    use serde::Serializer;

    pub(super) fn serialize<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(time)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

fn is_zero(nid: &i64) -> bool {
    *nid == 0
}

/// SMD takes a number or text that is one.
fn nid<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Nid {
        Number(i64),
        Text(String),
    }
    match Nid::deserialize(from)? {
        Nid::Number(number) => Ok(number),
        Nid::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

fn components<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Component>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Bare(Vec<Component>),
        Body(Components),
    }
    Ok(match Either::deserialize(from)? {
        Either::Bare(list) => list,
        Either::Body(body) => body.components,
    })
}
