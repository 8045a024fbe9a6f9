//! `smdcache.v1.SmdCache`: text in, look up in the picture of this moment, messages out. Only two calls wait for SMD: Refresh,
//! and LookupMac for a MAC that is not held.

use crate::{
    caller::Caller,
    explain::{self, Key},
    listing::listing,
    metrics::{LookupOutcome, Metrics, Rpc},
    pull::{self, Puller},
    refresh::{AskError, Kind, Refresher},
    snapshot::{Bearer, Interface, Snapshot},
    state::{Configured, State, View},
    status,
    tls::Tls,
    watch::{self, Session},
};
use futures::{Stream, StreamExt};
use jiff::Timestamp;
use proto::v1::{self, LookupReply, Outcome, smd_cache_server::SmdCache};
use std::{net::IpAddr, pin::Pin, sync::Arc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Response, Status};
use values::{Mac, Name, Xname};

/// Lists that are being sent at the same time: they hold a picture for as long as their reader takes. A guess.
const MAX_LISTS: usize = 32;

/// Explanations at the same time: people ask for them one by one, and each may take some milliseconds of a core.
const MAX_EXPLANATIONS: usize = 4;

type Reply = Result<Response<LookupReply>, Status>;
type Listing<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Answers over gRPC. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Service {
    /// What is known.
    pub state: Arc<State>,
    /// Who reads.
    pub refresher: Refresher,
    /// Who asks about single MACs.
    pub puller: Puller,
    /// What is counted.
    pub metrics: Metrics,
    /// Owns the tasks of Watches.
    pub tasks: TaskTracker,
    /// Ends Watches.
    pub shutdown: CancellationToken,
    /// Whose files may have something wrong with them.
    pub tls: Option<Arc<Tls>>,
    lists: Arc<Semaphore>,
    explanations: Arc<Semaphore>,
}

impl Service {
    /// Answers from `state`.
    pub fn new(
        state: Arc<State>,
        refresher: Refresher,
        puller: Puller,
        metrics: Metrics,
        shutdown: CancellationToken,
    ) -> Service {
        let lists = Arc::new(Semaphore::new(MAX_LISTS));
        let explanations = Arc::new(Semaphore::new(MAX_EXPLANATIONS));
        let tasks = TaskTracker::new();
        Service { state, refresher, puller, metrics, tasks, shutdown, tls: None, lists, explanations }
    }

    /// Parses the key, finds it, says how good the answer is, counts.
    fn look_up<K>(
        &self,
        rpc: Rpc,
        key: Result<K, impl ToString>,
        find: impl FnOnce(&Snapshot, &K) -> Option<LookupReply>,
    ) -> Reply {
        let key = self.parsed(rpc, key)?;
        let view = self.state.view();
        let found = view.snapshot.as_ref().and_then(|snapshot| find(snapshot, &key));
        Ok(self.reply(rpc, &view, found, not_held(&view)))
    }

    fn parsed<K>(&self, rpc: Rpc, key: Result<K, impl ToString>) -> Result<K, Status> {
        key.map_err(|error| {
            self.metrics.lookup(rpc, LookupOutcome::Invalid);
            Status::invalid_argument(error.to_string())
        })
    }

    fn reply(
        &self,
        rpc: Rpc,
        view: &View,
        found: Option<LookupReply>,
        not_held: Outcome,
    ) -> Response<LookupReply> {
        let outcome = if found.is_some() { Outcome::Found } else { not_held };
        self.metrics.lookup(rpc, counted(outcome));
        let freshness = Some(self.state.freshness(view));
        Response::new(LookupReply { outcome: outcome.into(), freshness, ..found.unwrap_or_default() })
    }

    /// Asks SMD about a MAC that is not held, where that is wanted and there is a picture to put it into.
    async fn pull(&self, configured: &Configured, view: &View, mac: Mac) -> Option<pull::Outcome> {
        if !configured.pull_through || view.snapshot.is_none() {
            return None;
        }
        let outcome = self.puller.pull(mac).await;
        self.metrics.pulled(outcome);
        Some(outcome)
    }

