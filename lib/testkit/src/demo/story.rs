//! The boot of one node, and of one that SMD learns of meanwhile: each step asks the running programs, shows what they say,
//! and fails with a sentence when it is not what SMD's data demands.

use super::{
    decoded,
    page::Page,
    settings::{DOMAIN, LOADER, NETWORK, ROUTER, Settings},
};
use crate::{
    packets::{
        dhcp4::{Machine, Message, MessageType, Relay, exchange},
        dns, tftp,
    },
    smd::{Component, EthernetInterface},
};
use anyhow::{Context, bail, ensure};
use hickory_proto::{op::ResponseCode, rr::RecordType};
use proto::v1::{LookupMacRequest, Outcome, smd_cache_client::SmdCacheClient};
use serde::de::DeserializeOwned;
use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};
use tokio::net::UdpSocket;
use values::Mac;

/// The first node that the generator makes.
const NODE: &str = "x1000c0s0b0n0";
/// The node that SMD does not have at first; the generator makes no cabinet with this number.
const NEW_NODE: &str = "x9000c0s0b0n0";
const NEW_MAC: Mac = Mac([0x02, 0xde, 0, 0, 0, 1]);
/// The generator leaves it out.
const NEW_ADDRESS: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 251);
/// UEFI, 64 bit (IANA).
const ARCHITECTURE: u16 = 7;
/// Everything is on this host: what takes longer does not come.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// dhcpd answers within 400 ms or not at all (its deadline for a packet).
const SILENCE: Duration = Duration::from_millis(500);
/// A machine would wait 4 s before it asks again (RFC 2131 §4.1); here somebody is watching.
const RETRANSMISSION: Duration = Duration::from_millis(50);
/// SMD is read every second; the rest is for a busy machine.
const NEWS_LIMIT: Duration = Duration::from_secs(10);
/// One Ethernet frame: what iPXE asks for.
const WISH: tftp::Wish = tftp::Wish { block_size: 1432, window_size: 16 };

/// What the story was about, for the lines to try.
pub(super) struct Machines {
    pub(super) mac: String,
    pub(super) address: Ipv4Addr,
    pub(super) name: String,
    /// A NID nobody has.
    pub(super) next_nid: i64,
}

/// A node as SMD has it.
struct Node {
    mac: Mac,
    address: Ipv4Addr,
}

/// What every step needs.
struct Story<'a> {
    settings: &'a Settings,
    page: &'a Page,
    /// Of the relay that we play.
    relay: UdpSocket,
    http: reqwest::Client,
}

/// Tells it.
pub(super) async fn tell(settings: &Settings, page: &Page, nodes: usize) -> anyhow::Result<Machines> {
    let relay = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no socket for the relay")?;
    let story = Story { settings, page, relay, http: crate::http() };
    let node = story.what_smd_has().await?;
    let machine = story.machine(node.mac).with_firmware(ARCHITECTURE);
    let lease = story.address(&machine, &node).await?;
    story.loader(&lease).await?;
    story.script(&machine, &lease).await?;
    let name = story.names(&node, &lease).await?;
    story.grpc(&node, &name).await?;
    let stranger = story.machine(NEW_MAC).with_firmware(ARCHITECTURE);
    story.unknown(&stranger).await?;
    let new_nid = nodes as i64 + 1;
    story.added(&stranger, new_nid).await?;
    Ok(Machines { mac: node.mac.to_string(), address: node.address, name, next_nid: new_nid + 1 })
}

