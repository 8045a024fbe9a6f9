use super::*;
use crate::{
    fixture::{CONFIG, config, query, replica, text},
    metrics::Metrics,
    server::{Places, converse},
    transfer::tsig::Session,
};
use config::TsigAlgorithm;
use hickory_proto::op;
use inventory::{Inventory, Replica};
use prometheus_client::registry::Registry;
use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    time::timeout,
};

const KEY: &str = "  transfer: {allow: [127.0.0.1], tsig: {name: key.example, secret_file: SECRET}}\n";
const OPEN: &str = "  transfer: {allow: [127.0.0.1]}\n";
/// 32 zeros.
const SECRET: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

struct Scene {
    service: Arc<Service>,
    registry: Registry,
    _folder: tempfile::TempDir,
}

/// With further lines of the section `dnsd`, in which SECRET is a file.
fn scene(lines: &str) -> Scene {
    scene_of(replica(), lines)
}

fn scene_of(replica: Replica, lines: &str) -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, SECRET).unwrap();
    let text = format!("inventory: {{replica_file: off}}\n{}{lines}", CONFIG.trim_start());
    let config = config(&text.replace("SECRET", secret.to_str().unwrap()));
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let inventory = Inventory::fixed(replica);
    let service = Service::new(inventory, &config, 1000, metrics);
    service.begin_copying(&config).unwrap();
    service.rebuild(&config, 1000);
    Scene { service: Arc::new(service), registry, _folder: folder }
}

impl Scene {
    /// A client on a connection of its own; what a message may be ahead of it is small.
    fn connect(&self, address: IpAddr, transport: Transport) -> DuplexStream {
        let (client, server) = duplex(4096);
        let (service, places) = (self.service.clone(), Places::new(4, Duration::from_secs(10)));
        let place = places.take(address).unwrap();
        tokio::spawn(async move {
            let client = Client { address, transport };
            converse(&service, server, client, &place, &Semaphore::new(8)).await;
        });
        client
    }

    fn counted(&self, line: &str) -> bool {
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &self.registry).unwrap();
        page.contains(line)
    }
}

fn local() -> IpAddr {
    Ipv4Addr::LOCALHOST.into()
}

fn key() -> Arc<Key> {
    Arc::new(Key::new(&"key.example".parse().unwrap(), TsigAlgorithm::HmacSha256, &[0; 32]))
}

fn framed(query: &[u8]) -> Vec<u8> {
    [&(query.len() as u16).to_be_bytes(), query].concat()
}

async fn write(stream: &mut DuplexStream, query: &[u8]) {
    stream.write_all(&framed(query)).await.unwrap();
}

async fn read(stream: &mut DuplexStream) -> Vec<u8> {
    let wait = Duration::from_secs(20);
    let length = timeout(wait, stream.read_u16()).await.unwrap().unwrap();
    let mut message = vec![0; length.into()];
    timeout(wait, stream.read_exact(&mut message)).await.unwrap().unwrap();
    message
}

/// Everything up to the second SOA; how many messages and records that is.
async fn read_zone(stream: &mut DuplexStream) -> (usize, usize) {
    let (mut messages, mut records, mut soas) = (0, 0, 0);
    while soas < 2 {
        let message = op::Message::from_vec(&read(stream).await).unwrap();
        assert_eq!(message.metadata.response_code, op::ResponseCode::NoError);
        let is_soa =
            |record: &&hickory_proto::rr::Record| record.record_type() == hickory_proto::rr::RecordType::SOA;
        soas += message.answers.iter().filter(is_soa).count();
        records += message.answers.len();
        messages += 1;
    }
    (messages, records)
}

