//! The sections of the file, a module each: its types, its defaults, and what cannot be.

mod boot;
mod dhcpd;
mod dhcpd6;
mod dnsd;
mod forward;
mod inventory;
mod smd_cache;
mod tftpd;
mod zones;

pub use boot::Boot;
pub use dhcpd::{DhcpV4, Dhcpd, Listen, Pool, Subnet, Unknown};
pub use dhcpd6::DhcpV6;
pub use dnsd::{DnsTls, Dnsd, Pointer, RateLimit, Transfer, Tsig, TsigAlgorithm};
pub use forward::{Carriage, Forwarder};
pub use inventory::{ClientTls, Endpoint, Inventory};
pub use smd_cache::{ServerTls, Smd, SmdCache};
pub use tftpd::Tftpd;
pub use zones::{Missing, Zone};

use crate::{Config, reader::Section, rules, scalars};

/// The whole file.
pub(crate) fn read(root: &Section) -> Config {
    let domain = root.get("domain", scalars::name);
    let zones = zones::read(root);
    let inventory = root.part("inventory", inventory::read);
    let boot = root.part("boot", boot::read);
    let replica = inventory.replica;
    let facts = dhcpd::Facts { replica, nbp: boot.nbp.is_some() };
    Config {
        rules: rules::read(root),
        smd_cache: root.part("smd_cache", smd_cache::read),
        dhcpd: root.part("dhcpd", |section| dhcpd::read(section, facts)),
        dnsd: root.part("dnsd", |section| dnsd::read(section, domain.as_ref(), &zones, replica)),
        tftpd: root.part("tftpd", tftpd::read),
        not_served: Vec::new(),
        domain,
        zones,
        boot,
        inventory,
    }
}
