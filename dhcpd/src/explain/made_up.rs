//! The packet that is made up, and where it is heard.

use super::{Asked, Kind};
use crate::{
    decide::{Arrival, OwnAddress},
    wire::{MessageType, OptionCode, Request},
};
use inventory::Interface;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use values::Mac;

/// Longest value of an option.
const LONGEST: usize = 255;

/// UEFI HTTP and BIOS HTTP boot (IANA "Processor Architecture Types"): such firmware says HTTPClient.
const HTTP_ARCHITECTURES: [u16; 6] = [15, 16, 17, 18, 19, 20];

/// One of our sockets, as far as a made-up packet goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Hears clients on this interface.
    Interface {
        /// eth0
        name: String,
        /// Its number.
        index: u32,
    },
    /// Hears relays that send to this address; unspecified: to any of ours.
    Relays(Ipv4Addr),
}

/// Where the packet is heard, for decisions and for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// For decisions.
    pub arrival: Arrival,
    /// `on eth0`, `through the relay 10.40.1.1`.
    pub words: String,
    /// By index.
    pub interfaces: Vec<(u32, String)>,
}

/// The UDP payload. Who takes an offer of ours names one of our addresses.
pub fn packet(mac: Mac, asked: &Asked, ours: &[OwnAddress]) -> Result<Vec<u8>, String> {
    let kind = match asked.message {
        Kind::Discover => MessageType::Discover,
        Kind::Request | Kind::Select | Kind::Renew | Kind::Rebind => MessageType::Request,
        Kind::Inform => MessageType::Inform,
    };
    let mut request = Request::new(kind, mac);
    if let Some(relay) = asked.relay {
        request = request.relayed(relay);
    }
    match (asked.requested, asked.message) {
        (Some(address), Kind::Discover | Kind::Request | Kind::Select) => {
            request = request.option(OptionCode::RequestedIpAddress, &address.octets());
        }
        (Some(address), Kind::Renew | Kind::Rebind | Kind::Inform) => request.ciaddr = address,
        (None, Kind::Renew | Kind::Rebind) => {
            return Err("who renews or rebinds has an address: --requested ADDRESS".into());
        }
        (None, _) => {}
    }
    if asked.message == Kind::Select {
        let own = ours.iter().find(|own| !own.address.is_loopback()).or(ours.first());
        let own = own.ok_or("this dhcpd has no address that could be chosen")?;
        request = request.option(OptionCode::ServerIdentifier, &own.address.octets());
    }
    if let Some(options) = &asked.options {
        request = request.option(OptionCode::ParameterRequestList, &codes(options)?);
    }
    if let Some(arch) = asked.arch {
        let class = if HTTP_ARCHITECTURES.contains(&arch) { "HTTPClient" } else { "PXEClient" };
        let class = format!("{class}:Arch:{arch:05}:UNDI:003016");
        request = request.option(OptionCode::ClassIdentifier, class.as_bytes());
        request = request.option(OptionCode::ClientSystemArchitecture, &arch.to_be_bytes());
    }
    if let Some(class) = &asked.user_class {
        if class.is_empty() || class.len() > LONGEST {
            return Err(format!("a user class has 1 to {LONGEST} bytes"));
        }
        request = request.option(OptionCode::UserClass, class.as_bytes());
    }
    Ok(request.encode())
}

/// `1,3,108`
fn codes(text: &str) -> Result<Vec<u8>, String> {
    let codes: Result<Vec<u8>, _> = text.split(',').map(|code| code.trim().parse()).collect();
    let codes = codes.map_err(|_| "options are numbers up to 255 with commas between".to_owned())?;
    if codes.len() > LONGEST { Err(format!("at most {LONGEST} options")) } else { Ok(codes) }
}

/// Where it is heard: at the relay or the interface that was named, else on the interface where the machine has an address, else
/// on the first.
pub fn arrival(
    asked: &Asked,
    places: &[Place],
    ours: &[OwnAddress],
    machine: Option<&Interface>,
) -> Result<Heard, String> {
    let interfaces: Vec<(u32, String)> = places
        .iter()
        .filter_map(|place| match place {
            Place::Interface { name, index } => Some((*index, name.clone())),
            Place::Relays(_) => None,
        })
        .collect();
    if let Some(relay) = asked.relay {
        let arrival = from_relay(relay, asked, places, ours)?;
        return Ok(Heard { arrival, words: format!("through the relay {relay}"), interfaces });
    }
    let chosen = match &asked.interface {
        Some(name) => interfaces.iter().find(|(_, known)| known == name),
        None => {
            let fits = |(index, _): &&(u32, String)| has_address_on(*index, ours, machine);
            interfaces.iter().find(fits).or(interfaces.first())
        }
    };
    let Some((interface, name)) = chosen.cloned() else { return Err(no_interface(asked, &interfaces)) };
    let to_us = ours.iter().find(|own| own.interface == interface && asked.message == Kind::Renew);
    let source = to_us.and(asked.requested).unwrap_or(Ipv4Addr::UNSPECIFIED);
    let arrival = Arrival {
        interface,
        source: SocketAddrV4::new(source, 68),
        destination: to_us.map_or(Ipv4Addr::BROADCAST, |own| own.address),
        relay_socket: false,
    };
    Ok(Heard { arrival, words: format!("on {name}"), interfaces })
}

fn no_interface(asked: &Asked, interfaces: &[(u32, String)]) -> String {
    let names: Vec<&str> = interfaces.iter().map(|(_, name)| name.as_str()).collect();
    match (&asked.interface, names.is_empty()) {
        (_, true) => {
            "this dhcpd hears no clients directly, relays alone: say which with --relay ADDRESS".into()
        }
        (Some(name), false) => {
            format!("this dhcpd does not listen on '{}', but on {}", name.escape_debug(), names.join(", "))
        }
        (None, false) => "no interface".into(),
    }
}

/// A relay writes to an address of ours: heard by the socket for relays, or by that of the interface.
fn from_relay(
    relay: Ipv4Addr,
    asked: &Asked,
    places: &[Place],
    ours: &[OwnAddress],
) -> Result<Arrival, String> {
    let of_interface = |index: u32| ours.iter().find(|own| own.interface == index);
    let of_relays = |address: Ipv4Addr| match address.is_unspecified() {
        true => ours.iter().find(|own| !own.address.is_loopback()).or(ours.first()),
        false => ours.iter().find(|own| own.address == address),
    };
    let heard = places.iter().find_map(|place| match place {
        Place::Relays(address) if asked.interface.is_none() => Some((of_relays(*address)?, true)),
        Place::Interface { name, index } if asked.interface.as_ref().is_none_or(|wanted| wanted == name) => {
            Some((of_interface(*index)?, false))
        }
        _ => None,
    });
    let (own, relay_socket) = heard.ok_or("this dhcpd has no address that a relay could write to")?;
    let source = SocketAddrV4::new(relay, 67);
    Ok(Arrival { interface: own.interface, source, destination: own.address, relay_socket })
}

fn has_address_on(index: u32, ours: &[OwnAddress], machine: Option<&Interface>) -> bool {
    let Some(interface) = machine else { return false };
    let networks = || ours.iter().filter(move |own| own.interface == index).filter_map(OwnAddress::network);
    interface.addresses.iter().any(|entry| match entry.address {
        IpAddr::V4(address) => networks().any(|network| network.contains(&address)),
        IpAddr::V6(_) => false,
    })
}
