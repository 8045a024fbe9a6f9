//! A smd-cache that does what the test says, on real sockets, in a runtime of its own that can be killed like a process.

use proto::v1::{
    self, Outcome, smd_cache_server::SmdCache, smd_cache_server::SmdCacheServer, watch_event::Event,
};
use std::{
    collections::HashMap,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    net::{TcpListener, UnixListener},
    runtime::Runtime,
    sync::{Notify, mpsc},
    time::timeout,
};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream, UnixListenerStream};
use tonic::{
    Request, Response, Status, async_trait,
    transport::{Certificate, Identity, Server as Tonic, ServerTlsConfig},
};

/// A test that waits for something waits at most this long: it is about to fail.
const PATIENCE: Duration = Duration::from_secs(10);

/// What it says about a key.
#[derive(Clone)]
pub(super) enum Says {
    Reply(Box<v1::LookupReply>),
    Error(Status),
    /// Nothing, until notified.
    Later(Arc<Notify>, Box<v1::LookupReply>),
    Never,
}

#[derive(Clone, Default)]
struct Script {
    says: Arc<Mutex<HashMap<String, Says>>>,
    asked: Arc<Mutex<Vec<String>>>,
    /// What GetStatus says; nothing: nothing ever.
    status: Arc<Mutex<Option<v1::Freshness>>>,
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    script: Script,
    watches: mpsc::Receiver<Watching>,
    runtime: Option<Runtime>,
}

/// One Watch: what was asked, and the way to answer.
pub(super) struct Watching {
    pub(super) request: v1::WatchRequest,
    events: mpsc::Sender<Result<v1::WatchEvent, Status>>,
}

impl Server {
    pub(super) fn start() -> Server {
        Server::start_at("127.0.0.1:0".parse().unwrap())
    }

    pub(super) fn start_at(address: SocketAddr) -> Server {
        let (runtime, script, service, watches) = parts();
        let address = std::thread::scope(|scope| {
            let serve = async {
                let listener = TcpListener::bind(address).await.unwrap();
                let address = listener.local_addr().unwrap();
                tokio::spawn(
                    Tonic::builder()
                        .add_service(service)
                        .serve_with_incoming(TcpListenerStream::new(listener)),
                );
                address
            };
            scope.spawn(|| runtime.block_on(serve)).join().unwrap()
        });
        Server { address, script, watches, runtime: Some(runtime) }
    }

    /// Over TLS; `client_ca` signs whom it lets in.
    pub(super) fn start_with_tls(identity: Identity, client_ca: Option<Certificate>) -> Server {
        let (runtime, script, service, watches) = parts();
        let mut tls = ServerTlsConfig::new().identity(identity);
        if let Some(client_ca) = client_ca {
            tls = tls.client_ca_root(client_ca);
        }
        let address = std::thread::scope(|scope| {
            let serve = async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let address = listener.local_addr().unwrap();
                let server = Tonic::builder().tls_config(tls).unwrap().add_service(service);
                tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
                address
            };
            scope.spawn(|| runtime.block_on(serve)).join().unwrap()
        });
        Server { address, script, watches, runtime: Some(runtime) }
    }

    pub(super) fn start_on_socket(path: &Path) -> Server {
        let (runtime, script, service, watches) = parts();
        std::thread::scope(|scope| {
            let serve = async {
                let incoming = UnixListenerStream::new(UnixListener::bind(path).unwrap());
                tokio::spawn(Tonic::builder().add_service(service).serve_with_incoming(incoming));
            };
            scope.spawn(|| runtime.block_on(serve)).join().unwrap();
        });
        Server { address: "0.0.0.0:0".parse().unwrap(), script, watches, runtime: Some(runtime) }
    }

    pub(super) fn says(&self, key: &str, says: Says) {
        self.script.says.lock().unwrap().insert(key.into(), says);
    }

    /// What the clients of others are told by GetStatus.
    pub(super) fn has_status(&self, freshness: v1::Freshness) {
        *self.script.status.lock().unwrap() = Some(freshness);
    }

    /// Whether a Watch arrives within this time.
    pub(super) async fn is_watched_within(&mut self, time: Duration) -> Option<Watching> {
        timeout(time, self.watches.recv()).await.ok().flatten()
    }

    pub(super) fn asked(&self, key: &str) -> usize {
        self.script.asked.lock().unwrap().iter().filter(|asked| *asked == key).count()
    }

    pub(super) fn asked_in_all(&self) -> usize {
        self.script.asked.lock().unwrap().len()
    }

    pub(super) async fn next_watch(&mut self) -> Watching {
        timeout(PATIENCE, self.watches.recv()).await.expect("a Watch arrives").expect("the server runs")
    }

    /// As kill -9 would.
    pub(super) fn kill(mut self) -> SocketAddr {
        self.runtime.take().expect("only taken here and by drop").shutdown_background();
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Watching {
    /// An event of a later release: a field this one does not know.
    pub(super) async fn send_unknown(&self) {
        self.events.send(Ok(v1::WatchEvent { event: None })).await.expect("the client reads");
    }

    pub(super) async fn send(&self, event: Event) {
        self.events.send(Ok(v1::WatchEvent { event: Some(event) })).await.expect("the client reads");
    }
}

/// Polls until it is so.
pub(super) async fn eventually(what: &str, so: impl Fn() -> bool) {
    let poll = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, poll).await.unwrap_or_else(|_| panic!("it never came about that {what}"));
}

