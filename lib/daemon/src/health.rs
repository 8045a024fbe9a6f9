//! Asking a running program's admin HTTP, for `--health` and for subcommands: no HTTP client is needed for that.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Health checks of containers give up after a few seconds; a program that needs longer than this is not well.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);

/// Largest page read: the list of 4,096 unknown MACs is below 2 MB.
const MAX_PAGE: u64 = 16 << 20;

/// Status and body of `GET path`. Blocking.
///
/// # Errors
/// No connection, no answer within three seconds, or an answer that is no HTTP.
pub fn fetch(address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    exchange("GET", address, path)
}

/// The same with another method; nothing is sent but the path.
///
/// # Errors
/// As [`fetch`].
pub fn exchange(method: &str, address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_LIMIT)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    stream.set_write_timeout(Some(ANSWER_LIMIT))?;
    // HTTP/1.0: the body is not chunked and ends with the connection.
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.take(MAX_PAGE).read_to_end(&mut answer)?;
    let text = String::from_utf8(answer).map_err(io::Error::other)?;
    let (head, body) =
        text.split_once("\r\n\r\n").ok_or_else(|| io::Error::other("the answer is no HTTP"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or_else(|| io::Error::other("the answer has no status"))?, body.to_string()))
}
