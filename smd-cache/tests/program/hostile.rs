//! Connections that do everything wrong, byte by byte: each costs at most itself.

use crate::{Cache, PATIENCE, eventually, fake_smd::FakeSmd};
use bytes::Bytes;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use proto::v1;
use smd_cache::listen::{MAX_CONNECTIONS, MAX_PER_ADDRESS};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tonic::codegen::http::{Request, Response};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// An empty SETTINGS.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

const LOOKUP_MAC: &str = "/smdcache.v1.SmdCache/LookupMac";
const WATCH: &str = "/smdcache.v1.SmdCache/Watch";
const LIST: &str = "/smdcache.v1.SmdCache/ListInterfaces";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

async fn connect(cache: &Cache) -> TcpStream {
    TcpStream::connect(cache.listens).await.unwrap()
}

/// Sends what the server will take, and reads until it hangs up.
async fn hung_up_on(mut stream: TcpStream, bytes: &[u8]) -> bool {
    let said = async {
        let (mut reader, mut writer) = stream.split();
        let mut heard = Vec::new();
        // Written to until it breaks: the server may hang up in the middle.
        let _ = tokio::join!(writer.write_all(bytes), reader.read_to_end(&mut heard));
    };
    timeout(PATIENCE * 2, said).await.is_ok()
}

async fn still_answers(cache: &mut Cache) {
    let asked = timeout(PATIENCE, cache.mac("02:00:00:00:00:01")).await;
    assert_eq!(asked.expect("in time").interfaces.len(), 1);
    assert!(cache.another_connection_answers().await, "a new connection, too");
}

impl Cache {
    async fn another_connection_answers(&self) -> bool {
        let mut grpc = v1::smd_cache_client::SmdCacheClient::new(self.another_connection().await);
        grpc.get_status(v1::GetStatusRequest {}).await.is_ok()
    }
}

