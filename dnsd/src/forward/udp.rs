//! One query over UDP. A socket for each, so that each has a port of its own, and connected, so that the kernel drops what others send
//! and tells at once when nobody listens.

use super::{
    answer::{Received, Sent, Wrong, check},
    upstream::Failure,
};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use tokio::{net::UdpSocket, time::timeout};

/// How long a forwarder may take. It may have to ask servers far away itself; a client asks again after 1 s at the earliest, and most
/// after 5 s, so there is time for another one.
pub const UDP_WAIT: Duration = Duration::from_secs(1);

/// More than any answer to 1232 bytes of EDNS.
const BUFFER: usize = 4096;

/// Answers that are none of ours, after which somebody is guessing and TCP is used instead. A guess: each has a chance of 2^-16 at most.
const MAX_WRONG: usize = 8;

/// Asks and waits. `Truncated` also where the answer is not to be believed until TCP says the same.
pub async fn ask(
    address: SocketAddr,
    query: &[u8],
    sent: Sent<'_>,
    wrong: impl Fn(Wrong),
) -> Result<Received, Failure> {
    let answer = async {
        let any: IpAddr = match address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0)).await?;
        socket.connect(address).await?;
        socket.send(query).await?;
        let mut buffer = vec![0; BUFFER];
        for _ in 0..MAX_WRONG {
            let length = socket.recv(&mut buffer).await?;
            match check(&buffer[..length], sent) {
                Ok(received) => return Ok(received),
                Err(why) => {
                    wrong(why);
                    if why == Wrong::Spelling {
                        break;
                    }
                }
            }
        }
        Ok(Received::Truncated)
    };
    timeout(UDP_WAIT, answer).await.unwrap_or(Err(Failure::Timeout))
}
