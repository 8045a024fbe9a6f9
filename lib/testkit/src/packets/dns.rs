//! One question over UDP, one answer.

use hickory_proto::{
    op::{Message, Query},
    rr::{Name, RecordType},
};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    net::UdpSocket,
    time::{Instant, timeout_at},
};

/// The longest answer without EDNS is 512 bytes; room for one that does not keep to that.
const BUFFER: usize = 4096;

/// The answer of `server` to a question about `name`; `None`: there was none within `limit`.
pub async fn ask(
    server: SocketAddr,
    name: &str,
    kind: RecordType,
    limit: Duration,
) -> io::Result<Option<Message>> {
    let name = Name::from_ascii(name).map_err(io::Error::other)?;
    let mut query = Message::query();
    query.metadata.id = fastrand::u16(..);
    query.add_query(Query::query(name, kind));
    let bytes = query.to_vec().map_err(io::Error::other)?;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect(server).await?;
    socket.send(&bytes).await?;
    let end = Instant::now() + limit;
    let mut buffer = [0; BUFFER];
    while let Ok(received) = timeout_at(end, socket.recv(&mut buffer)).await {
        let answer = Message::from_vec(&buffer[..received?]).map_err(io::Error::other)?;
        if answer.metadata.id == query.metadata.id {
            return Ok(Some(answer));
        }
    }
    Ok(None)
}

/// A question as bytes.
///
/// # Panics
/// When this is no name.
pub fn query(name: &str, kind: RecordType) -> Vec<u8> {
    let mut query = Message::query();
    query.add_query(Query::query(Name::from_ascii(name).expect("a name"), kind));
    query.to_vec().expect("it is short")
}

/// The name of an address' PTR record.
pub fn reverse(address: IpAddr) -> String {
    Name::from(address).to_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_turned_round() {
        assert_eq!(reverse("172.16.0.10".parse().unwrap()), "10.0.16.172.in-addr.arpa.");
    }
}
