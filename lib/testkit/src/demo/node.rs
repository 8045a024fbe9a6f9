//! A pretend machine on a link: it knows its MAC and its firmware, and learns the rest on the wire. `docker compose run node`.

use super::{
    boot::{Boot, Wire, server},
    decoded,
    page::Page,
};
use crate::packets::{
    dhcp4::{Machine, Message, MessageType, value},
    link::Link,
};
use anyhow::Context;
use dhcproto::{Encodable, v4::DhcpOption};
use nix::{ifaddrs::getifaddrs, net::if_::InterfaceFlags};
use std::{
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
    time::{Duration, Instant},
};
use tokio::net::UdpSocket;
use values::Mac;

/// Where servers listen.
const DHCP: u16 = 67;
const TFTP: u16 = 69;
const DNS: u16 = 53;

/// Who boots.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its hardware address.
    pub mac: Mac,
    /// Option 93.
    pub architecture: u16,
    /// Where it is plugged in; absent: the first interface that is up and no loopback.
    pub interface: Option<String>,
    /// How long it goes on asking for an answer.
    pub wait: Duration,
}

/// Boots it; the exit code says whether it would run now.
pub fn run(options: &Options) -> ExitCode {
    let page = Page::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let booted = runtime.context("no runtime").and_then(|runtime| {
        runtime.block_on(async {
            // As process 1 of a container it would not end by a signal that it does not handle.
            let stopped = super::stop()?;
            tokio::select! {
                booted = boot(options, &page) => booted.map(|()| ExitCode::SUCCESS),
                () = stopped => Ok(ExitCode::FAILURE),
            }
        })
    });
    match booted {
        Ok(code) => code,
        Err(error) => {
            eprintln!("\nnode: {error:#}");
            eprintln!("dhcpd can say what it would answer, and why:");
            eprintln!(
                "  docker compose exec dhcpd dhcpd explain {} --arch {}",
                options.mac, options.architecture
            );
            eprintln!("and who does not run, or complains: docker compose ps; docker compose logs --tail 20");
            ExitCode::FAILURE
        }
    }
}

async fn boot(options: &Options, page: &Page) -> anyhow::Result<()> {
    let began = Instant::now();
    let interface = options.interface.clone().or_else(first_interface).context("there is no interface")?;
    page.title(&format!("A machine with the MAC {} boots on {interface}", options.mac));
    let link = Link::open(&interface)
        .with_context(|| format!("no frames can be sent on {interface} (this takes CAP_NET_RAW)"))?;
    let machine = Machine::new(options.mac).with_firmware(options.architecture);
    let mut boot = Boot { page, wire: Wire::Link(link), machine, limit: options.wait };
    let how = "DHCP messages are frames on the link, broadcast; the rest is asked from this container's own address.";
    let lease = boot.address(how).await?;
    let (_, loader) = boot.loader(&lease, (boot_server(&lease)?, TFTP).into()).await?;
    page.text(&format!("      {}", kind_of(&loader.bytes)));
    let script = boot.script(&lease).await?;
    page.text(&format!("      iPXE would fetch {script} now: kernel, initrd, arguments"));
    match decoded::text(&lease, 12) {
        Some(_) => {
            let dnsd = value(&lease, 6).as_deref().and_then(first_address);
            let dnsd = dnsd.context("dhcpd names no name server (option 6)")?;
            boot.names((dnsd, DNS).into(), &lease, &[]).await?;
        }
        None => stranger(&boot, &lease).await?,
    }
    page.text(&format!("\nThat took {:.1} s.", began.elapsed().as_secs_f64()));
    Ok(())
}

/// A machine without a name is none of SMD's: its address is given back, so that nothing is left of it.
async fn stranger(boot: &Boot<'_>, lease: &Message) -> anyhow::Result<()> {
    let page = boot.page;
    page.chapter("It has no name: SMD does not have it, so the address is one of the pool");
    page.text("  dhcpd keeps a list of such machines: docker compose exec dhcpd dhcpd unknown");
    page.text("  Once it is in SMD it boots as itself.");
    let dhcpd = server(lease)?;
    let mut release =
        boot.machine.message(fastrand::u32(..), MessageType::Release, [DhcpOption::ServerIdentifier(dhcpd)]);
    release.set_ciaddr(lease.yiaddr());
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.context("no socket")?;
    socket
        .send_to(&release.to_vec()?, SocketAddr::from((dhcpd, DHCP)))
        .await
        .context("dhcpd cannot be reached")?;
    page.sent("RELEASE", &format!("of {}: it is switched off", lease.yiaddr()));
    Ok(())
}

/// siaddr, and without it the server itself.
fn boot_server(lease: &Message) -> anyhow::Result<Ipv4Addr> {
    match lease.siaddr() {
        none if none.is_unspecified() => server(lease),
        siaddr => Ok(siaddr),
    }
}

/// What the first bytes of a loader say.
fn kind_of(bytes: &[u8]) -> &'static str {
    match bytes {
        [b'M', b'Z', ..] => "a program for EFI, by its first bytes",
        [b'#', b'!', b'i', b'p', b'x', b'e', ..] => "a script for iPXE, by its first bytes",
        _ => "no program for EFI, by its first bytes: one for BIOS, perhaps",
    }
}

fn first_address(bytes: &[u8]) -> Option<Ipv4Addr> {
    bytes.first_chunk::<4>().copied().map(Ipv4Addr::from)
}

fn first_interface() -> Option<String> {
    let is_plugged = |flags: InterfaceFlags| {
        flags.contains(InterfaceFlags::IFF_UP) && !flags.contains(InterfaceFlags::IFF_LOOPBACK)
    };
    let mut interfaces = getifaddrs().ok()?;
    interfaces.find(|interface| is_plugged(interface.flags)).map(|interface| interface.interface_name)
}
