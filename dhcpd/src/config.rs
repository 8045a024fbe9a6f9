//! What `decide` must know of the configuration file, in the form it needs it.

use ::config::Options;
use ipnet::Ipv4Net;
use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

/// The DHCPv4 part.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Option 54 and default siaddr; `None`: the receiving interface's address.
    pub server_id: Option<Ipv4Addr>,
    /// What holds where a subnet says nothing.
    pub values: Values,
    /// Subnets with values of their own, the longest prefixes first.
    pub subnets: Vec<Subnet>,
    /// Networks that clients can be in, besides those of our interfaces: `subnets`, pools', rules'. Longest first.
    pub networks: Vec<Ipv4Net>,
    /// Boot files.
    pub boot: Boot,
    /// Machines SMD does not know; `None`: they are not served.
    pub unknown: Option<Unknown>,
    /// Refuse every address there is no record of (RFC 2131 §4.3.2).
    pub authoritative: bool,
    /// Addresses of servers and routers, which no pool may give away.
    pub reserved: Vec<Ipv4Addr>,
}

/// What machines get that SMD does not know yet. Their pools are in [`crate::leases::Leases`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// Option 51, in seconds.
    pub lease_time: u32,
    /// Boot file of iPXE, with placeholders.
    pub script: String,
    /// `boot.nbp` for everyone, and no loop.
    pub boot_nbp: bool,
    /// Refuse every renewal, as CoreSMD does.
    pub refuse_renewals: bool,
}

/// Values of options.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Values {
    /// Option 51, in seconds; all ones: for ever.
    pub lease_time: u32,
    /// Option 3.
    pub router: Vec<Ipv4Addr>,
    /// Option 1, as a prefix length.
    pub netmask: Option<u8>,
    /// Option 6.
    pub dns: Vec<Ipv4Addr>,
    /// Further options as on the wire, by code, each code once; an empty one is not sent.
    pub options: Options,
    /// Option 116; `None`: nothing is said about it.
    pub auto_configure: Option<bool>,
}

/// A subnet, with the global values filled in where it has none.
#[derive(Debug, Clone, PartialEq)]
pub struct Subnet {
    /// Which.
    pub cidr: Ipv4Net,
    /// What holds there.
    pub values: Values,
}

/// Boot files.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Boot {
    /// siaddr; `None`: the server identifier.
    pub tftp_server: Option<Ipv4Addr>,
    /// What iPXE loads, with placeholders.
    pub script_url: Option<String>,
    /// Base of loaders for UEFI HTTP boot, with placeholders.
    pub http_url: Option<String>,
    /// Loader by architecture: a file or a URL, with placeholders.
    pub loaders: Vec<(u16, String)>,
    /// A URL for everyone, instead of loaders, with placeholders.
    pub nbp: Option<String>,
}

impl Config {
    /// From the file; `None` where it has no `dhcpd.v4`.
    pub fn new(file: &config::Config) -> Option<Config> {
        let v4 = file.dhcpd.v4.as_ref()?;
        let values = Values {
            lease_time: seconds(v4.lease_time),
            router: v4.router.clone(),
            netmask: v4.netmask,
            dns: v4.dns.clone(),
            options: v4.options.clone(),
            auto_configure: v4.auto_configure,
        };
        let subnets = subnets(v4, &values);
        Some(Config {
            server_id: v4.server_id,
            networks: networks(&subnets, &file.rules),
            reserved: reserved(file, v4),
            subnets,
            values,
            unknown: v4.unknown.as_ref().map(|unknown| Unknown {
                lease_time: seconds(unknown.lease_time),
                script: unknown.script.clone(),
                boot_nbp: unknown.boot_nbp,
                refuse_renewals: unknown.renew_nak,
            }),
            authoritative: v4.authoritative,
            boot: Boot {
                tftp_server: file.boot.tftp_server,
                script_url: file.boot.script_url.clone(),
                http_url: file.boot.http_url.clone(),
                loaders: file.boot.loaders.clone(),
                nbp: file.boot.nbp.clone(),
            },
        })
    }

    /// What holds for an address: the values of the longest subnet that contains it, else the global ones.
    pub fn values(&self, address: Ipv4Addr) -> &Values {
        let subnet = self.subnets.iter().find(|subnet| subnet.cidr.contains(&address));
        subnet.map_or(&self.values, |subnet| &subnet.values)
    }
}

fn subnets(v4: &config::DhcpV4, global: &Values) -> Vec<Subnet> {
    let listed = v4.subnets.iter().map(|subnet| Subnet {
        cidr: subnet.cidr.trunc(),
        values: Values {
            lease_time: subnet.lease_time.map_or(global.lease_time, seconds),
            router: subnet.router.clone().unwrap_or_else(|| global.router.clone()),
            netmask: Some(subnet.cidr.prefix_len()),
            dns: subnet.dns.clone().unwrap_or_else(|| global.dns.clone()),
            options: over(&subnet.options, &global.options),
            auto_configure: subnet.auto_configure.or(global.auto_configure),
        },
    });
    let mut listed: Vec<Subnet> = listed.collect();
    let longest_first = |subnet: &Subnet| std::cmp::Reverse(subnet.cidr.prefix_len());
    listed.sort_by_key(longest_first);
    let pool = |pool: &config::Pool| {
        let cidr = pool.subnet.trunc();
        let wider = listed.iter().find(|subnet| subnet.cidr.contains(&cidr));
        let values = wider.map_or(global, |subnet| &subnet.values).clone();
        Subnet { cidr, values: Values { netmask: Some(cidr.prefix_len()), ..values } }
    };
    let pools: Vec<Subnet> = v4.unknown.iter().flat_map(|unknown| &unknown.pools).map(pool).collect();
    let mut subnets: Vec<Subnet> = listed.into_iter().chain(pools).collect();
    // Stable: of a pool's and a listed one that are the same, the listed one stays in front.
    subnets.sort_by_key(longest_first);
    subnets
}

/// The options of a section with those of a wider one that it says nothing of.
fn over(nearer: &Options, wider: &Options) -> Options {
    let mut all: BTreeMap<u8, Vec<u8>> = wider.iter().cloned().collect();
    all.extend(nearer.iter().cloned());
    all.into_iter().collect()
}

fn networks(subnets: &[Subnet], rules: &[config::Rule]) -> Vec<Ipv4Net> {
    let of_rules = rules.iter().flat_map(|rule| &rule.matches.subnets).filter_map(|net| match net {
        ipnet::IpNet::V4(net) => Some(net.trunc()),
        ipnet::IpNet::V6(_) => None,
    });
    let mut networks: Vec<Ipv4Net> = subnets.iter().map(|subnet| subnet.cidr).chain(of_rules).collect();
    networks.sort_by_key(|net| (std::cmp::Reverse(net.prefix_len()), net.network()));
    networks.dedup();
    networks
}

fn reserved(file: &config::Config, v4: &config::DhcpV4) -> Vec<Ipv4Addr> {
    let of_subnets = v4.subnets.iter().flat_map(|subnet| subnet.router.iter().chain(&subnet.dns).flatten());
    let of_rules = file.rules.iter().flat_map(|rule| rule.routers.iter().chain(&rule.next_server));
    let servers = v4.server_id.iter().chain(&file.boot.tftp_server).chain(&v4.router).chain(&v4.dns);
    servers.chain(of_subnets).chain(of_rules).copied().collect()
}

fn seconds(time: Duration) -> u32 {
    time.as_secs().try_into().unwrap_or(u32::MAX)
}
