use crate::{Arrival, Batch, Datagram, Options, Socket};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::{net::UdpSocket, time::timeout};

/// Far more than loopback needs, far less than a person waits.
const PATIENCE: Duration = Duration::from_secs(5);

fn bind(address: &str) -> Socket {
    Socket::bind(address.parse().unwrap(), &Options::default()).unwrap()
}

fn at(address: &str, socket: &Socket) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), socket.local_address().unwrap().port())
}

async fn receive(socket: &Socket, buffer: &mut [u8]) -> Datagram {
    timeout(PATIENCE, socket.receive(buffer)).await.expect("a datagram in time").unwrap()
}

async fn receive_from(client: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2048];
    let (length, from) =
        timeout(PATIENCE, client.recv_from(&mut buffer)).await.expect("an answer in time").unwrap();
    (buffer[..length].to_vec(), from)
}

#[tokio::test]
async fn an_answer_leaves_from_the_address_that_was_asked() {
    for (wildcard, asked, client) in [("0.0.0.0:0", "127.0.0.2", "127.0.0.1:0"), ("[::]:0", "::1", "[::1]:0")]
    {
        let server = bind(wildcard);
        let client = UdpSocket::bind(client).await.unwrap();
        let asked = at(asked, &server);
        client.send_to(b"question", asked).await.unwrap();

        let mut buffer = [0; 64];
        let datagram = receive(&server, &mut buffer).await;
        assert_eq!(&buffer[..datagram.length], b"question");
        assert_eq!(datagram.peer, client.local_addr().unwrap());
        assert_eq!(datagram.arrival.address, Some(asked.ip()));
        assert_eq!(datagram.arrival.local, Some(asked.ip()));
        assert_ne!(datagram.arrival.interface, 0);
        assert!(!datagram.truncated);

        server.send(b"answer", datagram.peer, Some(datagram.arrival)).await.unwrap();
        server.try_send(b"another", datagram.peer, Some(datagram.arrival)).unwrap();
        assert_eq!(receive_from(&client).await, (b"answer".to_vec(), asked));
        assert_eq!(receive_from(&client).await, (b"another".to_vec(), asked));
    }
}

#[tokio::test]
async fn a_source_without_an_interface_leaves_the_route_to_the_kernel() {
    let server = bind("0.0.0.0:0");
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let from = Arrival { local: Some("127.0.0.3".parse().unwrap()), ..Arrival::default() };
    server.send(b"x", client.local_addr().unwrap(), Some(from)).await.unwrap();
    assert_eq!(receive_from(&client).await.1, at("127.0.0.3", &server));
}

