//! Queries over TCP and TLS: one connection to a forwarder, kept while it is used, with many queries on it at once (RFC 7766 §6.2,
//! RFC 7858 §3.4). A task owns the connection; it ends with it, and with the last who could ask.

use super::{query, tasks::Tasks, tls::Tls, upstream::Failure};
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split},
    net::TcpStream,
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};

/// How long a whole exchange may take, handshakes included: four times there and back, and the forwarder's own work.
pub const STREAM_WAIT: Duration = Duration::from_secs(2);

/// A connection unused for so long is closed: servers have few places for them (dnsmasq 20), and close theirs after 10 to 30 s
/// (RFC 7766 §6.2.3).
const IDLE: Duration = Duration::from_secs(2);

/// The same with TLS, where a new one costs both sides a handshake.
const IDLE_TLS: Duration = Duration::from_secs(8);

/// Queries on a connection that were not answered yet: as many as there are flights.
const MAX_PIPELINED: usize = super::MAX_FLIGHTS;

/// What is read at once: several usual answers.
const CHUNK: usize = 4096;

/// A place to ask over a stream.
pub struct Stream {
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
    connection: Mutex<Option<mpsc::Sender<Request>>>,
    tasks: Tasks,
}

struct Request {
    message: Vec<u8>,
    reply: oneshot::Sender<Result<Vec<u8>, Failure>>,
}

/// A query that was sent.
struct Pending {
    id: [u8; 2],
    reply: oneshot::Sender<Result<Vec<u8>, Failure>>,
}

impl Stream {
    /// Connects when it is needed.
    pub fn new(address: SocketAddr, tls: Option<Tls>, tasks: Tasks) -> Stream {
        Stream { address, tls: tls.map(Arc::new), connection: Mutex::new(None), tasks }
    }

    /// The message that answers this one, as far as the id says.
    pub async fn ask(&self, message: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let (connection, was_open) = self.connection();
        let asked = async {
            match request(connection, message.clone()).await {
                // The other side may close what was idle at any time: no failure (RFC 7766 §6.2.4).
                Err(Failure::Closed) if was_open => request(self.connection().0, message).await,
                answered => answered,
            }
        };
        let answered = timeout(STREAM_WAIT, asked).await.unwrap_or(Err(Failure::Timeout));
        if matches!(answered, Err(Failure::Timeout)) {
            // It may lead nowhere by now; the next query gets another.
            self.lock().take();
        }
        answered
    }

    fn connection(&self) -> (mpsc::Sender<Request>, bool) {
        let mut connection = self.lock();
        if let Some(open) = connection.as_ref().filter(|open| !open.is_closed()) {
            return (open.clone(), true);
        }
        let (sender, requests) = mpsc::channel(MAX_PIPELINED);
        self.tasks.spawn(serve(self.address, self.tls.clone(), requests));
        *connection = Some(sender.clone());
        (sender, false)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<mpsc::Sender<Request>>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn request(connection: mpsc::Sender<Request>, message: Vec<u8>) -> Result<Vec<u8>, Failure> {
    let (reply, answered) = oneshot::channel();
    connection.send(Request { message, reply }).await.map_err(|_| Failure::Closed)?;
    drop(connection);
    answered.await.unwrap_or(Err(Failure::Closed))
}

/// A connection, from its first query to its end.
async fn serve(address: SocketAddr, tls: Option<Arc<Tls>>, mut requests: mpsc::Receiver<Request>) {
    let connected = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    let connected = timeout(STREAM_WAIT, connected).await.unwrap_or(Err(Failure::Timeout));
    let (why, pending) = match (connected, tls) {
        (Ok(stream), None) => converse(stream, &mut requests, IDLE).await,
        (Ok(stream), Some(tls)) => {
            match timeout(STREAM_WAIT, tls.connect(stream)).await.unwrap_or(Err(Failure::Timeout)) {
                Ok(stream) => converse(stream, &mut requests, IDLE_TLS).await,
                Err(failure) => (failure, HashMap::new()),
            }
        }
        (Err(failure), _) => (failure, HashMap::new()),
    };
    // First, so that whoever asks again gets another connection.
    requests.close();
    let mut waiting: Vec<_> = pending.into_values().map(|pending| pending.reply).collect();
    while let Ok(request) = requests.try_recv() {
        waiting.push(request.reply);
    }
    for reply in waiting {
        _ = reply.send(Err(why.clone()));
    }
}

type Waiting = HashMap<u16, Pending>;

/// Sends queries and hands answers out until one side has had enough; what was not answered by then.
async fn converse(
    stream: impl AsyncRead + AsyncWrite,
    requests: &mut mpsc::Receiver<Request>,
    idle: Duration,
) -> (Failure, Waiting) {
    let (mut reader, mut writer): (ReadHalf<_>, WriteHalf<_>) = split(stream);
    let mut pending = Waiting::new();
    let mut received = Vec::new();
    let mut chunk = vec![0; CHUNK];
    let mut wanted = true;
    while wanted || !pending.is_empty() {
        tokio::select! {
            request = requests.recv(), if wanted && pending.len() < MAX_PIPELINED => match request {
                Some(request) => {
                    let sent = timeout(STREAM_WAIT, send(request, &mut pending, &mut writer)).await;
                    if !matches!(sent, Ok(true)) {
                        break;
                    }
                }
                None => wanted = false,
            },
            read = reader.read(&mut chunk) => match read {
                Ok(length @ 1..) => {
                    received.extend_from_slice(&chunk[..length]);
                    hand_out(&mut received, &mut pending);
                }
                _ => break,
            },
            () = sleep(idle) => break,
        }
        if pending.len() == MAX_PIPELINED {
            pending.retain(|_, pending| !pending.reply.is_closed());
        }
    }
    (Failure::Closed, pending)
}

/// Under an id that is not in use here.
async fn send(request: Request, pending: &mut Waiting, writer: &mut (impl AsyncWrite + Unpin)) -> bool {
    let Request { message, reply } = request;
    let mut id = query::id();
    while pending.contains_key(&id) {
        id = id.wrapping_add(1);
    }
    let mut framed = Vec::with_capacity(message.len() + 2);
    framed.extend_from_slice(&(message.len() as u16).to_be_bytes());
    framed.extend_from_slice(&id.to_be_bytes());
    framed.extend_from_slice(&message[2..]);
    pending.insert(id, Pending { id: [message[0], message[1]], reply });
    writer.write_all(&framed).await.is_ok() && writer.flush().await.is_ok()
}

/// Takes the whole messages off the front.
fn hand_out(received: &mut Vec<u8>, pending: &mut Waiting) {
    let mut at = 0;
    while let Some([high, low]) = received.get(at..at + 2) {
        let end = at + 2 + usize::from(u16::from_be_bytes([*high, *low]));
        let Some(message) = received.get(at + 2..end) else { break };
        let id = message.first_chunk().map(|id| u16::from_be_bytes(*id));
        if let Some(asked) = id.and_then(|id| pending.remove(&id)) {
            let mut message = message.to_vec();
            message[..2].copy_from_slice(&asked.id);
            _ = asked.reply.send(Ok(message));
        }
        at = end;
    }
    received.drain(..at);
}
