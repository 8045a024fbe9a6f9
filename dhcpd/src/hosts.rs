//! `dhcpd.v4.hosts_file`: addresses of machines beside the inventory, as CoreDHCP's `file` plug-in has them.
//!
//! A line is `MAC ADDRESS`; `#` begins a comment. A bad line is left out and reported, it never takes the others down. The
//! machines are served as the inventory's are, only without a name and without rules. Reading the file again when it
//! changes is the shell's part (`server::hosts`).

use crate::decide::is_host;
use inventory::{Address, Interface, Policy, Replica};
use std::{collections::HashMap, fmt, net::Ipv4Addr, sync::Arc};
use values::Mac;

/// Largest file that is read. A line has about 32 bytes, so this is some 130,000 machines.
pub const MAX_SIZE: u64 = 4 << 20;

/// Bad lines that are told of one by one. A guess: enough to see what is wrong, few enough to read.
const TOLD: usize = 10;

/// The machines of the file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hosts {
    by_mac: HashMap<Mac, Arc<Interface>>,
    by_address: HashMap<Ipv4Addr, Mac>,
}

/// A line that is left out, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// From 1.
    pub line: usize,
    /// A clause.
    pub message: String,
}

impl Hosts {
    /// Every good line, and every bad one. Of two lines with one MAC or one address the first stays.
    pub fn parse(text: &str) -> (Hosts, Vec<BadLine>) {
        let (mut hosts, mut bad) = (Hosts::default(), Vec::new());
        for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let entry = line.split('#').next().unwrap_or_default().trim();
            if entry.is_empty() {
                continue;
            }
            if let Err(message) = hosts.add(entry) {
                bad.push(BadLine { line: index + 1, message });
            }
        }
        (hosts, bad)
    }

    fn add(&mut self, entry: &str) -> Result<(), String> {
        let words: Vec<&str> = entry.split_whitespace().collect();
        let [mac, address] = words[..] else {
            return Err(format!("'{}' is not MAC ADDRESS", shorten(entry)));
        };
        let mac: Mac = mac.parse().map_err(|_| format!("'{}' is no MAC", shorten(mac)))?;
        if !mac.is_usable() {
            return Err(format!("{mac} is no MAC of a machine"));
        }
        let address: Ipv4Addr =
            address.parse().map_err(|_| format!("'{}' is no IPv4 address", shorten(address)))?;
        if !is_host(address) {
            return Err(format!("{address} is no address of a machine"));
        }
        if let Some(held) = self.by_mac.get(&mac) {
            return Err(format!("{mac} has {} already", listed(held)));
        }
        if let Some(holder) = self.by_address.get(&address) {
            return Err(format!("{address} is {holder}'s already"));
        }
        self.by_address.insert(address, mac);
        self.by_mac.insert(mac, Arc::new(interface(mac, address)));
        Ok(())
    }

    /// The machine with this MAC.
    pub fn get(&self, mac: &Mac) -> Option<&Arc<Interface>> {
        self.by_mac.get(mac)
    }

    /// Whose an address is.
    pub fn holder(&self, address: Ipv4Addr) -> Option<Mac> {
        self.by_address.get(&address).copied()
    }

    /// All addresses and their machines: nobody else may get them.
    pub fn addresses(&self) -> impl Iterator<Item = (Ipv4Addr, Mac)> + '_ {
        self.by_address.iter().map(|(address, mac)| (*address, *mac))
    }

    /// Those that the inventory leaves their address, and of each other one a clause that says whose it is: a machine of
    /// the inventory keeps its address whatever a file says.
    pub fn beside(&self, inventory: &Replica) -> (Hosts, Vec<String>) {
        let (mut beside, mut taken) = (self.clone(), Vec::new());
        for (address, mac) in self.addresses() {
            let holders = inventory.address(&address.into());
            let other = holders.iter().flat_map(|holders| &holders.interfaces);
            let Some(other) = other.into_iter().find(|one| one.component.is_some() && one.mac != mac) else {
                continue;
            };
            beside.by_mac.remove(&mac);
            beside.by_address.remove(&address);
            taken.push(format!("{address} is not {mac}'s: SMD gives it to {}", other.mac));
        }
        taken.sort();
        (beside, taken)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_mac.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_mac.is_empty()
    }
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// The first of many clauses, and how many more there are.
pub fn told(all: &[impl ToString]) -> String {
    let mut told: Vec<String> = all.iter().take(TOLD).map(ToString::to_string).collect();
    if all.len() > TOLD {
        told.push(format!("{} more", all.len() - TOLD));
    }
    told.join("; ")
}

