//! What the snapshot file holds, item by item; no item needs an earlier one.

use crate::{
    records::{AddressRecord, ComponentRecord, InterfaceRecord, Problem, Reason, Rejected, Texts},
    refresh::Peak,
    snapshot::{Legacy, LegacyZone},
};
use jiff::Timestamp;
use kept::{Kind, Reader, Unusable};
use prost::{Message, Oneof};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};
use values::Mac;

/// The one before the last is kept, too: nobody else has what is in it while SMD is down.
pub(super) const KIND: Kind = Kind { name: "coresmd-snapshot", version: 1, previous: true };

/// What a file holds.
#[derive(Debug, Default)]
pub struct Contents {
    /// When the last good read of any kind had begun.
    pub read_at: Option<Timestamp>,
    /// When the last good whole read had begun.
    pub whole_read_at: Option<Timestamp>,
    /// When the file was written.
    pub written_at: Option<Timestamp>,
    /// Believed.
    pub interfaces: Vec<InterfaceRecord>,
    /// Believed.
    pub components: Vec<ComponentRecord>,
    /// Not believed, by kind.
    pub rejected_interfaces: Vec<Rejected>,
    /// Not believed, by kind.
    pub rejected_components: Vec<Rejected>,
    /// Serials and holders.
    pub legacy: Legacy,
    /// What the wipe guard remembers.
    pub peaks: Vec<Peak>,
}

/// Writes items.
pub struct Writer(pub(super) kept::Writer);

impl Writer {
    /// What is known beside records.
    pub fn header(
        &mut self,
        (read_at, whole_read_at, written_at): (Option<Timestamp>, Option<Timestamp>, Timestamp),
        legacy: &Legacy,
        peaks: &[Peak],
    ) -> io::Result<()> {
        let header = Header {
            read_at: read_at.map(Instant::from),
            whole_read_at: whole_read_at.map(Instant::from),
            written_at: Some(written_at.into()),
        };
        self.item(Item::Header(header))?;
        for peak in peaks {
            let servable = peak.servable as u64;
            self.item(Item::Peak(PeakItem { at: Some(peak.at.into()), servable }))?;
        }
        for zone in &legacy.zones {
            let records = zone.records.to_le_bytes().to_vec();
            self.item(Item::Zone(ZoneItem { name: zone.name.to_string(), serial: zone.serial, records }))?;
        }
        let macs = legacy.macs.iter().map(|(mac, id)| Holder {
            mac: mac.0.into(),
            id: id.to_string(),
            ..Holder::default()
        });
        let addresses = legacy.addresses.iter().map(|(address, id, mac)| Holder {
            address: octets(*address),
            mac: mac.0.into(),
            id: id.as_ref().map(ToString::to_string).unwrap_or_default(),
            ..Holder::default()
        });
        let names = legacy.names.iter().map(|(name, id)| Holder {
            name: name.to_string(),
            id: id.to_string(),
            ..Holder::default()
        });
        for holder in macs.chain(addresses).chain(names) {
            self.item(Item::Holder(holder))?;
        }
        Ok(())
    }

    /// An interface that is believed.
    pub fn interface(&mut self, record: &InterfaceRecord) -> io::Result<()> {
        self.item(Item::Interface(record.into()))
    }

    /// A component that is believed.
    pub fn component(&mut self, record: &ComponentRecord) -> io::Result<()> {
        self.item(Item::Component(record.into()))
    }

    /// A record that was refused.
    pub fn rejected(&mut self, is_component: bool, key: &str, problem: &Problem) -> io::Result<()> {
        let problem = Some(problem.into());
        self.item(Item::Rejected(RejectedItem { key: key.to_owned(), problem, is_component }))
    }

    fn item(&mut self, item: Item) -> io::Result<()> {
        self.0.put(&Envelope { item: Some(item) })
    }
}

/// Reads every item.
pub(super) fn read(from: &mut Reader) -> Result<Contents, Unusable> {
    let mut contents = Contents::default();
    let mut texts = Texts::default();
    while let Some(envelope) = from.message::<Envelope>()? {
        // One of a later release with the same version is passed over.
        if let Some(item) = envelope.item {
            contents.take(item, &mut texts).ok_or(Unusable::Damaged("an item holds no valid value"))?;
        }
    }
    Ok(contents)
}

impl Contents {
    fn take(&mut self, item: Item, texts: &mut Texts) -> Option<()> {
        match item {
            Item::Header(header) => {
                self.read_at = moment(header.read_at)?;
                self.whole_read_at = moment(header.whole_read_at)?;
                self.written_at = moment(header.written_at)?;
            }
            Item::Interface(item) => self.interfaces.push(item.record(texts)?),
            Item::Component(item) => self.components.push(item.record(texts)?),
            Item::Rejected(item) => {
                let rejected = Rejected { key: item.key, problem: item.problem?.problem()? };
                match item.is_component {
                    true => self.rejected_components.push(rejected),
                    false => self.rejected_interfaces.push(rejected),
                }
            }
            Item::Zone(item) => self.legacy.zones.push(LegacyZone {
                name: item.name.parse().ok()?,
                serial: item.serial,
                records: u128::from_le_bytes(item.records.try_into().ok()?),
            }),
            Item::Holder(item) => self.take_holder(item)?,
            Item::Peak(item) => {
                self.peaks
                    .push(Peak { at: moment(item.at)??, servable: usize::try_from(item.servable).ok()? });
            }
        }
        Some(())
    }

