//! The steps of a machine's boot: each asks a running program, shows what it says, and fails with a sentence when a machine could
//! not go on from there.

use super::{decoded, page::Page};
use crate::packets::{
    dhcp4::{Machine, Message, MessageType, decode, exchange},
    dns,
    link::{Link, frame},
    tftp::{self, Fetched},
};
use anyhow::{Context, bail, ensure};
use dhcproto::{Encodable, v4::Flags};
use hickory_proto::{op::ResponseCode, rr::RecordType};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};
use tokio::net::UdpSocket;

/// What a name server is given: it is near.
const DNS_LIMIT: Duration = Duration::from_secs(2);
/// What the first retransmission on a link waits, and each of the next twice as long, as iPXE does.
const RETRANSMISSION: Duration = Duration::from_secs(1);
/// One Ethernet frame: what iPXE asks for.
const WISH: tftp::Wish = tftp::Wish { block_size: 1432, window_size: 16 };

/// How a machine's DHCP messages get to a server.
pub(super) enum Wire {
    /// Through a relay that we play, which needs no privilege; replies come to the port it sends from.
    Relay { socket: UdpSocket, server: SocketAddr },
    /// As frames on a link, broadcast, as iPXE asks for replies to be, too.
    Link(Link),
}

impl Wire {
    /// The reply to a message; `None`: there was none within `limit`.
    pub(super) async fn exchange(
        &mut self,
        message: &Message,
        limit: Duration,
    ) -> anyhow::Result<Option<Message>> {
        match self {
            Wire::Relay { socket, server } => {
                exchange(socket, *server, message, limit).await.context("the relay's socket failed")
            }
            Wire::Link(link) => broadcast(link, message, limit).await.context("the link failed"),
        }
    }
}

/// Sends a message again and again, ever more slowly, until it is answered.
async fn broadcast(link: &mut Link, message: &Message, limit: Duration) -> io::Result<Option<Message>> {
    let mut message = message.clone();
    message.set_flags(Flags::default().set_broadcast());
    let mac = message.chaddr().try_into().map(values::Mac).map_err(io::Error::other)?;
    let (end, mut wait) = (Instant::now() + limit, RETRANSMISSION);
    let reply = |frame: &[u8]| {
        let payload = crate::pcap::datagram(0, frame)?.payload;
        decode(&payload).filter(|reply| reply.xid() == message.xid())
    };
    while Instant::now() < end {
        link.send(&frame(mac, None, &message.to_vec().map_err(io::Error::other)?))?;
        let left = end.saturating_duration_since(Instant::now());
        let heard = link.hear(wait.min(left), reply).await;
        if heard.is_some() {
            return Ok(heard);
        }
        wait *= 2;
    }
    Ok(None)
}

/// A machine that boots.
pub(super) struct Boot<'a> {
    pub(super) page: &'a Page,
    pub(super) wire: Wire,
    /// With its firmware.
    pub(super) machine: Machine,
    /// What the answer to a message may take.
    pub(super) limit: Duration,
}

impl Boot<'_> {
    /// DISCOVER, OFFER, REQUEST, ACK, of the machine's firmware.
    pub(super) async fn address(&mut self, how: &str) -> anyhow::Result<Message> {
        self.page.chapter("It is switched on, and its firmware asks for an address (DHCP)");
        self.page.text(&format!("  {how}"));
        let discover = self.machine.discover(fastrand::u32(..));
        self.sent(&discover, None, &format!("from {}", self.machine.mac));
        let offer = self.reply(&discover, MessageType::Offer).await?;
        facts(self.page, decoded::of_server(&offer, None));
        let request = self.machine.request(fastrand::u32(..), offer.yiaddr(), server(&offer)?);
        self.sent(&request, Some(&discover), "to the server of that offer");
        let ack = self.reply(&request, MessageType::Ack).await?;
        let (offered, granted) = (offer.yiaddr(), ack.yiaddr());
        ensure!(granted == offered, "dhcpd grants {granted} after offering {offered}");
        match decoded::of_server(&ack, Some(&offer)) {
            news if news.is_empty() => self.page.text("      the same once more: now the address is its own"),
            news => facts(self.page, news),
        }
        Ok(ack)
    }

    /// Its boot loader, whatever is named, from where the machine is told to fetch it.
    pub(super) async fn loader(
        &self,
        lease: &Message,
        tftpd: SocketAddr,
    ) -> anyhow::Result<(String, Fetched)> {
        self.page.chapter("It loads its boot loader (TFTP)");
        let file = decoded::text(lease, 67).context("dhcpd names no boot file (option 67)")?;
        if tftpd.port() != 69 {
            let port = tftpd.port();
            self.page.text(&format!("  It would ask the boot server's port 69; here that is {port}."));
        }
        let asked = format!("{file}, blksize {}, windowsize {}, tsize", WISH.block_size, WISH.window_size);
        self.page.sent("READ", &asked);
        let began = Instant::now();
        let fetched = tftp::fetch(tftpd, &file, WISH).await;
        let fetched = fetched.with_context(|| format!("tftpd does not give {file}"))?;
        let took = milliseconds(began.elapsed());
        let options: Vec<_> = fetched.options.iter().map(|(name, value)| format!("{name} {value}")).collect();
        self.page.received("OACK", &options.join(", "));
        let size = fetched.bytes.len();
        self.page.received("DATA", &format!("{size} bytes in {} blocks, {took}", fetched.blocks));
        Ok((file, fetched))
    }

    /// DHCP once more, as iPXE, which is told what to run.
    pub(super) async fn script(&mut self, lease: &Message) -> anyhow::Result<String> {
        self.page.chapter("The loader, iPXE, asks again and is told which script to run (DHCP)");
        let ipxe = self.machine.clone().with_ipxe();
        let discover = ipxe.discover(fastrand::u32(..));
        self.sent(&discover, Some(&self.machine.discover(0)), "this time as iPXE");
        let offer = self.reply(&discover, MessageType::Offer).await?;
        facts(self.page, decoded::of_server(&offer, Some(lease)));
        let request = ipxe.request(fastrand::u32(..), offer.yiaddr(), server(&offer)?);
        self.page.sent("REQUEST", "");
        let ack = self.reply(&request, MessageType::Ack).await?;
        ensure!(ack.yiaddr() == lease.yiaddr(), "dhcpd grants iPXE {} instead", ack.yiaddr());
        decoded::text(&ack, 67).context("dhcpd names no script (option 67)")
    }

    /// The machine's own name and any others of its address, the address' name, and one that nobody has.
    pub(super) async fn names(
        &self,
        dnsd: SocketAddr,
        lease: &Message,
        others: &[String],
    ) -> anyhow::Result<String> {
        self.page.chapter("It has a name, forward and back (DNS)");
        let name = decoded::text(lease, 12).context("dhcpd sent no host name (option 12)")?;
        let address = lease.yiaddr();
        for known in [&name].into_iter().chain(others) {
            let answer = self.ask(dnsd, known, RecordType::A).await?;
            ensure!(answer.contains(&address.to_string()), "dnsd says {answer:?} for {known}, not {address}");
        }
        let back = self.ask(dnsd, &dns::reverse(IpAddr::V4(address)), RecordType::PTR).await?;
        ensure!(back == [name.clone()], "dhcpd calls the machine {name}, but dnsd says {back:?}");
        let domain = name.split_once('.').map_or(String::new(), |(_, domain)| format!(".{domain}"));
        let none = format!("no-such-node{domain}");
        let answer = self.dns(dnsd, &none, RecordType::A).await?;
        self.page.sent("A", &none);
        let code = answer.metadata.response_code;
        ensure!(code == ResponseCode::NXDomain, "dnsd says {code} for a name that does not exist");
        self.page.received("NXDOMAIN", "SMD was read and has no such name");
        Ok(name)
    }
}