impl Story<'_> {
    async fn what_smd_has(&self) -> anyhow::Result<Node> {
        self.page.chapter(&format!("What SMD has about {NODE}"));
        let component: Component = self.smd(&format!("State/Components/{NODE}")).await?;
        let interfaces: Vec<EthernetInterface> =
            self.smd(&format!("Inventory/EthernetInterfaces?ComponentID={NODE}")).await?;
        let servable = interfaces.iter().find_map(|interface| {
            let address = interface.addresses.first()?.address.parse().ok()?;
            Some((interface, address)).filter(|_| NETWORK.contains(&address))
        });
        let Some((interface, address)) = servable else { bail!("SMD has no address of {NODE} in {NETWORK}") };
        self.page.fact("type", &component.kind);
        self.page.fact("NID", component.nid);
        self.page.fact("role", &component.role);
        self.page.fact("MAC", &interface.mac);
        self.page.fact("address", address);
        let mac =
            interface.mac.parse().ok().with_context(|| format!("SMD has the MAC {:?}", interface.mac))?;
        Ok(Node { mac, address })
    }

    async fn address(&self, machine: &Machine, node: &Node) -> anyhow::Result<Message> {
        self.page.chapter("It is switched on, and its firmware asks for an address (DHCP)");
        self.page.text("  We play the machine, and a relay in front of it, which needs no privilege.");
        let discover = machine.discover(fastrand::u32(..));
        self.sent(&discover, None, &format!("from {}", machine.mac));
        let offer = self.reply(&discover, MessageType::Offer).await?;
        ensure!(
            offer.yiaddr() == node.address,
            "dhcpd offers {}, but SMD says {}",
            offer.yiaddr(),
            node.address
        );
        facts(self.page, decoded::of_server(&offer, None));
        let request = machine.request(fastrand::u32(..), offer.yiaddr(), server(&offer)?);
        self.sent(&request, Some(&discover), "to the server of that offer");
        let ack = self.reply(&request, MessageType::Ack).await?;
        ensure!(
            ack.yiaddr() == node.address,
            "dhcpd grants {} after offering {}",
            ack.yiaddr(),
            node.address
        );
        match decoded::of_server(&ack, Some(&offer)) {
            news if news.is_empty() => self.page.text("      the same once more: now the address is its own"),
            news => facts(self.page, news),
        }
        Ok(ack)
    }

    async fn loader(&self, lease: &Message) -> anyhow::Result<()> {
        self.page.chapter("It loads its boot loader (TFTP)");
        let file = decoded::text(lease, 67).context("dhcpd names no boot file (option 67)")?;
        ensure!(
            file == LOADER,
            "dhcpd names {file} as the loader for architecture {ARCHITECTURE}, not {LOADER}"
        );
        let port = self.settings.tftpd.port();
        self.page.text(&format!("  It would ask the boot server's port 69; here that is {port}."));
        let asked = format!("{file}, blksize {}, windowsize {}, tsize", WISH.block_size, WISH.window_size);
        self.page.sent("READ", &asked);
        let began = Instant::now();
        let fetched = tftp::fetch(self.settings.tftpd, &file, WISH).await;
        let fetched = fetched.with_context(|| format!("tftpd does not give {file}"))?;
        let took = began.elapsed();
        let options: Vec<_> = fetched.options.iter().map(|(name, value)| format!("{name} {value}")).collect();
        self.page.received("OACK", &options.join(", "));
        let size = fetched.bytes.len();
        self.page
            .received("DATA", &format!("{size} bytes in {} blocks, {}", fetched.blocks, milliseconds(took)));
        ensure!(fetched.bytes == self.settings.loader, "tftpd sent other bytes than those of the file");
        self.page.text("      every byte is right (here they are random ones; a site puts iPXE there)");
        Ok(())
    }

    async fn script(&self, machine: &Machine, lease: &Message) -> anyhow::Result<()> {
        self.page.chapter("The loader, iPXE, asks again and is told which script to run (DHCP)");
        let ipxe = machine.clone().with_ipxe();
        let discover = ipxe.discover(fastrand::u32(..));
        self.sent(&discover, Some(&machine.discover(0)), "this time as iPXE");
        let offer = self.reply(&discover, MessageType::Offer).await?;
        facts(self.page, decoded::of_server(&offer, Some(lease)));
        let request = ipxe.request(fastrand::u32(..), offer.yiaddr(), server(&offer)?);
        self.page.sent("REQUEST", "");
        let ack = self.reply(&request, MessageType::Ack).await?;
        ensure!(ack.yiaddr() == lease.yiaddr(), "dhcpd grants iPXE {} instead", ack.yiaddr());
        let url = decoded::text(&ack, 67).context("dhcpd names no script (option 67)")?;
        ensure!(
            url.contains(&machine.mac.to_string()),
            "the script's address {url} does not name the machine"
        );
        self.page.text("      iPXE would fetch that over HTTP now, from the boot script service: kernel, initrd, arguments");
        Ok(())
    }

    async fn names(&self, node: &Node, lease: &Message) -> anyhow::Result<String> {
        self.page.chapter("It has a name, forward and back (DNS)");
        let name = decoded::text(lease, 12).context("dhcpd sent no host name (option 12)")?;
        let address = node.address.to_string();
        for known in [name.clone(), format!("{NODE}.{DOMAIN}")] {
            let answer = self.ask(&known, RecordType::A).await?;
            ensure!(answer == [address.clone()], "dnsd says {answer:?} for {known}, but SMD says {address}");
        }
        let back = self.ask(&dns::reverse(IpAddr::V4(node.address)), RecordType::PTR).await?;
        ensure!(back == [name.clone()], "dhcpd calls the machine {name}, but dnsd says {back:?}");
        let none = format!("no-such-node.{DOMAIN}");
        let answer = self.dns(&none, RecordType::A).await?;
        self.page.sent("A", &none);
        let code = answer.metadata.response_code;
        ensure!(code == ResponseCode::NXDomain, "dnsd says {code} for a name that does not exist");
        self.page.received("NXDOMAIN", "SMD was read and has no such name");
        Ok(name)
    }

    async fn grpc(&self, node: &Node, name: &str) -> anyhow::Result<()> {
        self.page.chapter("The same node, asked of smd-cache (gRPC)");
        let client = SmdCacheClient::connect(format!("http://{}", self.settings.smd_cache)).await;
        let mut client = client.context("smd-cache takes no gRPC connection")?;
        let request = LookupMacRequest { mac: node.mac.to_string() };
        self.page.sent("LookupMac", &request.mac);
        let reply =
            client.lookup_mac(request).await.context("smd-cache does not answer LookupMac")?.into_inner();
        let outcome = reply.outcome().as_str_name();
        self.page.received(outcome, "");
        ensure!(reply.outcome() == Outcome::Found, "smd-cache answers {outcome} about a node that SMD has");
        let interface = reply.interfaces.first().context("smd-cache found it, but sends no interface")?;
        let address = interface.addresses.first().context("smd-cache found it, but sends no address")?;
        self.page.fact("component_id", &interface.component_id);
        self.page.fact("address", &address.address);
        self.page.fact("fqdn", &address.fqdn);
        self.page.fact("names", address.names.join(", "));
        if let Some(policy) = &address.policy {
            self.page.fact("rules that matched", policy.rules.join(", "));
        }
        if let Some(freshness) = &reply.freshness {
            self.page.fact("generation", freshness.generation);
        }
        ensure!(address.fqdn == name, "smd-cache calls it {}, dhcpd and dnsd {name}", address.fqdn);
        Ok(())
    }

    async fn unknown(&self, stranger: &Machine) -> anyhow::Result<()> {
        self.page.chapter("A machine that SMD does not have gets silence, and is remembered");
        let discover = stranger.discover(fastrand::u32(..));
        self.sent(&discover, Some(&discover), &format!("from {NEW_MAC}"));
        let reply = exchange(&self.relay, self.settings.dhcpd, &discover, SILENCE).await;
        if let Some(reply) = reply.context("the relay's socket failed")? {
            bail!("dhcpd gives {} to {NEW_MAC}, which SMD does not have", reply.yiaddr());
        }
        self.page.received("nothing", &format!("for {} ms", SILENCE.as_millis()));
        let url = self.settings.admin_url("dhcpd", "unknown")?;
        let rows: Vec<serde_json::Value> = self.fetch(&url).await?;
        let row = rows.iter().find(|row| row["mac"] == NEW_MAC.to_string());
        let row = row.with_context(|| format!("{NEW_MAC} is not in the list at {url}"))?;
        self.page.text(&format!("  dhcpd's list of unknown machines, {url}:"));
        for key in ["mac", "relay", "vendor_class", "first_seen"] {
            self.page.fact(key, row[key].as_str().unwrap_or("-"));
        }
        Ok(())
    }

    async fn added(&self, machine: &Machine, nid: i64) -> anyhow::Result<()> {
        self.page.chapter("It is put into SMD while you watch, and gets its address");
        let node = serde_json::json!({"id": NEW_NODE, "nid": nid, "mac": NEW_MAC.to_string(), "address": NEW_ADDRESS});
        let url = format!("{}/control/node", self.settings.smd_url());
        self.page.sent("POST", &format!("{node} to SMD"));
        let put = self.http.post(&url).json(&node).timeout(ANSWER_LIMIT).send().await;
        put.and_then(reqwest::Response::error_for_status).context("SMD's stand-in does not take a node")?;
        let began = Instant::now();
        let (offer, attempts) = self.first_offer(machine).await?;
        let took = began.elapsed();
        ensure!(offer.yiaddr() == NEW_ADDRESS, "dhcpd offers {}, but SMD says {NEW_ADDRESS}", offer.yiaddr());
        self.page.sent("DISCOVER", &format!("from {NEW_MAC}, every {} ms", RETRANSMISSION.as_millis()));
        let when = format!("{} after {:.2} s, at attempt {attempts}", offer.yiaddr(), took.as_secs_f64());
        self.page.received("OFFER", &when);
        let request = machine.request(fastrand::u32(..), offer.yiaddr(), server(&offer)?);
        self.page.sent("REQUEST", "");
        let ack = self.reply(&request, MessageType::Ack).await?;
        let name = decoded::text(&ack, 12).context("dhcpd sent no host name (option 12)")?;
        self.page.fact("host name (12)", &name);
        // dnsd hears of it on its own, within the blink of an eye of dhcpd.
        while self.dns(&name, RecordType::A).await?.answers.is_empty() {
            ensure!(began.elapsed() < NEWS_LIMIT, "dnsd does not know {name}, which dhcpd gave out");
            tokio::time::sleep(RETRANSMISSION).await;
        }
        let answer = self.ask(&name, RecordType::A).await?;
        ensure!(
            answer == [NEW_ADDRESS.to_string()],
            "dnsd says {answer:?} for {name}, but SMD says {NEW_ADDRESS}"
        );
        Ok(())
    }

    async fn first_offer(&self, machine: &Machine) -> anyhow::Result<(Message, u32)> {
        let end = Instant::now() + NEWS_LIMIT;
        for attempt in 1.. {
            let discover = machine.discover(fastrand::u32(..));
            let reply = exchange(&self.relay, self.settings.dhcpd, &discover, RETRANSMISSION).await;
            if let Some(offer) = reply.context("the relay's socket failed")? {
                return Ok((offer, attempt));
            }
            if Instant::now() > end {
                break;
            }
        }
        bail!("{NEW_MAC} has no address {} s after it was put into SMD", NEWS_LIMIT.as_secs())
    }
}

