//! Names outside our zones: dnsd asks dnsmasq, which plays the resolver of the site.

use crate::scene::{self, NODE1};
use hickory_proto::{
    op::{Message, Query, ResponseCode},
    rr::{Name, RecordType},
};
use nix::sys::signal::Signal;
use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use testkit::cluster::{Cluster, Process, Settings, finish, need_tools, tool, within};
use tokio::{net::UdpSocket, time::timeout};

/// What a client waits before it asks again: glibc 5 s, musl 2.5, most others 1 to 2.
const PATIENCE: Duration = Duration::from_secs(2);
/// On a busy machine.
const SOON: Duration = Duration::from_secs(30);
/// Longer than fits in a datagram.
const LONG: usize = 2000;

/// dnsmasq beside dnsd, which knows `outside.example` and what is below it, and nothing else.
fn resolver(cluster: &Cluster, port: u16) -> Process {
    let mut command = cluster.wire.server.command(tool("dnsmasq"));
    let text: Vec<String> = (0..LONG / 200).map(|_| "x".repeat(200)).collect();
    command
        .args([
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--user=root",
            "--group=root",
            "--pid-file",
            "--log-queries",
        ])
        .args([
            "--no-resolv",
            "--no-hosts",
            "--bind-interfaces",
            "--listen-address=127.0.0.1",
            "--cache-size=0",
        ])
        .args(["--local-ttl=60", "--edns-packet-max=1232", "--log-facility=-"])
        .arg(format!("--port={port}"))
        .args(["--address=/outside.example/192.0.2.1", "--address=/gone.example/", "--local=/#/"])
        .arg(format!("--txt-record=text.example,{}", text.join(",")))
        .arg("--ptr-record=99.0.16.172.in-addr.arpa,other.outside.example");
    Process::start("dnsmasq", command, &cluster.folder().join(format!("dnsmasq-{port}.log")))
}

fn settings() -> Settings {
    Settings::default()
        .dnsd("forward", r#"["127.0.0.1:5301", "127.0.0.1:5302"]"#)
        .dnsd("records", r#"["smd A 172.16.0.253", "www CNAME www.outside.example."]"#)
}

fn dig(cluster: &Cluster, arguments: &str) -> String {
    let mut command = cluster.wire.node1.command(tool("dig"));
    command.args(["@172.16.0.253", "+tries=1", "+time=5"]).args(arguments.split_whitespace());
    finish(&mut command, SOON).1
}

#[test]
fn names_of_others_are_asked_of_the_sites_resolver_and_ours_never_are() {
    need_tools(&["dig", "dnsmasq"]);
    let cluster = Cluster::start_with(scene::inventory(), &settings());
    cluster.wire.node1.ip("addr add 172.16.0.77/24 dev eth0");
    let resolver = resolver(&cluster, 5301);
    within(SOON, "dnsmasq answers", || {
        dig(&cluster, "up.outside.example").contains("192.0.2.1").then_some(())
    });
    let ours = format!("{} A", NODE1.fqdn);
    let reverse = format!("-x {}", NODE1.address);
    for (question, wanted) in [
        ("www.outside.example A", &["status: NOERROR", "qr rd ra", "192.0.2.1"][..]),
        ("WWW.Outside.Example A +noedns", &["status: NOERROR", "WWW.Outside.Example.", "192.0.2.1"]),
        ("gone.example A", &["status: NXDOMAIN", "qr rd ra"]),
        ("x.gone.example AAAA +dnssec", &["status: NXDOMAIN", "flags: do"]),
        ("text.example TXT", &["status: NOERROR", "(TCP)", "xxx"]),
        ("text.example TXT +ignore", &["status: NOERROR", "tc rd ra", "ANSWER: 0"]),
        ("www.openchami.cluster A", &["qr aa rd ra", "CNAME\twww.outside.example.", "192.0.2.1"]),
        // What is ours, and what is in our reverse zone and is not ours.
        (&ours, &["status: NOERROR", "qr aa rd ra", NODE1.address]),
        ("nid9999.openchami.cluster A", &["status: NXDOMAIN", "qr aa rd ra", "SOA"]),
        (&reverse, &["qr aa rd ra", NODE1.fqdn]),
        ("-x 172.16.0.99", &["qr rd ra", "other.outside.example."]),
        ("www.outside.example A +norec", &["status: REFUSED"]),
        ("www.outside.example ANY", &["status: REFUSED"]),
        ("printer A", &["status: NXDOMAIN"]),
    ] {
        let answer = dig(&cluster, question);
        for part in wanted {
            assert!(answer.contains(part), "'{part}' is not in the answer to {question}:\n{answer}");
        }
    }
    let log = resolver.log().to_lowercase();
    assert!(log.contains("query[a] www.outside.example from"), "{log}");
    for never in ["openchami.cluster", "printer", "query[any]"] {
        assert!(!log.contains(never), "'{never}' left:\n{log}");
    }
    let (code, said) = cluster.ask("dnsd", &["explain", "www.outside.example"]);
    assert_eq!(code, Some(0), "{said}");
    for part in
        ["with 192.0.2.1.", "127.0.0.1:5301 said so", "The forwarders are 127.0.0.1:5301, 127.0.0.1:5302"]
    {
        assert!(said.contains(part), "'{part}' is not in\n{said}");
    }
}

/// Asks for names one after the other, each anew; how often it had to ask once more.
async fn load(number: usize, stop: Arc<AtomicBool>, asked: Arc<AtomicUsize>) -> usize {
    let mut again = 0;
    for name in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let name = format!("n{name}-{number}.outside.example");
        let tries = (1..=2).map(|_| ask(&name));
        let mut answered = false;
        for one in tries {
            answered = one.await.is_some_and(|answer| answer.answers.len() == 1);
            if answered {
                break;
            }
            again += 1;
        }
        assert!(answered, "{name} was not answered at the second try");
        asked.fetch_add(1, Ordering::Relaxed);
    }
    again
}

async fn ask(name: &str) -> Option<Message> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    socket.connect((Ipv4Addr::LOCALHOST, 53)).await.unwrap();
    let mut query = Message::query();
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
    socket.send(&query.to_vec().unwrap()).await.unwrap();
    let mut buffer = [0; 2048];
    let length = timeout(PATIENCE, socket.recv(&mut buffer)).await.ok()?.ok()?;
    Message::from_vec(&buffer[..length]).ok()
}

