//! The shell with real sockets.

mod encrypted;

use super::*;
use crate::{
    access::Client,
    fixture::{CONFIG, config, query, replica, text},
    wire::Transport,
};
use daemon::State;
use inventory::Replica;
use prometheus_client::registry::Registry;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
};

pub(super) fn service(replica: Replica) -> (Arc<Service>, Registry) {
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    (Arc::new(Service::new(Inventory::fixed(replica), &config(CONFIG), 1000, metrics)), registry)
}

pub(super) fn asker(transport: Transport) -> Client {
    Client { address: Ipv4Addr::LOCALHOST.into(), transport }
}

pub(super) fn exposition(registry: &Registry) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
    text
}

/// A server on loopback; its address, and what stops it.
pub(super) async fn start(
    replica: Replica,
) -> (SocketAddr, Arc<Running>, tokio::task::JoinHandle<anyhow::Result<()>>) {
    let (service, _) = service(replica);
    let running = Arc::new(Running::new(config::Program::Dnsd, config(CONFIG)));
    // The port that TCP was given may be some client's on UDP.
    let bound = (0..20).find_map(|_| Sockets::bind(&[(Ipv4Addr::LOCALHOST, 0).into()]).ok());
    let sockets = bound.expect("a port that is free on both");
    let address = sockets.tcp[0].socket.local_addr().unwrap();
    let told = running.clone();
    let task = tokio::spawn(async move { run(service, sockets, &told).await });
    (address, running, task)
}

async fn ask_udp(server: SocketAddr, question: &str) -> String {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    socket.connect(server).await.unwrap();
    socket.send(&query(question)).await.unwrap();
    let mut buffer = [0; 2048];
    let length = timeout(Duration::from_secs(5), socket.recv(&mut buffer)).await.unwrap().unwrap();
    text(&buffer[..length])
}

pub(super) fn framed(query: &[u8]) -> Vec<u8> {
    [&(query.len() as u16).to_be_bytes(), query].concat()
}

pub(super) async fn read_reply(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let length = stream.read_u16().await.unwrap();
    let mut reply = vec![0; length.into()];
    stream.read_exact(&mut reply).await.unwrap();
    text(&reply)
}

#[tokio::test]
async fn the_same_answer_on_udp_and_tcp() {
    let (server, running, task) = start(replica()).await;
    let wanted = "NoError aa; nid0001.cluster.local. 60 A 172.16.0.1";
    assert_eq!(ask_udp(server, "nid0001.cluster.local. A").await, wanted);
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(&framed(&query("nid0001.cluster.local. A"))).await.unwrap();
    assert_eq!(read_reply(&mut stream).await, wanted);
    running.shutdown.cancel();
    task.await.unwrap().unwrap();
}

#[tokio::test]
async fn pipelined_queries_are_answered_in_order() {
    let (server, running, task) = start(replica()).await;
    let mut stream = TcpStream::connect(server).await.unwrap();
    let questions = ["nid0001.cluster.local. A", "nid0002.cluster.local. AAAA", "nope.cluster.local. A"];
    let all: Vec<u8> = questions.iter().flat_map(|question| framed(&query(question))).collect();
    // In two pieces that cut a query in the middle.
    let (first, second) = all.split_at(50);
    stream.write_all(first).await.unwrap();
    stream.flush().await.unwrap();
    tokio::task::yield_now().await;
    stream.write_all(second).await.unwrap();
    assert_eq!(read_reply(&mut stream).await, "NoError aa; nid0001.cluster.local. 60 A 172.16.0.1");
    assert_eq!(read_reply(&mut stream).await, "NoError aa; nid0002.cluster.local. 60 AAAA fd00:16::2");
    assert!(read_reply(&mut stream).await.starts_with("NXDomain aa"));
    running.shutdown.cancel();
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0, "closed at the end");
    task.await.unwrap().unwrap();
}