    fn take_holder(&mut self, item: Holder) -> Option<()> {
        if !item.name.is_empty() {
            self.legacy.names.push((item.name.parse().ok()?, item.id.parse().ok()?));
        } else if !item.address.is_empty() {
            let id = if item.id.is_empty() { None } else { Some(item.id.parse().ok()?) };
            self.legacy.addresses.push((address(&item.address)?, id, mac(&item.mac)?));
        } else {
            self.legacy.macs.push((mac(&item.mac)?, item.id.parse().ok()?));
        }
        Some(())
    }
}

#[derive(Clone, PartialEq, Message)]
struct Envelope {
    #[prost(oneof = "Item", tags = "1, 2, 3, 4, 5, 6, 7")]
    item: Option<Item>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Item {
    #[prost(message, tag = "1")]
    Header(Header),
    #[prost(message, tag = "2")]
    Interface(InterfaceItem),
    #[prost(message, tag = "3")]
    Component(ComponentItem),
    #[prost(message, tag = "4")]
    Rejected(RejectedItem),
    #[prost(message, tag = "5")]
    Zone(ZoneItem),
    #[prost(message, tag = "6")]
    Holder(Holder),
    #[prost(message, tag = "7")]
    Peak(PeakItem),
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Instant {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanoseconds: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Header {
    #[prost(message, tag = "1")]
    read_at: Option<Instant>,
    #[prost(message, tag = "2")]
    whole_read_at: Option<Instant>,
    #[prost(message, tag = "3")]
    written_at: Option<Instant>,
}

#[derive(Clone, PartialEq, Message)]
struct PeakItem {
    #[prost(message, tag = "1")]
    at: Option<Instant>,
    #[prost(uint64, tag = "2")]
    servable: u64,
}

#[derive(Clone, PartialEq, Message)]
struct ZoneItem {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(uint32, tag = "2")]
    serial: u32,
    #[prost(bytes = "vec", tag = "3")]
    records: Vec<u8>,
}

/// Of a name; else of an address; else of a MAC.
#[derive(Clone, PartialEq, Message)]
struct Holder {
    #[prost(bytes = "vec", tag = "1")]
    mac: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    address: Vec<u8>,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(string, tag = "4")]
    id: String,
}

#[derive(Clone, PartialEq, Message)]
struct ProblemItem {
    #[prost(string, tag = "1")]
    reason: String,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(bytes = "vec", tag = "3")]
    mac: Vec<u8>,
    #[prost(string, tag = "4")]
    component_id: String,
    #[prost(bytes = "vec", tag = "5")]
    address: Vec<u8>,
    #[prost(string, tag = "6")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct RejectedItem {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, tag = "2")]
    problem: Option<ProblemItem>,
    #[prost(bool, tag = "3")]
    is_component: bool,
}

#[derive(Clone, PartialEq, Message)]
struct AddressItem {
    #[prost(bytes = "vec", tag = "1")]
    address: Vec<u8>,
    #[prost(string, tag = "2")]
    network: String,
}

#[derive(Clone, PartialEq, Message)]
struct InterfaceItem {
    #[prost(bytes = "vec", tag = "1")]
    mac: Vec<u8>,
    /// Empty: the MAC's digits.
    #[prost(string, tag = "2")]
    id: String,
    #[prost(string, tag = "3")]
    description: String,
    #[prost(string, tag = "4")]
    component_id: String,
    #[prost(string, tag = "5")]
    kind: String,
    #[prost(message, tag = "6")]
    last_update: Option<Instant>,
    #[prost(message, repeated, tag = "7")]
    addresses: Vec<AddressItem>,
    #[prost(message, repeated, tag = "8")]
    problems: Vec<ProblemItem>,
}

#[derive(Clone, PartialEq, Message)]
struct ComponentItem {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    kind: String,
    #[prost(int64, optional, tag = "3")]
    nid: Option<i64>,
    #[prost(string, tag = "4")]
    role: String,
    #[prost(string, tag = "5")]
    sub_role: String,
    #[prost(string, tag = "6")]
    arch: String,
    #[prost(string, tag = "7")]
    class: String,
    #[prost(string, tag = "8")]
    state: String,
    #[prost(string, tag = "9")]
    flag: String,
    #[prost(bool, optional, tag = "10")]
    enabled: Option<bool>,
    #[prost(string, repeated, tag = "11")]
    groups: Vec<String>,
    #[prost(message, repeated, tag = "12")]
    problems: Vec<ProblemItem>,
}