#[tokio::test]
async fn what_is_no_http2_is_hung_up_on() {
    let smd = FakeSmd::with(&[1]).await;
    let mut cache = Cache::of(&smd).await.ready().await;
    let hello = [PREFACE, SETTINGS].concat();
    // HEADERS of which the end never comes.
    let endless: Vec<u8> =
        [frame(1, 0, 1, &[0x82; 100]), frame(9, 0, 1, &[0x82; 16_000]).repeat(2_000)].concat();
    let reset: Vec<u8> = (0..20_000_u32)
        .flat_map(|number| {
            let stream = number * 2 + 1;
            [frame(1, 5, stream, &[0x83, 0x86, 0x84]), frame(3, 0, stream, &[0, 0, 0, 8])].concat()
        })
        .collect();
    let cases: [(&str, Vec<u8>); 10] = [
        ("HTTP/1.1", b"GET / HTTP/1.1\r\nHost: smd-cache\r\n\r\n".to_vec()),
        ("a TLS ClientHello", [&[0x16, 0x03, 0x01, 0x02, 0x00][..], &[0; 512]].concat()),
        ("zeros", vec![0; 100_000]),
        ("a greeting, then noise", [&hello[..], &[0xff; 10_000]].concat()),
        ("a frame of 16 MB", [&hello[..], &[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1], &[0; 100_000]].concat()),
        ("DATA on a stream that was never opened", [&hello[..], &frame(0, 0, 1, &[0; 100])].concat()),
        ("headers that do not decode", [&hello[..], &frame(1, 5, 1, &[0xff; 100])].concat()),
        ("a window that overflows", [&hello[..], &frame(8, 0, 0, &[0x7f, 0xff, 0xff, 0xff])].concat()),
        ("headers without end", [&hello[..], &endless].concat()),
        ("streams that are opened and reset", [&hello[..], &reset].concat()),
    ];
    for (what, bytes) in cases {
        assert!(hung_up_on(connect(&cache).await, &bytes).await, "{what}");
        still_answers(&mut cache).await;
    }
    assert!(cache.metric(r#"smd_cache_connections_refused_total{reason="no_greeting"}"#).await >= 3);
    cache.stop().await;
}

#[tokio::test]
async fn who_greets_and_then_says_nothing_more_is_given_up() {
    let smd = FakeSmd::with(&[1]).await;
    let cache = Cache::of(&smd).await.ready().await;
    let mut stream = connect(&cache).await;
    stream.write_all(&[PREFACE, SETTINGS].concat()).await.unwrap();
    // Pings come, and are not answered.
    let ended = timeout(PATIENCE * 3, stream.read_to_end(&mut Vec::new())).await;
    assert!(ended.is_ok(), "keepalive ends it");
    cache.stop().await;
}

/// A client of HTTP/2 that does no more than it is told, and takes 1,000 bytes of each answer unless it reads.
async fn by_hand(cache: &Cache) -> h2::client::SendRequest<Bytes> {
    let (client, connection) =
        h2::client::Builder::new().initial_window_size(1_000).handshake(connect(cache).await).await.unwrap();
    tokio::spawn(connection);
    client.ready().await.unwrap()
}

fn request(path: &str) -> Request<()> {
    let uri = format!("http://smd-cache{path}");
    Request::post(uri).header("content-type", "application/grpc").header("te", "trailers").body(()).unwrap()
}

fn message(length: u32, body: &[u8]) -> Bytes {
    [&[0], &length.to_be_bytes()[..], body].concat().into()
}

/// Asks and reads no more than the headers of the answer.
async fn ask_and_stop(
    client: &mut h2::client::SendRequest<Bytes>,
    path: &str,
    body: Bytes,
) -> Response<h2::RecvStream> {
    let (answer, mut sending) = client.send_request(request(path), false).unwrap();
    sending.send_data(body, true).unwrap();
    timeout(PATIENCE, answer).await.expect("headers").unwrap()
}

#[tokio::test]
async fn a_message_that_says_it_is_huge_is_refused_at_once() {
    let smd = FakeSmd::with(&[1]).await;
    let mut cache = Cache::of(&smd).await.ready().await;
    let mut client = by_hand(&cache).await;
    let answer = ask_and_stop(&mut client, LOOKUP_MAC, message(u32::MAX, b"0")).await;
    assert_eq!(answer.headers()["grpc-status"], "11", "OUT_OF_RANGE: {answer:?}");
    let answer = ask_and_stop(&mut client, LOOKUP_MAC, message(5, &[0xff; 5])).await;
    assert_ne!(answer.headers()["grpc-status"], "0", "no protobuf: {answer:?}");
    still_answers(&mut cache).await;
    cache.stop().await;
}

#[tokio::test]
async fn a_flood_of_headers_is_refused_and_the_connection_goes_on() {
    let smd = FakeSmd::with(&[1]).await;
    let mut cache = Cache::of(&smd).await.ready().await;
    let mut client = by_hand(&cache).await;
    let mut flood = request(LOOKUP_MAC);
    for number in 0..200 {
        let name = format!("x-flood-{number}").parse::<tonic::codegen::http::HeaderName>().unwrap();
        flood.headers_mut().insert(name, "y".repeat(500).parse().unwrap());
    }
    let (answer, _) = client.send_request(flood, true).unwrap();
    let refused = timeout(PATIENCE, answer).await.expect("at once");
    assert!(refused.as_ref().map_or(true, |answer| answer.status() == 431), "{refused:?}");
    still_answers(&mut cache).await;
    cache.stop().await;
}

/// 255 nodes: far more than goes out before the other end says that it has read it.
async fn big() -> (FakeSmd, Cache) {
    let smd = FakeSmd::with(&(1..=255).collect::<Vec<_>>()).await;
    let cache = Cache::of(&smd).await.ready().await;
    (smd, cache)
}

#[tokio::test]
async fn a_watch_that_is_never_read_is_cut_off_and_holds_nobody_up() {
    let (smd, mut cache) = big().await;
    let mut client = by_hand(&cache).await;
    let watch = watch_message();
    let unread = ask_and_stop(&mut client, WATCH, message(watch.len() as u32, &watch)).await;
    eventually("it watches", async || cache.status().await.clients.len() == 1).await;
    let mut reader = cache
        .grpc
        .watch(v1::WatchRequest { snapshot: true, ..Default::default() })
        .await
        .unwrap()
        .into_inner();
    while !matches!(reader.message().await.unwrap().unwrap().event, Some(v1::watch_event::Event::Complete(_)))
    {
    }
    smd.set(&(1..=254).collect::<Vec<_>>());
    eventually("the other one follows", async || {
        matches!(reader.message().await.unwrap().unwrap().event, Some(v1::watch_event::Event::Change(_)))
    })
    .await;
    eventually("cut off", async || cache.metric("smd_cache_watchers_cut_total").await == 1).await;
    eventually("struck off", async || cache.status().await.clients.len() == 1).await;
    still_answers(&mut cache).await;
    drop((unread, reader));
    cache.stop().await;
}

#[tokio::test]
async fn lists_that_are_never_read_end_and_make_room_for_others() {
    let (_smd, mut cache) = big().await;
    let mut client = by_hand(&cache).await;
    let mut unread = Vec::new();
    for _ in 0..32 {
        unread.push(ask_and_stop(&mut client, LIST, message(0, b"")).await);
    }
    let asked = cache.grpc.list_interfaces(v1::ListInterfacesRequest {}).await;
    assert_eq!(asked.unwrap_err().code(), tonic::Code::ResourceExhausted, "every place is taken");
    still_answers(&mut cache).await;
    eventually("room for others", async || {
        cache.grpc.list_interfaces(v1::ListInterfacesRequest {}).await.is_ok()
    })
    .await;
    drop(unread);
    cache.stop().await;
}

/// `WatchRequest { snapshot: true }` on the wire.
fn watch_message() -> Vec<u8> {
    use tonic_prost::prost::Message;
    v1::WatchRequest { snapshot: true, ..v1::WatchRequest::default() }.encode_to_vec()
}

#[tokio::test]
async fn a_watch_from_the_future_or_of_nobody_gets_the_whole_picture() {
    let smd = FakeSmd::with(&[1]).await;
    let mut cache = Cache::of(&smd).await.ready().await;
    let ours = cache.status().await.freshness.unwrap();
    let at = |seconds, nanos| Some(prost_types::Timestamp { seconds, nanos });
    for held in [
        v1::Freshness { generation: u64::MAX, digest: String::new(), ..ours.clone() },
        v1::Freshness { generation: 0, digest: String::new(), ..ours.clone() },
        v1::Freshness { instance: "nobody".into(), digest: "no digest".into(), ..ours.clone() },
        v1::Freshness { instance: "\0".repeat(1_000), digest: "\u{10ffff}".repeat(1_000), ..ours.clone() },
        v1::Freshness {
            read_at: at(i64::MAX, i32::MAX),
            instance: "nobody".into(),
            digest: String::new(),
            ..ours.clone()
        },
        v1::Freshness {
            read_at: at(i64::MIN, i32::MIN),
            instance: "nobody".into(),
            digest: String::new(),
            ..ours.clone()
        },
    ] {
        let request =
            v1::WatchRequest { freshness: Some(held.clone()), snapshot: true, ..Default::default() };
        let mut events = cache.grpc.watch(request).await.unwrap().into_inner();
        let complete = async {
            loop {
                let event = events.message().await.unwrap().unwrap().event.unwrap();
                if let v1::watch_event::Event::Complete(complete) = event {
                    return complete.freshness.unwrap();
                }
            }
        };
        let complete =
            timeout(PATIENCE, complete).await.unwrap_or_else(|_| panic!("no picture for {held:?}"));
        assert_eq!((&complete.instance, complete.generation), (&ours.instance, ours.generation));
    }
    still_answers(&mut cache).await;
    cache.stop().await;
}

/// How many descriptors this process may have, after asking for all it can get.
fn descriptors() -> u64 {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let wanted = hard.min(20_000);
    setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).unwrap();
    wanted
}

async fn socket_from(last: u8, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, last], 0).into())?;
    socket.connect(to).await
}

