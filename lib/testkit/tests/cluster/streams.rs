//! DNS over TCP, TLS and HTTPS, with clients of other hands, and with clients that mean harm.

use crate::scene::{self, NODE1, NODE2};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rcgen::{CertificateParams, KeyPair};
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::{Duration, Instant},
};
use testkit::cluster::{Cluster, SERVER, Settings, finish, need_tools, tool, within};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{sleep, timeout},
};

const NAME: &str = "dns.openchami.cluster";
const SOON: Duration = Duration::from_secs(15);

/// A new certificate for the server, in its files; also where clients look for whom to trust.
fn certify(var: &Path) -> String {
    let key = KeyPair::generate().unwrap();
    let names = vec![NAME.to_owned(), SERVER.to_string()];
    let pem = CertificateParams::new(names).unwrap().self_signed(&key).unwrap().pem();
    for (name, text) in [("dns.key", &key.serialize_pem()), ("dns.pem", &pem)] {
        fs::write(var.join("new"), text).unwrap();
        fs::rename(var.join("new"), var.join(name)).unwrap();
    }
    pem
}

/// A cluster that speaks all of them; a node has an address.
fn encrypted() -> Cluster {
    let mut cluster = Cluster::bare();
    certify(&cluster.var());
    let settings = Settings::default()
        .dnsd("tls", "{cert: VAR/dns.pem, key: VAR/dns.key}")
        .dnsd("https", r#"["0.0.0.0:443"]"#);
    start(&mut cluster, &settings);
    cluster
}

fn start(cluster: &mut Cluster, settings: &Settings) {
    cluster.configure(settings);
    cluster.start_smd(scene::inventory());
    for program in ["smd-cache", "dnsd"] {
        cluster.start_program(program);
        cluster.wait_ready(program);
    }
    cluster.wire.node1.ip("addr add 172.16.0.77/24 dev eth0");
}

/// What a program on a node says.
fn node(cluster: &Cluster, program: &str, arguments: &str) -> String {
    let mut command = cluster.wire.node1.command(tool(program));
    command.args(arguments.split_whitespace());
    finish(&mut command, SOON).1
}

fn kdig(cluster: &Cluster, arguments: &str) -> String {
    node(cluster, "kdig", &format!("@{SERVER} +retry=0 +timeout=5 {arguments}"))
}

#[test]
fn kdig_is_answered_over_tls_and_https() {
    need_tools(&["kdig"]);
    let cluster = encrypted();
    let trust = format!("+tls-ca={} +tls-hostname={NAME}", cluster.var().join("dns.pem").display());
    for (how, said) in [
        ("+tls", "TLS session (TLS1.3)"),
        (&*format!("+tls {trust}"), "TLS session (TLS1.3)"),
        (&*format!("+tls +keepopen {trust} nid0002.openchami.cluster A"), NODE2.address),
        (&*format!("+https {trust}"), "HTTP session (HTTP/2-POST)"),
        (&*format!("+https +https-get {trust}"), "HTTP session (HTTP/2-GET)"),
    ] {
        let answer = kdig(&cluster, &format!("{how} {} A", NODE1.fqdn));
        assert!(answer.contains("NOERROR"), "{how}:\n{answer}");
        assert!(answer.contains(NODE1.address) && answer.contains(said), "{how}:\n{answer}");
    }
    let answer = kdig(&cluster, &format!("+https {trust} nope.openchami.cluster A"));
    assert!(answer.contains("NXDOMAIN"), "{answer}");
    for (transport, least) in [("tls", 4.0), ("https", 3.0)] {
        let metric = format!("dnsd_queries_total{{transport=\"{transport}\",type=\"a\"}}");
        assert!(cluster.metric("dnsd", &metric).unwrap() >= least, "{transport}");
    }
}

#[test]
fn curl_resolves_through_it_and_sees_http_as_it_should_be() {
    need_tools(&["curl"]);
    let cluster = encrypted();
    let trust = format!("--cacert {}", cluster.var().join("dns.pem").display());
    let resolving = format!(
        "-sS --max-time 10 {trust} --resolve {NAME}:443:{SERVER} --doh-url https://{NAME}/dns-query \
         http://smd.openchami.cluster:27779/hsm/v2/service/ready -o /dev/null -w %{{http_code}}"
    );
    let page = node(&cluster, "curl", &resolving);
    assert!(page.ends_with("200"), "the name of SMD was not resolved: {page}");
    let asked = |more: &str| {
        node(&cluster, "curl", &format!("-sS --max-time 10 -o /dev/null {trust} {more}")).replace('\r', "")
    };
    // nid0001.openchami.cluster A, by hand.
    let question = "AAABAAABAAAAAAAAB25pZDAwMDEJb3BlbmNoYW1pB2NsdXN0ZXIAAAEAAQ";
    let url = format!("https://{SERVER}/dns-query");
    let shown = "-w %{http_version}/%{http_code}/%{content_type}/%header{cache-control}";
    let message = "application/dns-message/max-age=60";
    assert_eq!(asked(&format!("{url}?dns={question} {shown}")), format!("2/200/{message}"));
    assert_eq!(asked(&format!("--http1.1 {url}?dns={question} {shown}")), format!("1.1/200/{message}"));
    for (what, status) in [
        (url.clone(), "400"),
        (format!("{url}?dns=*"), "400"),
        (format!("https://{SERVER}/ -d x"), "404"),
        (format!("{url} -X DELETE"), "405"),
        (format!("{url} -d x"), "415"),
        (format!("{url} -H content-type:application/dns-message -d short"), "400"),
    ] {
        assert_eq!(asked(&format!("{what} -w %{{http_code}}")), status, "{what}");
    }
}

#[test]
fn a_certificate_is_replaced_while_clients_ask() {
    need_tools(&["kdig"]);
    let cluster = encrypted();
    let var = cluster.var();
    let both = var.join("both.pem");
    let ask = |trusted: &Path| {
        let trust = format!("+tls-ca={} +tls-hostname={NAME}", trusted.display());
        kdig(&cluster, &format!("+tls {trust} {} A", NODE1.fqdn)).contains(NODE1.address)
    };
    let first = fs::read_to_string(var.join("dns.pem")).unwrap();
    let second = certify(&var);
    fs::write(&both, format!("{first}{second}")).unwrap();
    let new = var.join("second.pem");
    fs::write(&new, &second).unwrap();
    within(SOON, "the new certificate is shown", || {
        assert!(ask(&both), "no client is left without an answer");
        ask(&new).then_some(())
    });
    fs::write(var.join("dns.pem"), "no certificate").unwrap();
    within(SOON, "/ready says so", || {
        let (_, page) = cluster.admin("dnsd", "/ready")?;
        (page.contains("degraded") && page.contains("dns.pem")).then_some(())
    });
    assert!(ask(&new), "the old one stays in use");
    assert!(cluster.log("dnsd").contains("new TLS files cannot be used"));
}

#[test]
fn who_may_not_ask_is_refused_and_each_query_has_its_line() {
    need_tools(&["dig"]);
    let mut cluster = Cluster::bare();
    let settings =
        Settings::default().dnsd("query_from", "[127.0.0.0/8, 172.16.0.77]").dnsd("query_log", "true");
    start(&mut cluster, &settings);
    cluster.wire.node1.ip("addr add 172.16.0.78/24 dev eth0");
    let question = format!("@{SERVER} +tries=1 +time=3 {} A", NODE1.fqdn);
    for transport in ["+notcp", "+tcp"] {
        let from = |address| node(&cluster, "dig", &format!("-b {address} {transport} {question}"));
        assert!(from("172.16.0.77").contains(NODE1.address));
        assert!(from("172.16.0.78").contains("status: REFUSED"));
    }
    assert_eq!(cluster.metric("dnsd", "dnsd_denied_total{transport=\"tcp\"}"), Some(1.0));
    let lines = within(SOON, "four lines in the log", || {
        let log = cluster.log("dnsd");
        let lines: Vec<String> =
            log.lines().filter(|line| line.contains("dnsd::queries")).map(str::to_owned).collect();
        (lines.len() == 4).then_some(lines)
    });
    for (line, (client, transport, rcode)) in lines.iter().zip([
        ("172.16.0.77", "udp", "noerror"),
        ("172.16.0.78", "udp", "refused"),
        ("172.16.0.77", "tcp", "noerror"),
        ("172.16.0.78", "tcp", "refused"),
    ]) {
        for part in [client, transport, rcode, NODE1.fqdn, "microseconds"] {
            assert!(line.contains(part), "{part} is not in {line}");
        }
    }
}

/// `nid0001.openchami.cluster A` with its length.
fn query() -> Vec<u8> {
    let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in NODE1.fqdn.split('.') {
        query.push(label.len() as u8);
        query.extend_from_slice(label.as_bytes());
    }
    query.extend_from_slice(&[0, 0, 1, 0, 1]);
    [&(query.len() as u16).to_be_bytes()[..], &query].concat()
}

async fn connect(client: Ipv4Addr) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().ok()?;
    socket.set_reuseaddr(true).ok()?;
    socket.bind((client, 0).into()).ok()?;
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, 53));
    timeout(Duration::from_secs(5), socket.connect(server)).await.ok()?.ok()
}