#[tokio::test]
async fn without_a_snapshot_names_are_servfail_and_we_are_not_ready() {
    let (service, _) = service(Replica::default());
    assert!(matches!(service.readiness(), State::Missing(_)), "{:?}", service.readiness());
    let mut out = Vec::new();
    for question in ["nid0001.cluster.local. A", "1.0.16.172.in-addr.arpa. PTR", "1.1.1.10.in-addr.arpa. PTR"]
    {
        assert!(service.answer(&query(question), asker(Transport::Udp), &mut out).await);
        assert_eq!(text(&out), "ServFail", "{question}");
    }
}

#[tokio::test]
async fn without_a_snapshot_udp_is_answered_too() {
    let (server, running, task) = start(Replica::default()).await;
    assert_eq!(ask_udp(server, "nid0001.cluster.local. A").await, "ServFail");
    assert_eq!(
        ask_udp(server, "smd.cluster.local. A").await,
        "NoError aa; smd.cluster.local. 60 A 172.16.0.253"
    );
    running.shutdown.cancel();
    task.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_new_configuration_is_taken_up() {
    let (service, _) = service(replica());
    let mut changed = config(CONFIG);
    changed.dnsd.records.retain(|line| line.owner.as_str() != "smd.cluster.local");
    let (told, reload) = watch::channel(Arc::new(config(CONFIG)));
    let (_generations, changes) = watch::channel(0);
    let keeper = Keeper::new(&config(CONFIG), service.metrics.files.clone());
    let follower = follow(service.clone(), told.borrow().clone(), 1000, changes, reload, keeper);
    let follower = tokio::spawn(follower);
    told.send_replace(Arc::new(changed));
    let mut out = Vec::new();
    let gone = async {
        loop {
            service.answer_now(&query("smd.cluster.local. A"), asker(Transport::Udp), &mut out);
            if text(&out).starts_with("NXDomain") || text(&out).starts_with("NoError aa; ;") {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(5), gone).await.unwrap();
    follower.abort();
}

/// Until the service answers so.
async fn answered(service: &Service, question: &str, wanted: &str) {
    let mut out = Vec::new();
    let answered = async {
        loop {
            service.answer_now(&query(question), asker(Transport::Udp), &mut out);
            if text(&out) == wanted {
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let in_time = timeout(Duration::from_secs(20), answered).await;
    assert!(in_time.is_ok(), "{question}: {} instead of {wanted}", text(&out));
}

#[tokio::test]
async fn a_file_that_changes_is_served_and_moves_the_serial() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("services.zone");
    std::fs::write(&path, "files A 10.0.0.1\n").unwrap();
    let with_file = config(&format!("{CONFIG}  zone_files: [{}]\n", path.display()));
    let (service, _) = service(replica());
    let mut keeper = Keeper::new(&with_file, service.metrics.files.clone());
    service.take_files(keeper.read());
    service.rebuild(&with_file, 1000);
    let (_told, reload) = watch::channel(Arc::new(with_file.clone()));
    let (_generations, changes) = watch::channel(0);
    let soa = "ns.cluster.local. hostmaster.cluster.local. 1000 60 30 604800 5";
    answered(&service, "cluster.local. SOA", &format!("NoError aa; cluster.local. 60 SOA {soa}")).await;
    answered(&service, "files.cluster.local. A", "NoError aa; files.cluster.local. 60 A 10.0.0.1").await;
    let follower = tokio::spawn(follow(service.clone(), with_file.into(), 1000, changes, reload, keeper));
    std::fs::write(&path, "files A 10.0.0.2\nmore A 10.0.0.3\n").unwrap();
    answered(&service, "files.cluster.local. A", "NoError aa; files.cluster.local. 60 A 10.0.0.2").await;
    answered(&service, "more.cluster.local. A", "NoError aa; more.cluster.local. 60 A 10.0.0.3").await;
    let mut out = Vec::new();
    service.answer_now(&query("cluster.local. SOA"), asker(Transport::Udp), &mut out);
    assert!(!text(&out).contains(soa), "{}", text(&out));
    follower.abort();
}

#[test]
fn everything_is_counted_under_its_name() {
    let (service, registry) = service(replica());
    let mut out = Vec::new();
    for question in ["nid0001.cluster.local. A", "nope.cluster.local. AAAA", "example.com. TXT"] {
        service.answer_now(&query(question), asker(Transport::Udp), &mut out);
    }
    assert_eq!(service.answer_now(&[0; 3], asker(Transport::Udp), &mut out), Outcome::Silent);
    let page = exposition(&registry);
    for line in [
        "dnsd_queries_total{transport=\"udp\",type=\"a\"} 1",
        "dnsd_queries_total{transport=\"udp\",type=\"aaaa\"} 1",
        "dnsd_queries_total{transport=\"udp\",type=\"txt\"} 1",
        "dnsd_queries_total{transport=\"tcp\",type=\"a\"} 0",
        "dnsd_replies_total{rcode=\"noerror\"} 1",
        "dnsd_replies_total{rcode=\"nxdomain\"} 1",
        "dnsd_replies_total{rcode=\"refused\"} 1",
        "dnsd_dropped_total{reason=\"too_short\"} 1",
    ] {
        assert!(page.contains(line), "{line} is not in\n{page}");
    }
}

#[test]
fn who_may_not_ask_is_refused_also_where_answers_are_in_place() {
    let config = config(&format!("{CONFIG}\n  query_from: [10.0.0.0/8]\n"));
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let service = Service::new(Inventory::fixed(replica()), &config, 1000, metrics);
    let mut out = Vec::new();
    for (address, wanted) in
        [([10, 0, 0, 1], "NoError aa; nid0001.cluster.local. 60 A 172.16.0.1"), ([11, 0, 0, 1], "Refused")]
    {
        let client = Client { address: address.into(), transport: Transport::Udp };
        service.answer_now(&query("nid0001.cluster.local. A"), client, &mut out);
        assert_eq!(text(&out), wanted);
    }
    assert!(exposition(&registry).contains("dnsd_denied_total{transport=\"udp\"} 1"));
}

#[test]
fn the_readme_lists_every_metric() {
    let (service, registry) = service(replica());
    // What is counted by forwarder shows only where there is one.
    service.rebuild(&config(&format!("{CONFIG}\n  forward: [192.0.2.1]")), 1000);
    let listed = daemon::manual::listed(include_str!("../../README.md"), "dnsd_");
    assert_eq!(daemon::manual::registered(&registry), listed);
}

#[tokio::test]
async fn an_explanation_counts_as_no_query() {
    let (service, registry) = service(replica());
    let before = exposition(&registry);
    let asked = crate::explain::Asked { name: "nid0001".into(), r#type: None };
    let explained = service.explain(&asked).await.unwrap();
    assert_eq!(explained.answers, ["nid0001.cluster.local. 60 A 172.16.0.1"]);
    assert_eq!(explained.inventory.as_deref(), Some("found"));
    assert_eq!(exposition(&registry), before);
}

#[tokio::test]
async fn who_connected_before_the_end_is_answered_after_it() {
    let (service, _) = service(replica());
    let running = Running::new(config::Program::Dnsd, config(CONFIG));
    let socket = tcp::listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(&framed(&query("nid0001.cluster.local. A"))).await.unwrap();
    let (connections, listener) = (Connections::with_files(1024), Listener { socket, speaks: Speaks::Plain });
    running.shutdown.cancel();
    let shutdown = running.shutdown.clone();
    tcp::serve(service, listener, connections.clone(), running.pulse("tcp"), shutdown).await.unwrap();
    let finish = connections.finish();
    let ((), reply) = tokio::join!(finish, read_reply(&mut client));
    assert_eq!(reply, "NoError aa; nid0001.cluster.local. 60 A 172.16.0.1");
}

#[tokio::test]
async fn who_keeps_things_up_to_date_does_not_die_unnoticed() {
    for (panics, is_due, wanted) in [(true, false, "died"), (false, false, "by itself"), (false, true, "")] {
        let (shutdown, mut followers) = (CancellationToken::new(), JoinSet::new());
        if is_due {
            shutdown.cancel();
        }
        followers.spawn(async move { assert!(!panics, "on purpose") });
        let serving = async {
            shutdown.cancelled().await;
            tokio::task::yield_now().await;
            Ok(())
        };
        let ended = attended(serving, &mut followers, &shutdown).await;
        assert_eq!(ended.is_ok(), is_due);
        assert!(ended.err().is_none_or(|error| error.to_string().contains(wanted)));
    }
}
