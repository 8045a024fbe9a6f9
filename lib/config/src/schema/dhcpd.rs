//! `dhcpd`: the DHCP server, IPv4.

use super::dhcpd6::{self, DhcpV6};
use crate::{
    Program,
    options::{self, Options},
    reader::{Field, Section, shorten},
    scalars,
};
use ipnet::Ipv4Net;
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

/// dhcpd.
#[derive(Debug, Clone, PartialEq)]
pub struct Dhcpd {
    /// Admin HTTP.
    pub admin: SocketAddr,
    /// DHCPv4; absent: not served.
    pub v4: Option<DhcpV4>,
    /// DHCPv6 (later).
    pub v6: Option<DhcpV6>,
}

/// DHCPv4.
#[derive(Debug, Clone, PartialEq)]
pub struct DhcpV4 {
    /// CoreDHCP's `ADDR%IFACE:PORT`, each part optional.
    pub listen: Vec<Listen>,
    /// Option 54 and default siaddr; `None`: the receiving interface's address.
    pub server_id: Option<Ipv4Addr>,
    /// Option 51.
    pub lease_time: Duration,
    /// Option 3.
    pub router: Vec<Ipv4Addr>,
    /// Option 1, as a prefix length.
    pub netmask: Option<u8>,
    /// Option 6.
    pub dns: Vec<Ipv4Addr>,
    /// What differs by subnet.
    pub subnets: Vec<Subnet>,
    /// Unknown MACs; absent: not served.
    pub unknown: Option<Unknown>,
    /// NAK whatever we have no record of.
    pub authoritative: bool,
    /// Further options, by key or number.
    pub options: Options,
    /// Option 116 (RFC 2563) for unknown machines; absent: nothing is said.
    pub auto_configure: Option<bool>,
    /// Lines of `MAC ADDRESS` beside the inventory.
    pub hosts_file: Option<PathBuf>,
}

/// `ADDR%IFACE:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Not `0.0.0.0`: the interface that has it.
    pub address: Option<Ipv4Addr>,
    /// Interface name.
    pub interface: Option<String>,
    /// 67 when left out.
    pub port: u16,
}

/// A subnet; what is absent comes from the global values.
#[derive(Debug, Clone, PartialEq)]
pub struct Subnet {
    /// Gives option 1.
    pub cidr: Ipv4Net,
    /// Option 3.
    pub router: Option<Vec<Ipv4Addr>>,
    /// Option 6.
    pub dns: Option<Vec<Ipv4Addr>>,
    /// Option 51.
    pub lease_time: Option<Duration>,
    /// Further options, which count more than the global ones of the same code.
    pub options: Options,
    /// Option 116.
    pub auto_configure: Option<bool>,
}

/// Pools for unknown MACs.
#[derive(Debug, Clone, PartialEq)]
pub struct Unknown {
    /// `sqlite:/path`.
    pub lease_store: String,
    /// Short.
    pub lease_time: Duration,
    /// Boot file of an unknown iPXE client.
    pub script: String,
    /// `nak`: CoreSMD's way.
    pub renew_nak: bool,
    /// Boot by `boot.nbp` instead of loaders.
    pub boot_nbp: bool,
    /// Ranges.
    pub pools: Vec<Pool>,
}

/// A range of a subnet.
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    /// Holds the range.
    pub subnet: Ipv4Net,
    /// First.
    pub start: Ipv4Addr,
    /// Last.
    pub end: Ipv4Addr,
}

/// What other sections say that matters here.
#[derive(Clone, Copy)]
pub(super) struct Facts {
    pub replica: bool,
    pub nbp: bool,
}

/// CoreSMD's.
pub(super) const LEASE_TIME: Duration = Duration::from_secs(3600);
/// CoreSMD's for unknown machines.
const UNKNOWN_LEASE_TIME: Duration = Duration::from_secs(300);
/// RFC 2131 §4.1.
const SERVER_PORT: u16 = 67;
/// IFNAMSIZ without the NUL.
const MAX_INTERFACE: usize = 15;

