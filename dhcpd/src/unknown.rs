//! Which MACs asked for an address and are not in SMD: for an operator to put them there.
//!
//! Only what SMD itself does not have is remembered; "cannot tell" is no reason to call anybody unknown. Everything a client
//! says is bounded and printable.

use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap},
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
};
use values::Mac;

/// How many MACs are remembered; the one seen longest ago goes first. A row of racks is below this, and the whole list stays
/// below 2 MB.
pub const LIMIT: usize = 4096;

/// Vendor classes of firmware have some 32 characters (`PXEClient:Arch:00007:UNDI:003016`); the rest is of no use.
const VENDOR_CLASS_LIMIT: usize = 64;

/// What was seen of a client that is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Who.
    pub mac: Mac,
    /// giaddr, where it came through a relay.
    pub relay: Option<Ipv4Addr>,
    /// The interface it was heard on.
    pub interface: Option<String>,
    /// Option 60.
    pub vendor_class: Option<String>,
    /// The first of option 93.
    pub architecture: Option<u16>,
}

/// One row of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Lower case, colons.
    pub mac: String,
    /// RFC 3339.
    pub first_seen: String,
    /// RFC 3339.
    pub last_seen: String,
    /// Messages since then.
    pub count: u64,
    /// The relay of the last one.
    pub relay: Option<Ipv4Addr>,
    /// Where the last one was heard.
    pub interface: Option<String>,
    /// Of the last one that had any.
    pub vendor_class: Option<String>,
    /// Of the last one that had any.
    pub architecture: Option<u16>,
    /// What SMD takes with `POST /hsm/v2/Inventory/EthernetInterfaces`; component and address are for the operator to add.
    pub smd: SmdInterface,
}

/// As SMD spells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmdInterface {
    /// Lower case, colons.
    #[serde(rename = "MACAddress")]
    pub mac_address: String,
    /// A sentence.
    #[serde(rename = "Description")]
    pub description: String,
}

/// The list; cheap to clone, bounded by [`LIMIT`].
#[derive(Clone, Default)]
pub struct Unknown(Arc<Mutex<List>>);

#[derive(Default)]
struct List {
    entries: HashMap<Mac, Entry>,
    /// Who was seen when, by a count of sightings: the first one is forgotten first.
    order: BTreeMap<u64, Mac>,
    sightings: u64,
}

struct Entry {
    seen: Sighting,
    first_seen: jiff::Timestamp,
    last_seen: jiff::Timestamp,
    count: u64,
    order: u64,
}

impl Unknown {
    /// Remembers a sighting; answers with how many MACs are held and whether this one is new.
    pub fn record(&self, sighting: Sighting, now: jiff::Timestamp) -> (usize, bool) {
        self.lock().record(sighting.bounded(), now)
    }

    /// Every MAC, the one seen last first.
    pub fn rows(&self) -> Vec<Row> {
        let list = self.lock();
        list.order.values().rev().filter_map(|mac| list.entries.get(mac)).map(Entry::row).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl List {
    fn record(&mut self, sighting: Sighting, now: jiff::Timestamp) -> (usize, bool) {
        self.sightings += 1;
        let (mac, order) = (sighting.mac, self.sightings);
        let new = match self.entries.get_mut(&mac) {
            Some(entry) => {
                self.order.remove(&entry.order);
                entry.again(sighting, now, order);
                false
            }
            None => {
                self.forget_one_if_full();
                self.entries
                    .insert(mac, Entry { seen: sighting, first_seen: now, last_seen: now, count: 1, order });
                true
            }
        };
        self.order.insert(order, mac);
        (self.entries.len(), new)
    }

    fn forget_one_if_full(&mut self) {
        if self.entries.len() >= LIMIT
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.entries.remove(&oldest);
        }
    }
}

impl Entry {
    fn again(&mut self, mut sighting: Sighting, now: jiff::Timestamp, order: u64) {
        // An operating system says less of itself than the firmware did before it.
        sighting.vendor_class = sighting.vendor_class.or(self.seen.vendor_class.take());
        sighting.architecture = sighting.architecture.or(self.seen.architecture);
        self.seen = sighting;
        self.last_seen = now;
        self.count += 1;
        self.order = order;
    }

