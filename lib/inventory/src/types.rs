//! What the inventory says about machines, parsed from the contract's messages.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};
use values::{Mac, Name, Xname};

/// A network interface, its owner and its addresses.
#[derive(Debug, Clone, PartialEq)]
pub struct Interface {
    /// The key.
    pub mac: Mac,
    /// SMD's description.
    pub description: String,
    /// xname of the owner as SMD gives it.
    pub component_id: Option<Xname>,
    /// The owner; `None`: DHCP treats the interface as unknown.
    pub component: Option<Arc<Component>>,
    /// Usable ones, in SMD's order.
    pub addresses: Vec<Address>,
    /// What rules say apart from any address; `ignore` holds without addresses too.
    pub policy: Policy,
    /// Another record claims this MAC or one of its addresses.
    pub contested: bool,
}

impl Interface {
    /// The entry of one of its addresses.
    pub fn address(&self, address: IpAddr) -> Option<&Address> {
        self.addresses.iter().find(|entry| entry.address == address)
    }
}

/// A node, BMC, switch ...
#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    /// Its xname.
    pub id: Xname,
    /// Node, NodeBMC ... (open text)
    pub kind: String,
    /// Node number.
    pub nid: Option<i64>,
    /// Role.
    pub role: String,
    /// Sub-role.
    pub sub_role: String,
    /// Architecture.
    pub arch: String,
    /// Class.
    pub class: String,
    /// May be old.
    pub state: String,
    /// May be old.
    pub flag: String,
    /// May be old.
    pub enabled: Option<bool>,
    /// Groups.
    pub groups: Vec<String>,
    /// All its names.
    pub names: Vec<Name>,
}

/// A component and all its interfaces.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    /// The component.
    pub component: Arc<Component>,
    /// Its interfaces, by MAC.
    pub interfaces: Vec<Arc<Interface>>,
}

/// One address of an interface and what the rules made of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Address {
    /// The address.
    pub address: IpAddr,
    /// SMD's network.
    pub network: String,
    /// Bare host name.
    pub hostname: String,
    /// Its domain, empty: none.
    pub domain: String,
    /// What DHCP hands out.
    pub fqdn: String,
    /// In every zone, the canonical one first.
    pub names: Vec<Name>,
    /// What the rules say for this address.
    pub policy: Policy,
}

/// The outcome of the rules; absent: the subnet's or the global value applies.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Policy {
    /// Option 3.
    pub routers: Vec<Ipv4Addr>,
    /// Option 1.
    pub prefix_length: Option<u8>,
    /// No reply at all.
    pub ignore: bool,
    /// Boot file in place of the loader table's.
    pub boot_file: Option<String>,
    /// siaddr in place of the global one.
    pub next_server: Option<Ipv4Addr>,
    /// Script in place of the global one.
    pub script_url: Option<String>,
    /// Raw options.
    pub options: Vec<DhcpOption>,
    /// Rules that matched.
    pub rules: Vec<String>,
}

/// A raw option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DhcpOption {
    /// Code.
    pub code: u8,
    /// Value as on the wire.
    pub value: Vec<u8>,
}