fn parts() -> (Runtime, Script, SmdCacheServer<Service>, mpsc::Receiver<Watching>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (sender, watches) = mpsc::channel(8);
    let script = Script::default();
    let service = Service { script: script.clone(), watches: sender };
    (runtime, script, SmdCacheServer::new(service), watches)
}

struct Service {
    script: Script,
    watches: mpsc::Sender<Watching>,
}

impl Service {
    async fn answer(&self, key: String) -> Result<Response<v1::LookupReply>, Status> {
        let says = self.script.says.lock().unwrap().get(&key).cloned();
        self.script.asked.lock().unwrap().push(key);
        match says {
            Some(Says::Reply(reply)) => Ok(Response::new(*reply)),
            Some(Says::Error(status)) => Err(status),
            Some(Says::Later(notify, reply)) => {
                notify.notified().await;
                Ok(Response::new(*reply))
            }
            Some(Says::Never) => std::future::pending().await,
            None => Ok(Response::new(v1::LookupReply {
                outcome: Outcome::Unavailable.into(),
                ..Default::default()
            })),
        }
    }
}

#[async_trait]
impl SmdCache for Service {
    type WatchStream = ReceiverStream<Result<v1::WatchEvent, Status>>;
    type ListInterfacesStream = tokio_stream::Empty<Result<v1::Interface, Status>>;
    type ListProblemsStream = tokio_stream::Empty<Result<v1::Problem, Status>>;

    async fn lookup_mac(
        &self,
        request: Request<v1::LookupMacRequest>,
    ) -> Result<Response<v1::LookupReply>, Status> {
        self.answer(request.into_inner().mac).await
    }
    async fn lookup_address(
        &self,
        request: Request<v1::LookupAddressRequest>,
    ) -> Result<Response<v1::LookupReply>, Status> {
        self.answer(request.into_inner().address).await
    }
    async fn lookup_name(
        &self,
        request: Request<v1::LookupNameRequest>,
    ) -> Result<Response<v1::LookupReply>, Status> {
        self.answer(request.into_inner().name).await
    }
    async fn lookup_component(
        &self,
        request: Request<v1::LookupComponentRequest>,
    ) -> Result<Response<v1::LookupReply>, Status> {
        self.answer(request.into_inner().id).await
    }
    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let (events, stream) = mpsc::channel(64);
        let watching = Watching { request: request.into_inner(), events };
        self.watches.send(watching).await.map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(ReceiverStream::new(stream)))
    }
    async fn list_interfaces(
        &self,
        _: Request<v1::ListInterfacesRequest>,
    ) -> Result<Response<Self::ListInterfacesStream>, Status> {
        Err(Status::unimplemented("not needed here"))
    }
    async fn list_problems(
        &self,
        _: Request<v1::ListProblemsRequest>,
    ) -> Result<Response<Self::ListProblemsStream>, Status> {
        Err(Status::unimplemented("not needed here"))
    }
    async fn get_status(&self, _: Request<v1::GetStatusRequest>) -> Result<Response<v1::Status>, Status> {
        self.script.asked.lock().unwrap().push("status".into());
        let freshness = self.script.status.lock().unwrap().clone();
        match freshness {
            Some(freshness) => {
                Ok(Response::new(v1::Status { freshness: Some(freshness), ..Default::default() }))
            }
            None => std::future::pending().await,
        }
    }
    async fn refresh(&self, _: Request<v1::RefreshRequest>) -> Result<Response<v1::RefreshReply>, Status> {
        Err(Status::unimplemented("not needed here"))
    }
    async fn explain(&self, _: Request<v1::ExplainRequest>) -> Result<Response<v1::ExplainReply>, Status> {
        Err(Status::unimplemented("not needed here"))
    }
}
