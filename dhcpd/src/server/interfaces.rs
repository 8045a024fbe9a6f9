//! Our network interfaces, and which sockets the `listen` lines ask for on them. Reading is one call; the rest is pure.

use crate::decide::OwnAddress;
use config::Listen;
use nix::{
    ifaddrs::{InterfaceAddress, getifaddrs},
    net::if_::{InterfaceFlags, if_nametoindex},
    sys::socket::{LinkAddr, SockaddrStorage},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{Ipv4Addr, SocketAddrV4},
};
use values::Mac;

/// ARP hardware type of Ethernet and everything that looks like it (VLAN, bridge, bond, veth).
const ETHERNET: u16 = 1;

/// A network interface as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// eth0
    pub name: String,
    /// The kernel's number of it; another one when the interface was made anew.
    pub index: u32,
    /// Up, can broadcast, no loopback: clients without an address may be heard here.
    pub hears_broadcasts: bool,
    /// Where frames can be sent from; absent on what is no Ethernet.
    pub link: Option<LinkAddr>,
    /// IPv4 addresses with their prefix lengths.
    pub addresses: Vec<(Ipv4Addr, u8)>,
}

/// Every interface, by name.
pub fn read() -> io::Result<Vec<Interface>> {
    Ok(collect(getifaddrs()?, |name| if_nametoindex(name).ok()))
}

/// The kernel gives one entry for each device and then one for each address, which may carry a label (`eth0:1`) in place of the
/// device's name.
fn collect(
    entries: impl Iterator<Item = InterfaceAddress>,
    index: impl Fn(&str) -> Option<u32>,
) -> Vec<Interface> {
    let mut interfaces = BTreeMap::<String, Interface>::new();
    for entry in entries {
        let name = match index(&entry.interface_name) {
            Some(_) => entry.interface_name,
            None => labelled(&interfaces, &entry.interface_name),
        };
        let interface = match interfaces.get_mut(&name) {
            Some(interface) => interface,
            None => {
                // Gone between the two calls: the next round will see.
                let Some(index) = index(&name) else { continue };
                interfaces.entry(name.clone()).or_insert(Interface {
                    name,
                    index,
                    hears_broadcasts: hears_broadcasts(entry.flags),
                    link: None,
                    addresses: Vec::new(),
                })
            }
        };
        let address = entry.address.as_ref();
        if let Some(link) = address.and_then(SockaddrStorage::as_link_addr) {
            interface.link = (link.hatype() == ETHERNET && link.halen() == 6).then_some(*link);
        }
        if let Some(address) = address.and_then(SockaddrStorage::as_sockaddr_in) {
            let netmask = entry.netmask.as_ref().and_then(SockaddrStorage::as_sockaddr_in);
            let prefix = netmask.map_or(32, |mask| u32::from(mask.ip()).leading_ones() as u8);
            interface.addresses.push((address.ip(), prefix));
        }
    }
    interfaces.into_values().collect()
}

/// The device of a label: any text that begins with the device's name, as `ip` wants it.
fn labelled(interfaces: &BTreeMap<String, Interface>, label: &str) -> String {
    let names = interfaces.keys().filter(|name| label.starts_with(name.as_str()));
    names.max_by_key(|name| name.len()).cloned().unwrap_or_else(|| label.to_owned())
}

fn hears_broadcasts(flags: InterfaceFlags) -> bool {
    flags.contains(InterfaceFlags::IFF_UP | InterfaceFlags::IFF_BROADCAST)
        && !flags.contains(InterfaceFlags::IFF_LOOPBACK)
}

/// The IPv4 addresses of all interfaces, as decisions want them.
pub fn own_addresses(interfaces: &[Interface]) -> Vec<OwnAddress> {
    let of = |interface: &Interface| {
        let index = interface.index;
        let own = move |(address, prefix_length)| OwnAddress { interface: index, address, prefix_length };
        interface.addresses.clone().into_iter().map(own)
    };
    interfaces.iter().flat_map(of).collect()
}

