//! A smd-cache of any size that holds nothing: what it sends is made as it is sent. Each node has one address and two names, as
//! smd-cache names them, so that half a million nodes are a million names.

use super::data::ZONE;
use futures::stream::{self, BoxStream, StreamExt};
use proto::v1::{
    self, Outcome, smd_cache_server::SmdCache, smd_cache_server::SmdCacheServer, watch_event::Event,
};
use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    sync::broadcast,
    time::interval,
};
use tonic::{Request, Response, Status, async_trait, transport::server::TcpIncoming};

/// Nodes of one Put, as smd-cache sends them.
const PUT_NODES: usize = 100;
/// As smd-cache sends it.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// Changes on their way to one client: more than are ever sent in a row.
const CHANGES: usize = 16;
/// Networks of the nodes, one before and one after a change: 172.16.0.0/12 and 10.0.0.0/8.
const NETWORKS: [u32; 2] = [u32::from_be_bytes([172, 16, 0, 0]), u32::from_be_bytes([10, 0, 0, 0])];
/// Nodes of each /24, from .10 on.
const PER_BLOCK: usize = 240;
/// Any instant will do.
const READ_AT: prost_types::Timestamp = prost_types::Timestamp { seconds: 1_767_225_600, nanos: 0 };

/// Serves until it is dropped, in a thread of its own.
pub struct MadeUp {
    pub address: SocketAddr,
    changes: broadcast::Sender<v1::Change>,
    generation: u64,
    runtime: Option<Runtime>,
}

impl MadeUp {
    /// On a free port of the calling thread's namespace.
    pub fn start(nodes: usize) -> anyhow::Result<MadeUp> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (changes, _) = broadcast::channel(CHANGES);
        let service = SmdCacheServer::new(Service { nodes, changes: changes.clone() });
        let _inside = runtime.enter();
        let incoming = TcpIncoming::from(TcpListener::from_std(listener)?);
        runtime.spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
        Ok(MadeUp { address, changes, generation: 1, runtime: Some(runtime) })
    }

    /// The nodes with these numbers move to the other network, or back.
    pub fn move_nodes(&mut self, nodes: impl Iterator<Item = usize>, back: bool) {
        self.generation += 1;
        let change = v1::Change {
            freshness: Some(freshness(self.generation)),
            put_interfaces: nodes.map(|node| interface(node, !back)).collect(),
            zones: zones(self.generation),
            ..v1::Change::default()
        };
        let _ = self.changes.send(change);
    }
}

impl Drop for MadeUp {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What it is called, with a final dot: by its number or by its xname.
pub fn name(node: usize, by_xname: bool) -> String {
    let names = names(node);
    format!("{}.", names[usize::from(by_xname)])
}

/// Where it is.
pub fn address(node: usize, moved: bool) -> Ipv4Addr {
    let (block, host) = (node / PER_BLOCK, 10 + node % PER_BLOCK);
    Ipv4Addr::from(NETWORKS[usize::from(moved)] + (block * 256 + host) as u32)
}

fn names(node: usize) -> [String; 2] {
    [format!("nid{:06}.{ZONE}", node + 1), format!("{}.{ZONE}", xname(node))]
}

fn xname(node: usize) -> String {
    format!("x{}c{}s{}b{}n{}", 1000 + node / 256, node / 32 % 8, node / 4 % 8, node / 2 % 2, node % 2)
}

fn interface(node: usize, moved: bool) -> v1::Interface {
    let [_, a, b, c] = (node as u32).to_be_bytes();
    let names = names(node);
    let address = v1::Address {
        address: address(node, moved).to_string(),
        network: "NMN".to_owned(),
        hostname: names[0].trim_end_matches(&format!(".{ZONE}")).to_owned(),
        domain: ZONE.to_owned(),
        fqdn: names[0].clone(),
        names: names.into(),
        ..v1::Address::default()
    };
    v1::Interface {
        mac: format!("02:10:00:{a:02x}:{b:02x}:{c:02x}"),
        component_id: xname(node),
        addresses: vec![address],
        last_update: Some(READ_AT),
        ..v1::Interface::default()
    }
}

fn component(node: usize) -> v1::Component {
    v1::Component {
        id: xname(node),
        r#type: "Node".to_owned(),
        nid: Some(node as i64 + 1),
        role: "Compute".to_owned(),
        arch: "X86".to_owned(),
        names: names(node).into(),
        ..v1::Component::default()
    }
}

fn freshness(generation: u64) -> v1::Freshness {
    v1::Freshness {
        instance: "made-up".to_owned(),
        generation,
        read_at: Some(READ_AT),
        whole_read_at: Some(READ_AT),
        stale: false,
        digest: format!("{generation:032x}"),
    }
}

fn zones(generation: u64) -> Vec<v1::Zone> {
    vec![v1::Zone { name: ZONE.to_owned(), serial: READ_AT.seconds as u32 + generation as u32 }]
}

struct Service {
    nodes: usize,
    changes: broadcast::Sender<v1::Change>,
}

impl Service {
    /// Hello, everything, and then changes and heartbeats.
    fn events(&self) -> BoxStream<'static, Result<v1::WatchEvent, Status>> {
        let nodes = self.nodes;
        let hello = Event::Hello(v1::Hello {
            freshness: Some(freshness(1)),
            domain: ZONE.to_owned(),
            zones: zones(1),
            synced: true,
            resumed: false,
        });
        let puts = (0..nodes.div_ceil(PUT_NODES)).map(move |put| {
            let all = put * PUT_NODES..((put + 1) * PUT_NODES).min(nodes);
            Event::Put(v1::Put {
                interfaces: all.clone().map(|node| interface(node, false)).collect(),
                components: all.map(component).collect(),
            })
        });
        let complete = Event::Complete(v1::Complete {
            freshness: Some(freshness(1)),
            zones: zones(1),
            domain: Some(ZONE.to_owned()),
        });
        let first = std::iter::once(hello).chain(puts).chain(std::iter::once(complete));
        let later = Later { changes: self.changes.subscribe(), generation: 1, ticks: interval(HEARTBEAT) };
        let later = stream::unfold(later, async |mut later| Some((later.next().await?, later)));
        stream::iter(first).chain(later).map(|event| Ok(v1::WatchEvent { event: Some(event) })).boxed()
    }
}

