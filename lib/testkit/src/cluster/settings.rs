//! The configuration of a cluster's programs: the usual one, and what a test wants otherwise.

use super::{RELAY, SERVER, SMD_PORT};
use std::{collections::BTreeMap, fmt::Write, path::Path};

/// Keys of the sections `smd_cache`, `inventory`, `dhcpd.v4`, `dnsd` and `tftpd` with their values as YAML, and whatever sections come after.
///
/// Files that programs write are in the cluster's folder `var`, which stands for `/var/lib/coresmd`.
#[derive(Debug, Clone)]
pub struct Settings {
    smd_cache: BTreeMap<String, String>,
    inventory: BTreeMap<String, String>,
    dhcp4: BTreeMap<String, String>,
    dnsd: BTreeMap<String, String>,
    tftpd: BTreeMap<String, String>,
    more: String,
}

impl Default for Settings {
    fn default() -> Settings {
        let keys = BTreeMap::new;
        let none = Settings {
            smd_cache: keys(),
            inventory: keys(),
            dhcp4: keys(),
            dnsd: keys(),
            tftpd: keys(),
            more: String::new(),
        };
        none.dhcp4("listen", &format!(r#"["{SERVER}:67"]"#))
            .dhcp4("server_id", &SERVER.to_string())
            .dhcp4("lease_time", "1h")
            .dhcp4("router", "[172.16.0.254]")
            .dhcp4("netmask", "255.255.255.0")
            .dhcp4("dns", &format!("[{SERVER}]"))
            .dhcp4("subnets", &format!("[{{cidr: 10.40.1.0/24, router: [{RELAY}]}}]"))
            .dnsd("listen", r#"["0.0.0.0:53"]"#)
            .dnsd("records", &format!(r#"["smd A {SERVER}"]"#))
            .tftpd("listen", r#"["0.0.0.0:69"]"#)
            .inventory("endpoints", r#"["http://127.0.0.1:27780"]"#)
            .inventory("replica_file", "VAR/replica-{program}")
            .smd_cache("listen", r#"["0.0.0.0:27780"]"#)
            .smd_cache("smd", &format!(r#"{{url: "http://127.0.0.1:{SMD_PORT}"}}"#))
            .smd_cache("refresh", "1s")
            .smd_cache("snapshot_file", "VAR/snapshot")
    }
}

impl Settings {
    /// A key of `smd_cache`; `VAR` stands for the folder of files.
    pub fn smd_cache(mut self, key: &str, value: &str) -> Settings {
        self.smd_cache.insert(key.to_owned(), value.to_owned());
        self
    }

    /// A key of `inventory`; `VAR` stands for the folder of files.
    pub fn inventory(mut self, key: &str, value: &str) -> Settings {
        self.inventory.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Without this key of `dhcpd.v4`.
    pub fn without_dhcp4(mut self, key: &str) -> Settings {
        self.dhcp4.remove(key);
        self
    }

    /// A key of `dhcpd.v4`; `VAR` stands for the folder of files.
    pub fn dhcp4(mut self, key: &str, value: &str) -> Settings {
        self.dhcp4.insert(key.to_owned(), value.to_owned());
        self
    }

    /// A key of `dnsd`; `VAR` stands for the folder of files.
    pub fn dnsd(mut self, key: &str, value: &str) -> Settings {
        self.dnsd.insert(key.to_owned(), value.to_owned());
        self
    }

    /// A key of `tftpd`; its root is the folder of [`super::Cluster::tftp_file`].
    pub fn tftpd(mut self, key: &str, value: &str) -> Settings {
        self.tftpd.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Further sections: lines as they are.
    pub fn more(mut self, lines: &str) -> Settings {
        self.more.push_str(lines);
        self
    }

    /// The same smd-cache once more on this machine: `number` 2 serves gRPC on 27880 and admin HTTP on 27881, and reads SMD
    /// at 127.0.0.2, so that it can be blinded alone.
    pub fn replica(self, number: u16) -> Settings {
        let port = 27_680 + 100 * number;
        self.smd_cache("listen", &format!(r#"["0.0.0.0:{port}"]"#))
            .smd_cache("admin", &format!("127.0.0.1:{}", port + 1))
            .smd_cache("socket", &format!("VAR/smd-cache-{number}.sock"))
            .smd_cache("smd", &format!(r#"{{url: "http://127.0.0.{number}:{SMD_PORT}"}}"#))
            .smd_cache("snapshot_file", &format!("VAR/snapshot-{number}"))
    }

    /// The file.
    pub(super) fn render(&self, folder: &Path) -> String {
        let section = |keys: &BTreeMap<String, String>, indent: &str| {
            keys.iter().fold(String::new(), |mut text, (key, value)| {
                let _ = writeln!(text, "{indent}{key}: {value}");
                text
            })
        };
        let (inventory, smd_cache) = (section(&self.inventory, "  "), section(&self.smd_cache, "  "));
        let (dhcp4, dnsd) = (section(&self.dhcp4, "    "), section(&self.dnsd, "  "));
        let tftpd = section(&self.tftpd, "  ");
        let (root, more) = (folder.join("tftp"), &self.more);
        let text = format!(
            r#"domain: openchami.cluster
boot:
  script_url: "http://{SERVER}:8081/boot/v1/bootscript?mac={{mac}}"
inventory:
{inventory}smd_cache:
{smd_cache}dhcpd:
  v4:
{dhcp4}dnsd:
{dnsd}tftpd:
{tftpd}  root: {}
{more}"#,
            root.display()
        );
        text.replace("VAR", &folder.join("var").display().to_string())
    }
}
