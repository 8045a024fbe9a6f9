//! CONFIGURING: the one YAML file for all programs, as types.
//!
//! `coresmd.example.yaml` is the manual. Text in, either a [`Config`] or every mistake at once with line and column.

use ipnet::{IpNet, Ipv4Net};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};
use values::{Name, Xname};

/// The programs of this project; each reads the shared sections and its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// smd-cache
    SmdCache,
    /// dhcpd
    Dhcpd,
    /// dnsd
    Dnsd,
    /// tftpd
    Tftpd,
}

/// One mistake in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// Where in the tree: `dhcpd.v4.router[0]`.
    pub key: String,
    /// A sentence.
    pub message: String,
}

/// Every mistake of a file, in the order of its lines.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} mistakes in the configuration", .0.len())]
pub struct Mistakes(pub Vec<Mistake>);

/// Reads and checks the whole file.
pub fn parse(_text: &str) -> Result<Config, Mistakes> {
    todo!()
}

/// The whole file. `Config::default()` equals an empty file and `coresmd.example.yaml`.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Global domain, leading dots dropped.
    pub domain: Option<Name>,
    /// Naming and policy, in order; the defaults where the file has none.
    pub rules: Vec<Rule>,
    /// Zones as listed; empty: just the domain.
    pub zones: Vec<Zone>,
    /// What dhcpd hands out and tftpd writes scripts with.
    pub boot: Boot,
    /// How the daemons reach smd-cache.
    pub inventory: Inventory,
    /// smd-cache.
    pub smd_cache: SmdCache,
    /// dhcpd.
    pub dhcpd: Dhcpd,
    /// dnsd.
    pub dnsd: Dnsd,
    /// tftpd.
    pub tftpd: Tftpd,
    /// Keys that are set but whose feature comes later, with the programs they concern (empty: all).
    pub not_served: Vec<(Mistake, Vec<Program>)>,
}

/// One rule of the rule language.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Given, or `rule-` and eight hexadecimal digits of a hash of its text.
    pub name: String,
    /// Line in the file.
    pub line: usize,
    /// All that are given must hold.
    pub matches: Match,
    /// Pattern of the host name.
    pub hostname: Option<Pattern>,
    /// Option 3.
    pub routers: Vec<Ipv4Addr>,
    /// Option 1, from `netmask`, `cidr`, or the mask of the first `subnet` (an IPv4 one).
    pub prefix_length: Option<u8>,
    /// Without leading dots.
    pub domain: Option<Name>,
    /// What follows the host name.
    pub domain_append: Option<DomainAppend>,
    /// No reply at all; ends evaluation.
    pub ignore: bool,
    /// Later rules are looked at too.
    pub goes_on: bool,
    /// How a match is logged.
    pub log: RuleLog,
}

/// Conditions of a rule; an empty list is no condition.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Match {
    /// Component types, compared without case.
    pub types: Vec<String>,
    /// Tested against the address being named.
    pub subnets: Vec<IpNet>,
    /// `id` and `id_set`, expanded lazily: see [`IdSet`].
    pub ids: Option<IdSet>,
    /// Component roles, without case, like the lists below.
    pub roles: Vec<String>,
    /// Sub-roles.
    pub sub_roles: Vec<String>,
    /// Architectures.
    pub archs: Vec<String>,
    /// Classes.
    pub classes: Vec<String>,
    /// Enabled or not.
    pub enabled: Option<bool>,
    /// Member of any of these groups.
    pub groups: Vec<String>,
    /// SMD's `Network` of the address.
    pub networks: Vec<String>,
}

/// Xnames: one, or bracket ranges such as `x1000c0s[0-3]b0n[0-1]`, several separated by `|`.
#[derive(Debug, Clone, PartialEq)]
pub struct IdSet;

impl IdSet {
    /// Whether the xname is one of the set.
    pub fn contains(&self, _id: &Xname) -> bool {
        todo!()
    }
}

/// `global`, `rule`, `global|rule`, `rule|global`: these parts in this order; `none`: no part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DomainAppend {
    /// Bare host name.
    None,
    /// The global domain.
    Global,
    /// The rule's.
    Rule,
    /// Global, then the rule's.
    GlobalRule,
    /// The rule's, then the global one.
    RuleGlobal,
}

/// How a rule's match is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RuleLog {
    /// At info level.
    Info,
    /// At debug level.
    #[default]
    Debug,
    /// Not at all.
    None,
}

/// A host name pattern: text with `{id}` and `{04d}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(pub Vec<Part>);

/// A piece of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// As it stands.
    Text(String),
    /// The xname.
    Id,
    /// The NID, padded with zeros to this many digits.
    Nid(usize),
}

impl Pattern {
    /// The name; `None` when the pattern needs a NID and there is none.
    pub fn fill(&self, _id: &Xname, _nid: Option<i64>) -> Option<String> {
        todo!()
    }
}

/// A DNS zone.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone {
    /// Its apex; a reverse zone ends in in-addr.arpa or ip6.arpa.
    pub name: Name,
    /// Names every Node in this zone, besides the xname.
    pub nodes: Option<Pattern>,
}

