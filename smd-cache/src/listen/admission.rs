//! Which calls are served: each kind has a bound of its own and a deadline, so that a flood of one kind, or calls that
//! never end, leave the others alone. What is past its bound is refused at once: who asks has somebody else to ask, and
//! waiting in a queue helps nobody whose packet is answered within 400 ms or not at all.

use super::{
    connection::Peer,
    refused::{Call, Refused},
};
use crate::caller::Caller;
use bytes::Bytes;
use futures::future::BoxFuture;
use http_body::{Frame, SizeHint};
use proto::v1::smd_cache_server::SERVICE_NAME;
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tonic::{
    Status,
    body::Body,
    codegen::http::{Request, Response},
};
use tower::{Layer, Service};

/// What a call asks for, as far as bounds go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One key.
    LookUp,
    /// All interfaces, all problems.
    List,
    /// How it is, and why something is as it is: people.
    Status,
    /// Reads SMD.
    Refresh,
    /// The beginning of a Watch; Watches that are open have their own bound.
    Watch,
    /// Health and reflection, and what does not exist.
    Other,
}

impl Kind {
    const ALL: [Kind; 6] = [Kind::LookUp, Kind::List, Kind::Status, Kind::Refresh, Kind::Watch, Kind::Other];

    fn of(path: &str) -> Kind {
        let method = path
            .strip_prefix('/')
            .and_then(|path| path.strip_prefix(SERVICE_NAME))
            .and_then(|path| path.strip_prefix('/'));
        match method {
            Some("LookupMac" | "LookupAddress" | "LookupName" | "LookupComponent") => Kind::LookUp,
            Some("ListInterfaces" | "ListProblems") => Kind::List,
            Some("GetStatus" | "Explain") => Kind::Status,
            Some("Refresh") => Kind::Refresh,
            Some("Watch") => Kind::Watch,
            _ => Kind::Other,
        }
    }

    /// Calls in flight, from the first header of the request to the first of the answer, for [`Kind::Other`] to its end. All
    /// are guesses: look-ups take microseconds, so a thousand mean that requests do not arrive whole; people are few.
    fn at_once(self) -> usize {
        match self {
            Kind::LookUp | Kind::Other => 1_024,
            Kind::List | Kind::Status => 64,
            Kind::Refresh => 128,
            Kind::Watch => crate::watch::MAX_WATCHERS,
        }
    }

    /// Whether its answer may go on for as long as the connection lives, and nothing else bounds how many there are: health
    /// can be watched, and reflection is a conversation. Lists and Watches have bounds of their own.
    fn holds_its_place(self) -> bool {
        self == Kind::Other
    }

    /// How long a call may take until its answer begins. A look-up's asker gives up after 200 ms (lib/inventory); Refresh
    /// reads three sources, each of them 30 s at most; the rest waits for nothing but its own request.
    fn deadline(self) -> Duration {
        Duration::from_secs(match self {
            Kind::LookUp => 2,
            Kind::List | Kind::Status | Kind::Watch | Kind::Other => 10,
            Kind::Refresh => 100,
        })
    }

    fn plural(self) -> &'static str {
        match self {
            Kind::LookUp => "look-ups",
            Kind::List => "lists",
            Kind::Status => "questions about status",
            Kind::Refresh => "refreshes",
            Kind::Watch => "beginnings of Watches",
            Kind::Other => "calls",
        }
    }
}

/// The bounds of one way in. Clones share them.
#[derive(Debug, Clone)]
pub struct Admission {
    places: [Arc<Semaphore>; Kind::ALL.len()],
    refused: Refused,
}

impl Admission {
    /// Nothing is in flight.
    pub fn new(refused: Refused) -> Admission {
        Admission { places: Kind::ALL.map(|kind| Arc::new(Semaphore::new(kind.at_once()))), refused }
    }

    /// Finds it a place, and tells the service who asks.
    fn admit(&self, request: &mut Request<Body>) -> Result<(Kind, OwnedSemaphorePermit), Status> {
        if let Some(peer) = request.extensions_mut().remove::<Peer>() {
            peer.caller.may_ask().inspect_err(|_| self.refused.call(Call::NotListed))?;
            peer.seat.asks();
            request.extensions_mut().insert::<Caller>(peer.caller);
        }
        let kind = Kind::of(request.uri().path());
        match self.places[kind as usize].clone().try_acquire_owned() {
            Ok(place) => Ok((kind, place)),
            Err(_) => {
                self.refused.call(Call::Overload);
                Err(Status::resource_exhausted(format!(
                    "{} {} are being served already; try again",
                    kind.at_once(),
                    kind.plural()
                )))
            }
        }
    }
}

impl<S> Layer<S> for Admission {
    type Service = Admitting<S>;

    fn layer(&self, inner: S) -> Admitting<S> {
        Admitting { admission: self.clone(), inner }
    }
}

/// A service behind its bounds.
#[derive(Debug, Clone)]
pub struct Admitting<S> {
    admission: Admission,
    inner: S,
}

