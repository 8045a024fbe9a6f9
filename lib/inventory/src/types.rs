//! What the inventory says about machines, parsed from the contract's messages.

use crate::text::Text;
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    ops::{Deref, DerefMut},
    sync::Arc,
};
use values::{Mac, Name, Xname};

/// A network interface, its owner and its addresses.
#[derive(Debug, Clone, PartialEq)]
pub struct Interface {
    /// The key.
    pub mac: Mac,
    /// SMD's description.
    pub description: Text,
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

/// A node, BMC, switch ... Reads like its [`Traits`].
#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    /// Its xname.
    pub id: Xname,
    /// Node number.
    pub nid: Option<i64>,
    /// What it has in common with thousands.
    pub traits: Arc<Traits>,
    /// All its names.
    pub names: Arc<[Name]>,
}

impl Deref for Component {
    type Target = Traits;
    fn deref(&self) -> &Traits {
        &self.traits
    }
}

/// What is the same for many components, and held once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Traits {
    /// Node, NodeBMC ... (open text)
    pub kind: Text,
    /// Role.
    pub role: Text,
    /// Sub-role.
    pub sub_role: Text,
    /// Architecture.
    pub arch: Text,
    /// Class.
    pub class: Text,
    /// May be old.
    pub state: Text,
    /// May be old.
    pub flag: Text,
    /// May be old.
    pub enabled: Option<bool>,
    /// Groups.
    pub groups: Vec<Text>,
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
    pub network: Text,
    /// Bare host name.
    pub hostname: Text,
    /// Its domain, empty: none.
    pub domain: Text,
    /// What DHCP hands out.
    pub fqdn: Text,
    /// In every zone, the canonical one first; mostly the list that its component has.
    pub names: Arc<[Name]>,
    /// What the rules say for this address.
    pub policy: Policy,
}

/// The outcome of the rules, shared by all for whom it is the same; reads like [`Terms`].
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Policy(Arc<Terms>);

impl Policy {
    #[cfg(test)]
    pub(crate) fn is_same(&self, other: &Policy) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
impl From<Terms> for Policy {
    fn from(terms: Terms) -> Policy {
        Policy(Arc::new(terms))
    }
}
impl Deref for Policy {
    type Target = Terms;
    fn deref(&self) -> &Terms {
        &self.0
    }
}
impl DerefMut for Policy {
    /// Changes this one alone.
    fn deref_mut(&mut self) -> &mut Terms {
        Arc::make_mut(&mut self.0)
    }
}
impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What rules say; absent: the subnet's or the global value applies.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Terms {
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
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DhcpOption {
    /// Code.
    pub code: u8,
    /// Value as on the wire.
    pub value: Vec<u8>,
}
