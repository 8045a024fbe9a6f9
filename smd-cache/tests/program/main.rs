//! The whole program on real sockets, against an SMD that can misbehave in every way.

#![allow(clippy::unwrap_used)]

mod asking;
mod fake_smd;
mod hostile;
mod look_ups;
mod overload;
mod pki;
mod program;
mod pulling;
mod reading;
mod remembering;
mod secrets;
mod smd_tls;
mod tls;
mod watching;

use daemon::Running;
use fake_smd::FakeSmd;
use proto::v1::{self, smd_cache_client::SmdCacheClient};
use smd_cache::{
    Program,
    config::{Settings, Socket},
    state::State,
};
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running smd-cache.
struct Cache {
    grpc: SmdCacheClient<Channel>,
    channel: Channel,
    listens: SocketAddr,
    socket: PathBuf,
    admin: SocketAddr,
    state: Arc<State>,
    shutdown: CancellationToken,
    ended: JoinHandle<anyhow::Result<()>>,
    _directory: tempfile::TempDir,
}

impl Cache {
    /// Reads SMD whole at once and then every 20 ms.
    async fn of(smd: &FakeSmd) -> Cache {
        Cache::start(smd, "domain: cluster.local", |_| {}).await
    }

    async fn start(smd: &FakeSmd, file: &str, change: impl FnOnce(&mut Settings)) -> Cache {
        let config = config::parse(file).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let mut settings = Settings::of(&config);
        settings.listen = vec![([127, 0, 0, 1], 0).into()];
        settings.socket = Socket::Given(directory.path().join("run/smd-cache.sock"));
        settings.admin = ([127, 0, 0, 1], 0).into();
        settings.smd.url = smd.url();
        settings.refresh = Duration::from_millis(20);
        settings.poll_changes = Duration::ZERO;
        settings.snapshot_file = None;
        change(&mut settings);
        let program =
            Program::start(Running::new(config::Program::SmdCache, config), settings).await.unwrap();
        let (address, admin, state) = (program.addresses()[0], program.admin(), program.state());
        let (socket, shutdown) = (program.socket().unwrap(), program.shutdown());
        let ended = tokio::spawn(program.run());
        let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        let grpc = SmdCacheClient::new(channel.clone());
        Cache {
            grpc,
            channel,
            listens: address,
            socket,
            admin,
            state,
            shutdown,
            ended,
            _directory: directory,
        }
    }

    /// Waits for the first picture.
    async fn ready(self) -> Cache {
        eventually("ready", async || self.state.view().snapshot.is_some()).await;
        self
    }

    /// The value of one line of `/metrics`.
    async fn metric(&self, line: &str) -> u64 {
        let page = self.page("/metrics").await.1;
        let value = page.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("{line} is not in\n{page}")).parse().unwrap()
    }

    async fn another_connection(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.listens)).unwrap().connect().await.unwrap()
    }

    /// As an operator on the same host.
    async fn over_the_socket(&self) -> SmdCacheClient<Channel> {
        let uri = format!("unix:{}", self.socket.display());
        SmdCacheClient::new(Endpoint::from_shared(uri).unwrap().connect().await.unwrap())
    }

    async fn mac(&mut self, mac: &str) -> v1::LookupReply {
        self.grpc.lookup_mac(v1::LookupMacRequest { mac: mac.into() }).await.unwrap().into_inner()
    }

    async fn address(&mut self, address: &str) -> v1::LookupReply {
        let request = v1::LookupAddressRequest { address: address.into() };
        self.grpc.lookup_address(request).await.unwrap().into_inner()
    }

    async fn name(&mut self, name: &str) -> v1::LookupReply {
        self.grpc.lookup_name(v1::LookupNameRequest { name: name.into() }).await.unwrap().into_inner()
    }

    async fn component(&mut self, id: &str) -> v1::LookupReply {
        self.grpc.lookup_component(v1::LookupComponentRequest { id: id.into() }).await.unwrap().into_inner()
    }

    async fn status(&mut self) -> v1::Status {
        self.grpc.get_status(v1::GetStatusRequest {}).await.unwrap().into_inner()
    }

    async fn refresh(&mut self) -> Result<v1::Freshness, tonic::Status> {
        let reply = self.grpc.refresh(v1::RefreshRequest { full: true, force: false }).await;
        reply.map(|reply| reply.into_inner().freshness.unwrap())
    }

    async fn page(&self, path: &'static str) -> (u16, String) {
        let admin = self.admin;
        tokio::task::spawn_blocking(move || daemon::health::fetch(admin, path)).await.unwrap().unwrap()
    }

    async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.ended).await.expect("it ends in time").unwrap().unwrap();
    }
}

/// Asks again and again, for a bounded time.
async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let asked = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| panic!("never: {what}"));
}
