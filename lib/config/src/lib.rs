//! CONFIGURING: the one YAML file for all programs, as types.
//!
//! `coresmd.example.yaml` is the manual. Text in, either a [`Config`] or every mistake at once with line and column.
//!
//! `yaml` turns text into a tree with places, `reader` reads it key by key and collects mistakes, `scalars` and `url` say
//! what single values look like, `schema` and `rules` what the sections mean.

mod id_set;
#[cfg(test)]
mod manual;
mod mistake;
mod options;
mod pattern;
mod reader;
mod records;
mod rules;
mod scalars;
mod schema;
mod url;
mod yaml;

pub use id_set::IdSet;
pub use mistake::{Mistake, Mistakes};
pub use options::Options;
pub use pattern::{Filling, Lacking, Nic, Part, Pattern};
pub use records::{RecordData, RecordLine};
pub use rules::{DomainAppend, Match, Rule, RuleLog};
pub use schema::{
    Boot, Carriage, ClientTls, DhcpV4, DhcpV6, Dhcpd, DnsTls, Dnsd, Endpoint, Forwarder, Inventory, Listen,
    Missing, Pointer, Pool, RateLimit, ServerTls, Smd, SmdCache, Subnet, Tftpd, Transfer, Tsig,
    TsigAlgorithm, Unknown, Zone,
};

use ::values::Name;
use reader::{Book, Field};
use std::collections::BTreeSet;

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
    /// Keys that are set but whose feature comes later, with the programs they concern.
    pub not_served: Vec<(Mistake, Vec<Program>)>,
}

impl Config {
    /// The TCP ports that the file gives to one program or another: not for who looks for a free one. Without their addresses: ports
    /// are not rare.
    pub fn tcp_ports(&self) -> BTreeSet<u16> {
        let admin = [self.smd_cache.admin, self.dhcpd.admin, self.dnsd.admin, self.tftpd.admin];
        let tls = self.dnsd.tls.iter().flat_map(|tls| &tls.listen);
        let listen = self.smd_cache.listen.iter().chain(&self.dnsd.listen).chain(tls).chain(&self.dnsd.https);
        listen.chain(&admin).map(|address| address.port()).collect()
    }
}

/// Reads and checks the whole file.
pub fn parse(text: &str) -> Result<Config, Mistakes> {
    let book = Book::default();
    let config = read(text, &book);
    let (mistakes, not_served) = book.close();
    match config {
        Some(config) if mistakes.is_empty() => Ok(Config { not_served, ..config }),
        _ => Err(Mistakes(mistakes)),
    }
}

fn read(text: &str, book: &Book) -> Option<Config> {
    let node = yaml::read(text, book)?;
    Field { node: &node, path: String::new(), book }.section(schema::read)
}

impl Default for Config {
    fn default() -> Config {
        parse("").expect("an empty file has no mistakes")
    }
}
