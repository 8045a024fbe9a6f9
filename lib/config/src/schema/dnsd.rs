//! `dnsd`: the DNS server.

use super::{Forwarder, Zone, forward};
use crate::{
    reader::{Field, Section},
    records::{self, RecordLine},
    scalars,
};
use ipnet::IpNet;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};
use values::Name;

/// dnsd.
#[derive(Debug, Clone, PartialEq)]
pub struct Dnsd {
    /// Admin HTTP.
    pub admin: SocketAddr,
    /// UDP and TCP.
    pub listen: Vec<SocketAddr>,
    /// DNS over TLS (RFC 7858).
    pub tls: Option<DnsTls>,
    /// DNS over HTTPS (RFC 8484), with the certificate of `tls`; none by default.
    pub https: Vec<SocketAddr>,
    /// Who may ask anything at all; `None`: everybody.
    pub query_from: Option<Vec<IpNet>>,
    /// How many answers a network gets over UDP; absent: as many as it asks for.
    pub rate_limit: Option<RateLimit>,
    /// A line in the log for each query.
    pub query_log: bool,
    /// Who is asked about names outside our zones, in this order.
    pub forward: Vec<Forwarder>,
    /// Certificates that those on TLS are verified by; there when there are such.
    pub forward_ca: Option<PathBuf>,
    /// How long past its time an answer of theirs is served while none of them answers.
    pub serve_stale: Option<Duration>,
    /// For whom they are asked; `None`: loopback, own subnets, private ranges.
    pub recursion_from: Option<Vec<IpNet>>,
    /// Zone-file lines, relative to the domain; their syntax is checked, dnsd turns them into records.
    pub records: Vec<RecordLine>,
    /// Addresses and their names, as `/etc/hosts` has them; read again when it changes.
    pub hosts_file: Option<PathBuf>,
    /// Master files (RFC 1035 §5); read again when they change.
    pub zone_files: Vec<PathBuf>,
    /// TXT records say what SMD knows of a machine.
    pub node_txt: bool,
    /// What addresses lead back to.
    pub ptr: Pointer,
    /// Where names of one label are looked for, in this order.
    pub search: Vec<Name>,
    /// Zone transfers; absent: for nobody.
    pub transfer: Option<Transfer>,
}

/// By which of its names an address is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pointer {
    /// The canonical one, which DHCP hands out.
    #[default]
    Hostname,
    /// Its machine's xname; the canonical one where that is no name of it.
    Xname,
}

/// Response rate limiting.
#[derive(Debug, Clone, PartialEq)]
pub struct RateLimit {
    /// For each network (/24, /56) and kind of answer.
    pub responses_per_second: u32,
    /// One in so many answers over it becomes "truncated" instead of silence; 0: none.
    pub slip: u32,
    /// These get every answer.
    pub exempt: Vec<IpNet>,
}

/// DNS over TLS, and the certificate of DNS over HTTPS.
#[derive(Debug, Clone, PartialEq)]
pub struct DnsTls {
    /// TCP.
    pub listen: Vec<SocketAddr>,
    /// Ours.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Who may copy zones.
#[derive(Debug, Clone, PartialEq)]
pub struct Transfer {
    /// These; with a key, those of them who sign.
    pub allow: Vec<IpNet>,
    /// Told when a zone changes.
    pub notify: Vec<SocketAddr>,
    /// Signature that transfers need, and that NOTIFY carries.
    pub tsig: Option<Tsig>,
}

/// A TSIG key (RFC 8945).
#[derive(Debug, Clone, PartialEq)]
pub struct Tsig {
    /// Both sides know it by this name.
    pub name: Name,
    /// How messages are signed.
    pub algorithm: TsigAlgorithm,
    /// Holds the secret in base64.
    pub secret_file: PathBuf,
}

/// Algorithms of TSIG (RFC 8945 §6) that are still to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TsigAlgorithm {
    /// What everybody has.
    #[default]
    HmacSha256,
    /// Longer.
    HmacSha384,
    /// Longest.
    HmacSha512,
}

pub(super) fn read(section: &Section, domain: Option<&Name>, zones: &[Zone], replica: bool) -> Dnsd {
    let forwarding = forward::read(section);
    let dnsd = Dnsd {
        admin: section.get("admin", scalars::socket(27783)).unwrap_or((Ipv4Addr::LOCALHOST, 27783).into()),
        listen: section
            .list("listen", scalars::socket(53))
            .unwrap_or_else(|| vec![(Ipv4Addr::UNSPECIFIED, 53).into()]),
        tls: section.optional("tls", tls).flatten(),
        https: section.list("https", scalars::socket(443)).unwrap_or_default(),
        query_from: section.list("query_from", network_or_address),
        rate_limit: section.optional("rate_limit", rate_limit),
        query_log: section.get("query_log", scalars::switch).unwrap_or(false),
        forward: forwarding.forward,
        forward_ca: forwarding.forward_ca,
        serve_stale: forwarding.serve_stale,
        recursion_from: section.list("recursion_from", network_or_address),
        records: section.get("records", |field| records::read(field, domain, zones)).unwrap_or_default(),
        hosts_file: section.get("hosts_file", scalars::path),
        zone_files: section.get("zone_files", zone_files).unwrap_or_default(),
        node_txt: section.get("node_txt", scalars::switch).unwrap_or(false),
        ptr: section.get("ptr", pointer).unwrap_or_default(),
        search: section.get("search", search).unwrap_or_default(),
        transfer: section.optional("transfer", transfer),
    };
    // The section may be there and have mistakes of its own.
    if !dnsd.https.is_empty() && section.field("tls").is_none() {
        section.mistake("https", "its certificate is that of `tls`, which is missing");
    }
    if dnsd.transfer.is_some() && !replica {
        let message = "not with `inventory.replica: false`: without the whole inventory there are no whole zones to copy";
        section.mistake("transfer", message);
    }
    dnsd
}

