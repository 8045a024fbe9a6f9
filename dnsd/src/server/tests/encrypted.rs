//! TLS and HTTPS with real sockets and a client of rustls.

use super::*;
use crate::server::tls::Greetings;
use certificates::Followed;
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, HandshakeKind, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName},
};
use std::fs;
use tokio::task::JoinHandle;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// A server that speaks everything, and the files of its certificate.
struct Server {
    tls: SocketAddr,
    https: SocketAddr,
    files: tempfile::TempDir,
    followed: Arc<Followed<Greetings>>,
    registry: Registry,
    running: Arc<Running>,
    task: JoinHandle<anyhow::Result<()>>,
}

/// A new certificate in its files; the certificate, for those who trust it.
fn certify(files: &tempfile::TempDir) -> CertificateDer<'static> {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["dns.test".into()]).unwrap().self_signed(&key).unwrap();
    fs::write(files.path().join("cert"), certificate.pem()).unwrap();
    fs::write(files.path().join("key"), key.serialize_pem()).unwrap();
    certificate.der().clone()
}

async fn server() -> (Server, CertificateDer<'static>) {
    let files = tempfile::tempdir().unwrap();
    let certificate = certify(&files);
    let path = |name| files.path().join(name).display().to_string();
    let text = format!(
        "{CONFIG}\n  tls: {{listen: [127.0.0.1:0], cert: {}, key: {}}}\n  https: [127.0.0.1:0]\n",
        path("cert"),
        path("key")
    );
    let config = config(&text);
    let followed = tls::load(config.dnsd.tls.as_ref().unwrap()).unwrap();
    let mut sockets = Sockets { udp: Vec::new(), tcp: Vec::new() };
    sockets.bind_encrypted(&config.dnsd, &followed).unwrap();
    let [tls, https] = [0, 1].map(|place| sockets.tcp[place].socket.local_addr().unwrap());
    let (service, registry) = service(replica());
    let running = Arc::new(Running::new(config::Program::Dnsd, config));
    let told = running.clone();
    let task = tokio::spawn(async move { run(service, sockets, &told).await });
    (Server { tls, https, files, followed, registry, running, task }, certificate)
}

impl Server {
    async fn stop(self) {
        self.running.shutdown.cancel();
        self.task.await.unwrap().unwrap();
    }
}

fn connector(trusted: &CertificateDer<'static>, protocols: &[&[u8]]) -> TlsConnector {
    let mut authorities = RootCertStore::empty();
    authorities.add(trusted.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(authorities)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

async fn connect(connector: &TlsConnector, server: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(server).await?;
    connector.connect(ServerName::try_from("dns.test").unwrap(), stream).await
}

async fn ask(stream: &mut TlsStream<TcpStream>) -> String {
    stream.write_all(&framed(&query("nid0001.cluster.local. A"))).await.unwrap();
    timeout(Duration::from_secs(10), read_reply(stream)).await.unwrap()
}

const ANSWER: &str = "NoError aa; nid0001.cluster.local. 60 A 172.16.0.1";

#[tokio::test]
async fn dns_over_tls_is_tcp_inside_tls() {
    let (server, certificate) = server().await;
    for protocols in [&[b"dot".as_slice()][..], &[]] {
        let connector = connector(&certificate, protocols);
        let mut stream = connect(&connector, server.tls).await.unwrap();
        for _ in 0..3 {
            assert_eq!(ask(&mut stream).await, ANSWER);
        }
        let many = framed(&query("nid0001.cluster.local. A")).repeat(500);
        stream.write_all(&many).await.unwrap();
        for _ in 0..500 {
            assert_eq!(read_reply(&mut stream).await, ANSWER);
        }
    }
    let wrong = connect(&connector(&certificate, &[b"h2"]), server.tls).await;
    assert!(wrong.is_err(), "HTTP is not spoken here");
    server.stop().await;
}

#[tokio::test]
async fn sessions_are_resumed() {
    let (server, certificate) = server().await;
    let connector = connector(&certificate, &[b"dot"]);
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(&connector, server.tls).await.unwrap();
        assert_eq!(ask(&mut stream).await, ANSWER);
        kinds.push(stream.get_ref().1.handshake_kind().unwrap());
    }
    assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed]);
    server.stop().await;
}

