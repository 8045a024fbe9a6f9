use super::*;
use crate::{
    fixture::{query, replica, text},
    server::{
        places::Places,
        tests::{asker, exposition, service},
    },
    wire::Transport,
};
use hyper::header::HeaderMap;
use prometheus_client::registry::Registry;
use std::net::Ipv4Addr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    time::Instant,
};

const KNOWN: &str = "nid0001.cluster.local. A";
const IDLE: Duration = Duration::from_secs(30);

fn desk() -> (Arc<Desk>, Registry) {
    let (service, registry) = service(replica());
    let place = Places::new(64, IDLE).take(Ipv4Addr::LOCALHOST.into()).unwrap();
    let desk = Desk::new(service, asker(Transport::Https), place, Arc::new(Semaphore::new(8)));
    (Arc::new(desk), registry)
}

fn encoded(question: &str) -> String {
    BASE64URL_NOPAD.encode(&query(question))
}

fn request(method: &str, uri: &str, kind: Option<&str>, body: &[u8]) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(uri);
    if let Some(kind) = kind {
        request = request.header(CONTENT_TYPE, kind);
    }
    request.body(Full::new(Bytes::copy_from_slice(body))).unwrap()
}

async fn asked(request: Request<Full<Bytes>>) -> (u16, HeaderMap, Bytes) {
    let (desk, _) = desk();
    let (parts, body) = desk.answer(request).await.into_parts();
    (parts.status.as_u16(), parts.headers, body.collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn a_query_may_be_in_the_uri_or_in_the_body() {
    let question = query(KNOWN);
    for request in [
        request("GET", &format!("/dns-query?dns={}", encoded(KNOWN)), None, b""),
        request("GET", &format!("/dns-query?x=1&dns={}&y=2", encoded(KNOWN)), None, b""),
        request("POST", "/dns-query", Some(MESSAGE), &question),
        request("POST", "/dns-query?x=1", Some("Application/DNS-Message; charset=x"), &question),
    ] {
        let shown = format!("{request:?}");
        let (status, headers, body) = asked(request).await;
        assert_eq!((status, &headers[CONTENT_TYPE]), (200, &MESSAGE.parse().unwrap()), "{shown}");
        assert_eq!(text(&body), "NoError aa; nid0001.cluster.local. 60 A 172.16.0.1");
    }
}

#[tokio::test]
async fn an_answer_is_fresh_for_as_long_as_its_shortest_record() {
    for (question, age) in [
        (KNOWN, "max-age=60"),
        ("www.cluster.local. A", "max-age=60"),
        ("www.cluster.local. CNAME", "max-age=300"),
        ("nope.cluster.local. A", "max-age=5"),
        ("example.com. A", "max-age=0"),
    ] {
        let (_, headers, _) = asked(request("POST", "/dns-query", Some(MESSAGE), &query(question))).await;
        assert_eq!(headers[CACHE_CONTROL], age, "{question}");
    }
}

#[tokio::test]
async fn what_is_no_dns_query_has_the_status_of_its_mistake() {
    let (get, good) = (|variables: &str| format!("/dns-query{variables}"), query(KNOWN));
    let mut response = query(KNOWN);
    response[2] |= 0x80;
    let long = "A".repeat(2 * MAX_QUERY);
    for (request, wanted) in [
        (request("GET", "/", None, b""), 404),
        (request("POST", "/dns-query/", Some(MESSAGE), &good), 404),
        (request("PUT", "/dns-query", Some(MESSAGE), &good), 405),
        (request("GET", &get(""), None, b""), 400),
        (request("GET", &get("?dns="), None, b""), 400),
        (request("GET", &get("?name=a.b"), None, b""), 400),
        (request("GET", &get("?dns=!!!!"), None, b""), 400),
        (request("GET", &get(&format!("?dns={}=", encoded(KNOWN))), None, b""), 400),
        (request("GET", &get(&format!("?dns={long}")), None, b""), 413),
        (request("POST", "/dns-query", None, &good), 415),
        (request("POST", "/dns-query", Some("application/json"), b"{}"), 415),
        (request("POST", "/dns-query", Some(MESSAGE), b""), 400),
        (request("POST", "/dns-query", Some(MESSAGE), &response), 400),
        (request("POST", "/dns-query", Some(MESSAGE), &[0; MAX_QUERY + 1]), 413),
    ] {
        let shown = format!("{request:?}");
        let (status, headers, _) = asked(request).await;
        assert_eq!(status, wanted, "{shown}");
        assert_eq!(headers.contains_key(ALLOW), wanted == 405);
    }
}

/// A connection that speaks HTTP/1.1.
fn talk() -> (DuplexStream, Registry, tokio::task::JoinHandle<()>) {
    let (desk, registry) = desk();
    let (client, server) = duplex(1 << 16);
    (client, registry, tokio::spawn(async move { converse(desk, server, false).await }))
}

#[tokio::test(start_paused = true)]
async fn connections_stay_open_and_idle_ones_are_closed() {
    let (mut client, registry, task) = talk();
    let get = format!("GET /dns-query?dns={} HTTP/1.1\r\nhost: d\r\n\r\n", encoded(KNOWN));
    for _ in 0..3 {
        client.write_all(get.as_bytes()).await.unwrap();
        let mut buffer = vec![0; 4096];
        let length = client.read(&mut buffer).await.unwrap();
        assert!(buffer[..length].starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
    let began = Instant::now();
    task.await.unwrap();
    assert!(began.elapsed() <= IDLE + GOODBYE, "{:?}", began.elapsed());
    drop(registry);
}

#[tokio::test(start_paused = true)]
async fn slow_requests_are_cut_off() {
    let post = format!(
        "POST /dns-query HTTP/1.1\r\nhost: d\r\ncontent-type: {MESSAGE}\r\ncontent-length: 40\r\n\r\n"
    );
    for start in ["GET /dns-", &post] {
        let (mut client, _, task) = talk();
        let began = Instant::now();
        client.write_all(start.as_bytes()).await.unwrap();
        // A byte a second, for as long as it is taken.
        while client.write_all(b"x").await.is_ok() && began.elapsed() < Duration::from_secs(120) {
            sleep(Duration::from_secs(1)).await;
        }
        task.await.unwrap();
        assert!(began.elapsed() <= ARRIVAL + GOODBYE + Duration::from_secs(2), "{:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_http_is_refused_and_heads_are_bounded() {
    for sent in [vec![0, 40, 0, 1, 2, 3], b"x".repeat(64 << 10)] {
        let (mut client, _, task) = talk();
        _ = client.write_all(&sent).await;
        task.await.unwrap();
    }
}

#[tokio::test]
async fn requests_are_counted_where_they_hold_no_query() {
    let (desk, registry) = desk();
    desk.answer(request("GET", "/", None, b"")).await;
    desk.answer(request("POST", "/dns-query", Some(MESSAGE), &query(KNOWN))).await;
    let page = exposition(&registry);
    assert!(page.contains("dnsd_dropped_total{reason=\"http\"} 1"));
    assert!(page.contains("dnsd_queries_total{transport=\"https\",type=\"a\"} 1"));
}