    fn row(&self) -> Row {
        let Sighting { mac, relay, interface, vendor_class, architecture } = self.seen.clone();
        let place = relay.map(|relay| format!("through relay {relay}"));
        let place = place.or_else(|| interface.as_ref().map(|interface| format!("on {interface}")));
        let description = format!("seen by dhcpd {}", place.unwrap_or_default());
        Row {
            mac: mac.to_string(),
            first_seen: seconds(self.first_seen),
            last_seen: seconds(self.last_seen),
            count: self.count,
            relay,
            interface,
            vendor_class,
            architecture,
            smd: SmdInterface {
                mac_address: mac.to_string(),
                description: description.trim_end().to_string(),
            },
        }
    }
}

impl Sighting {
    fn bounded(mut self) -> Sighting {
        let printable = |character: char| if character.is_control() { '?' } else { character };
        self.vendor_class =
            self.vendor_class.map(|class| class.chars().take(VENDOR_CLASS_LIMIT).map(printable).collect());
        self
    }
}

/// RFC 3339, whole seconds.
fn seconds(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The list as a table, for people.
pub fn table(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "no unknown MAC has asked for an address\n".into();
    }
    let title = ["MAC", "FIRST SEEN", "LAST SEEN", "COUNT", "RELAY", "INTERFACE", "ARCH", "VENDOR CLASS"];
    let mut lines = vec![title.map(String::from)];
    let or_dash = |text: Option<String>| text.filter(|text| !text.is_empty()).unwrap_or_else(|| "-".into());
    for row in rows {
        lines.push([
            row.mac.clone(),
            row.first_seen.clone(),
            row.last_seen.clone(),
            row.count.to_string(),
            or_dash(row.relay.map(|relay| relay.to_string())),
            or_dash(row.interface.clone()),
            or_dash(row.architecture.map(|architecture| architecture.to_string())),
            or_dash(row.vendor_class.clone()),
        ]);
    }
    daemon::ask::columns(&lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> jiff::Timestamp {
        jiff::Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn sighting(number: u32) -> Sighting {
        let [a, b, c, d] = number.to_be_bytes();
        let mac = Mac([2, 0, a, b, c, d]);
        Sighting { mac, relay: None, interface: Some("eth0".into()), vendor_class: None, architecture: None }
    }

    #[test]
    fn a_mac_seen_again_is_one_row_that_knows_first_and_last() {
        let unknown = Unknown::default();
        let first = Sighting { vendor_class: Some("PXEClient".into()), architecture: Some(7), ..sighting(1) };
        assert_eq!(unknown.record(first, at(0)), (1, true));
        let again = Sighting { relay: Some([10, 0, 0, 1].into()), ..sighting(1) };
        assert_eq!(unknown.record(again, at(60)), (1, false));
        let rows = unknown.rows();
        let json = serde_json::to_value(&rows).unwrap();
        assert_eq!(
            json,
            serde_json::json!([{
                "mac": "02:00:00:00:00:01", "first_seen": "2027-01-15T08:00:00Z", "last_seen": "2027-01-15T08:01:00Z",
                "count": 2, "relay": "10.0.0.1", "interface": "eth0", "vendor_class": "PXEClient", "architecture": 7,
                "smd": {"MACAddress": "02:00:00:00:00:01", "Description": "seen by dhcpd through relay 10.0.0.1"},
            }])
        );
        assert_eq!(serde_json::from_value::<Vec<Row>>(json).unwrap(), rows);
    }

    #[test]
    fn the_one_seen_longest_ago_is_forgotten_first() {
        let unknown = Unknown::default();
        for number in 0..LIMIT as u32 {
            unknown.record(sighting(number), at(0));
        }
        unknown.record(sighting(0), at(1));
        assert_eq!(unknown.record(sighting(1_000_000), at(2)), (LIMIT, true));
        let macs: Vec<_> = unknown.rows().into_iter().map(|row| row.mac).collect();
        assert_eq!(macs.len(), LIMIT);
        assert_eq!(&macs[..2], [sighting(1_000_000).mac.to_string(), sighting(0).mac.to_string()]);
        assert!(!macs.contains(&sighting(1).mac.to_string()));
        assert!(macs.contains(&sighting(2).mac.to_string()));
        let list = unknown.lock();
        assert_eq!((list.entries.len(), list.order.len()), (LIMIT, LIMIT));
    }

    #[test]
    fn what_clients_say_is_bounded_and_printable() {
        let unknown = Unknown::default();
        let rude = format!("\x1b[2J\n{}", "x".repeat(1000));
        unknown.record(Sighting { vendor_class: Some(rude), ..sighting(1) }, at(0));
        let class = unknown.rows()[0].vendor_class.clone().unwrap();
        assert_eq!(class, format!("?[2J?{}", "x".repeat(59)));
    }

    #[test]
    fn the_table_has_a_line_for_each() {
        assert_eq!(table(&[]), "no unknown MAC has asked for an address\n");
        let unknown = Unknown::default();
        unknown.record(Sighting { architecture: Some(7), ..sighting(1) }, at(0));
        unknown.record(Sighting { relay: Some([10, 0, 0, 1].into()), interface: None, ..sighting(2) }, at(1));
        let wanted = "\
MAC                FIRST SEEN            LAST SEEN             COUNT  RELAY     INTERFACE  ARCH  VENDOR CLASS
02:00:00:00:00:02  2027-01-15T08:00:01Z  2027-01-15T08:00:01Z  1      10.0.0.1  -          -     -
02:00:00:00:00:01  2027-01-15T08:00:00Z  2027-01-15T08:00:00Z  1      -         eth0       7     -
";
        assert_eq!(table(&unknown.rows()), wanted);
    }
}