pub(super) fn read(section: &Section, facts: Facts) -> Dhcpd {
    section.later("v6", &[Program::Dhcpd]);
    Dhcpd {
        admin: section.get("admin", scalars::socket(27782)).unwrap_or((Ipv4Addr::LOCALHOST, 27782).into()),
        v4: section.optional("v4", |section| v4(section, facts)),
        v6: section.optional("v6", dhcpd6::read),
    }
}

fn v4(section: &Section, facts: Facts) -> DhcpV4 {
    let addresses = |key| section.list(key, scalars::ipv4).unwrap_or_default();
    let v4 = DhcpV4 {
        listen: section.list("listen", listen).unwrap_or_else(|| vec![Listen::default()]),
        server_id: section.get("server_id", scalars::ipv4),
        lease_time: section.get("lease_time", scalars::lease_time).unwrap_or(LEASE_TIME),
        router: addresses("router"),
        netmask: section.get("netmask", scalars::netmask),
        dns: addresses("dns"),
        subnets: subnets(section),
        unknown: section.optional("unknown", |section| unknown(section, facts)),
        authoritative: section.get("authoritative", scalars::switch).unwrap_or(false),
        options: options::read(section, options::list, &[]),
        auto_configure: section.get("auto_configure", scalars::switch),
        hosts_file: section.get("hosts_file", scalars::path),
    };
    if section.field("listen").and_then(Field::items).is_some_and(|items| items.is_empty()) {
        section.mistake("listen", "at least one is needed; to serve no DHCPv4, leave `v4` out");
    }
    v4
}

impl Default for Listen {
    fn default() -> Listen {
        Listen { address: None, interface: None, port: SERVER_PORT }
    }
}

fn listen(field: &Field) -> Option<Listen> {
    field.parse("ADDRESS%INTERFACE:PORT", |text| {
        parse_listen(text).ok_or_else(|| {
            format!(
                "'{}' is no ADDRESS%INTERFACE:PORT such as 0.0.0.0:67, %eth1 or 10.0.0.1%eth1:67",
                shorten(text)
            )
        })
    })
}

fn parse_listen(text: &str) -> Option<Listen> {
    let (before, port) = match text.rsplit_once(':') {
        Some((before, port)) => (before, port.parse().ok()?),
        None => (text, SERVER_PORT),
    };
    let (address, interface) = match before.split_once('%') {
        Some((address, interface)) => (address, Some(interface)),
        None => (before, None),
    };
    if text.is_empty() || interface.is_some_and(|interface| !is_interface(interface)) {
        return None;
    }
    let address = match address {
        "" => None,
        address => Some(address.parse::<Ipv4Addr>().ok()?).filter(|address| !address.is_unspecified()),
    };
    match address {
        Some(address) if address.is_multicast() || address.is_broadcast() => None,
        _ => Some(Listen { address, interface: interface.map(str::to_owned), port }),
    }
}

pub(super) fn is_interface(name: &str) -> bool {
    (1..=MAX_INTERFACE).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':' | b'%'))
}

fn subnets(section: &Section) -> Vec<Subnet> {
    let mut subnets: Vec<(Subnet, usize)> = Vec::new();
    let read = section.list("subnets", |field| Some((field.section(subnet)??, field.clone())));
    for (subnet, field) in read.unwrap_or_default() {
        match subnets.iter().find(|(earlier, _)| earlier.cidr == subnet.cidr) {
            Some((_, line)) => field.mistake(format!("{} is listed on line {line} already", subnet.cidr)),
            None => subnets.push((subnet, field.place().line)),
        }
    }
    subnets.into_iter().map(|(subnet, _)| subnet).collect()
}