    /// Begins to send a list.
    fn list<T: Send + 'static>(
        &self,
        items: impl Iterator<Item = T> + Send + 'static,
    ) -> Response<Listing<T>> {
        let (task, listing) = listing(items);
        self.tasks.spawn(task);
        Response::new(listing.boxed())
    }

    /// The picture, for lists; there is no outcome in which a list could say that there is none.
    fn picture(&self) -> Result<(Arc<View>, Arc<Snapshot>, OwnedSemaphorePermit), Status> {
        let view = self.state.view();
        let snapshot = view.snapshot.clone().ok_or_else(|| Status::unavailable("SMD was not read yet"))?;
        let place = self.lists.clone().try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(format!("{MAX_LISTS} lists are being sent already; try again"))
        })?;
        Ok((view, snapshot, place))
    }
}

#[tonic::async_trait]
impl SmdCache for Service {
    type ListInterfacesStream = Listing<v1::Interface>;
    type ListProblemsStream = Listing<v1::Problem>;
    type WatchStream = watch::Events;

    async fn lookup_mac(&self, request: Request<v1::LookupMacRequest>) -> Reply {
        let mac = self.parsed(Rpc::Mac, request.get_ref().mac.parse::<Mac>())?;
        let find = |view: &View| {
            let snapshot = view.snapshot.as_ref()?;
            found_interfaces(snapshot, snapshot.interface(mac))
        };
        let view = self.state.view();
        if let found @ Some(_) = find(&view) {
            return Ok(self.reply(Rpc::Mac, &view, found, Outcome::Found));
        }
        let configured = self.state.configured();
        let pulled = self.pull(&configured, &view, mac).await;
        let view = self.state.view();
        let not_held = mac_not_held(&view, &configured, pulled);
        Ok(self.reply(Rpc::Mac, &view, find(&view), not_held))
    }

    async fn lookup_address(&self, request: Request<v1::LookupAddressRequest>) -> Reply {
        let key = parse_address(&request.get_ref().address);
        let find =
            |snapshot: &Snapshot, address: &IpAddr| found_interfaces(snapshot, snapshot.by_address(*address));
        self.look_up(Rpc::Address, key, find)
    }

    async fn lookup_name(&self, request: Request<v1::LookupNameRequest>) -> Reply {
        let key = request.get_ref().name.parse::<Name>();
        self.look_up(Rpc::Name, key, found_name)
    }

    async fn lookup_component(&self, request: Request<v1::LookupComponentRequest>) -> Reply {
        let key = request.get_ref().id.parse::<Xname>();
        self.look_up(Rpc::Component, key, found_component)
    }

    async fn list_interfaces(
        &self,
        _: Request<v1::ListInterfacesRequest>,
    ) -> Result<Response<Self::ListInterfacesStream>, Status> {
        let (_, snapshot, place) = self.picture()?;
        let mut last = None;
        Ok(self.list(std::iter::from_fn(move || {
            let _held_until_the_end = &place;
            let interface = snapshot.interfaces_after(last).next()?;
            last = Some(interface.mac);
            Some(snapshot.with_component(interface))
        })))
    }