/// The `number`th of many clients on the server machine.
fn client(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 1, (number / 250) as u8, (number % 250 + 1) as u8)
}

/// Asks on an open connection. Whether there is an answer.
async fn answered(stream: &mut TcpStream) -> bool {
    let mut reply = [0; 512];
    stream.write_all(&query()).await.is_ok()
        && matches!(timeout(Duration::from_secs(5), stream.read(&mut reply)).await, Ok(Ok(length)) if length > 30)
}

fn is_served(cluster: &Cluster, while_: &str) {
    for transport in ["+notcp", "+tcp"] {
        let question = format!("@{SERVER} +tries=1 +time=3 {transport} {} A", NODE1.fqdn);
        let answer = node(cluster, "dig", &question);
        assert!(answer.contains(NODE1.address), "{transport}, {while_}:\n{answer}");
    }
}

fn plain() -> Cluster {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let mut cluster = Cluster::bare();
    start(&mut cluster, &Settings::default());
    cluster
}

/// Places of dnsd (MAX_PLAIN there).
const PLACES: f64 = 4096.0;

#[test]
fn ten_thousand_idle_connections_keep_nobody_out() {
    const IDLE: usize = 10_000;
    need_tools(&["dig"]);
    let cluster = plain();
    let before = cluster.resident("dnsd");
    // Somebody who asks all the time is not troubled.
    let active = cluster.at_relay().spawn(async {
        let mut stream = TcpStream::connect((SERVER, 53)).await.unwrap();
        let began = Instant::now();
        let mut count = 0;
        while began.elapsed() < Duration::from_secs(8) {
            let asked = Instant::now();
            assert!(answered(&mut stream).await, "after {count} answers, {:?}", asked.elapsed());
            count += 1;
            sleep(Duration::from_millis(100)).await;
        }
        count
    });
    let opened = cluster.inside().run(async {
        let mut open = Vec::new();
        for number in 0..IDLE {
            open.extend(connect(client(number / 20)).await);
        }
        open
    });
    assert!(opened.len() > IDLE / 2, "only {} came about", opened.len());
    let taken = cluster.metric("dnsd", "dnsd_tcp_connections{transport=\"tcp\"}").unwrap();
    assert!(taken <= PLACES + 1.0, "{taken} places");
    let grown = cluster.resident("dnsd").saturating_sub(before);
    eprintln!("{taken} connections, {grown} kB more");
    assert!(grown as f64 <= PLACES * 4.0, "{grown} kB more for {taken} connections");
    // The youngest may stay for two seconds.
    std::thread::sleep(Duration::from_millis(2500));
    is_served(&cluster, "ten thousand connections are idle");
    let count = cluster.at_relay().run(async { active.await.unwrap() });
    assert!(count > 10, "{count}");
    let made_room = ["evicted", "connections", "idle"]
        .map(|reason| cluster.metric("dnsd", &format!("dnsd_dropped_total{{reason=\"{reason}\"}}")).unwrap());
    assert!(made_room.iter().sum::<f64>() >= IDLE as f64 - PLACES, "{made_room:?}");
    drop(opened);
}

