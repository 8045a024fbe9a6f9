//! Clients that go on asking while a test breaks things: every answer is kept with its time, and judged at the end.
//!
//! A known node must get its answers. One that stays away may be asked for once more, as every real client does; an answer
//! that was never true of what was asked, or that calls a known node unknown, is wrong whenever it comes.

mod report;

pub use report::Report;

use crate::{
    cluster::{Cluster, Inside, Namespace, RELAY, SERVER},
    packets::{
        dhcp4::{self, Machine, MessageType, Relay},
        dns,
    },
};
use hickory_proto::{
    op::{Message, ResponseCode},
    rr::RecordType,
};
use proto::v1::{self, Outcome, smd_cache_client::SmdCacheClient};
use report::{Record, Said};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{net::UdpSocket, task::JoinHandle};
use tonic::transport::{Channel, Endpoint};
use values::Mac;

/// How long an answer may take before the client asks once more: what glibc and firmware wait at least, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two questions of a kind: fifty a second load nobody.
const PACE: Duration = Duration::from_millis(20);
/// smd-cache's word for it.
const UNAVAILABLE: &str = "UNAVAILABLE";
/// The prober's place on the server's segment.
const ADDRESS: &str = "172.16.0.77";

/// A node that must get its answers.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// As SMD has it.
    pub mac: &'a str,
    /// The same.
    pub address: &'a str,
    /// What it is called.
    pub fqdn: &'a str,
}

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    /// For addresses.
    Dhcpd,
    /// For names.
    Dnsd,
    /// Over gRPC.
    SmdCache,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Question {
    Discover(Mac),
    Request(Mac, Ipv4Addr),
    Dns(String, RecordType),
    LookupMac(String),
}

/// A question with the answers that are true.
#[derive(Debug, Clone)]
struct Probe {
    question: Question,
    right: Vec<String>,
    /// That it cannot be told is as good: nobody is called unknown on the strength of an old read.
    may_be_untold: bool,
}

impl Probe {
    fn new(question: Question, right: &str) -> Probe {
        Probe { question, right: vec![right.to_owned()], may_be_untold: false }
    }
}

/// How one asks.
#[derive(Debug, Clone, Copy)]
struct Manner {
    /// As which relay.
    relay: Ipv4Addr,
    /// The second question follows the first no sooner than this.
    again: Duration,
}

/// Asks until it is stopped.
pub struct Prober {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Vec<Record>>>,
    began: Instant,
    place: Inside,
    _relay: Inside,
}

impl Prober {
    /// Asks about these nodes, which are behind the relay, and about names that nobody bears, from now on.
    pub fn start<'a>(cluster: &Cluster, nodes: &[impl Into<Known<'a>> + Copy]) -> Prober {
        let machine = &cluster.wire.node1;
        machine.ip(&format!("addr add {ADDRESS}/24 dev eth0"));
        let manner = Manner { relay: RELAY, again: Duration::ZERO };
        Prober::begin(Inside::of(machine), Inside::of(&cluster.wire.relay), manner, nodes)
    }

    /// The same from one machine, which has this address on the servers' segment and is a relay there, too. It asks once more
    /// when the usual time for an answer is over, as machines do, and not as soon as it hears that nobody listens.
    pub fn at<'a>(machine: &Namespace, address: Ipv4Addr, nodes: &[impl Into<Known<'a>> + Copy]) -> Prober {
        let manner = Manner { relay: address, again: PATIENCE };
        Prober::begin(Inside::of(machine), Inside::of(machine), manner, nodes)
    }

    fn begin<'a>(
        place: Inside,
        relay: Inside,
        manner: Manner,
        nodes: &[impl Into<Known<'a>> + Copy],
    ) -> Prober {
        let nodes: Vec<Known> = nodes.iter().map(|node| (*node).into()).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let tasks = vec![
            relay.spawn(ask_in_turns(Asked::Dhcpd, manner, dhcp_probes(&nodes), stop.clone())),
            place.spawn(ask_in_turns(Asked::Dnsd, manner, dns_probes(&nodes), stop.clone())),
            place.spawn(ask_in_turns(Asked::SmdCache, manner, grpc_probes(&nodes), stop.clone())),
        ];
        Prober { tasks, began: Instant::now(), stop, place, _relay: relay }
    }

    /// Everything that was heard.
    ///
    /// # Panics
    /// When a client did.
    pub fn stop(self) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        let tasks = self.tasks;
        let records = self.place.run(async move {
            let mut records = Vec::new();
            for task in tasks {
                records.extend(task.await.expect("a prober does not panic"));
            }
            records
        });
        Report { began: self.began, ended: Instant::now(), records }
    }

    /// Lets it ask for a while.
    pub fn watch_for(&self, time: Duration) {
        std::thread::sleep(time); // what it hears in this time is the test
    }
}

fn dhcp_probes(nodes: &[Known]) -> Vec<Probe> {
    let of = |node: &Known| {
        let (mac, address) = (node.mac.parse().expect("a MAC"), node.address.parse().expect("an address"));
        [
            Probe::new(Question::Discover(mac), &format!("Offer {address}")),
            Probe::new(Question::Request(mac, address), &format!("Ack {address}")),
        ]
    };
    nodes.iter().flat_map(of).collect()
}

fn dns_probes(nodes: &[Known]) -> Vec<Probe> {
    let probe = |name: &str, kind, right: &str| Probe::new(Question::Dns(name.to_owned(), kind), right);
    let of = |node: &Known| {
        let reverse = dns::reverse(node.address.parse().expect("an address"));
        [
            probe(node.fqdn, RecordType::A, node.address),
            probe(node.fqdn, RecordType::AAAA, ""),
            probe(&reverse, RecordType::PTR, &format!("{}.", node.fqdn)),
        ]
    };
    let nobody = probe("nid9999.openchami.cluster", RecordType::A, "NXDomain");
    nodes.iter().flat_map(of).chain([nobody]).collect()
}