fn pointer(field: &Field) -> Option<Pointer> {
    field.parse("hostname or xname", |text| match text {
        "hostname" => Ok(Pointer::Hostname),
        "xname" => Ok(Pointer::Xname),
        _ => Err("hostname or xname".into()),
    })
}

/// Each looks at every name of one label that is not ours. What resolvers take (resolv.conf(5)).
const MAX_SEARCH: usize = 6;

fn search(field: &Field) -> Option<Vec<Name>> {
    let domains = different(field, scalars::name)?;
    if domains.len() > MAX_SEARCH {
        field.mistake(format!("at most {MAX_SEARCH} domains are searched"));
    }
    Some(domains)
}

/// All are held in memory, and looked at every second. A guess.
const MAX_ZONE_FILES: usize = 64;

fn zone_files(field: &Field) -> Option<Vec<PathBuf>> {
    let files = different(field, scalars::path)?;
    if files.len() > MAX_ZONE_FILES {
        field.mistake(format!("at most {MAX_ZONE_FILES} files are read"));
    }
    Some(files)
}

/// A list in which nothing stands twice.
fn different<T: PartialEq>(field: &Field, read: impl Fn(&Field) -> Option<T>) -> Option<Vec<T>> {
    let mut good: Vec<T> = Vec::new();
    for item in field.items()? {
        let Some(value) = read(&item) else { continue };
        if good.contains(&value) {
            item.mistake("listed already");
        }
        good.push(value);
    }
    Some(good)
}

fn rate_limit(section: &Section) -> RateLimit {
    RateLimit {
        responses_per_second: section
            .get("responses_per_second", scalars::number(1..=MAX_RATE))
            .unwrap_or(RESPONSES_PER_SECOND),
        slip: section.get("slip", scalars::number(0..=MAX_SLIP)).unwrap_or(SLIP),
        exempt: section.list("exempt", network_or_address).unwrap_or_default(),
    }
}

/// What Knot and NSD have by default, about: far above what the machines of a rack ask.
const RESPONSES_PER_SECOND: u32 = 200;
/// dnsd counts in 24 bits.
const MAX_RATE: u32 = 100_000;
/// Every second one, as other servers do: enough that a client behind a forged address gets through.
const SLIP: u32 = 2;
/// A guess: less often is as good as never.
const MAX_SLIP: u32 = 100;

fn tls(section: &Section) -> Option<DnsTls> {
    let listen = section
        .list("listen", scalars::socket(853))
        .unwrap_or_else(|| vec![(Ipv4Addr::UNSPECIFIED, 853).into()]);
    let (cert, key) = (section.required("cert", scalars::path), section.required("key", scalars::path));
    Some(DnsTls { listen, cert: cert?, key: key? })
}

fn transfer(section: &Section) -> Transfer {
    Transfer {
        allow: section.list("allow", network_or_address).unwrap_or_default(),
        notify: section.list("notify", scalars::socket(53)).unwrap_or_default(),
        tsig: section.optional("tsig", tsig).flatten(),
    }
}

fn tsig(section: &Section) -> Option<Tsig> {
    let name = section.required("name", scalars::name);
    let algorithm = section.get("algorithm", algorithm).unwrap_or_default();
    let secret_file = section.required("secret_file", scalars::path);
    Some(Tsig { name: name?, algorithm, secret_file: secret_file? })
}

/// MD5 and SHA-1 are not to be used any more (RFC 8945 §6); SHA-224 our cryptography does not have.
fn algorithm(field: &Field) -> Option<TsigAlgorithm> {
    field.parse("an algorithm", |text| match text {
        "hmac-sha256" => Ok(TsigAlgorithm::HmacSha256),
        "hmac-sha384" => Ok(TsigAlgorithm::HmacSha384),
        "hmac-sha512" => Ok(TsigAlgorithm::HmacSha512),
        _ => Err("one of hmac-sha256, hmac-sha384, hmac-sha512".into()),
    })
}

/// One address is a network of its own.
fn network_or_address(field: &Field) -> Option<IpNet> {
    match field.text("a network or an address")?.parse::<IpAddr>() {
        Ok(address) => Some(address.into()),
        Err(_) => scalars::network(field),
    }
}