/// How a step asks.
impl Boot<'_> {
    /// Shows a message, but for what an earlier one said already.
    pub(super) fn sent(&self, message: &Message, before: Option<&Message>, more: &str) {
        self.page.sent(&kind(message), more);
        facts(self.page, decoded::of_client(message, before));
    }

    /// The reply to a message, shown with its type and how long it took.
    pub(super) async fn reply(&mut self, message: &Message, wanted: MessageType) -> anyhow::Result<Message> {
        let began = Instant::now();
        let reply = self.wire.exchange(message, self.limit).await?;
        let took = began.elapsed();
        let asked = kind(message);
        let reply =
            reply.with_context(|| format!("dhcpd does not answer a {asked} within {:?}", self.limit))?;
        let got = kind(&reply);
        ensure!(reply.opts().msg_type() == Some(wanted), "dhcpd answers a {asked} with {got}");
        self.page.received(&got, &format!("after {}", milliseconds(took)));
        Ok(reply)
    }

    /// Asks dnsd, shows question and answer, and returns the data of the records.
    pub(super) async fn ask(
        &self,
        dnsd: SocketAddr,
        name: &str,
        kind: RecordType,
    ) -> anyhow::Result<Vec<String>> {
        let answer = self.dns(dnsd, name, kind).await?;
        self.page.sent(&kind.to_string(), name);
        let code = answer.metadata.response_code;
        ensure!(code == ResponseCode::NoError, "dnsd answers {code} about {name}");
        let data: Vec<String> = answer
            .answers
            .iter()
            .map(|record| record.data.to_string().trim_end_matches('.').to_owned())
            .collect();
        let ttl = answer.answers.first().map_or(0, |record| record.ttl);
        self.page.received(&kind.to_string(), &format!("{}   (for {ttl} s)", data.join(", ")));
        Ok(data)
    }

    pub(super) async fn dns(
        &self,
        dnsd: SocketAddr,
        name: &str,
        kind: RecordType,
    ) -> anyhow::Result<hickory_proto::op::Message> {
        let answer = dns::ask(dnsd, name, kind, DNS_LIMIT).await;
        let answer = answer.with_context(|| format!("dnsd cannot be asked about {name}"))?;
        answer.with_context(|| format!("dnsd does not answer about {name} within {DNS_LIMIT:?}"))
    }
}

pub(super) fn facts(page: &Page, facts: Vec<(String, String)>) {
    for (name, value) in facts {
        page.fact(&name, value);
    }
}

/// Option 54.
pub(super) fn server(offer: &Message) -> anyhow::Result<Ipv4Addr> {
    match offer.opts().get(dhcproto::v4::OptionCode::ServerIdentifier) {
        Some(dhcproto::v4::DhcpOption::ServerIdentifier(address)) => Ok(*address),
        _ => bail!("dhcpd does not say who it is (option 54)"),
    }
}

/// DISCOVER, OFFER ...
fn kind(message: &Message) -> String {
    message.opts().msg_type().map_or("BOOTP".into(), |kind| format!("{kind:?}").to_uppercase())
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}
