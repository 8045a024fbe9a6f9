//! Over TCP and TLS.

use super::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use std::path::Path;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

/// What the server does with its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Answers each query.
    Kind,
    /// Waits for so many, and answers the last first.
    Backwards(usize),
    /// Answers one, and closes.
    Curt,
}

struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Authority { issuer, folder }
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// For a server that is called `dns.example` and 127.0.0.1.
    fn acceptor(&self) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["dns.example".to_owned()]).unwrap();
        params.subject_alt_names.push(SanType::IpAddress(Ipv4Addr::LOCALHOST.into()));
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

async fn serve(manner: Manner, acceptor: TlsAcceptor) -> Server {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut open = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            let acceptor = acceptor.clone();
            open.spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    converse(stream, manner).await;
                }
            });
        }
    });
    Server { address, connections, _tasks: tasks }
}

async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, manner: Manner) {
    let mut held = Vec::new();
    while let Ok(length) = stream.read_u16().await {
        let mut bytes = vec![0; length.into()];
        stream.read_exact(&mut bytes).await.unwrap();
        held.push(Asked { bytes, tcp: true });
        let at_once = if let Manner::Backwards(count) = manner { count } else { 1 };
        if held.len() < at_once {
            continue;
        }
        while let Some(asked) = held.pop() {
            let name = String::from_utf8_lossy(&asked.spelled()[1..]).to_ascii_lowercase();
            let number: u8 = name
                .trim_start_matches('n')
                .split(|c: char| !c.is_ascii_digit())
                .next()
                .unwrap()
                .parse()
                .unwrap();
            let owner: String = crate::explain::name_text(asked.spelled()).to_ascii_lowercase();
            let mut message = asked.answer(0, &format!("{owner} 60 A 192.0.2.{number}"));
            message[3] |= 0x20; // AD
            stream.write_all(&(message.len() as u16).to_be_bytes()).await.unwrap();
            stream.write_all(&message).await.unwrap();
        }
        stream.flush().await.unwrap();
        if manner == Manner::Curt {
            _ = stream.shutdown().await;
            return;
        }
    }
}

fn on_tls(server: &Server, name: &str, ca: &Path) -> (Arc<Forwarding>, Registry) {
    forwarding(&format!("forward: ['tls://{name}{}'], forward_ca: {}", server.address, ca.display()))
}

/// All of them at once.
async fn ask_all(forwarding: &Arc<Forwarding>, numbers: std::ops::Range<u8>) {
    let mut askers = JoinSet::new();
    for number in numbers {
        let forwarding = forwarding.clone();
        askers.spawn(async move {
            let resolved = ask(&forwarding, &format!("n{number}.example.com")).await;
            let wanted = format!("NoError; n{number}.example.com. 60 A 192.0.2.{number}");
            assert_eq!(shown(&resolved), (Source::Forwarder, wanted));
            assert!(resolved.entry.answer.authentic, "AD passes over TLS");
        });
    }
    while let Some(asked) = askers.join_next().await {
        asked.unwrap();
    }
}

#[tokio::test]
async fn many_queries_share_a_connection_and_answers_come_in_any_order() {
    let authority = Authority::new();
    let server = serve(Manner::Backwards(20), authority.acceptor()).await;
    let (forwarding, _) = on_tls(&server, "dns.example@", &authority.file());
    ask_all(&forwarding, 0..20).await;
    ask_all(&forwarding, 20..40).await;
    assert_eq!(server.connections.load(Ordering::Relaxed), 1);
    forwarding.stopped().await;
}

#[tokio::test]
async fn a_server_that_closes_is_connected_to_again() {
    let authority = Authority::new();
    let server = serve(Manner::Curt, authority.acceptor()).await;
    let (forwarding, _) = on_tls(&server, "dns.example@", &authority.file());
    for number in 0..10 {
        ask_all(&forwarding, number..number + 1).await;
    }
    assert!(forwarding.list()[0].1, "that is no failure of its");
    forwarding.stopped().await;
}

#[tokio::test]
async fn only_the_right_name_signed_by_the_right_authority_is_asked() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = serve(Manner::Kind, authority.acceptor()).await;
    let nowhere = authority.folder.path().join("nowhere.pem");
    for (name, ca, asked) in [
        ("", authority.file(), true),
        ("dns.example@", authority.file(), true),
        ("other.example@", authority.file(), false),
        ("dns.example@", other.file(), false),
        ("dns.example@", nowhere, false),
    ] {
        let (forwarding, registry) = on_tls(&server, name, &ca);
        if asked {
            ask_all(&forwarding, 1..2).await;
            continue;
        }
        assert_eq!(shown(&ask(&forwarding, "n1.example.com").await), servfail(Source::Failed), "{name}");
        has(&registry, &["reason=\"tls\"} 1"]);
        assert!(!forwarding.list()[0].1, "the next query would fare no better");
        forwarding.stopped().await;
    }
}

#[tokio::test]
async fn a_renewed_authority_is_taken_up_without_a_restart() {
    let (before, after) = (Authority::new(), Authority::new());
    let server = serve(Manner::Curt, after.acceptor()).await;
    let (forwarding, _) = on_tls(&server, "dns.example@", &before.file());
    assert_eq!(shown(&ask(&forwarding, "n1.example.com").await), servfail(Source::Failed));
    std::fs::copy(after.file(), before.file()).unwrap();
    ask_all(&forwarding, 2..3).await;
    forwarding.stopped().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_leads_nowhere_is_given_up() {
    // Accepts, and never says a word.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let stream = stream::Stream::new(address, None, Tasks::default());
    let message = query::write(&question(NAME), question(NAME).name(), 1, true);
    for _ in 0..3 {
        let started = Instant::now();
        assert_eq!(stream.ask(message.clone()).await, Err(upstream::Failure::Timeout));
        assert!(started.elapsed() <= stream::STREAM_WAIT + Duration::from_millis(10));
    }
    for _ in 0..3 {
        timeout(Duration::from_secs(1), listener.accept()).await.expect("one for each").unwrap();
    }
}