/// Boot files and scripts.
#[derive(Debug, Clone, PartialEq)]
pub struct Boot {
    /// siaddr and next server; default: dhcpd.v4.server_id.
    pub tftp_server: Option<Ipv4Addr>,
    /// What iPXE loads; placeholders `{mac}` ...
    pub script_url: Option<String>,
    /// Base of loaders for UEFI HTTP boot.
    pub http_url: Option<String>,
    /// Loader by client architecture (option 93), in order.
    pub loaders: Vec<(u16, String)>,
    /// Answer autoexec.ipxe and config.ipxe with a script (later).
    pub autoexec: bool,
    /// One boot file URL for everyone (later).
    pub nbp: Option<String>,
    /// The IPv6 forms (later).
    pub tftp_server6: Option<Ipv6Addr>,
    /// (later)
    pub script_url6: Option<String>,
    /// (later)
    pub http_url6: Option<String>,
}

/// How the daemons reach smd-cache.
#[derive(Debug, Clone, PartialEq)]
pub struct Inventory {
    /// `http://HOST:PORT` or `unix:/path`; several: failover (later).
    pub endpoints: Vec<Endpoint>,
    /// Keep a replica (default) or only a cache.
    pub replica: bool,
    /// Where it is kept on disk (later).
    pub replica_file: Option<PathBuf>,
    /// Serve nothing older (later).
    pub max_stale: Option<Duration>,
}

/// Where smd-cache listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// `http://HOST:PORT`, kept as text so that the name is resolved at each connection.
    Tcp(String),
    /// `unix:/path`.
    Unix(PathBuf),
}

/// smd-cache.
#[derive(Debug, Clone, PartialEq)]
pub struct SmdCache {
    /// gRPC.
    pub listen: Vec<SocketAddr>,
    /// gRPC on a Unix socket; `None`: RUNTIME_DIR/smd-cache.sock when that directory can be written.
    pub socket: Option<PathBuf>,
    /// Admin HTTP.
    pub admin: SocketAddr,
    /// SMD itself.
    pub smd: Smd,
    /// Whole reads.
    pub refresh: Duration,
    /// Delta reads; zero: off (later).
    pub poll_changes: Duration,
    /// Ask SMD for one MAC on demand (later).
    pub pull_through: bool,
    /// After this a whole read is old.
    pub stale_after: Duration,
    /// Largest body believed, in bytes.
    pub max_body: u64,
    /// Wipe guard, percent (later).
    pub max_shrink: u8,
    /// Wipe guard (later).
    pub shrink_confirmations: u32,
    /// Snapshot on disk (later).
    pub snapshot_file: Option<PathBuf>,
}

/// How SMD is reached.
#[derive(Debug, Clone, PartialEq)]
pub struct Smd {
    /// Base URL, without `/hsm/v2` (accepted and cut off when given).
    pub url: String,
    /// Extra certificate authority.
    pub ca_cert: Option<PathBuf>,
    /// mTLS towards SMD.
    pub client_cert: Option<PathBuf>,
    /// mTLS towards SMD.
    pub client_key: Option<PathBuf>,
    /// Bearer token, re-read when it changes.
    pub token_file: Option<PathBuf>,
}

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
    /// Unknown MACs (later); absent: not served.
    pub unknown: Option<Unknown>,
    /// NAK whatever we have no record of (later).
    pub authoritative: bool,
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
}

/// Pools for unknown MACs (later); checked now.
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

/// DHCPv6 (later); checked now.
#[derive(Debug, Clone, PartialEq)]
pub struct DhcpV6 {
    /// Sockets.
    pub listen: Vec<String>,
    /// `LL MAC` or `LLT ...`.
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

/// dnsd.
#[derive(Debug, Clone, PartialEq)]
pub struct Dnsd {
    /// Admin HTTP.
    pub admin: SocketAddr,
    /// UDP and TCP.
    pub listen: Vec<SocketAddr>,
    /// Forwarders (later).
    pub forward: Vec<IpAddr>,
    /// Who may recurse (later); `None`: loopback, own subnets, private ranges.
    pub recursion_from: Option<Vec<IpNet>>,
    /// Zone-file lines, relative to the domain; their syntax is checked, dnsd turns them into records.
    pub records: Vec<RecordLine>,
}

/// A zone-file line with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordLine {
    /// As written.
    pub text: String,
    /// Owner: absolute.
    pub owner: Name,
    /// Seconds, when given.
    pub ttl: Option<u32>,
    /// A, AAAA, CNAME, TXT, SRV, MX, NS, PTR.
    pub data: RecordData,
}

/// What a static record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordData {
    /// IPv4.
    A(Ipv4Addr),
    /// IPv6.
    Aaaa(Ipv6Addr),
    /// Alias.
    Cname(Name),
    /// Reverse name.
    Ptr(Name),
    /// Name server.
    Ns(Name),
    /// Mail exchanger.
    Mx(u16, Name),
    /// Strings of at most 255 bytes.
    Txt(Vec<String>),
    /// Priority, weight, port, target.
    Srv(u16, u16, u16, Name),
}

/// tftpd.
#[derive(Debug, Clone, PartialEq)]
pub struct Tftpd {
    /// Admin HTTP.
    pub admin: SocketAddr,
    /// UDP.
    pub listen: Vec<SocketAddr>,
    /// Holds the files.
    pub root: PathBuf,
    /// Whole transfers from the listening port.
    pub single_port: bool,
}