impl From<&InterfaceRecord> for InterfaceItem {
    fn from(record: &InterfaceRecord) -> InterfaceItem {
        let address = |record: &AddressRecord| AddressItem {
            address: octets(record.address),
            network: record.network.to_string(),
        };
        let id = if *record.id == *record.mac.bare() { String::new() } else { record.id.to_string() };
        InterfaceItem {
            mac: record.mac.0.into(),
            id,
            description: record.description.to_string(),
            component_id: record.component_id.as_ref().map(ToString::to_string).unwrap_or_default(),
            kind: record.kind.to_string(),
            last_update: record.last_update.map(Instant::from),
            addresses: record.addresses.iter().map(address).collect(),
            problems: record.problems.iter().map(ProblemItem::from).collect(),
        }
    }
}

impl InterfaceItem {
    fn record(self, texts: &mut Texts) -> Option<InterfaceRecord> {
        let mac = mac(&self.mac)?;
        let component_id = match self.component_id.as_str() {
            "" => None,
            id => Some(id.parse().ok()?),
        };
        let addresses = self.addresses.into_iter().map(|item| {
            Some(AddressRecord { address: address(&item.address)?, network: texts.of(&item.network) })
        });
        let addresses = addresses.collect::<Option<_>>()?;
        Some(InterfaceRecord {
            last_update: moment(self.last_update)?,
            id: if self.id.is_empty() { mac.bare() } else { self.id },
            mac,
            description: texts.of(&self.description),
            component_id,
            kind: texts.of(&self.kind),
            addresses,
            problems: problems(self.problems)?,
        })
    }
}

impl From<&ComponentRecord> for ComponentItem {
    fn from(record: &ComponentRecord) -> ComponentItem {
        ComponentItem {
            id: record.id.to_string(),
            kind: record.kind.to_string(),
            nid: record.nid,
            role: record.role.to_string(),
            sub_role: record.sub_role.to_string(),
            arch: record.arch.to_string(),
            class: record.class.to_string(),
            state: record.state.to_string(),
            flag: record.flag.to_string(),
            enabled: record.enabled,
            groups: record.groups.to_vec(),
            problems: record.problems.iter().map(ProblemItem::from).collect(),
        }
    }
}

impl ComponentItem {
    fn record(self, texts: &mut Texts) -> Option<ComponentRecord> {
        Some(ComponentRecord {
            id: self.id.parse().ok()?,
            kind: texts.of(&self.kind),
            nid: self.nid,
            role: texts.of(&self.role),
            sub_role: texts.of(&self.sub_role),
            arch: texts.of(&self.arch),
            class: texts.of(&self.class),
            state: texts.of(&self.state),
            flag: texts.of(&self.flag),
            enabled: self.enabled,
            groups: self.groups,
            problems: problems(self.problems)?,
        })
    }
}

impl From<&Problem> for ProblemItem {
    fn from(problem: &Problem) -> ProblemItem {
        fn text(value: Option<impl ToString>) -> String {
            value.map(|value| value.to_string()).unwrap_or_default()
        }
        ProblemItem {
            reason: problem.reason.label().to_owned(),
            message: problem.message.clone(),
            mac: problem.mac.map(|mac| mac.0.into()).unwrap_or_default(),
            component_id: text(problem.component_id.as_ref()),
            address: problem.address.map(octets).unwrap_or_default(),
            name: text(problem.name.as_ref()),
        }
    }
}

impl ProblemItem {
    fn problem(self) -> Option<Problem> {
        Some(Problem {
            reason: Reason::ALL.into_iter().find(|reason| reason.label() == self.reason)?,
            mac: if self.mac.is_empty() { None } else { Some(mac(&self.mac)?) },
            component_id: self.component_id.parse().ok(),
            address: if self.address.is_empty() { None } else { Some(address(&self.address)?) },
            name: self.name.parse().ok(),
            message: self.message,
        })
    }
}

impl From<Timestamp> for Instant {
    fn from(at: Timestamp) -> Instant {
        Instant { seconds: at.as_second(), nanoseconds: at.subsec_nanosecond() }
    }
}

/// The outer `None`: it is no instant.
fn moment(item: Option<Instant>) -> Option<Option<Timestamp>> {
    let Some(Instant { seconds, nanoseconds }) = item else { return Some(None) };
    Timestamp::new(seconds, nanoseconds).ok().map(Some)
}

fn problems<T: FromIterator<Problem>>(items: Vec<ProblemItem>) -> Option<T> {
    items.into_iter().map(ProblemItem::problem).collect()
}

fn mac(bytes: &[u8]) -> Option<Mac> {
    bytes.try_into().ok().map(Mac)
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().into(),
        IpAddr::V6(v6) => v6.octets().into(),
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(|octets| Ipv4Addr::from(octets).into()),
        _ => <[u8; 16]>::try_from(bytes).ok().map(|octets| Ipv6Addr::from(octets).into()),
    }
}