/// The sockets that `listen` asks for, given the interfaces as they are now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// One for each interface and port: hears clients directly.
    pub devices: Vec<Device>,
    /// Bound to no interface: hears relays, and clients that have their address.
    pub relays: BTreeSet<SocketAddrV4>,
    /// What cannot be served yet, a sentence each.
    pub missing: Vec<String>,
}

/// A socket on an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// eth0
    pub name: String,
    /// Its number.
    pub index: u32,
    /// Where frames leave.
    pub link: Option<LinkAddr>,
    /// UDP port.
    pub port: u16,
}

/// `0.0.0.0` is every interface that has an address and can hear a broadcast, and relays through any. An address is the interface that has
/// it, and relays that send to it. An interface is just that one.
pub fn wanted(listen: &[Listen], interfaces: &[Interface]) -> Wanted {
    let mut wanted = Wanted::default();
    for line in listen {
        let on = |interface: &&Interface| match (&line.interface, line.address) {
            (Some(name), _) => interface.name == *name,
            (None, Some(address)) => interface.addresses.iter().any(|(own, _)| *own == address),
            (None, None) => true,
        };
        let chosen: Vec<_> = interfaces.iter().filter(on).collect();
        match (&line.interface, line.address) {
            (Some(name), _) => wanted.note_interface(name, &chosen),
            (None, Some(address)) if chosen.is_empty() => {
                wanted.missing.push(format!("no interface has the address {address}"));
            }
            (None, address) => {
                let bound = address.unwrap_or(Ipv4Addr::UNSPECIFIED);
                wanted.relays.insert(SocketAddrV4::new(bound, line.port));
                let heard = |one: &&Interface| one.hears_broadcasts && !one.addresses.is_empty();
                if address.is_none() && !chosen.iter().any(heard) {
                    wanted.missing.push("no interface that hears broadcasts has an IPv4 address yet".into());
                }
            }
        }
        for interface in chosen.iter().filter(|interface| interface.hears_broadcasts) {
            // Of all interfaces, those without an address are ports of bridges and the like; none is waited for.
            if line.interface.is_some() || !interface.addresses.is_empty() {
                wanted.add_device(interface, line.port);
            }
        }
    }
    wanted
}

impl Wanted {
    fn note_interface(&mut self, name: &str, chosen: &[&Interface]) {
        match chosen {
            [] => self.missing.push(format!("there is no interface {name}")),
            [interface] if !interface.hears_broadcasts => {
                self.missing.push(format!("interface {name} is down or cannot broadcast"));
            }
            _ => {}
        }
    }

    fn add_device(&mut self, interface: &Interface, port: u16) {
        if interface.addresses.is_empty() {
            self.missing.push(format!("interface {} has no IPv4 address yet", interface.name));
        }
        if !self.devices.iter().any(|device| device.index == interface.index && device.port == port) {
            let Interface { name, index, link, .. } = interface.clone();
            self.devices.push(Device { name, index, link, port });
        }
    }
}

