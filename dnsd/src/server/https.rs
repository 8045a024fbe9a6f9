//! DNS over HTTPS (RFC 8484): a query in `?dns=` or as the body of a POST, over HTTP/2 or HTTP/1.1.
//!
//! hyper speaks HTTP; the query goes the way of every other one. Requests of a connection that wait do so side by side.

use super::{
    Outcome, Service,
    places::{Leave, Place},
    stream::MAX_QUERY,
};
use crate::{
    access::Client,
    metrics::{Count, Dropped},
    wire,
};
use data_encoding::BASE64URL_NOPAD;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body, Bytes},
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
    rt::Executor,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    convert::Infallible,
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::task::TaskTracker;

/// The path that clients and configuration everywhere use (RFC 8484 §4.1 leaves it open).
const PATH: &str = "/dns-query";

/// RFC 8484 §6.
const MESSAGE: &str = "application/dns-message";

/// Requests of one connection at a time: RFC 9113 §6.5.2 recommends not less.
const MAX_STREAMS: u32 = 100;

/// All headers of a request, and with them `?dns=` of a GET: a query of 4,096 bytes in base64, and what browsers send. A guess.
const MAX_HEADERS: u32 = 8 * 1024;

/// Not less is possible (hyper).
const HTTP1_BUFFER: usize = 8 * 1024;

/// What a client may send before we read it: a query, and those of all its requests.
const WINDOW_OF_STREAM: u32 = 8 * 1024;
const WINDOW: u32 = 64 * 1024;

/// What is kept of an answer that the client does not take, for each request.
const SEND_BUFFER: usize = 16 * 1024;

/// From the headers of a request to the end of its body, and for the headers of HTTP/1.1 themselves: as on TCP.
const ARRIVAL: Duration = Duration::from_secs(5);

/// After we said goodbye, so long the client may take for what it asked.
const GOODBYE: Duration = Duration::from_secs(2);

/// What requests share.
pub(super) struct Desk {
    pub service: Arc<Service>,
    pub client: Client,
    pub place: Place,
    pub waiting: Arc<Semaphore>,
    /// Requests whose answers are being made.
    open: AtomicUsize,
}

impl Desk {
    pub(super) fn new(service: Arc<Service>, client: Client, place: Place, waiting: Arc<Semaphore>) -> Desk {
        Desk { service, client, place, waiting, open: AtomicUsize::new(0) }
    }
}

/// One connection, to its end.
pub(super) async fn converse<S>(desk: Arc<Desk>, stream: S, http2: bool)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let asked = desk.clone();
    let requests = service_fn(move |request| {
        let desk = asked.clone();
        async move { Ok::<_, Infallible>(desk.answer(request).await) }
    });
    let stream = TokioIo::new(stream);
    if http2 {
        let tasks = Tasks(desk.place.places().tasks().clone());
        let connection = http2::Builder::new(tasks)
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEADERS)
            .initial_stream_window_size(WINDOW_OF_STREAM)
            .initial_connection_window_size(WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .serve_connection(stream, requests);
        attend(&desk, connection, http2::Connection::graceful_shutdown).await;
    } else {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(ARRIVAL)
            .max_buf_size(HTTP1_BUFFER)
            .serve_connection(stream, requests);
        attend(&desk, connection, http1::Connection::graceful_shutdown).await;
    }
}

/// Drives a connection until it ends, is idle for too long or has to go.
async fn attend<C, E>(desk: &Desk, connection: C, goodbye: impl Fn(Pin<&mut C>))
where
    C: Future<Output = Result<(), E>>,
{
    let mut connection = pin!(connection);
    let leave = tokio::select! {
        _ = connection.as_mut() => return,
        leave = desk.place.leaves() => leave,
        () = idle(&desk.place) => {
            desk.service.metrics.dropped(Dropped::Idle);
            Leave::Drain
        }
    };
    if leave == Leave::Now {
        return desk.service.metrics.dropped(Dropped::Evicted);
    }
    goodbye(connection.as_mut());
    _ = timeout(GOODBYE, connection).await;
}

/// Until nothing was asked for too long.
async fn idle(place: &Place) {
    loop {
        let allowed = place.places().idle_allowed();
        match place.idle().map(|idle| allowed.checked_sub(idle)) {
            Some(Some(left)) if !left.is_zero() => sleep(left).await,
            Some(_) => return,
            None => sleep(allowed).await,
        }
    }
}