#[test]
fn slow_and_unread_connections_end_and_others_do_not_notice() {
    need_tools(&["dig"]);
    let cluster = plain();
    let before = cluster.resident("dnsd");
    let harm = cluster.inside().spawn(async {
        let mut slow = Vec::new();
        let mut deaf = Vec::new();
        for number in 0..200 {
            slow.extend(connect(client(number)).await);
            deaf.extend(connect(client(number)).await);
        }
        let many = query().repeat(20_000);
        for stream in &mut deaf {
            // As much as it takes, and nothing is ever read.
            _ = timeout(Duration::from_millis(50), stream.write_all(&many)).await;
        }
        for byte in query() {
            for stream in &mut slow {
                _ = stream.write_all(&[byte]).await;
            }
            sleep(Duration::from_secs(1)).await;
        }
        drop(deaf);
    });
    let dropped =
        |reason| cluster.metric("dnsd", &format!("dnsd_dropped_total{{reason=\"{reason}\"}}")).unwrap();
    within(Duration::from_secs(60), "slow and deaf clients are cut off", || {
        is_served(&cluster, "others are slow and deaf");
        (dropped("slow") >= 200.0 && dropped("unread") >= 200.0).then_some(())
    });
    let grown = cluster.resident("dnsd").saturating_sub(before);
    assert!(grown <= 200 * 100, "{grown} kB more for 200 clients that do not read");
    harm.abort();
}
