//! What a machine boots: the loader for its architecture, or, once the loader runs, the script.
//!
//! Three kinds of client, told apart by what they say of themselves: iPXE (user class), UEFI HTTP firmware (vendor class
//! `HTTPClient`, takes nothing but a URL), and everything else that names an architecture (PXE, TFTP). Devices that
//! name none (switches, boards with U-Boot) get a file where one is set for them or for everyone and they ask for it.

use crate::{
    config::{Boot, Unknown},
    wire::{Message, OptionCode, Options},
};
use inventory::{Address, Interface};
use std::{fmt::Write, net::Ipv4Addr};

const PXE_CLIENT: &[u8] = b"PXEClient";
const HTTP_CLIENT: &[u8] = b"HTTPClient";
const IPXE: &[u8] = b"iPXE";
/// RFC 4578 and the PXE specification: PXE_DISCOVERY_CONTROL (6) with bit 3: use the boot file, look for no boot server;
/// then the end of the vendor options. Without it, class `PXEClient` makes firmware ask port 4011 and wait.
const USE_THE_BOOT_FILE: [u8; 4] = [6, 1, 8, 255];
/// iPXE's encapsulated options: no-pxedhcp (176) = 1 saves its two-second wait for a proxy DHCP server.
const NO_PROXY_DHCP: [u8; 3] = [176, 1, 1];
/// iPXE's encapsulated options (Etherboot's number, named nowhere else).
const IPXE_OPTIONS: u8 = 175;

/// A boot file and how it must be wrapped for this client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BootFile {
    /// For iPXE: the URL of its script.
    Script(String),
    /// For UEFI HTTP firmware: the URL of a loader.
    Http(String),
    /// By TFTP; or, where a site says so, by another URL, whole.
    File {
        /// Its name on the server.
        name: String,
        /// The server that its URL named; `None`: the next server as configured.
        server: Option<String>,
        /// The client is PXE firmware.
        pxe: bool,
    },
}

/// Whom a boot file is for.
pub struct Machine<'a> {
    /// Its interface.
    pub interface: &'a Interface,
    /// The address it gets.
    pub address: &'a Address,
}

impl BootFile {
    /// For a machine with rules; `None` for who boots nothing from us. Its rules come first, then the file for everyone,
    /// then the loaders.
    pub fn choose(boot: &Boot, message: &Message, machine: &Machine<'_>) -> Option<BootFile> {
        let policy = &machine.address.policy;
        if let Some(script) = BootFile::script(boot, message, machine) {
            return Some(script);
        }
        if let Some(file) = policy.boot_file.as_ref().filter(|_| !is_ipxe(message)) {
            return wants_file(message).then(|| wrap(file, boot, message, machine))?;
        }
        let file = match boot.nbp {
            Some(_) => BootFile::nbp(boot, message, machine),
            None => BootFile::loader(boot, message, machine),
        }?;
        // A rule's server counts more than that of a file for everyone.
        Some(if policy.next_server.is_some() { file.without_server() } else { file })
    }

    /// For a machine that SMD does not know yet: the loader, and once that runs the script that asks again after a while.
    pub fn of_guest(
        boot: &Boot,
        unknown: &Unknown,
        message: &Message,
        machine: &Machine<'_>,
    ) -> Option<BootFile> {
        if unknown.boot_nbp {
            return BootFile::nbp(boot, message, machine);
        }
        match is_ipxe(message) {
            true => Some(BootFile::Script(fill(&unknown.script, message, machine))),
            false => BootFile::loader(boot, message, machine),
        }
    }

    /// What iPXE loads.
    pub fn script(boot: &Boot, message: &Message, machine: &Machine<'_>) -> Option<BootFile> {
        let url = machine.address.policy.script_url.as_ref().or(boot.script_url.as_ref());
        let url = url.filter(|_| is_ipxe(message))?;
        Some(BootFile::Script(fill(url, message, machine)))
    }

    /// `boot.nbp`, for whoever boots or asks for a boot file.
    pub fn nbp(boot: &Boot, message: &Message, machine: &Machine<'_>) -> Option<BootFile> {
        let url = boot.nbp.as_ref().filter(|_| wants_file(message))?;
        wrap(url, boot, message, machine)
    }

    /// The table's entry for the first architecture of the client that it has. Not for iPXE, which came from there.
    pub fn loader(boot: &Boot, message: &Message, machine: &Machine<'_>) -> Option<BootFile> {
        let listed = |arch| boot.loaders.iter().find(|(known, _)| *known == arch);
        let (_, file) = message.architectures().find_map(listed).filter(|_| !is_ipxe(message))?;
        wrap(file, boot, message, machine)
    }

    fn without_server(self) -> BootFile {
        match self {
            BootFile::File { name, pxe, .. } => BootFile::File { name, server: None, pxe },
            other => other,
        }
    }