#[tokio::test]
async fn a_new_certificate_is_for_new_connections_and_a_bad_one_for_nobody() {
    let (server, first) = server().await;
    let mut old = connect(&connector(&first, &[]), server.tls).await.unwrap();
    assert_eq!(ask(&mut old).await, ANSWER);
    let second = certify(&server.files);
    server.followed.check();
    assert_eq!(ask(&mut old).await, ANSWER, "open connections go on");
    assert!(connect(&connector(&first, &[]), server.tls).await.is_err());
    let mut new = connect(&connector(&second, &[]), server.tls).await.unwrap();
    assert_eq!(ask(&mut new).await, ANSWER);
    fs::write(server.files.path().join("cert"), "nonsense").unwrap();
    server.followed.check();
    assert!(server.followed.problem().unwrap().contains("dnsd.tls"));
    let mut still = connect(&connector(&second, &[]), server.tls).await.unwrap();
    assert_eq!(ask(&mut still).await, ANSWER);
    assert!(exposition(&server.registry).contains("dnsd_tls_refused_total{reason=\"distrusts_us\"} 1"));
    server.stop().await;
}

#[tokio::test]
async fn what_is_no_tls_ends_the_connection() {
    let (server, certificate) = server().await;
    for address in [server.tls, server.https] {
        for sent in
            [&b"GET / HTTP/1.1\r\n\r\n"[..], &framed(&query("nid0001.cluster.local. A")), &[0xff; 5000]]
        {
            let mut stream = TcpStream::connect(address).await.unwrap();
            _ = stream.write_all(sent).await;
            let mut rest = Vec::new();
            let ended = timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await;
            assert!(ended.is_ok(), "{sent:02x?} was waited on");
        }
    }
    assert!(exposition(&server.registry).contains("dnsd_tls_refused_total{reason=\"not_tls\"} 6"));
    let mut stream = connect(&connector(&certificate, &[]), server.tls).await.unwrap();
    assert_eq!(ask(&mut stream).await, ANSWER, "others are served");
    server.stop().await;
}

#[tokio::test]
async fn draining_answers_what_was_asked_over_tls() {
    let (server, certificate) = server().await;
    let mut stream = connect(&connector(&certificate, &[]), server.tls).await.unwrap();
    assert_eq!(ask(&mut stream).await, ANSWER);
    server.stop().await;
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0, "closed with a goodbye, not cut");
}

async fn post(
    requests: &mut h2::client::SendRequest<axum::body::Bytes>,
    body: &'static [u8],
) -> (u16, Vec<u8>) {
    let request = axum::http::Request::post("https://dns.test/dns-query")
        .header("content-type", "application/dns-message")
        .body(())
        .unwrap();
    let (response, mut send) = requests.send_request(request, false).unwrap();
    send.send_data(body.into(), true).unwrap();
    let (parts, mut body) = response.await.unwrap().into_parts();
    let mut bytes = Vec::new();
    while let Some(data) = body.data().await {
        bytes.extend_from_slice(&data.unwrap());
    }
    (parts.status.as_u16(), bytes)
}

#[tokio::test]
async fn dns_over_https_speaks_http2() {
    let (server, certificate) = server().await;
    let stream = connect(&connector(&certificate, &[b"h2"]), server.https).await.unwrap();
    let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let question: &'static [u8] = query("nid0001.cluster.local. A").leak();
    for _ in 0..300 {
        let (status, body) = post(&mut requests, question).await;
        assert_eq!((status, text(&body).as_str()), (200, ANSWER));
    }
    assert_eq!(post(&mut requests, &[0; 5000]).await.0, 413);
    assert_eq!(post(&mut requests, question).await.0, 200, "the connection goes on");
    drop(requests);
    server.stop().await;
    connection.await.unwrap().unwrap();
}