/// The hardware address frames leave from.
pub fn mac(link: &LinkAddr) -> Option<Mac> {
    link.addr().map(Mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, index: u32, hears_broadcasts: bool, addresses: &[(&str, u8)]) -> Interface {
        let addresses = addresses.iter().map(|(text, prefix)| (text.parse().unwrap(), *prefix)).collect();
        Interface { name: name.into(), index, hears_broadcasts, link: None, addresses }
    }

    fn host() -> Vec<Interface> {
        vec![
            interface("lo", 1, false, &[("127.0.0.1", 8)]),
            interface("eth0", 2, true, &[("172.16.0.253", 24), ("10.0.0.1", 16)]),
            interface("eth1", 3, true, &[]),
            interface("wg0", 4, false, &[("192.168.9.1", 24)]),
        ]
    }

    fn listen(address: Option<&str>, interface: Option<&str>, port: u16) -> Listen {
        Listen {
            address: address.map(|text| text.parse().unwrap()),
            interface: interface.map(Into::into),
            port,
        }
    }

    #[test]
    fn listen_lines_and_the_sockets_they_ask_for() {
        let no_address = "interface eth1 has no IPv4 address yet";
        for (line, devices, relays, missing) in [
            (listen(None, None, 67), "eth0:67", "0.0.0.0:67", ""),
            (listen(Some("172.16.0.253"), None, 67), "eth0:67", "172.16.0.253:67", ""),
            (listen(Some("127.0.0.1"), None, 6767), "", "127.0.0.1:6767", ""),
            (listen(Some("192.168.9.1"), None, 67), "", "192.168.9.1:67", ""),
            (listen(Some("192.0.2.1"), None, 67), "", "", "no interface has the address 192.0.2.1"),
            (listen(None, Some("eth0"), 67), "eth0:67", "", ""),
            (listen(None, Some("eth1"), 67), "eth1:67", "", no_address),
            (listen(None, Some("eth9"), 67), "", "", "there is no interface eth9"),
            (listen(None, Some("wg0"), 67), "", "", "interface wg0 is down or cannot broadcast"),
            (listen(Some("172.16.0.253"), Some("eth0"), 6767), "eth0:6767", "", ""),
        ] {
            let wanted = wanted(std::slice::from_ref(&line), &host());
            let text = |device: &Device| format!("{}:{}", device.name, device.port);
            let found: Vec<_> = wanted.devices.iter().map(text).collect();
            assert_eq!(found.join(" "), devices, "{line:?}");
            let found: Vec<_> = wanted.relays.iter().map(ToString::to_string).collect();
            assert_eq!(found.join(" "), relays, "{line:?}");
            assert_eq!(wanted.missing.join("; "), missing, "{line:?}");
        }
    }

    #[test]
    fn an_interface_named_twice_has_one_socket() {
        let lines =
            [listen(None, None, 67), listen(None, Some("eth0"), 67), listen(Some("10.0.0.1"), None, 67)];
        let wanted = wanted(&lines, &host());
        assert_eq!(wanted.devices.iter().filter(|device| device.index == 2).count(), 1);
        assert_eq!(wanted.relays.len(), 2);
    }

    #[test]
    fn a_host_without_addresses_waits_for_one() {
        let host = [interface("lo", 1, false, &[("127.0.0.1", 8)]), interface("eth1", 3, true, &[])];
        let wanted = wanted(&[listen(None, None, 67)], &host);
        assert_eq!((wanted.devices.len(), wanted.relays.len()), (0, 1));
        assert_eq!(wanted.missing, ["no interface that hears broadcasts has an IPv4 address yet"]);
    }

    #[test]
    fn own_addresses_know_their_interface() {
        let own = own_addresses(&host());
        let lines: Vec<_> = own
            .iter()
            .map(|own| format!("{} {}/{}", own.interface, own.address, own.prefix_length))
            .collect();
        assert_eq!(lines, ["1 127.0.0.1/8", "2 172.16.0.253/24", "2 10.0.0.1/16", "4 192.168.9.1/24"]);
    }

    #[test]
    fn a_label_is_no_interface() {
        let interfaces: BTreeMap<_, _> = host().into_iter().map(|one| (one.name.clone(), one)).collect();
        for (label, name) in [("eth0:1", "eth0"), ("eth1second", "eth1"), ("lo:ha", "lo"), ("ppp0", "ppp0")] {
            assert_eq!(labelled(&interfaces, label), name);
        }
    }

    #[test]
    fn this_host_has_a_loopback_that_hears_no_broadcasts() {
        let interfaces = read().unwrap();
        let loopback = interfaces.iter().find(|interface| interface.name == "lo").unwrap();
        assert!(!loopback.hears_broadcasts);
        assert_eq!(loopback.link, None);
        assert!(loopback.addresses.contains(&(Ipv4Addr::LOCALHOST, 8)));
    }
}