    /// siaddr, where the file's URL names a server by its address. Firmware looks nowhere else for it.
    pub fn server(&self) -> Option<Ipv4Addr> {
        match self {
            BootFile::File { server: Some(server), .. } => server.parse().ok(),
            _ => None,
        }
    }

    /// Firmware that loads by URL must be able to resolve its host, whether it asked for name servers or not.
    pub fn needs_dns(&self) -> bool {
        matches!(self, BootFile::Http(_))
    }

    /// What goes into the `file` field too, for ROMs that read no options.
    pub fn file_field(&self) -> Option<&str> {
        match self {
            BootFile::File { name, .. } => Some(name),
            BootFile::Script(_) | BootFile::Http(_) => None,
        }
    }

    /// The options that carry it.
    pub fn put(&self, options: &mut Options, message: &Message, next_server: Ipv4Addr) {
        let name = match self {
            BootFile::Script(name) | BootFile::Http(name) | BootFile::File { name, .. } => name,
        };
        options.terminated(OptionCode::BootfileName, name);
        match self {
            BootFile::Http(_) => options.put(OptionCode::ClassIdentifier, HTTP_CLIENT),
            BootFile::File { pxe: true, .. } => {
                options.put(OptionCode::ClassIdentifier, PXE_CLIENT);
                options.put(OptionCode::VendorExtensions, &USE_THE_BOOT_FILE);
            }
            BootFile::Script(_) | BootFile::File { pxe: false, .. } => {}
        }
        if is_ipxe(message) {
            options.put(IPXE_OPTIONS, &NO_PROXY_DHCP);
        }
        if let BootFile::File { server, .. } = self
            && message.asks_for(OptionCode::TFTPServerName)
        {
            let server = server.clone().unwrap_or_else(|| next_server.to_string());
            options.terminated(OptionCode::TFTPServerName, &server);
        }
    }
}

/// User class, exactly.
fn is_ipxe(message: &Message) -> bool {
    message.has_user_class(IPXE)
}

/// Whether it boots from the network, or asks for a boot file.
fn wants_file(message: &Message) -> bool {
    let class = class(message);
    message.architectures().next().is_some()
        || [PXE_CLIENT, HTTP_CLIENT].iter().any(|boots| class.starts_with(boots))
        || message.asks_for(OptionCode::BootfileName)
}

fn class(message: &Message) -> &[u8] {
    message.option(OptionCode::ClassIdentifier).unwrap_or_default()
}

/// A file name or URL in the form that the client takes; `None`: it takes no such thing.
fn wrap(file: &str, boot: &Boot, message: &Message, machine: &Machine<'_>) -> Option<BootFile> {
    let class = class(message);
    if class.starts_with(HTTP_CLIENT) && !is_ipxe(message) {
        let url = match file.split_once("://") {
            Some(("http" | "https", _)) => file.to_owned(),
            Some(_) => return None,
            None => format!("{}/{file}", boot.http_url.as_ref()?.trim_end_matches('/')),
        };
        return Some(BootFile::Http(fill(&url, message, machine)));
    }
    let (server, name) = split(fill(file, message, machine));
    Some(BootFile::File { name, server, pxe: class.starts_with(PXE_CLIENT) && !is_ipxe(message) })
}

/// `tftp://SERVER/PATH` in its parts; anything else is a name.
fn split(file: String) -> (Option<String>, String) {
    let parts = file.strip_prefix("tftp://").and_then(|rest| rest.split_at_checked(rest.find('/')?));
    match parts {
        Some((server, path)) => (Some(server.to_owned()), path.to_owned()),
        None => (None, file),
    }
}

/// Fills in `{mac} {id} {nid} {hostname} {arch}`; what the machine has not is empty.
fn fill(url: &str, message: &Message, machine: &Machine<'_>) -> String {
    let component = machine.interface.component.as_ref();
    let mut filled = String::with_capacity(url.len() + 32);
    let mut rest = url;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let Some((name, tail)) = after.split_once('}') else {
            rest = &rest[before.len()..];
            break;
        };
        let written = match (name, component) {
            ("mac", _) => write!(filled, "{}", machine.interface.mac),
            ("hostname", _) => write!(filled, "{}", machine.address.hostname),
            ("arch", _) => {
                write!(filled, "{}", message.architectures().next().map_or("", build_architecture))
            }
            ("id", Some(component)) => write!(filled, "{}", component.id),
            ("nid", Some(component)) => component.nid.map_or(Ok(()), |nid| write!(filled, "{nid}")),
            ("id" | "nid", None) => Ok(()),
            _ => write!(filled, "{{{name}}}"),
        };
        written.expect("a String takes everything");
        rest = tail;
    }
    filled.push_str(rest);
    filled
}

/// The architecture as iPXE's `buildarch` names it (IANA "Processor Architecture Types").
fn build_architecture(number: u16) -> &'static str {
    match number {
        0 | 6 | 15 | 20 => "i386",
        7 | 9 | 16 | 17 => "x86_64",
        10 | 18 => "arm32",
        11 | 19 => "arm64",
        _ => "",
    }
}