async fn connect_from(last: u8, to: SocketAddr) -> std::io::Result<TcpStream> {
    let mut stream = socket_from(last, to).await?;
    stream.write_all(&[PREFACE, SETTINGS].concat()).await?;
    Ok(stream)
}

/// Connects again and again; who is hung up on, perhaps before it has greeted, is none.
async fn idle_connections(count: usize, last: u8, to: SocketAddr) -> Vec<TcpStream> {
    let mut idle = Vec::new();
    for _ in 0..count {
        idle.extend(connect_from(last, to).await.ok());
    }
    idle
}

#[tokio::test]
async fn ten_thousand_idle_connections_lock_nobody_out_not_even_their_own_address() {
    let smd = FakeSmd::with(&[1]).await;
    let mut cache = Cache::of(&smd).await.ready().await;
    let count = (descriptors() as usize).saturating_sub(3_000).min(10_000);
    println!("{count} connections; ten thousand take 13,000 file descriptors");
    assert!(count > MAX_CONNECTIONS, "this test wants `ulimit -Hn` to be at least 4,300");
    // From one address, the one that everybody else here has, too.
    let idle = idle_connections(count, 1, cache.listens).await;
    still_answers(&mut cache).await;
    let silent = r#"smd_cache_connections_refused_total{reason="silent"}"#;
    eventually("some had to go", async || {
        cache.metric(silent).await >= (count - MAX_PER_ADDRESS - 100) as u64
    })
    .await;
    drop(idle);
    // From several at once, so that there is no place at all.
    let mut everybody = Vec::new();
    for last in 2..5 {
        everybody.push(idle_connections(MAX_PER_ADDRESS, last, cache.listens).await);
    }
    still_answers(&mut cache).await;
    cache.over_the_socket().await.get_status(v1::GetStatusRequest {}).await.unwrap();
    drop(everybody);
    cache.stop().await;
}

#[tokio::test]
async fn connections_in_use_take_at_most_the_share_of_their_address() {
    let smd = FakeSmd::with(&[1]).await;
    let cache = Cache::of(&smd).await.ready().await;
    assert!(descriptors() > 3_000, "this test wants `ulimit -Hn` to be at least 3,000");
    let mut in_use = Vec::new();
    let too_many = r#"smd_cache_connections_refused_total{reason="too_many"}"#;
    while in_use.len() < MAX_PER_ADDRESS {
        let stream = socket_from(2, cache.listens).await.unwrap();
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let mut client = client.ready().await.unwrap();
        ask_and_stop(&mut client, LOOKUP_MAC, message(0, b"")).await;
        in_use.push(client);
    }
    assert_eq!(cache.metric(too_many).await, 0);
    let _ = connect_from(2, cache.listens).await;
    eventually("turned away", async || cache.metric(too_many).await == 1).await;
    let mut another = timeout(PATIENCE, connect_from(3, cache.listens)).await.unwrap().unwrap();
    timeout(PATIENCE, another.read_exact(&mut [0; 9])).await.expect("another address is served").unwrap();
    cache.stop().await;
}
