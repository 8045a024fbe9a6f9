//! `dhcpd.v6`: DHCPv6, checked now and served later.

use super::dhcpd::LEASE_TIME;
use crate::{
    reader::{Field, Section, shorten},
    scalars,
};
use ipnet::IpNet;
use std::{
    net::{Ipv6Addr, SocketAddrV6},
    time::Duration,
};
use values::{Mac, Name};

/// DHCPv6 (later); checked now.
#[derive(Debug, Clone, PartialEq)]
pub struct DhcpV6 {
    /// Sockets: `[ADDRESS%IFACE]:PORT`.
    pub listen: Vec<String>,
    /// `LL MAC` or `LLT MAC`.
    pub server_id: String,
    /// Option 23.
    pub dns: Vec<Ipv6Addr>,
    /// Option 24.
    pub search_domains: Vec<Name>,
    /// Valid lifetime.
    pub lease_time: Duration,
    /// RFC 8415 rapid commit.
    pub rapid_commit: bool,
    /// Subnets.
    pub subnets: Vec<IpNet>,
}

pub(super) fn read(section: &Section) -> DhcpV6 {
    DhcpV6 {
        listen: section.list("listen", listen).unwrap_or_else(|| vec!["[::]:547".into()]),
        server_id: section.required("server_id", server_id).unwrap_or_default(),
        dns: section.list("dns", scalars::ipv6).unwrap_or_default(),
        search_domains: section.list("search_domains", scalars::name).unwrap_or_default(),
        lease_time: section.get("lease_time", scalars::lease_time).unwrap_or(LEASE_TIME),
        rapid_commit: section.get("rapid_commit", scalars::switch).unwrap_or(true),
        subnets: section.list("subnets", |field| field.section(subnet)?).unwrap_or_default(),
    }
}

fn listen(field: &Field) -> Option<String> {
    field.parse("an address and port", |text| {
        let wrong =
            || format!("'{}' is no address and port such as [::]:547 or [ff02::1:2%eth1]:547", shorten(text));
        // The interface is cut out: the standard library knows scopes as numbers only.
        let bare = match text.split_once('%') {
            Some((address, rest)) => {
                let (interface, port) = rest.split_once(']').ok_or_else(wrong)?;
                if !super::dhcpd::is_interface(interface) {
                    return Err(wrong());
                }
                format!("{address}]{port}")
            }
            None => text.to_owned(),
        };
        bare.parse::<SocketAddrV6>().map(|_| text.to_owned()).map_err(|_| wrong())
    })
}

fn server_id(field: &Field) -> Option<String> {
    field.parse("a server identifier", |text| {
        let wrong = || format!("'{}' is no server identifier such as LL 00:de:ad:be:ef:00", shorten(text));
        let (kind, mac) = text.split_once(' ').ok_or_else(wrong)?;
        match matches!(kind.to_ascii_uppercase().as_str(), "LL" | "LLT") && mac.parse::<Mac>().is_ok() {
            true => Ok(text.to_owned()),
            false => Err(wrong()),
        }
    })
}

fn subnet(section: &Section) -> Option<IpNet> {
    let cidr = section.required("cidr", scalars::network)?;
    if let IpNet::V4(_) = cidr {
        section.mistake("cidr", format!("{cidr} is not IPv6"));
    }
    Some(cidr)
}
