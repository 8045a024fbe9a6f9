//! An SMD of a few lines that can answer anything, byte by byte. The faithful stand-in is lib/testkit's smd-sim.

use serde_json::Value;
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

/// Can be replaced while it serves.
pub type Tls = Arc<Mutex<Arc<ServerConfig>>>;

/// What a path answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// 200, application/json.
    Json(String),
    /// Anything, with a correct length.
    Http { status: u16, content_type: &'static str, body: String },
    /// JSON of which only the half arrives.
    Half(String),
    /// Nothing ever.
    Hang,
    /// Another one for those who bring this token.
    Token(&'static str, Box<Answer>),
}

#[derive(Default)]
struct Inner {
    answers: HashMap<&'static str, Answer>,
    requests: Vec<String>,
}

/// Serves for as long as the test's runtime lives.
#[derive(Clone)]
pub struct FakeSmd {
    pub address: SocketAddr,
    encrypted: bool,
    inner: Arc<Mutex<Inner>>,
}

pub const INTERFACES: &str = "Inventory/EthernetInterfaces";
pub const COMPONENTS: &str = "State/Components";
pub const GROUPS: &str = "groups";

impl FakeSmd {
    /// One that holds nothing.
    pub async fn empty() -> FakeSmd {
        FakeSmd::behind(None).await
    }

    /// One that speaks TLS, with what `tls` holds when a connection comes.
    pub async fn with_tls(tls: Tls, nodes: &[u8]) -> FakeSmd {
        let smd = FakeSmd::behind(Some(tls)).await;
        smd.set(nodes);
        smd
    }

    async fn behind(tls: Option<Tls>) -> FakeSmd {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let smd = FakeSmd { address, encrypted: tls.is_some(), inner: Arc::default() };
        smd.answer(INTERFACES, Answer::Json("[]\n".into()));
        smd.answer(COMPONENTS, Answer::Json("{\"Components\":[]}\n".into()));
        smd.answer(GROUPS, Answer::Json("[]\n".into()));
        let serving = smd.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let smd = serving.clone();
                let acceptor = tls.as_ref().map(|tls| TlsAcceptor::from(tls.lock().unwrap().clone()));
                tokio::spawn(async move {
                    match acceptor {
                        None => smd.serve(stream).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                smd.serve(stream).await;
                            }
                        }
                    }
                });
            }
        });
        smd
    }

    /// One with these nodes: number, last byte of the MAC and of 10.0.0.x, NID and slot.
    pub async fn with(nodes: &[u8]) -> FakeSmd {
        let smd = FakeSmd::empty().await;
        smd.set(nodes);
        smd
    }

    pub fn set(&self, nodes: &[u8]) {
        let addresses: Vec<_> = nodes.iter().map(|node| (*node, format!("10.0.0.{node}"))).collect();
        self.set_addresses(&addresses);
    }

    pub fn set_addresses(&self, nodes: &[(u8, String)]) {
        let interface = |(node, address): &(u8, String)| {
            format!(
                r#"{{"ID":"0200000000{node:02x}","Description":"","MACAddress":"02:00:00:00:00:{node:02x}",
                "LastUpdate":"2026-11-23T00:07:24.432823Z","ComponentID":"x1000c0s{node}b0n0","Type":"Node",
                "IPAddresses":[{{"IPAddress":"{address}"}}]}}"#
            )
        };
        let component = |(node, _): &(u8, String)| {
            format!(
                r#"{{"ID":"x1000c0s{node}b0n0","Type":"Node","State":"On","Flag":"OK","Enabled":true,
                "Role":"Compute","NID":{node},"Arch":"X86"}}"#
            )
        };
        let list = |items: Vec<String>| items.join(",");
        let interfaces = format!("[{}]", list(nodes.iter().map(interface).collect()));
        let components = format!("{{\"Components\":[{}]}}", list(nodes.iter().map(component).collect()));
        let mut inner = self.inner();
        inner.answers.insert(INTERFACES, Answer::Json(interfaces));
        inner.answers.insert(COMPONENTS, Answer::Json(components));
    }

    pub fn answer(&self, path: &'static str, answer: Answer) {
        self.inner().answers.insert(path, answer);
    }

    pub fn url(&self) -> String {
        format!("{}://{}", if self.encrypted { "https" } else { "http" }, self.address)
    }

    /// Request lines and Authorization headers so far.
    pub fn requests(&self) -> Vec<String> {
        self.inner().requests.clone()
    }

    /// How often a path was asked for, without a query.
    pub fn count(&self, path: &str) -> usize {
        let wanted = format!("/hsm/v2/{path} ");
        self.inner().requests.iter().filter(|request| request.contains(&wanted)).count()
    }

    async fn serve(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut head = Vec::new();
        let mut buffer = [0; 4096];
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(length) => head.extend_from_slice(&buffer[..length]),
            }
        }
        let head = String::from_utf8(head).unwrap();
        let line = head.lines().next().unwrap().to_owned();
        let token =
            head.lines().find_map(|line| line.strip_prefix("authorization: Bearer ")).unwrap_or_default();
        let target = line.split(' ').nth(1).unwrap().trim_start_matches("/hsm/v2/");
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let answer = {
            let mut inner = self.inner();
            inner.requests.push(format!("{line} {token}"));
            inner.answers.get(path).cloned()
        };
        let _ = match answer {
            Some(answer) => write(&mut stream, answer, token, query).await,
            None => write(&mut stream, plain(404, "404 page not found"), token, "").await,
        };
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }
}

/// text/plain
pub fn plain(status: u16, body: &str) -> Answer {
    Answer::Http { status, content_type: "text/plain; charset=utf-8", body: body.into() }
}

/// What filters leave of a list. Others than these are ignored, as SMD does.
fn filtered(body: String, query: &str) -> String {
    let wanted = |key: &str| -> Vec<String> {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(name, _)| *name == key).map(|(_, value)| value.replace("%3A", ":")).collect()
    };
    let (interfaces, components, newer) = (wanted("ID"), wanted("id"), wanted("NewerThan"));
    let Ok(mut json) = serde_json::from_str::<Value>(&body) else { return body };
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_lowercase();
    match &mut json {
        Value::Array(rows) if !interfaces.is_empty() => {
            rows.retain(|row| interfaces.contains(&text(row, "ID")))
        }
        Value::Array(rows) if !newer.is_empty() => {
            rows.retain(|row| text(row, "LastUpdate") > newer[0].to_lowercase());
        }
        Value::Object(all) if !components.is_empty() => {
            let rows = all.get_mut("Components").and_then(Value::as_array_mut);
            rows.into_iter().for_each(|rows| rows.retain(|row| components.contains(&text(row, "ID"))));
        }
        _ => return body,
    }
    json.to_string()
}

async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    answer: Answer,
    token: &str,
    query: &str,
) -> std::io::Result<()> {
    let (status, content_type, body, half) = match answer {
        Answer::Json(body) => (200, "application/json", filtered(body, query), false),
        Answer::Http { status, content_type, body } => (status, content_type, body, false),
        Answer::Half(body) => (200, "application/json", body, true),
        Answer::Hang => std::future::pending().await,
        Answer::Token(wanted, answer) if wanted == token => {
            return Box::pin(write(stream, *answer, token, query)).await;
        }
        Answer::Token(..) => (401, "text/plain; charset=utf-8", "token is expired\n".into(), false),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&body.as_bytes()[..if half { length / 2 } else { length }]).await?;
    stream.shutdown().await
}
