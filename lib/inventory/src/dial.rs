//! One connection to one smd-cache.

use crate::{calls::Client, endpoints::Named, tls};
use config::{ClientTls, Endpoint};
use std::time::Duration;
use tonic::{Status, transport};

/// Name resolution, TCP, TLS and the first HTTP/2 frames. Resolvers wait 5 s by default; a daemon should be trying again by
/// then.
pub(crate) const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// HTTP/2 pings notice a connection whose other end vanished; together with the wait for the answer no longer than the
/// silence that ends a Watch.
const PING_EVERY: Duration = Duration::from_secs(2);
const PING_LIMIT: Duration = Duration::from_secs(4);

/// A snapshot of 100k interfaces is some 60 MB; HTTP/2's 64 kB in flight would make it wait for every round trip.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 2 << 20;

/// The largest message believed: a Change that touches every one of 100k interfaces.
pub(crate) const MAX_MESSAGE: usize = 64 << 20;

/// Connects within the limit. A Unix socket has no TLS: its file mode says who may use it.
///
/// # Errors
/// A sentence, without the endpoint.
pub(crate) async fn dial(endpoint: &Endpoint, tls: Option<&ClientTls>) -> Result<Client, String> {
    match tokio::time::timeout(CONNECT_LIMIT, connect(endpoint, tls)).await {
        Ok(client) => client,
        Err(_) => Err(format!("no connection within {} s", CONNECT_LIMIT.as_secs())),
    }
}

async fn connect(endpoint: &Endpoint, tls: Option<&ClientTls>) -> Result<Client, String> {
    let transport = match (endpoint, tls) {
        (Endpoint::Tcp(url), Some(tls)) => {
            let secure = url.replacen("http://", "https://", 1);
            let transport = transport::Endpoint::from_shared(secure).map_err(|error| root_cause(&error))?;
            let config = tls::load(tls).await?;
            transport.tls_config(config).map_err(|error| format!("inventory.tls: {}", root_cause(&error)))?
        }
        _ => transport::Endpoint::from_shared(Named(endpoint).to_string())
            .map_err(|error| root_cause(&error))?,
    };
    let channel = transport
        .connect_timeout(CONNECT_LIMIT)
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_LIMIT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .connect()
        .await
        .map_err(|error| root_cause(&error))?;
    Ok(Client::new(channel).max_decoding_message_size(MAX_MESSAGE))
}

/// What smd-cache said, or else what the code means.
pub(crate) fn describe(status: &Status) -> String {
    match status.message() {
        "" => status.code().description().into(),
        message => message.into(),
    }
}

/// "transport error" helps nobody; "Connection refused" does.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
