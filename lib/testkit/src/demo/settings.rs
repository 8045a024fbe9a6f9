//! Ports, configuration and files of the demo.

use super::{page::Page, programs::admin_address, story::Machines};
use anyhow::Context;
use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
};

/// Where SMD's stand-in puts its nodes.
pub(super) const NETWORK: ipnet::Ipv4Net = ipnet::Ipv4Net::new_assert(Ipv4Addr::new(172, 16, 0, 0), 12);
/// The router there, whose link the relay speaks for.
pub(super) const ROUTER: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 1);
/// A zone of its own.
pub(super) const DOMAIN: &str = "openchami.cluster";
/// What UEFI firmware on x86 is told to load.
pub(super) const LOADER: &str = "ipxe-x86_64.efi";
/// About as large as iPXE for UEFI.
const LOADER_SIZE: usize = 1 << 20;
/// How often a free port is looked for. A guess: twice is rare already.
const PORT_ATTEMPTS: usize = 20;

/// Where everything is.
pub(super) struct Settings {
    directory: PathBuf,
    pub(super) smd: SocketAddr,
    pub(super) smd_cache: SocketAddr,
    pub(super) dhcpd: SocketAddr,
    pub(super) dnsd: SocketAddr,
    pub(super) tftpd: SocketAddr,
    /// Content of the loader.
    pub(super) loader: Vec<u8>,
}

impl Settings {
    /// Finds ports and writes configuration and loader.
    pub(super) fn prepare(directory: &Path) -> anyhow::Result<Settings> {
        // The documented ports; for those that need a privilege, 277 and the number.
        let settings = Settings {
            directory: directory.into(),
            smd: port(27779)?,
            smd_cache: port(27780)?,
            dhcpd: port(27767)?,
            dnsd: port(27753)?,
            tftpd: port(27769)?,
            loader: made_up(LOADER_SIZE),
        };
        let root = directory.join("tftpboot");
        fs::create_dir(&root)
            .and_then(|()| fs::write(root.join(LOADER), &settings.loader))
            .and_then(|()| fs::write(settings.config_file(), settings.yaml(&root)))
            .with_context(|| format!("{} cannot be written to", directory.display()))?;
        Ok(settings)
    }

    /// The configuration that all four programs read.
    pub(super) fn config_file(&self) -> PathBuf {
        self.directory.join("coresmd.yaml")
    }

    pub(super) fn smd_url(&self) -> String {
        format!("http://{}", self.smd)
    }

    /// A page of a program's admin HTTP.
    pub(super) fn admin_url(&self, program: &str, page: &str) -> anyhow::Result<String> {
        Ok(format!("http://{}/{page}", admin_address(&self.directory, program)?))
    }

    fn yaml(&self, root: &Path) -> String {
        let Settings { smd, smd_cache, dhcpd, dnsd, tftpd, .. } = self;
        format!(
            r#"# The demo's configuration; coresmd.example.yaml explains every key.
domain: {DOMAIN}
rules:
  - name:nodes,type:Node,hostname:nid{{04d}}
  - name:bmcs,type:NodeBMC,hostname:bmc{{04d}}
boot:
  script_url: "http://127.0.0.1:8081/boot/v1/bootscript?mac={{mac}}"
inventory:
  endpoints: ["http://{smd_cache}"]
  replica_file: off
smd_cache:
  listen: ["{smd_cache}"]
  smd: {{url: "http://{smd}"}}
  refresh: 1s
  snapshot_file: off
dhcpd:
  v4:
    listen: ["{dhcpd}"]
    server_id: 127.0.0.1
    dns: [127.0.0.1]
    subnets:
      - {{cidr: {NETWORK}, router: [{ROUTER}]}}
dnsd:
  listen: ["{dnsd}"]
tftpd:
  listen: ["{tftpd}"]
  root: "{}"
"#,
            root.display()
        )
    }