/// Requests run on tasks that are waited for at the end.
#[derive(Clone)]
struct Tasks(TaskTracker);

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

/// Why a request has no DNS answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Path,
    Method,
    /// Not `application/dns-message`.
    Type,
    /// No `dns`, no base64url, or no DNS query.
    Query,
    TooLong,
    TooSlow,
}

impl Wrong {
    fn status(self) -> StatusCode {
        match self {
            Wrong::Path => StatusCode::NOT_FOUND,
            Wrong::Method => StatusCode::METHOD_NOT_ALLOWED,
            Wrong::Type => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Wrong::Query => StatusCode::BAD_REQUEST,
            Wrong::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Wrong::TooSlow => StatusCode::REQUEST_TIMEOUT,
        }
    }
}

impl Desk {
    async fn answer<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let query = match query(request).await {
            Ok(query) => query,
            Err(wrong) => {
                self.service.metrics.dropped(Dropped::Http);
                return refusal(wrong);
            }
        };
        let mut answer = Vec::with_capacity(512);
        let open = Open::new(self);
        let found = match self.service.answer_now(&query, self.client, &mut answer) {
            Outcome::Reply => true,
            Outcome::Silent => false,
            Outcome::Wait => {
                let _permit = self.waiting.acquire().await;
                self.service.answer(&query, self.client, &mut answer).await
            }
        };
        drop(open);
        if !found {
            return refusal(Wrong::Query);
        }
        // RFC 8484 §5.1: fresh for as long as its shortest record.
        let age = wire::shortest_ttl(&answer).unwrap_or(0);
        let mut response = Response::new(Full::new(Bytes::from(answer)));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MESSAGE));
        if let Ok(value) = HeaderValue::try_from(format!("max-age={age}")) {
            headers.insert(CACHE_CONTROL, value);
        }
        response
    }
}

fn refusal(wrong: Wrong) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = wrong.status();
    if wrong == Wrong::Method {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, POST"));
    }
    response
}

/// A request being answered: its connection is busy.
struct Open<'d>(&'d Desk);

impl Open<'_> {
    fn new(desk: &Desk) -> Open<'_> {
        desk.open.fetch_add(1, Relaxed);
        desk.place.busy();
        Open(desk)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Relaxed) == 1 {
            self.0.place.heard();
        }
    }
}

/// The body is read before anything is judged: a client that is still sending when its answer comes may not see it.
async fn query<B>(request: Request<B>) -> Result<Bytes, Wrong>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    let (head, body) = request.into_parts();
    let body = whole(body).await?;
    if head.uri.path() != PATH {
        return Err(Wrong::Path);
    }
    match head.method {
        Method::GET => in_uri(head.uri.query().unwrap_or_default()),
        Method::POST if is_message(head.headers.get(CONTENT_TYPE)) => Ok(body),
        Method::POST => Err(Wrong::Type),
        _ => Err(Wrong::Method),
    }
}

async fn whole<B>(body: B) -> Result<Bytes, Wrong>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    // What says that it is too long is not read at all.
    if body.size_hint().lower() > MAX_QUERY as u64 {
        return Err(Wrong::TooLong);
    }
    match timeout(ARRIVAL, Limited::new(body, MAX_QUERY).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Wrong::TooLong),
        Ok(Err(_)) => Err(Wrong::Query),
        Err(_) => Err(Wrong::TooSlow),
    }
}

/// base64url without padding (RFC 8484 §4.1); further variables are skipped.
fn in_uri(variables: &str) -> Result<Bytes, Wrong> {
    let text = variables.split('&').find_map(|variable| variable.strip_prefix("dns="));
    let text = text.ok_or(Wrong::Query)?;
    if text.len() > MAX_QUERY.div_ceil(3) * 4 {
        return Err(Wrong::TooLong);
    }
    let query = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| Wrong::Query)?;
    Ok(query.into())
}

/// A media type has no case, and may have parameters.
fn is_message(kind: Option<&HeaderValue>) -> bool {
    let kind = kind.map(HeaderValue::as_bytes).unwrap_or_default();
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    kind.eq_ignore_ascii_case(MESSAGE.as_bytes())
}

#[cfg(test)]
mod tests;
