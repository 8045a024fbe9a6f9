//! tftpd on real sockets: ports, retransmission of nothing, drain.

#![allow(clippy::unwrap_used)] // helpers of tests: what cannot go on ends the test

use daemon::Running;
use std::{
    net::{SocketAddr, UdpSocket},
    path::Path,
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// Nothing here takes longer.
const LIMIT: Duration = Duration::from_secs(5);

struct Server {
    address: SocketAddr,
    shutdown: CancellationToken,
    ended: tokio::task::JoinHandle<anyhow::Result<()>>,
}

/// A server on a free port.
async fn start(root: &Path, single_port: bool) -> Server {
    let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut config = config::Config::default();
    config.tftpd.root = root.into();
    config.tftpd.listen = vec![free];
    config.tftpd.admin = ([127, 0, 0, 1], 0).into();
    config.tftpd.single_port = single_port;
    config.inventory.endpoints.clear();
    let running = Running::new(config::Program::Tftpd, config);
    let shutdown = running.shutdown.clone();
    let ended = tokio::spawn(tftpd::serve(running));
    let server = Server { address: free, shutdown, ended };
    // The first answer tells that it listens.
    let probe = Client::new();
    for _ in 0..100 {
        probe.send(server.address, b"\0\x02x\0octet\0");
        if probe.socket.recv(&mut [0; 64]).is_ok() {
            probe.socket.set_read_timeout(Some(LIMIT)).unwrap();
            return server;
        }
        assert!(!server.ended.is_finished(), "the server ended");
        tokio::task::yield_now().await;
    }
    panic!("the server does not listen");
}

struct Client {
    socket: UdpSocket,
}

impl Client {
    fn new() -> Client {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        Client { socket }
    }

    fn send(&self, to: SocketAddr, bytes: &[u8]) {
        self.socket.send_to(bytes, to).unwrap();
    }

    fn receive(&self) -> (Vec<u8>, SocketAddr) {
        let mut buffer = vec![0; 65536];
        self.socket.set_read_timeout(Some(LIMIT)).unwrap();
        let (length, from) = self.socket.recv_from(&mut buffer).expect("an answer in time");
        buffer.truncate(length);
        (buffer, from)
    }

    /// Whether nothing comes for a twentieth of a second.
    fn hears_nothing(&self) -> bool {
        self.socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        self.socket.recv(&mut [0; 2048]).is_err()
    }

    /// A whole file, window by window.
    fn fetch(
        &self,
        server: SocketAddr,
        request: &[u8],
        block_size: usize,
        window: u16,
    ) -> (Vec<u8>, SocketAddr) {
        self.send(server, request);
        let (answer, from) = self.receive();
        assert_eq!(answer[1], 6, "an OACK: {}", answer.escape_ascii());
        self.send(from, b"\0\x04\0\0");
        let mut content = Vec::new();
        let mut expected = 1_u16;
        loop {
            let (answer, _) = self.receive();
            assert_eq!(answer[..4], [0, 3, (expected >> 8) as u8, expected as u8], "block {expected}");
            content.extend(&answer[4..]);
            let last = answer.len() < block_size + 4;
            if last || expected.is_multiple_of(window) {
                self.send(from, &[0, 4, (expected >> 8) as u8, expected as u8]);
            }
            if last {
                return (content, from);
            }
            expected = expected.wrapping_add(1);
        }
    }
}

fn root_with(content: &[u8]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("loader"), content).unwrap();
    root
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 + at / 251) as u8).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_a_megabyte_arrives_whole_with_and_without_windows() {
    let content = pattern(1_000_003);
    let root = root_with(&content);
    for single_port in [false, true] {
        let server = start(root.path(), single_port).await;
        for (options, block_size, window) in
            [("blksize\x001428\0windowsize\x008\0", 1428, 8), ("tsize\x000\0blksize\x008192\0", 8192, 1)]
        {
            let client = Client::new();
            let request = [b"\0\x01loader\0octet\0", options.as_bytes()].concat();
            let (fetched, from) = client.fetch(server.address, &request, block_size, window);
            assert!(fetched == content, "{options:?}");
            assert_eq!(from == server.address, single_port, "the port of the transfer");
        }
        server.shutdown.cancel();
        server.ended.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_transfer_is_told_so_and_an_error_is_not_answered() {
    let root = root_with(b"x");
    let server = start(root.path(), true).await;
    let client = Client::new();
    client.send(server.address, b"\0\x04\0\x07");
    assert_eq!(client.receive().0[..4], [0, 5, 0, 5]);
    client.send(server.address, b"\0\x05\0\0no\0");
    assert!(client.hears_nothing());
    server.shutdown.cancel();
    server.ended.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_from_the_same_port_starts_anew() {
    let root = root_with(&pattern(5000));
    let server = start(root.path(), false).await;
    let client = Client::new();
    client.send(server.address, b"\0\x01loader\0octet\0");
    let (first, from) = client.receive();
    client.send(from, b"\0\x04\0\x01");
    assert_eq!(client.receive().0[..4], [0, 3, 0, 2]);
    client.send(server.address, b"\0\x01loader\0octet\0");
    assert_eq!(client.receive().0, first);
    server.shutdown.cancel();
    server.ended.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_transfer_ends_well_although_the_program_is_told_to_stop() {
    let root = root_with(&pattern(1000));
    let server = start(root.path(), false).await;
    let client = Client::new();
    client.send(server.address, b"\0\x01loader\0octet\0");
    let (_, from) = client.receive();
    server.shutdown.cancel();
    client.send(from, b"\0\x04\0\x01");
    assert_eq!(client.receive().0.len(), 4 + 488);
    client.send(from, b"\0\x04\0\x02");
    server.ended.await.unwrap().unwrap();
}