/// How a step asks.
impl Story<'_> {
    /// A machine behind the relay that we play: it may answer to any port, and speaks for the link of the node.
    fn machine(&self, mac: Mac) -> Machine {
        let relay = Relay { address: Ipv4Addr::LOCALHOST, link: Some(ROUTER), source_port: true };
        Machine::new(mac).behind(relay)
    }

    /// Shows a message, but for what an earlier one said already.
    fn sent(&self, message: &Message, before: Option<&Message>, more: &str) {
        self.page.sent(&kind(message), more);
        facts(self.page, decoded::of_client(message, before));
    }

    /// The reply to a message, shown with its type and how long it took.
    async fn reply(&self, message: &Message, wanted: MessageType) -> anyhow::Result<Message> {
        let began = Instant::now();
        let reply = exchange(&self.relay, self.settings.dhcpd, message, ANSWER_LIMIT).await;
        let reply = reply.context("the relay's socket failed")?;
        let took = began.elapsed();
        let asked = kind(message);
        let reply = reply.with_context(|| {
            format!("dhcpd does not answer a {asked} within {} s", ANSWER_LIMIT.as_secs())
        })?;
        let got = kind(&reply);
        ensure!(reply.opts().msg_type() == Some(wanted), "dhcpd answers a {asked} with {got}");
        self.page.received(&got, &format!("after {}", milliseconds(took)));
        Ok(reply)
    }

    /// Asks dnsd, shows question and answer, and returns the data of the records.
    async fn ask(&self, name: &str, kind: RecordType) -> anyhow::Result<Vec<String>> {
        let answer = self.dns(name, kind).await?;
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

    async fn dns(&self, name: &str, kind: RecordType) -> anyhow::Result<hickory_proto::op::Message> {
        let answer = dns::ask(self.settings.dnsd, name, kind, ANSWER_LIMIT).await;
        let answer = answer.with_context(|| format!("dnsd cannot be asked about {name}"))?;
        answer
            .with_context(|| format!("dnsd does not answer about {name} within {} s", ANSWER_LIMIT.as_secs()))
    }

    async fn smd<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.fetch(&format!("{}/hsm/v2/{path}", self.settings.smd_url())).await
    }

    async fn fetch<T: DeserializeOwned>(&self, url: &str) -> anyhow::Result<T> {
        let answer = self.http.get(url).timeout(ANSWER_LIMIT).send().await;
        let answer = answer.and_then(reqwest::Response::error_for_status);
        let answer = answer.with_context(|| format!("{url} cannot be read"))?;
        answer.json().await.with_context(|| format!("{url} answers with something else than expected"))
    }
}

fn facts(page: &Page, facts: Vec<(String, String)>) {
    for (name, value) in facts {
        page.fact(&name, value);
    }
}

/// Option 54.
fn server(offer: &Message) -> anyhow::Result<Ipv4Addr> {
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