#[tokio::test]
async fn an_address_that_is_not_ours_is_an_error_and_nothing_is_sent() {
    let server = bind("0.0.0.0:0");
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let from = Arrival { local: Some("192.0.2.1".parse().unwrap()), ..Arrival::default() };
    assert!(server.try_send(b"x", client.local_addr().unwrap(), Some(from)).is_err());
    assert_eq!(client.try_recv(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn who_leaves_hears_of_no_one_new_and_has_what_came_before() {
    let shared = Options { reuse_port: true, ..Options::default() };
    for address in ["0.0.0.0:0", "127.0.0.1:0", "[::]:0"] {
        let leaving = Socket::bind(address.parse().unwrap(), &shared).unwrap();
        let loopback = if address.starts_with('[') { "::1" } else { "127.0.0.1" };
        let asked = at(loopback, &leaving);
        let mut clients = Vec::new();
        for _ in 0..16 {
            clients.push(UdpSocket::bind((asked.ip(), 0)).await.unwrap());
            clients.last().unwrap().send_to(b"before", asked).await.unwrap();
        }
        let staying = Socket::bind(leaving.local_address().unwrap(), &shared).unwrap();
        leaving.leave().unwrap();
        for client in &clients {
            client.send_to(b"after", asked).await.unwrap();
        }
        let mut buffer = [0; 64];
        for (socket, text) in [(&leaving, &b"before"[..]), (&staying, b"after")] {
            for client in &clients {
                // Without having waited for any of it: the runtime has not been told of it yet.
                let datagram = socket.try_receive(&mut buffer).unwrap();
                assert_eq!((&buffer[..datagram.length], datagram.peer), (text, client.local_addr().unwrap()));
            }
            assert_eq!(socket.try_receive(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        }
        // What is answered now has its source all the same.
        let from = Arrival { local: Some(asked.ip()), ..Arrival::default() };
        leaving.send(b"answer", clients[0].local_addr().unwrap(), Some(from)).await.unwrap();
        assert_eq!(receive_from(&clients[0]).await, (b"answer".to_vec(), asked));
    }
}

#[tokio::test]
async fn a_datagram_longer_than_the_buffer_is_marked() {
    let server = bind("127.0.0.1:0");
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.send_to(&[7; 100], server.local_address().unwrap()).await.unwrap();
    client.send_to(&[], server.local_address().unwrap()).await.unwrap();
    let mut buffer = [0; 10];
    let first = receive(&server, &mut buffer).await;
    assert_eq!((first.length, first.truncated), (10, true));
    let second = receive(&server, &mut buffer).await;
    assert_eq!((second.length, second.truncated), (0, false));
}

#[tokio::test]
async fn nothing_there_is_would_block() {
    let server = bind("127.0.0.1:0");
    assert_eq!(server.try_receive(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn a_port_is_shared_only_by_those_who_ask_for_it() {
    let shared = Options { reuse_port: true, ..Options::default() };
    let first = Socket::bind("127.0.0.1:0".parse().unwrap(), &shared).unwrap();
    let address = first.local_address().unwrap();
    assert!(Socket::bind(address, &shared).is_ok());
    assert_eq!(Socket::bind(address, &Options::default()).unwrap_err().kind(), io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn our_own_sockets_stand_beside_each_other_and_shut_others_out() {
    let own = Options { reuse_address: true, ..Options::default() };
    let wildcard = bind("0.0.0.0:0");
    let address = at("127.0.0.1", &wildcard);
    assert!(Socket::bind(address, &own).is_err());
    wildcard.set_reuse_address(true).unwrap();
    let beside = Socket::bind(address, &own).unwrap();
    wildcard.set_reuse_address(false).unwrap();
    beside.set_reuse_address(false).unwrap();
    assert!(Socket::bind(at("127.0.0.2", &wildcard), &own).is_err());
}

#[tokio::test]
async fn both_wildcards_are_bound_side_by_side() {
    let v4 = bind("0.0.0.0:0");
    let v6 = Socket::bind(at("::", &v4), &Options::default());
    assert!(v6.is_ok(), "{v6:?}");
}

#[tokio::test]
async fn a_device_that_is_not_there_is_an_error() {
    let options = Options { device: Some("no-such-device".into()), ..Options::default() };
    assert!(Socket::bind("0.0.0.0:0".parse().unwrap(), &options).is_err());
}

#[tokio::test]
async fn a_larger_receive_buffer_is_asked_for() {
    let options = Options { receive_buffer: 100_000, broadcast: true, ..Options::default() };
    let socket = Socket::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
    let size = nix::sys::socket::getsockopt(&socket, nix::sys::socket::sockopt::RcvBuf).unwrap();
    assert!(size >= 100_000, "{size}");
    assert!(nix::sys::socket::getsockopt(&socket, nix::sys::socket::sockopt::Broadcast).unwrap());
    let local: IpAddr = socket.local_address().unwrap().ip();
    assert_eq!(local, IpAddr::from([127, 0, 0, 1]));
}

#[tokio::test]
async fn a_burst_is_received_in_order_each_with_its_own_arrival() {
    for (wildcard, first, second, client) in
        [("0.0.0.0:0", "127.0.0.2", "127.0.0.3", "127.0.0.1:0"), ("[::]:0", "::1", "::1", "[::1]:0")]
    {
        let server = bind(wildcard);
        let client = UdpSocket::bind(client).await.unwrap();
        let asked = [at(first, &server), at(second, &server)];
        for (number, asked) in (0..10_u8).zip(asked.iter().cycle()) {
            client.send_to(&vec![number; number as usize], asked).await.unwrap();
        }
        let mut batch = Batch::new(16, 64);
        let mut seen = 0;
        while seen < 10 {
            timeout(PATIENCE, server.receive_batch(&mut batch)).await.expect("a burst in time").unwrap();
            for (bytes, datagram) in batch.iter() {
                assert_eq!(bytes, vec![seen; seen as usize]);
                assert_eq!(datagram.peer, client.local_addr().unwrap());
                assert_eq!(datagram.arrival.address, Some(asked[seen as usize % 2].ip()));
                assert_ne!(datagram.arrival.interface, 0);
                seen += 1;
            }
        }
        assert_eq!(server.try_receive_batch(&mut batch).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert!(batch.is_empty());
    }
}

#[tokio::test]
async fn a_batch_takes_more_the_more_there_is_and_never_more_than_it_has_room_for() {
    let server = bind("127.0.0.1:0");
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for _ in 0..40 {
        client.send_to(b"x", server.local_address().unwrap()).await.unwrap();
    }
    let mut batch = Batch::new(16, 64);
    let mut taken = Vec::new();
    while taken.iter().sum::<usize>() < 40 {
        taken.push(timeout(PATIENCE, server.receive_batch(&mut batch)).await.unwrap().unwrap());
        assert_eq!(batch.len(), *taken.last().unwrap());
    }
    assert_eq!(taken, [4, 8, 16, 12]);
}

#[tokio::test]
async fn a_datagram_longer_than_its_room_is_marked_and_the_next_one_is_whole() {
    let server = bind("127.0.0.1:0");
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for bytes in [&[7; 100][..], &[], b"whole"] {
        client.send_to(bytes, server.local_address().unwrap()).await.unwrap();
    }
    let mut batch = Batch::new(4, 10);
    while batch.len() < 3 {
        // Sending on loopback is done when `send_to` returns.
        timeout(PATIENCE, server.receive_batch(&mut batch)).await.unwrap().unwrap();
    }
    let received: Vec<_> = batch.iter().map(|(bytes, datagram)| (bytes, datagram.truncated)).collect();
    assert_eq!(received, [(&[7; 10][..], true), (&[], false), (b"whole", false)]);
}
