//! `boot`: what dhcpd hands out and tftpd writes scripts with.

use crate::{
    Program,
    reader::{Field, Section},
    scalars, url,
};
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr},
};

/// Boot files and scripts.
#[derive(Debug, Clone, PartialEq)]
pub struct Boot {
    /// siaddr and next server; default: dhcpd.v4.server_id.
    pub tftp_server: Option<Ipv4Addr>,
    /// What iPXE loads; placeholders `{mac} {id} {nid} {hostname} {arch}`.
    pub script_url: Option<String>,
    /// Base of loaders for UEFI HTTP boot, without a final slash.
    pub http_url: Option<String>,
    /// Loader by client architecture (option 93), in order: a file name or a URL, with placeholders.
    pub loaders: Vec<(u16, String)>,
    /// Answer autoexec.ipxe and config.ipxe with a script (later).
    pub autoexec: bool,
    /// One boot file URL for everyone, instead of loaders.
    pub nbp: Option<String>,
    /// The IPv6 forms (later).
    pub tftp_server6: Option<Ipv6Addr>,
    /// (later)
    pub script_url6: Option<String>,
    /// (later)
    pub http_url6: Option<String>,
}

/// CoreSMD's table; 9 is what firmware of x86-64 sent before RFC 4578's erratum; from 15 on the same machines over HTTP
/// (IANA's "Processor Architecture Types").
const LOADERS: [(u16, &str); 12] = [
    (0, "undionly.kpxe"),
    (6, "ipxe-i386.efi"),
    (7, "ipxe-x86_64.efi"),
    (9, "ipxe-x86_64.efi"),
    (10, "ipxe-arm32.efi"),
    (11, "ipxe-arm64.efi"),
    (15, "ipxe-i386.efi"),
    (16, "ipxe-x86_64.efi"),
    (17, "ipxe-x86_64.efi"),
    (18, "ipxe-arm32.efi"),
    (19, "ipxe-arm64.efi"),
    (20, "undionly.kpxe"),
];

pub(super) fn read(section: &Section) -> Boot {
    let boot = Boot {
        tftp_server: section.get("tftp_server", scalars::ipv4),
        script_url: section.get("script_url", url::boot_url),
        http_url: section.get("http_url", url::base_url),
        loaders: loaders(section),
        autoexec: section.get("autoexec", scalars::switch).unwrap_or(false),
        nbp: section.get("nbp", nbp),
        tftp_server6: section.get("tftp_server6", scalars::ipv6),
        script_url6: section.get("script_url6", url::boot_url),
        http_url6: section.get("http_url6", url::base_url),
    };
    if boot.autoexec {
        section.later("autoexec", &[Program::Tftpd]);
    }
    for key in ["tftp_server6", "script_url6", "http_url6"] {
        section.later(key, &[Program::Dhcpd]);
    }
    boot
}

/// A whole URL: a file of its server.
fn nbp(field: &Field) -> Option<String> {
    url::boot_url(field)?;
    url::boot_file(field)
}

/// The file's entries on top of the defaults; `off` takes one away.
fn loaders(section: &Section) -> Vec<(u16, String)> {
    let mut table: BTreeMap<u16, String> =
        LOADERS.iter().map(|(arch, file)| (*arch, file.to_string())).collect();
    for (arch, file) in section.get("loaders", entries).unwrap_or_default() {
        match file.as_str() {
            "off" => table.remove(&arch),
            _ => table.insert(arch, file),
        };
    }
    table.into_iter().collect()
}

fn entries(field: &Field) -> Option<Vec<(u16, String)>> {
    let mut entries = Vec::new();
    for (key, value) in field.entries()? {
        match key.text.parse() {
            Ok(arch) => entries.extend(url::boot_file(&value).map(|file| (arch, file))),
            Err(_) => {
                field.book.mistake(key.place, &value.path, "an architecture is a number from 0 to 65535")
            }
        }
    }
    Some(entries)
}
