//! The networks this host is in, and those nobody outside can have.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use nix::ifaddrs::getifaddrs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// This host itself, private networks (RFC 1918, RFC 4193) and links (RFC 3927, RFC 4291 §2.5.6). Not 100.64.0.0/10 (RFC 6598): there one's
/// neighbours are a provider's other customers; an interface in it counts by its own subnet.
pub fn private() -> Vec<IpNet> {
    let v4 = |a, b, length| IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, 0, 0), length));
    let v6 =
        |first, length| IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0), length));
    let loopback = IpNet::from(IpAddr::V6(Ipv6Addr::LOCALHOST));
    vec![
        v4(127, 0, 8),
        v4(10, 0, 8),
        v4(172, 16, 12),
        v4(192, 168, 16),
        v4(169, 254, 16),
        loopback,
        v6(0xfc00, 7),
        v6(0xfe80, 10),
    ]
}

/// Addresses of this host's interfaces with their subnets, as they are now.
pub fn own() -> Vec<IpNet> {
    let interfaces = match getifaddrs() {
        Ok(interfaces) => interfaces,
        Err(error) => {
            tracing::warn!(%error, "the addresses of this host cannot be read: its subnets are treated as anybody's");
            return Vec::new();
        }
    };
    let networks = interfaces.filter_map(|interface| {
        let (address, mask) = (interface.address?, interface.netmask?);
        match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
            (Some(v4), _) => IpNet::with_netmask(v4.ip().into(), mask.as_sockaddr_in()?.ip().into()).ok(),
            (_, Some(v6)) => IpNet::with_netmask(v6.ip().into(), mask.as_sockaddr_in6()?.ip().into()).ok(),
            _ => None,
        }
    });
    // A mask of nothing holds everybody.
    networks.filter(|network| network.prefix_len() > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_is_in_its_own_networks() {
        assert!(
            own().iter().any(|network| network.addr() == IpAddr::from(Ipv4Addr::LOCALHOST)),
            "{:?}",
            own()
        );
    }
}
