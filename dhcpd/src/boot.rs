//! What a machine boots: the loader for its architecture, or, once the loader runs, the script.
//!
//! Three kinds of client, told apart by what they say of themselves: iPXE (user class), UEFI HTTP firmware (vendor class
//! `HTTPClient`, takes nothing but a URL), and everything else that names an architecture (PXE, TFTP).

use crate::{
    config::Boot,
    wire::{Message, OptionCode, Options},
};
use inventory::{Address, Interface, Policy};
use std::{fmt::Write, net::Ipv4Addr};

const PXE_CLIENT: &[u8] = b"PXEClient";
const HTTP_CLIENT: &[u8] = b"HTTPClient";
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
    /// By TFTP from siaddr.
    File {
        /// Its name.
        name: String,
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
    /// Chooses; `None` for who boots nothing from us. Policy comes before the configuration.
    pub fn choose(boot: &Boot, message: &Message, machine: &Machine<'_>) -> Option<BootFile> {
        let policy = &machine.address.policy;
        if message.has_user_class(b"iPXE") {
            let url = policy.script_url.as_ref().or(boot.script_url.as_ref())?;
            return Some(BootFile::Script(fill(url, message, machine)));
        }
        let class = message.option(OptionCode::ClassIdentifier).unwrap_or_default();
        let loader = loader(boot, message, policy)?;
        if !class.starts_with(HTTP_CLIENT) {
            return Some(BootFile::File { name: loader.to_owned(), pxe: class.starts_with(PXE_CLIENT) });
        }
        let url = match loader.contains("://") {
            true => loader.to_owned(),
            false => format!("{}/{loader}", boot.http_url.as_ref()?.trim_end_matches('/')),
        };
        Some(BootFile::Http(fill(&url, message, machine)))
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
            BootFile::Script(_) => options.put(IPXE_OPTIONS, &NO_PROXY_DHCP),
            BootFile::Http(_) => options.put(OptionCode::ClassIdentifier, HTTP_CLIENT),
            BootFile::File { pxe: true, .. } => {
                options.put(OptionCode::ClassIdentifier, PXE_CLIENT);
                options.put(OptionCode::VendorExtensions, &USE_THE_BOOT_FILE);
            }
            BootFile::File { pxe: false, .. } => {}
        }
        if matches!(self, BootFile::File { .. }) && message.asks_for(OptionCode::TFTPServerName) {
            options.terminated(OptionCode::TFTPServerName, &next_server.to_string());
        }
    }
}

/// Policy's file, else the table's for the first architecture that it has.
fn loader<'a>(boot: &'a Boot, message: &Message, policy: &'a Policy) -> Option<&'a str> {
    let mut architectures = message.architectures().peekable();
    architectures.peek()?;
    if let Some(file) = &policy.boot_file {
        return Some(file);
    }
    let listed = |arch| boot.loaders.iter().find(|(known, _)| *known == arch);
    architectures.find_map(listed).map(|(_, file)| file.as_str())
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