fn subnet(section: &Section) -> Option<Subnet> {
    let cidr = section.required("cidr", scalars::network4);
    let router = section.list("router", scalars::ipv4);
    let dns = section.list("dns", scalars::ipv4);
    let lease_time = section.get("lease_time", scalars::lease_time);
    let options = options::read(section, options::list, &[]);
    let auto_configure = section.get("auto_configure", scalars::switch);
    Some(Subnet { cidr: cidr?, router, dns, lease_time, options, auto_configure })
}

fn unknown(section: &Section, facts: Facts) -> Unknown {
    let renew = |field: &Field| choice(field, "ack", "nak");
    let boot = |field: &Field| choice(field, "loaders", "nbp");
    let unknown = Unknown {
        lease_store: section
            .get("lease_store", lease_store)
            .unwrap_or_else(|| "sqlite:/var/lib/coresmd/leases.db".into()),
        lease_time: section.get("lease_time", scalars::lease_time).unwrap_or(UNKNOWN_LEASE_TIME),
        script: section.get("script", scalars::text).unwrap_or_else(|| "default".into()),
        renew_nak: section.get("renew", renew).unwrap_or(false),
        boot_nbp: section.get("boot", boot).unwrap_or(false),
        pools: pools(section),
    };
    if unknown.boot_nbp && !facts.nbp {
        section.mistake("boot", "`boot.nbp` says what to boot, and is missing");
    }
    if section.field("pools").and_then(Field::items).is_none_or(|pools| pools.is_empty()) {
        section.mistake("pools", "at least one pool is needed; to serve no unknown MAC, leave `unknown` out");
    } else if !facts.replica {
        let message = "not with `inventory.replica: false`: without the whole inventory nobody can tell which addresses are free";
        section.mistake("pools", message);
    }
    unknown
}

/// Whether it is the second of two words.
fn choice(field: &Field, first: &str, second: &str) -> Option<bool> {
    field.parse(&format!("{first} or {second}"), |text| match text {
        text if text == first => Ok(false),
        text if text == second => Ok(true),
        _ => Err(format!("'{}' is neither {first} nor {second}", shorten(text))),
    })
}

fn lease_store(field: &Field) -> Option<String> {
    field.parse("a lease store", |text| match text.strip_prefix("sqlite:") {
        Some(path) if path.starts_with('/') => Ok(text.to_owned()),
        _ => Err(format!("'{}' is no lease store such as sqlite:/var/lib/coresmd/leases.db", shorten(text))),
    })
}

fn pools(section: &Section) -> Vec<Pool> {
    let mut pools: Vec<(Pool, usize)> = Vec::new();
    let read = section.list("pools", |field| Some((field.section(pool)??, field.clone())));
    for (pool, field) in read.unwrap_or_default() {
        if let Some((_, line)) =
            pools.iter().find(|(other, _)| other.start <= pool.end && pool.start <= other.end)
        {
            field.mistake(format!("shares addresses with the pool on line {line}"));
        }
        pools.push((pool, field.place().line));
    }
    pools.into_iter().map(|(pool, _)| pool).collect()
}

fn pool(section: &Section) -> Option<Pool> {
    let subnet = section.required("subnet", scalars::network4);
    let start = section.required("start", scalars::ipv4);
    let end = section.required("end", scalars::ipv4);
    let pool = Pool { subnet: subnet?, start: start?, end: end? };
    for (key, address) in [("start", pool.start), ("end", pool.end)] {
        if !pool.subnet.contains(&address) {
            section.mistake(key, format!("{address} is not in {}", pool.subnet));
            return None;
        }
        // RFC 3021: networks of two addresses have neither.
        if pool.subnet.prefix_len() < 31
            && [pool.subnet.network(), pool.subnet.broadcast()].contains(&address)
        {
            section.mistake(key, format!("{address} is no address of a machine in {}", pool.subnet));
        }
    }
    if pool.start > pool.end {
        section.mistake("end", format!("the pool ends at {}, before it begins", pool.end));
        return None;
    }
    Some(pool)
}
