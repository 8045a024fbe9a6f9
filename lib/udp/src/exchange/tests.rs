use super::*;
use std::net::{Ipv4Addr, UdpSocket};

const BEAT: Duration = Duration::from_millis(20);
/// Far more than loopback needs, far less than a person waits.
const PATIENCE: Duration = Duration::from_secs(5);

fn bind(address: &str) -> Blocking {
    Blocking::bind(address.parse().unwrap(), &Options::default(), BEAT).unwrap()
}

fn client(address: &str) -> UdpSocket {
    let client = UdpSocket::bind(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

fn receive_from(client: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2048];
    let (length, from) = client.recv_from(&mut buffer).expect("an answer in time");
    (buffer[..length].to_vec(), from)
}

/// Receives until there were so many, and answers each with itself and its number.
fn serve(exchange: &mut Exchange, server: &Blocking, count: usize) {
    let mut seen = 0;
    while seen < count {
        seen += exchange.receive(server).unwrap();
        exchange.answer(|query, out| {
            out.extend_from_slice(query.bytes());
            out.push(b'!');
            true
        });
        assert!(exchange.send(server).is_none());
    }
}

#[test]
fn each_answer_goes_to_who_asked_from_the_address_that_was_asked() {
    for (wildcard, asked, clients) in [
        ("0.0.0.0:0", ["127.0.0.2", "127.0.0.3"], ["127.0.0.1:0", "127.0.0.4:0"]),
        ("[::]:0", ["::1", "::1"], ["[::1]:0", "[::1]:0"]),
    ] {
        let server = bind(wildcard);
        let port = server.local_address().unwrap().port();
        let asked = asked.map(|address| SocketAddr::new(address.parse().unwrap(), port));
        let clients = clients.map(client);
        for number in 0..20 {
            clients[number % 2].send_to(format!("q{number}").as_bytes(), asked[number / 2 % 2]).unwrap();
        }
        serve(&mut Exchange::new(8, 64), &server, 20);
        for number in 0..20 {
            let wanted = (format!("q{number}!").into_bytes(), asked[number / 2 % 2]);
            assert_eq!(receive_from(&clients[number % 2]), wanted);
        }
    }
}

#[test]
fn what_is_known_of_a_question_is_what_an_ordinary_socket_says() {
    for (wildcard, asked, from) in [("0.0.0.0:0", "127.0.0.2", "127.0.0.1:0"), ("[::]:0", "::1", "[::1]:0")] {
        let (server, client) = (bind(wildcard), client(from));
        let asked = SocketAddr::new(asked.parse().unwrap(), server.local_address().unwrap().port());
        client.send_to(&[7; 100], asked).unwrap();
        let mut exchange = Exchange::new(1, 64);
        assert_eq!(exchange.receive(&server).unwrap(), 1);
        exchange.answer(|query, _| {
            let datagram = query.datagram().unwrap();
            assert_eq!((datagram.length, datagram.truncated, query.bytes()), (64, true, &[7; 64][..]));
            assert_eq!(datagram.peer, client.local_addr().unwrap());
            assert_eq!(query.peer(), Some(datagram.peer));
            assert_eq!(
                (datagram.arrival.address, datagram.arrival.local),
                (Some(asked.ip()), Some(asked.ip()))
            );
            server.send(b"later", datagram.peer, Some(datagram.arrival)).unwrap();
            false
        });
        assert!(exchange.send(&server).is_none());
        assert_eq!(receive_from(&client), (b"later".to_vec(), asked));
    }
}

#[test]
fn nothing_to_receive_ends_with_the_beat_and_at_once_when_only_tried() {
    let server = bind("127.0.0.1:0");
    let mut exchange = Exchange::new(8, 64);
    assert_eq!(exchange.receive(&server).unwrap(), 0);
    assert_eq!(exchange.try_receive(&server).unwrap(), 0);
    exchange.answer(|_, _| panic!("there was no question"));
}

#[test]
fn an_answer_that_cannot_be_sent_hurts_only_itself() {
    let server = bind("0.0.0.0:0");
    let port = server.local_address().unwrap().port();
    let asking = client("127.0.0.1:0");
    for text in [b"a", b"b", b"c"] {
        asking.send_to(text, (Ipv4Addr::LOCALHOST, port)).unwrap();
    }
    let mut exchange = Exchange::new(8, 64);
    assert_eq!(exchange.receive(&server).unwrap(), 3);
    exchange.answer(|query, out| {
        // Longer than a UDP datagram can be.
        let length = if query.bytes() == b"b" { 70_000 } else { 1 };
        out.resize(length, query.bytes()[0]);
        true
    });
    let (count, error) = exchange.send(&server).expect("one cannot be sent");
    assert_eq!((count, error.raw_os_error()), (1, Some(libc::EMSGSIZE)));
    assert_eq!([receive_from(&asking).0, receive_from(&asking).0], [b"a", b"c"]);
}

#[test]
fn who_leaves_gets_no_more_questions_and_answers_those_it_has() {
    let shared = Options { reuse_port: true, ..Options::default() };
    let leaving = Blocking::bind("127.0.0.1:0".parse().unwrap(), &shared, BEAT).unwrap();
    let address = leaving.local_address().unwrap();
    let clients: Vec<_> = (0..16).map(|_| client("127.0.0.1:0")).collect();
    let ask = || clients.iter().for_each(|client| _ = client.send_to(b"q", address).unwrap());
    ask();
    let staying = Blocking::bind(address, &shared, BEAT).unwrap();
    leaving.leave().unwrap();
    ask();
    serve(&mut Exchange::new(64, 64), &leaving, 16);
    serve(&mut Exchange::new(64, 64), &staying, 16);
    for client in &clients {
        assert_eq!(
            [receive_from(client), receive_from(client)],
            [(b"q!".to_vec(), address), (b"q!".to_vec(), address)]
        );
    }
}