/// A machine that nothing is known of but this.
fn interface(mac: Mac, address: Ipv4Addr) -> Interface {
    let address = Address {
        address: address.into(),
        network: "".into(),
        hostname: "".into(),
        domain: "".into(),
        fqdn: "".into(),
        names: [].into(),
        policy: Policy::default(),
    };
    Interface {
        mac,
        description: "".into(),
        component_id: None,
        component: None,
        addresses: vec![address],
        policy: Policy::default(),
        contested: false,
    }
}

fn listed(held: &Interface) -> String {
    held.addresses.iter().map(|entry| entry.address.to_string()).collect()
}

/// The first characters of what somebody wrote, for a sentence about it.
fn shorten(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        Some((cut, _)) => format!("{}...", &text[..cut]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<String>, Vec<String>) {
        let (hosts, bad) = Hosts::parse(text);
        let mut all: Vec<String> =
            hosts.addresses().map(|(address, mac)| format!("{mac} {address}")).collect();
        all.sort();
        for (address, mac) in hosts.addresses() {
            assert_eq!(hosts.get(&mac).unwrap().addresses[0].address, address);
            assert_eq!(hosts.holder(address), Some(mac));
        }
        assert_eq!(hosts.len(), all.len());
        (all, bad.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn lines_are_a_mac_and_an_address_in_any_spelling() {
        let text = "\u{feff}# machines\r\n02:00:00:00:07:01 172.16.0.61\r\n\n  02-00-00-00-07-02\t172.16.0.62 # a comment\n0200.0000.0703 172.16.0.63#one\n";
        let expected = [
            "02:00:00:00:07:01 172.16.0.61",
            "02:00:00:00:07:02 172.16.0.62",
            "02:00:00:00:07:03 172.16.0.63",
        ];
        assert_eq!(read(text), (expected.map(String::from).to_vec(), vec![]));
        assert_eq!(read(""), (vec![], vec![]));
        assert_eq!(read("# nothing"), (vec![], vec![]));
    }

    #[test]
    fn a_bad_line_is_reported_with_its_number_and_takes_down_nothing_else() {
        for (line, message) in [
            ("02:00:00:00:07:09", "'02:00:00:00:07:09' is not MAC ADDRESS"),
            (
                "02:00:00:00:07:09 172.16.0.69 node9",
                "'02:00:00:00:07:09 172.16.0.69 node9' is not MAC ADDRESS",
            ),
            ("172.16.0.69 02:00:00:00:07:09", "'172.16.0.69' is no MAC"),
            ("02:00:00:00:07 172.16.0.69", "'02:00:00:00:07' is no MAC"),
            ("00:00:00:00:00:00 172.16.0.69", "00:00:00:00:00:00 is no MAC of a machine"),
            ("ff:ff:ff:ff:ff:ff 172.16.0.69", "ff:ff:ff:ff:ff:ff is no MAC of a machine"),
            ("02:00:00:00:07:09 172.16.0", "'172.16.0' is no IPv4 address"),
            ("02:00:00:00:07:09 fd00::1", "'fd00::1' is no IPv4 address"),
            ("02:00:00:00:07:09 0.0.0.0", "0.0.0.0 is no address of a machine"),
            ("02:00:00:00:07:09 127.0.0.1", "127.0.0.1 is no address of a machine"),
        ] {
            let text = format!("02:00:00:00:07:01 172.16.0.61\n{line}\n02:00:00:00:07:02 172.16.0.62\n");
            let (good, bad) = read(&text);
            assert_eq!(good.len(), 2, "{line}");
            assert_eq!(bad, [format!("line 2: {message}")], "{line}");
        }
    }

    #[test]
    fn of_two_lines_with_one_mac_or_one_address_the_first_stays() {
        let text =
            "02:00:00:00:07:01 172.16.0.61\n02-00-00-00-07-01 172.16.0.62\n02:00:00:00:07:02 172.16.0.61\n";
        let bad = [
            "line 2: 02:00:00:00:07:01 has 172.16.0.61 already",
            "line 3: 172.16.0.61 is 02:00:00:00:07:01's already",
        ];
        assert_eq!(
            read(text),
            (vec!["02:00:00:00:07:01 172.16.0.61".into()], bad.map(String::from).to_vec())
        );
    }

    #[test]
    fn many_bad_lines_are_a_few_and_a_number() {
        let (hosts, bad) = Hosts::parse(&"x y\n".repeat(1000));
        assert!(hosts.is_empty());
        assert_eq!(bad.len(), 1000);
        let told = told(&bad);
        assert!(told.starts_with("line 1: 'x' is no MAC; line 2:") && told.ends_with("; 990 more"), "{told}");
    }

    #[test]
    fn any_text_can_be_read() {
        for text in
            ["\0\0\0", "\u{feff}\u{feff}", "ä ö", "a\u{2028}b c", &"é".repeat(5000), "#".repeat(99).as_str()]
        {
            let (hosts, bad) = Hosts::parse(text);
            assert!(hosts.is_empty() && bad.len() <= 1, "{text}");
        }
    }
}