    async fn list_problems(
        &self,
        _: Request<v1::ListProblemsRequest>,
    ) -> Result<Response<Self::ListProblemsStream>, Status> {
        let (view, _, place) = self.picture()?;
        Ok(self.list((0..view.problems.len()).map(move |number| {
            let _held_until_the_end = &place;
            (&view.problems[number]).into()
        })))
    }

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let host = Caller::of(request.extensions()).host();
        let request = request.into_inner();
        let port = u16::try_from(request.admin_port)
            .map_err(|_| Status::invalid_argument(format!("admin_port {} is no port", request.admin_port)))?;
        let client = self
            .state
            .clients
            .register(&request.client_name, &request.client_version, host, port)
            .map_err(|full| Status::resource_exhausted(full.to_string()))?;
        tracing::debug!(client = client.name(), ?host, "a Watch begins");
        let session = Session::new(request, &self.state);
        let cut = self.metrics.watchers_cut.clone();
        let (task, events) = watch::task(session, self.state.clone(), client, cut, self.shutdown.clone());
        self.tasks.spawn(task);
        Ok(Response::new(events))
    }

    async fn get_status(&self, _: Request<v1::GetStatusRequest>) -> Result<Response<v1::Status>, Status> {
        let mut status = status::status(&self.state);
        status.warnings.extend(self.tls.as_ref().and_then(|tls| tls.problem()));
        Ok(Response::new(status))
    }

    async fn refresh(
        &self,
        request: Request<v1::RefreshRequest>,
    ) -> Result<Response<v1::RefreshReply>, Status> {
        let caller = Caller::of(request.extensions());
        let v1::RefreshRequest { full, force } = request.into_inner();
        let kind = match (full, force) {
            (_, true) => {
                caller.check_force()?;
                Kind::Forced
            }
            (true, false) => Kind::Whole,
            (false, false) => Kind::Changes,
        };
        match self.refresher.refresh(kind).await {
            Ok(freshness) => Ok(Response::new(v1::RefreshReply { freshness: Some(freshness) })),
            Err(error @ AskError::TooMany) => Err(Status::resource_exhausted(error.to_string())),
            Err(error) => Err(Status::unavailable(error.to_string())),
        }
    }

    /// The look-up it explains is a real one, and counts as such.
    async fn explain(
        &self,
        request: Request<v1::ExplainRequest>,
    ) -> Result<Response<v1::ExplainReply>, Status> {
        let place = self.explanations.clone().try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(format!("{MAX_EXPLANATIONS} explanations are being made; try again"))
        })?;
        let key = Key::of(request.get_ref()).map_err(Status::invalid_argument)?;
        let text = key.to_string();
        let found = match key {
            Key::Mac(_) => self.lookup_mac(Request::new(v1::LookupMacRequest { mac: text })).await,
            Key::Address(_) => {
                self.lookup_address(Request::new(v1::LookupAddressRequest { address: text })).await
            }
            Key::Name(_) => self.lookup_name(Request::new(v1::LookupNameRequest { name: text })).await,
            Key::Id(_) => self.lookup_component(Request::new(v1::LookupComponentRequest { id: text })).await,
        };
        let found = found?.into_inner();
        let view = self.state.view();
        // Looks at every problem there is: not among the look-ups.
        let explained = tokio::task::spawn_blocking(move || {
            let _held_until_the_end = place;
            explain::explain(&view, &key, found, Timestamp::now())
        });
        explained.await.map(Response::new).map_err(|error| Status::internal(error.to_string()))
    }
}

pub(crate) fn parse_address(text: &str) -> Result<IpAddr, String> {
    text.trim().parse().map(|address: IpAddr| address.to_canonical()).map_err(|_| {
        let shown: String = text.chars().take(64).collect();
        format!("'{shown}' is not an address such as 172.16.0.1 or fd00:16::1")
    })
}

fn found_interfaces<'a>(
    snapshot: &Snapshot,
    interfaces: impl IntoIterator<Item = &'a Arc<Interface>>,
) -> Option<LookupReply> {
    let interfaces: Vec<_> = interfaces.into_iter().map(|held| snapshot.with_component(held)).collect();
    (!interfaces.is_empty()).then(|| LookupReply { interfaces, ..LookupReply::default() })
}

fn found_name(snapshot: &Snapshot, name: &Name) -> Option<LookupReply> {
    match snapshot.by_name(name) {
        Bearer::Nobody => None,
        Bearer::Parent => Some(LookupReply { empty_non_terminal: true, ..LookupReply::default() }),
        Bearer::Component(component, interfaces) => {
            let alone = interfaces.is_empty().then(|| (&**component).into());
            let found = found_interfaces(snapshot, interfaces).unwrap_or_default();
            Some(LookupReply { components: alone.into_iter().collect(), ..found })
        }
    }
}

