//! The boot of one node, and of one that SMD learns of meanwhile; it fails with a sentence when what the programs say is not what
//! SMD's data demands.

use super::{
    boot::{Boot, Wire, server},
    decoded,
    page::Page,
    settings::{DOMAIN, LOADER, NETWORK, ROUTER, Settings},
};
use crate::{
    packets::dhcp4::{Machine, Message, MessageType, Relay},
    smd::{Component, EthernetInterface},
};
use anyhow::{Context, bail, ensure};
use hickory_proto::rr::RecordType;
use proto::v1::{LookupMacRequest, Outcome, smd_cache_client::SmdCacheClient};
use serde::de::DeserializeOwned;
use std::{
    net::Ipv4Addr,
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
    boot: Boot<'a>,
    http: reqwest::Client,
}

/// Tells it.
pub(super) async fn tell(settings: &Settings, page: &Page, nodes: usize) -> anyhow::Result<Machines> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no socket for the relay")?;
    let wire = Wire::Relay { socket, server: settings.dhcpd };
    let boot = Boot { page, wire, machine: machine(NEW_MAC), limit: ANSWER_LIMIT };
    let mut story = Story { settings, page, boot, http: crate::http() };
    let node = story.what_smd_has().await?;
    story.boot.machine = machine(node.mac);
    let lease = story.address(&node).await?;
    story.loader(&lease).await?;
    story.script(&lease).await?;
    let name = story.boot.names(settings.dnsd, &lease, &[format!("{NODE}.{DOMAIN}")]).await?;
    story.grpc(&node, &name).await?;
    let stranger = machine(NEW_MAC);
    story.unknown(&stranger).await?;
    let new_nid = nodes as i64 + 1;
    story.added(&stranger, new_nid).await?;
    Ok(Machines { mac: node.mac.to_string(), address: node.address, name, next_nid: new_nid + 1 })
}

/// One with UEFI firmware, behind the relay that we play: it may answer to any port, and speaks for the link of the node.
fn machine(mac: Mac) -> Machine {
    let relay = Relay { address: Ipv4Addr::LOCALHOST, link: Some(ROUTER), source_port: true };
    Machine::new(mac).with_firmware(ARCHITECTURE).behind(relay)
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

    async fn address(&mut self, node: &Node) -> anyhow::Result<Message> {
        let how = "We play the machine, and a relay in front of it, which needs no privilege.";
        let lease = self.boot.address(how).await?;
        let (granted, known) = (lease.yiaddr(), node.address);
        ensure!(granted == known, "dhcpd grants {granted}, but SMD says {known}");
        Ok(lease)
    }

    async fn loader(&self, lease: &Message) -> anyhow::Result<()> {
        let (file, fetched) = self.boot.loader(lease, self.settings.tftpd).await?;
        ensure!(
            file == LOADER,
            "dhcpd names {file} as the loader for architecture {ARCHITECTURE}, not {LOADER}"
        );
        ensure!(fetched.bytes == self.settings.loader, "tftpd sent other bytes than those of the file");
        self.page.text("      every byte is right (here they are random ones; a site puts iPXE there)");
        Ok(())
    }

    async fn script(&mut self, lease: &Message) -> anyhow::Result<()> {
        let url = self.boot.script(lease).await?;
        let mac = self.boot.machine.mac.to_string();
        ensure!(url.contains(&mac), "the script's address {url} does not name the machine");
        self.page.text("      iPXE would fetch that over HTTP now, from the boot script service: kernel, initrd, arguments");
        Ok(())
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

    async fn unknown(&mut self, stranger: &Machine) -> anyhow::Result<()> {
        self.page.chapter("A machine that SMD does not have gets silence, and is remembered");
        let discover = stranger.discover(fastrand::u32(..));
        self.boot.sent(&discover, Some(&discover), &format!("from {NEW_MAC}"));
        if let Some(reply) = self.boot.wire.exchange(&discover, SILENCE).await? {
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

    async fn added(&mut self, machine: &Machine, nid: i64) -> anyhow::Result<()> {
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
        let ack = self.boot.reply(&request, MessageType::Ack).await?;
        let name = decoded::text(&ack, 12).context("dhcpd sent no host name (option 12)")?;
        self.page.fact("host name (12)", &name);
        // dnsd hears of it on its own, within the blink of an eye of dhcpd.
        while self.boot.dns(self.settings.dnsd, &name, RecordType::A).await?.answers.is_empty() {
            ensure!(began.elapsed() < NEWS_LIMIT, "dnsd does not know {name}, which dhcpd gave out");
            tokio::time::sleep(RETRANSMISSION).await;
        }
        let answer = self.boot.ask(self.settings.dnsd, &name, RecordType::A).await?;
        ensure!(
            answer == [NEW_ADDRESS.to_string()],
            "dnsd says {answer:?} for {name}, but SMD says {NEW_ADDRESS}"
        );
        Ok(())
    }

    async fn first_offer(&mut self, machine: &Machine) -> anyhow::Result<(Message, u32)> {
        let end = Instant::now() + NEWS_LIMIT;
        for attempt in 1.. {
            let discover = machine.discover(fastrand::u32(..));
            if let Some(offer) = self.boot.wire.exchange(&discover, RETRANSMISSION).await? {
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