#[test]
fn a_forwarder_that_falls_silent_under_load_costs_nobody_more_than_one_retry() {
    need_tools(&["dnsmasq"]);
    let cluster = Cluster::start_with(scene::inventory(), &settings());
    let (first, second) = (resolver(&cluster, 5301), resolver(&cluster, 5302));
    let up =
        || cluster.inside().run(ask("up.outside.example")).is_some_and(|answer| answer.answers.len() == 1);
    within(SOON, "dnsmasq answers", || up().then_some(()));
    let healthy = |port: u16| {
        cluster.metric("dnsd", &format!(r#"dnsd_forward_healthy{{upstream="127.0.0.1:{port}"}}"#))
    };
    within(SOON, "both are asked", || (healthy(5301) == Some(1.0)).then_some(()));

    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> =
        (0..8).map(|number| cluster.inside().spawn(load(number, stop.clone(), asked.clone()))).collect();
    let more = |what: &str, count: usize| {
        let before = asked.load(Ordering::Relaxed);
        within(SOON, what, || (asked.load(Ordering::Relaxed) >= before + count).then_some(()));
    };
    more("clients are answered", 500);
    first.signal(Signal::SIGSTOP);
    within(SOON, "it is put aside", || (healthy(5301) == Some(0.0)).then_some(()));
    more("the other one answers", 500);
    first.signal(Signal::SIGCONT);
    within(SOON, "it is asked again", || (healthy(5301) == Some(1.0)).then_some(()));
    drop(second);
    more("it answers alone", 500);
    stop.store(true, Ordering::Relaxed);
    let again: Vec<usize> =
        clients.into_iter().map(|client| cluster.inside().run(async { client.await.unwrap() })).collect();
    println!("{} names, asked once more by client: {again:?}", asked.load(Ordering::Relaxed));
    assert!(again.iter().all(|again| *again <= 3), "a failure is found out once: {again:?}");
}

/// So many at once, each waiting for its answer.
async fn many(names: std::ops::Range<usize>, at_once: usize) {
    let next = Arc::new(AtomicUsize::new(names.start));
    let tasks: Vec<_> = (0..at_once)
        .map(|_| {
            let (next, end) = (next.clone(), names.end);
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= end {
                        return;
                    }
                    ask(&format!("a-name-among-many-{number}.outside.example")).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[test]
fn a_hundred_thousand_names_of_others_take_no_more_memory_than_the_bound() {
    need_tools(&["dnsmasq"]);
    let cluster = Cluster::start_with(scene::inventory(), &settings());
    let _resolver = resolver(&cluster, 5301);
    cluster.inside().run(many(0..1000, 50));
    let before = cluster.resident("dnsd");
    cluster.inside().run(many(1000..101_000, 50));
    let after = cluster.resident("dnsd");
    let kept = cluster.metric("dnsd", "dnsd_forward_cache_bytes").unwrap();
    println!("{before} kB, then {after} kB; {kept} bytes of answers are kept");
    assert!(kept <= f64::from(9 << 20), "{kept}");
    // Beside what is kept: what the allocator holds back, and moka's queues.
    assert!(after < before + (20 << 10), "{before} kB, then {after} kB");
}

#[test]
fn a_flood_of_names_nobody_answers_leaves_known_names_alone() {
    need_tools(&["dnsmasq"]);
    let cluster = Cluster::start_with(scene::inventory(), &settings());
    let (first, second) = (resolver(&cluster, 5301), resolver(&cluster, 5302));
    first.signal(Signal::SIGSTOP);
    second.signal(Signal::SIGSTOP);
    let flood = cluster.inside().spawn(many(0..20_000, 2000));
    let started = Instant::now();
    let mut slowest = Duration::ZERO;
    while started.elapsed() < Duration::from_secs(5) {
        let asked = Instant::now();
        let answer = cluster.inside().run(ask(NODE1.fqdn)).expect("an answer at the first try");
        assert_eq!((answer.metadata.response_code, answer.answers.len()), (ResponseCode::NoError, 1));
        slowest = slowest.max(asked.elapsed());
    }
    println!("the slowest answer to a known name took {slowest:?}");
    flood.abort();
    assert!(cluster.log("dnsd").contains("put aside"), "the flood came through");
    let (status, page) = cluster.admin("dnsd", "/ready").unwrap();
    assert!(status == 200 && page.contains("degraded"), "{status} {page}");
}

/// A resolver that asks dnsd what dnsd asks it.
fn mirror(cluster: &Cluster) -> Process {
    let mut command = cluster.wire.server.command(tool("dnsmasq"));
    command
        .args(["--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--group=root", "--pid-file"])
        .args([
            "--no-resolv",
            "--no-hosts",
            "--bind-interfaces",
            "--listen-address=127.0.0.1",
            "--cache-size=0",
        ])
        .args(["--port=5303", "--server=127.0.0.1#53", "--log-queries", "--log-facility=-"]);
    Process::start("dnsmasq", command, &cluster.folder().join("dnsmasq-5303.log"))
}

#[test]
fn a_loop_ends_with_servfail_whether_direct_or_through_another() {
    need_tools(&["dnsmasq"]);
    for forward in [r#"["127.0.0.1:53"]"#, r#"["127.0.0.1:5303"]"#] {
        let cluster = Cluster::start_with(scene::inventory(), &Settings::default().dnsd("forward", forward));
        let mirror = mirror(&cluster);
        std::thread::sleep(Duration::from_millis(500));
        let loops =
            || cluster.metric("dnsd", r#"dnsd_forward_answers_total{source="loop"}"#).unwrap_or_default();
        let asked =
            || cluster.metric("dnsd", r#"dnsd_queries_total{transport="udp",type="a"}"#).unwrap_or_default();
        for number in 0..20 {
            let name = format!("www{number}.some-looping-example.com");
            let answer =
                cluster.inside().run(async move { ask(&name).await }).expect("an answer at the first try");
            assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
        }
        assert!(loops() >= 20.0, "each was told: {}\n{}", loops(), mirror.log());
        assert!(asked() <= 60.0, "nothing multiplies: {}", asked());
        assert!(cluster.log("dnsd").contains("came back to us"));
        let warned = cluster.log("dnsd").contains("lists this very program");
        assert_eq!(warned, forward.contains(":53\""), "{forward}");
        let answer = cluster.inside().run(ask(NODE1.fqdn)).expect("an answer at the first try");
        assert_eq!(answer.answers.len(), 1, "our own names are served all the same");
    }
}