fn grpc_probes(nodes: &[Known]) -> Vec<Probe> {
    let probe = |mac: &str, right: &str| Probe::new(Question::LookupMac(mac.to_owned()), right);
    let of = |node: &Known| probe(node.mac, node.address);
    let nobody = Probe { may_be_untold: true, ..probe("02:77:00:00:ff:ff", "UNKNOWN") };
    nodes.iter().map(of).chain([nobody]).collect()
}

/// Somebody who asks one program.
enum Client {
    Dhcp { socket: UdpSocket, relay: Ipv4Addr },
    Dns,
    Grpc(SmdCacheClient<Channel>),
}

impl Client {
    /// In the namespace it is called in.
    async fn of(asked: Asked, relay: Ipv4Addr) -> Client {
        match asked {
            Asked::Dhcpd => {
                let socket = UdpSocket::bind((relay, 0)).await.expect("a socket on the relay");
                Client::Dhcp { socket, relay }
            }
            Asked::Dnsd => Client::Dns,
            Asked::SmdCache => {
                let endpoint: Endpoint = format!("http://{SERVER}:27780").parse().expect("an endpoint");
                let channel = endpoint.connect_timeout(PATIENCE).timeout(PATIENCE).connect_lazy();
                Client::Grpc(SmdCacheClient::new(channel))
            }
        }
    }

    async fn ask(&mut self, question: &Question) -> Said {
        match (self, question) {
            (Client::Dhcp { socket, relay }, Question::Discover(mac)) => {
                dhcp(socket, machine(*mac, *relay).discover(fastrand::u32(..))).await
            }
            (Client::Dhcp { socket, relay }, Question::Request(mac, address)) => {
                dhcp(socket, machine(*mac, *relay).request(fastrand::u32(..), *address, SERVER)).await
            }
            (Client::Dns, Question::Dns(name, kind)) => {
                let server = SocketAddr::from((SERVER, 53));
                match dns::ask(server, name, *kind, PATIENCE).await {
                    Ok(answer) => said_by_dnsd(answer),
                    Err(error) => Said::NoAnswer(error.to_string()),
                }
            }
            (Client::Grpc(client), Question::LookupMac(mac)) => {
                match client.lookup_mac(v1::LookupMacRequest { mac: mac.clone() }).await {
                    Ok(reply) => said_by_smd_cache(reply.get_ref()),
                    Err(status) => Said::NoAnswer(status.message().to_owned()),
                }
            }
            (_, question) => unreachable!("{question:?} is for somebody else"),
        }
    }
}

/// Puts one question after another, in turns, until told to stop.
async fn ask_in_turns(
    asked: Asked,
    manner: Manner,
    probes: Vec<Probe>,
    stop: Arc<AtomicBool>,
) -> Vec<Record> {
    let mut client = Client::of(asked, manner.relay).await;
    let mut records = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let probe = &probes[records.len() % probes.len()];
        let again = tokio::time::Instant::now() + manner.again;
        let first = client.ask(&probe.question).await;
        let second = match first {
            Said::NoAnswer(_) => {
                tokio::time::sleep_until(again).await;
                Some(client.ask(&probe.question).await)
            }
            Said::Answer(_) => None,
        };
        let last = second.as_ref().unwrap_or(&first);
        let right = match last {
            Said::Answer(text) => probe.right.contains(text),
            Said::NoAnswer(text) => probe.may_be_untold && text == UNAVAILABLE,
        };
        let question = probe.question.clone();
        records.push(Record { asked, at: Instant::now(), question, first, second, right });
        tokio::time::sleep(PACE).await;
    }
    records
}

fn machine(mac: Mac, relay: Ipv4Addr) -> Machine {
    Machine::new(mac).behind(Relay { address: relay, link: None, source_port: true })
}

async fn dhcp(socket: &UdpSocket, message: dhcp4::Message) -> Said {
    match dhcp4::exchange(socket, (SERVER, 67).into(), &message, PATIENCE).await {
        Ok(Some(reply)) => {
            let kind = reply.opts().msg_type().unwrap_or(MessageType::Nak);
            Said::Answer(format!("{kind:?} {}", reply.yiaddr()))
        }
        Ok(None) => Said::NoAnswer("silence".to_owned()),
        Err(error) => Said::NoAnswer(error.to_string()),
    }
}

fn said_by_dnsd(answer: Option<Message>) -> Said {
    let Some(answer) = answer else { return Said::NoAnswer("silence".to_owned()) };
    match answer.metadata.response_code {
        ResponseCode::NoError => {
            let data: Vec<_> = answer.answers.iter().map(|record| record.data.to_string()).collect();
            Said::Answer(data.join(" "))
        }
        ResponseCode::ServFail => Said::NoAnswer("SERVFAIL".to_owned()),
        code => Said::Answer(format!("{code:?}")),
    }
}

fn said_by_smd_cache(reply: &v1::LookupReply) -> Said {
    let addresses = reply.interfaces.iter().flat_map(|interface| &interface.addresses);
    match reply.outcome() {
        Outcome::Found => {
            Said::Answer(addresses.map(|known| known.address.as_str()).collect::<Vec<_>>().join(" "))
        }
        Outcome::Unknown => Said::Answer("UNKNOWN".to_owned()),
        Outcome::Unavailable | Outcome::Unspecified => Said::NoAnswer(UNAVAILABLE.to_owned()),
    }
}