    /// Lines to type while the demo stays up.
    pub(super) fn to_try(&self, programs: &Path, machines: &Machines, page: &Page) -> anyhow::Result<()> {
        let Settings { smd_cache, dnsd, tftpd, smd, .. } = self;
        let Machines { mac, address, name, next_nid, .. } = machines;
        let call = format!("{smd_cache} smdcache.v1.SmdCache");
        page.text("\nTo try from another terminal:\n");
        page.text("  ask smd-cache");
        page.command(&format!("grpcurl -plaintext {smd_cache} list"));
        page.command(&format!(r#"grpcurl -plaintext -d '{{"mac":"{mac}"}}' {call}/LookupMac"#));
        page.command(&format!(r#"grpcurl -plaintext -d '{{"name":"{name}"}}' {call}/LookupName"#));
        page.command(&format!("grpcurl -plaintext {call}/GetStatus"));
        page.text("  names, forward and back");
        page.command(&format!("dig +noall +answer @{} -p {} {name}", dnsd.ip(), dnsd.port()));
        page.command(&format!("dig +noall +answer @{} -p {} -x {address}", dnsd.ip(), dnsd.port()));
        page.text("  the boot loader");
        page.command(&format!("curl -so loader.efi tftp://{tftpd}/{LOADER}"));
        let config = self.config_file();
        let runtime = self.directory.display();
        page.text("  why it is so");
        let program = |name: &str| format!("RUNTIME_DIR={runtime} {}", programs.join(name).display());
        page.command(&format!("{} explain {mac}", program("smd-cache")));
        page.command(&format!("{} explain {mac} --relay {address} --arch 7", program("dhcpd")));
        page.command(&format!("{} explain {name}", program("dnsd")));
        page.text("  who asked for an address and is not in SMD; how the programs are");
        page.command(&format!("{} unknown", program("dhcpd")));
        page.command(&format!("curl {}", self.admin_url("dhcpd", "ready")?));
        page.command(&format!("curl {}", self.admin_url("smd-cache", "metrics")?));
        page.text("  one more node for SMD, and a second later its name");
        let node = format!(
            r#"{{"id":"x9000c0s0b0n1","nid":{next_nid},"mac":"02:de:00:00:00:02","address":"172.16.0.252"}}"#
        );
        page.command(&format!("curl -d '{node}' http://{smd}/control/node"));
        page.command(&format!("dig +short @{} -p {} x9000c0s0b0n1.{DOMAIN}", dnsd.ip(), dnsd.port()));
        page.text(&format!("\n  configuration: {}", config.display()));
        Ok(())
    }
}

/// Bytes that nobody would mistake for others.
fn made_up(size: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(1);
    std::iter::repeat_with(|| random.u8(..)).take(size).collect()
}

/// This port of loopback if it is free, else any that is. Free means for UDP and for TCP, as DNS needs both.
fn port(preferred: u16) -> anyhow::Result<SocketAddr> {
    let wanted = std::iter::once(preferred).chain(std::iter::repeat_n(0, PORT_ATTEMPTS));
    let mut last = io::Error::other("no attempt");
    for port in wanted {
        match free(port) {
            Ok(address) => return Ok(address),
            Err(error) => last = error,
        }
    }
    Err(last).context("no free port on 127.0.0.1")
}

fn free(port: u16) -> io::Result<SocketAddr> {
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, port))?;
    let address = udp.local_addr()?;
    TcpListener::bind(address).map(|_| address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_not_used() {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let taken = udp.local_addr().unwrap();
        assert_ne!(port(taken.port()).unwrap(), taken);
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = tcp.local_addr().unwrap();
        assert_ne!(port(taken.port()).unwrap(), taken);
    }

    #[test]
    fn the_configuration_is_good() {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings::prepare(directory.path()).unwrap();
        let text = fs::read_to_string(settings.config_file()).unwrap();
        let config = config::parse(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{text}"));
        assert_eq!(config.not_served, []);
    }
}