struct Later {
    changes: broadcast::Receiver<v1::Change>,
    generation: u64,
    ticks: tokio::time::Interval,
}

impl Later {
    /// None: the bench is over, or a client did not read.
    async fn next(&mut self) -> Option<Event> {
        tokio::select! {
            change = self.changes.recv() => {
                let change = change.ok()?;
                self.generation += 1;
                Some(Event::Change(change))
            }
            _ = self.ticks.tick() => {
                Some(Event::Heartbeat(v1::Heartbeat { freshness: Some(freshness(self.generation)) }))
            }
        }
    }
}

fn unknown() -> Result<Response<v1::LookupReply>, Status> {
    Ok(Response::new(v1::LookupReply { outcome: Outcome::Unknown.into(), ..v1::LookupReply::default() }))
}

fn not_here<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("a made-up smd-cache only sends its inventory"))
}

type Stream<T> = BoxStream<'static, Result<T, Status>>;

#[async_trait]
impl SmdCache for Service {
    type WatchStream = Stream<v1::WatchEvent>;
    type ListInterfacesStream = Stream<v1::Interface>;
    type ListProblemsStream = Stream<v1::Problem>;

    async fn watch(&self, _: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Ok(Response::new(self.events()))
    }
    async fn lookup_mac(
        &self,
        _: Request<v1::LookupMacRequest>,
    ) -> Result<Response<v1::LookupReply>, Status> {
        unknown()
    }
    async fn lookup_address(
        &self,
        _: Request<v1::LookupAddressRequest>,
    ) -> Result<Response<v1::LookupReply>, Status> {
        unknown()
    }
    async fn lookup_name(
        &self,
        _: Request<v1::LookupNameRequest>,
    ) -> Result<Response<v1::LookupReply>, Status> {
        unknown()
    }
    async fn lookup_component(
        &self,
        _: Request<v1::LookupComponentRequest>,
    ) -> Result<Response<v1::LookupReply>, Status> {
        unknown()
    }
    async fn list_interfaces(
        &self,
        _: Request<v1::ListInterfacesRequest>,
    ) -> Result<Response<Self::ListInterfacesStream>, Status> {
        not_here()
    }
    async fn list_problems(
        &self,
        _: Request<v1::ListProblemsRequest>,
    ) -> Result<Response<Self::ListProblemsStream>, Status> {
        not_here()
    }
    async fn get_status(&self, _: Request<v1::GetStatusRequest>) -> Result<Response<v1::Status>, Status> {
        not_here()
    }
    async fn refresh(&self, _: Request<v1::RefreshRequest>) -> Result<Response<v1::RefreshReply>, Status> {
        not_here()
    }
    async fn explain(&self, _: Request<v1::ExplainRequest>) -> Result<Response<v1::ExplainReply>, Status> {
        not_here()
    }
}