#[tokio::test]
async fn a_zone_is_copied_and_the_connection_goes_on() {
    for transport in [Transport::Tcp, Transport::Tls] {
        let scene = scene(OPEN);
        let mut client = scene.connect(local(), transport);
        // Pipelined: what needs no waiting does not wait for a zone (RFC 5936 §4.1.1).
        let both =
            [query("cluster.local. AXFR"), query("nid0001.cluster.local. A")].map(|query| framed(&query));
        client.write_all(&both.concat()).await.unwrap();
        let wanted = "NoError aa; nid0001.cluster.local. 60 A 172.16.0.1";
        assert_eq!(text(&read(&mut client).await), wanted);
        assert_eq!(read_zone(&mut client).await, (1, 26));
        write(&mut client, &query("nid0001.cluster.local. A")).await;
        assert_eq!(text(&read(&mut client).await), wanted);
        // The thread that wrote it ends in its own time.
        let counted = async {
            while !scene.counted("dnsd_transfers_total{result=\"done\"} 1") {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(Duration::from_secs(20), counted).await.unwrap();
    }
}

#[tokio::test]
async fn a_copy_of_what_may_be_behind_smd_is_counted_as_such() {
    for (stale, counted) in [(false, "dnsd_stale_replies_total 0"), (true, "dnsd_stale_replies_total 1")] {
        let freshness = Some(proto::v1::Freshness { instance: "test".into(), stale, ..Default::default() });
        let mut replica = replica();
        replica.change(proto::v1::Change { freshness, ..Default::default() }, false);
        let scene = scene_of(replica, OPEN);
        let mut client = scene.connect(local(), Transport::Tcp);
        write(&mut client, &query("cluster.local. AXFR")).await;
        read(&mut client).await;
        assert!(scene.counted(counted), "{counted}");
    }
}

#[tokio::test]
async fn who_may_not_is_refused() {
    let stranger = IpAddr::from([10, 0, 0, 1]);
    for (what, lines, address, transport) in [
        ("nobody may", "", local(), Transport::Tcp),
        ("an address that is not listed", OPEN, stranger, Transport::Tcp),
        ("a listed address without the key", KEY, local(), Transport::Tcp),
    ] {
        let scene = scene(lines);
        let mut client = scene.connect(address, transport);
        write(&mut client, &query("cluster.local. AXFR")).await;
        assert_eq!(text(&read(&mut client).await), "Refused", "{what}");
        assert!(scene.counted("dnsd_transfers_total{result=\"refused\"} 1"), "{what}");
    }
}

#[tokio::test]
async fn with_the_key_every_message_is_signed_and_the_address_counts_as_well() {
    let scene = scene(KEY);
    let (mut session, mut asked) = (Session::begin(key()), query("cluster.local. AXFR"));
    session.sign(&mut asked, now());
    let mut client = scene.connect(local(), Transport::Tcp);
    write(&mut client, &asked).await;
    let answer = read(&mut client).await;
    let tsig = wire::read_answer(&answer).unwrap().tsig.expect("signed");
    assert!(session.is_answer(&answer, &tsig, now()));

    let mut stranger = scene.connect([10, 0, 0, 1].into(), Transport::Tcp);
    write(&mut stranger, &asked).await;
    let answer = read(&mut stranger).await;
    assert_eq!(answer[3] & 0xf, 5, "REFUSED");
    let tsig = wire::read_answer(&answer).unwrap().tsig.expect("signed, for the key is right");
    assert!(session.is_answer(&answer, &tsig, now()));
}

#[tokio::test]
async fn ordinary_queries_are_signed_too_and_wrong_signatures_turned_away() {
    let scene = scene(KEY);
    let udp = Client { address: [10, 0, 0, 1].into(), transport: Transport::Udp };
    let mut out = Vec::new();
    let (mut session, mut asked) = (Session::begin(key()), query("nid0001.cluster.local. A"));
    session.sign(&mut asked, now());
    for _ in 0..2 {
        assert!(scene.service.answer(&asked, udp, &mut out).await);
        let message = wire::read_answer(&out).unwrap();
        assert_eq!((out[3] & 0xf, out[7]), (0, 1));
        assert!(session.is_answer(&out, &message.tsig.unwrap(), now()));
        scene.service.answer_now(&asked, udp, &mut out);
    }
    asked[13] ^= 1;
    scene.service.answer_now(&asked, udp, &mut out);
    let tsig = wire::read_answer(&out).unwrap().tsig.unwrap();
    assert_eq!((out[3] & 0xf, out[7], tsig.error, tsig.mac.len()), (9, 0, 16, 0), "NOTAUTH, BADSIG");
    assert!(scene.counted("dnsd_replies_total{rcode=\"notauth\"} 1"));
}

#[tokio::test]
async fn an_answer_leaves_room_for_its_signature() {
    let many: Vec<String> = (0..29).map(|last| format!("    - \"many A 10.0.0.{last}\"\n")).collect();
    let scene = scene(&format!("{}{KEY}", many.concat()));
    let udp = Client { address: local(), transport: Transport::Udp };
    let (mut plain, mut signed) = (Vec::new(), Vec::new());
    let question = query("many.cluster.local. A");
    scene.service.answer_now(&question, udp, &mut plain);
    assert_eq!(plain.len(), 500);
    let (mut session, mut asked) = (Session::begin(key()), question);
    session.sign(&mut asked, now());
    scene.service.answer_now(&asked, udp, &mut signed);
    assert!(signed.len() <= 512 && signed[2] & 2 != 0, "truncated, and signed all the same");
    assert!(session.is_answer(&signed, &wire::read_answer(&signed).unwrap().tsig.unwrap(), now()));
}

#[tokio::test]
async fn only_so_many_zones_are_copied_at_once() {
    let scene = scene(OPEN);
    let client = Client { address: local(), transport: Transport::Tcp };
    let asked = query("cluster.local. AXFR");
    let mut under_way: Vec<_> =
        (0..MAX_TRANSFERS).map(|_| scene.service.transfer(&asked, client).unwrap()).collect();
    let mut busy = scene.service.transfer(&asked, client).unwrap();
    assert_eq!(text(&busy.next().await.unwrap()), "ServFail");
    assert!(busy.next().await.is_none());
    drop(busy);
    assert!(scene.counted("dnsd_transfers_total{result=\"busy\"} 1"));
    under_way.pop();
    let mut next = scene.service.transfer(&asked, client).unwrap();
    assert!(text(&next.next().await.unwrap()).starts_with("NoError aa; cluster.local. 60 SOA"));
    assert!(scene.counted("dnsd_transfers_total{result=\"broken\"} 1"), "the one that was let go");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_cut_off_and_holds_no_place() {
    // More than a connection takes of a stream before it is sent.
    let many: Vec<String> =
        (0..600).map(|host| format!("    - \"host{host} TXT {}\"\n", "x".repeat(200))).collect();
    let scene = scene(&format!("{}{OPEN}", many.concat()));
    let mut client = scene.connect(local(), Transport::Tcp);
    write(&mut client, &query("cluster.local. AXFR")).await;
    // Time does not pass by itself while a thread waits for the connection.
    for _ in 0..10_000 {
        if scene.counted("dnsd_dropped_total{reason=\"unread\"} 1") {
            break;
        }
        tokio::time::advance(Duration::from_millis(100)).await;
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(scene.counted("dnsd_transfers_total{result=\"broken\"} 1"));
    assert_eq!(scene.service.copying.permits.available_permits(), MAX_TRANSFERS);
}

#[tokio::test]
async fn a_zone_of_several_messages_is_signed_as_one_stream() {
    let many: Vec<String> =
        (0..200).map(|host| format!("    - \"host{host} TXT {}\"\n", "x".repeat(200))).collect();
    let scene = scene(&format!("{}{KEY}", many.concat()));
    let (mut session, mut asked) = (Session::begin(key()), query("cluster.local. AXFR"));
    session.sign(&mut asked, now());
    let client = Client { address: local(), transport: Transport::Tcp };
    let mut transfer = scene.service.transfer(&asked, client).unwrap();
    let mut count = 0;
    while let Some(message) = transfer.next().await {
        let message = wire::read_answer(&message).unwrap();
        assert!(!message.malformed && message.tsig.is_some(), "message {count}");
        count += 1;
    }
    assert!(count > 2, "{count}");
}

#[test]
fn without_its_secret_dnsd_does_not_start() {
    let text = format!("{CONFIG}{}", KEY.replace("SECRET", "/nonexistent/secret"));
    let config = config(&text);
    let service = Service::new(
        Inventory::fixed(Replica::default()),
        &config,
        1000,
        Metrics::new(&mut Registry::default()),
    );
    let error = format!("{:#}", service.begin_copying(&config).unwrap_err());
    assert!(error.contains("dnsd.transfer.tsig.secret_file /nonexistent/secret"), "{error}");
}

#[test]
fn a_disk_that_takes_nothing_does_not_stop_dnsd() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a file where a folder should be");
    std::fs::write(&file, "").unwrap();
    let scene = scene(OPEN);
    scene.service.copying.keep_serials(SerialsFile::beside(&file.join("replica")));
    let mut text = CONFIG.to_owned();
    text.push_str("    - \"new A 10.0.0.1\"\n");
    scene.service.rebuild(&config(&text), 2000);
    let mut out = Vec::new();
    let client = Client { address: local(), transport: Transport::Udp };
    scene.service.answer_now(&query("cluster.local. SOA"), client, &mut out);
    assert!(crate::fixture::text(&out).contains(" 2000 60 30 "), "{}", crate::fixture::text(&out));
}

#[tokio::test]
async fn what_is_too_old_to_be_served_is_not_copied() {
    let config = config(&format!("{CONFIG}{OPEN}"));
    // Nobody knows when it was read.
    let inventory = Inventory::expiring(replica(), Some(Duration::from_secs(60)));
    let service = Service::new(inventory, &config, 1000, Metrics::new(&mut Registry::default()));
    let client = Client { address: local(), transport: Transport::Tcp };
    let mut transfer = service.transfer(&query("cluster.local. AXFR"), client).unwrap();
    assert_eq!(text(&transfer.next().await.unwrap()), "ServFail");
    assert!(transfer.next().await.is_none());
}