fn found_component(snapshot: &Snapshot, id: &Xname) -> Option<LookupReply> {
    let component = snapshot.component(id)?;
    let interfaces = found_interfaces(snapshot, snapshot.interfaces_of(id)).unwrap_or_default();
    Some(LookupReply { components: vec![(&**component).into()], ..interfaces })
}

/// A MAC may have been added a moment ago: only SMD itself, or a read that is very recent, can say that it does not have it;
/// and nobody can during an outage, or right after it (DESIGN, smd-cache: when UNKNOWN may be said).
fn mac_not_held(view: &View, configured: &Configured, pulled: Option<pull::Outcome>) -> Outcome {
    let read_within = |time| view.read.is_some_and(|read| read.is_within(time));
    let absent = pulled == Some(pull::Outcome::Absent);
    // SMD has it and it is not shown: all is held back.
    if pulled == Some(pull::Outcome::TakenIn) {
        return Outcome::Unavailable;
    }
    match read_within(configured.stale_after) && (absent || read_within(configured.unknown_within)) {
        true => Outcome::Unknown,
        false => Outcome::Unavailable,
    }
}

/// Names and addresses: any whole read will do, the answer says how old it is.
fn not_held(view: &View) -> Outcome {
    if view.snapshot.is_none() { Outcome::Unavailable } else { Outcome::Unknown }
}

fn counted(outcome: Outcome) -> LookupOutcome {
    match outcome {
        Outcome::Found => LookupOutcome::Found,
        Outcome::Unknown => LookupOutcome::Unknown,
        Outcome::Unavailable | Outcome::Unspecified => LookupOutcome::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Moment;
    use jiff::Timestamp;
    use pull::Outcome::{Absent, TakenIn, Unanswered};
    use std::time::Duration;
    use tokio::time::Instant;

    /// The table of DESIGN, smd-cache, for MACs that are not held.
    #[tokio::test(start_paused = true)]
    async fn unknown_is_said_only_when_it_can_be_told() {
        tokio::time::advance(Duration::from_secs(1_000)).await;
        let configured = Configured {
            stale_after: Duration::from_secs(30),
            unknown_within: Duration::from_secs(3),
            ..Configured::default()
        };
        let ago = |seconds| {
            let read = Moment::from_disk(Timestamp::now()).read;
            Some(Moment { read, begun: Some(Instant::now() - Duration::from_secs(seconds)) })
        };
        let from_disk = Some(Moment::from_disk(Timestamp::now()));
        let (unknown, unavailable) = (Outcome::Unknown, Outcome::Unavailable);
        for (read, pulled, expected, case) in [
            (None, None, unavailable, "never read"),
            (None, Some(Absent), unavailable, "never read, and SMD does not have this one"),
            (from_disk, None, unavailable, "from disk"),
            (from_disk, Some(Absent), unavailable, "from disk, and SMD does not have this one"),
            (ago(1), None, unknown, "just read, not asked"),
            (ago(1), Some(Absent), unknown, "just read and asked"),
            (ago(1), Some(Unanswered), unknown, "just read, no answer in time"),
            (ago(1), Some(TakenIn), unavailable, "just read, and SMD has it though nothing new is shown"),
            (ago(20), Some(Absent), unknown, "read lately, asked now"),
            (ago(20), Some(Unanswered), unavailable, "read lately, no answer in time"),
            (ago(20), Some(TakenIn), unavailable, "it was there and is not what was asked for"),
            (ago(20), None, unavailable, "read lately, not asked"),
            (ago(31), Some(Absent), unavailable, "right after an outage"),
            (ago(31), None, unavailable, "in an outage"),
        ] {
            let view = View { read, whole: read, ..View::default() };
            assert_eq!(mac_not_held(&view, &configured, pulled), expected, "{case}");
        }
    }
}