impl<S> Service<Request<Body>> for Admitting<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let (kind, place) = match self.admission.admit(&mut request) {
            Ok(admitted) => admitted,
            Err(status) => return Box::pin(async { Ok(status.into_http()) }),
        };
        let refused = self.admission.refused.clone();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answered = timeout(kind.deadline(), answer).await;
            let answered = answered.map(|answered| answered.map(|answer| held(kind, answer, place)));
            answered.unwrap_or_else(|_| {
                refused.call(Call::TimedOut);
                Ok(Status::deadline_exceeded(format!(
                    "{} may take {} s, and this call has",
                    kind.plural(),
                    kind.deadline().as_secs()
                ))
                .into_http())
            })
        })
    }
}

fn held(kind: Kind, answer: Response<Body>, place: OwnedSemaphorePermit) -> Response<Body> {
    match kind.holds_its_place() {
        true => answer.map(|body| Body::new(Held { body, _place: place })),
        false => answer,
    }
}

/// An answer with its place.
struct Held {
    body: Body,
    _place: OwnedSemaphorePermit,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listen::places::Places;
    use futures::future::join_all;
    use std::{convert::Infallible, future::pending, net::Ipv4Addr};
    use tonic::Code;
    use tower::{ServiceExt, service_fn};

    const LOOK_UP: &str = "/smdcache.v1.SmdCache/LookupMac";
    const HEALTH: &str = "/grpc.health.v1.Health/Check";

    fn request(path: &str) -> Request<Body> {
        Request::builder().uri(path).body(Body::default()).unwrap()
    }

    fn code(answer: &Response<Body>) -> Code {
        Status::from_header_map(answer.headers()).map_or(Code::Ok, |status| status.code())
    }

    async fn answers(_: Request<Body>) -> Result<Response<Body>, Infallible> {
        Ok(Response::new(Body::default()))
    }

    #[test]
    fn every_call_of_the_contract_has_its_kind() {
        for (path, kind) in [
            (LOOK_UP, Kind::LookUp),
            ("/smdcache.v1.SmdCache/LookupComponent", Kind::LookUp),
            ("/smdcache.v1.SmdCache/ListProblems", Kind::List),
            ("/smdcache.v1.SmdCache/GetStatus", Kind::Status),
            ("/smdcache.v1.SmdCache/Explain", Kind::Status),
            ("/smdcache.v1.SmdCache/Refresh", Kind::Refresh),
            ("/smdcache.v1.SmdCache/Watch", Kind::Watch),
            (HEALTH, Kind::Other),
            ("/smdcache.v1.SmdCacheLookupMac", Kind::Other),
            ("/LookupMac", Kind::Other),
            ("", Kind::Other),
        ] {
            assert_eq!(Kind::of(path), kind, "{path}");
        }
        for (number, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, number, "{kind:?} finds its own places");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_one_kind_leaves_the_others_alone_and_ends_at_its_deadline() {
        let admission = Admission::new(Refused::default());
        let mut stuck = admission.layer(service_fn(|_| pending::<Result<Response<Body>, Infallible>>()));
        let flood: Vec<_> = (0..Kind::LookUp.at_once()).map(|_| stuck.call(request(LOOK_UP))).collect();
        let well = admission.layer(service_fn(answers));
        let ask = async |path| code(&well.clone().oneshot(request(path)).await.unwrap());
        assert_eq!(ask(LOOK_UP).await, Code::ResourceExhausted);
        for path in [HEALTH, "/smdcache.v1.SmdCache/Watch", "/smdcache.v1.SmdCache/GetStatus"] {
            assert_eq!(ask(path).await, Code::Ok, "{path}");
        }
        for ended in join_all(flood).await {
            assert_eq!(code(&ended.unwrap()), Code::DeadlineExceeded);
        }
        assert_eq!(ask(LOOK_UP).await, Code::Ok, "served again");
    }

    /// An answer that goes on.
    struct Endless;

    impl http_body::Body for Endless {
        type Data = Bytes;
        type Error = Status;
        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn an_answer_that_goes_on_holds_its_place_and_a_look_ups_does_not() {
        let goes_on = service_fn(async |_| Ok::<_, Infallible>(Response::new(Body::new(Endless))));
        let mut well = Admission::new(Refused::default()).layer(goes_on);
        let mut open = Vec::new();
        for _ in 0..Kind::Other.at_once() {
            open.push(well.call(request(HEALTH)).await.unwrap());
        }
        assert_eq!(code(&well.call(request(HEALTH)).await.unwrap()), Code::ResourceExhausted);
        open.pop();
        open.push(well.call(request(HEALTH)).await.unwrap());
        for _ in 0..Kind::LookUp.at_once() * 2 {
            open.push(well.call(request(LOOK_UP)).await.unwrap());
        }
        assert_eq!(code(open.last().unwrap()), Code::Ok);
    }

    #[tokio::test]
    async fn a_certificate_that_is_not_listed_may_ask_nothing() {
        let well = Admission::new(Refused::default()).layer(service_fn(answers));
        for path in [LOOK_UP, HEALTH, "/smdcache.v1.SmdCache/Watch"] {
            let mut request = request(path);
            let caller = Caller::Certificate {
                host: Ipv4Addr::LOCALHOST.into(),
                names: ["somebody".to_owned()].into(),
                rights: crate::caller::Rights::None,
            };
            let place = Places::default().local().await.take(None).unwrap();
            request.extensions_mut().insert(Peer { caller, seat: place.seat() });
            let refused = well.clone().oneshot(request).await.unwrap();
            assert_eq!(code(&refused), Code::PermissionDenied, "{path}");
        }
    }
}
