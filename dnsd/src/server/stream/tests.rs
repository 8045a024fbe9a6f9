use super::*;
use crate::{
    fixture::{CONFIG, config, query, replica, text},
    metrics::Metrics,
    server::{
        places::Places,
        tests::{asker, exposition, framed, read_reply, service},
    },
    wire::Transport,
};
use inventory::{Inventory, Who};
use prometheus_client::registry::Registry;
use std::{net::Ipv4Addr, sync::Arc};
use tokio::io::{AsyncReadExt, DuplexStream, duplex};
use tokio_util::sync::CancellationToken;

const IDLE: Duration = Duration::from_secs(10);
const KNOWN: &str = "nid0001.cluster.local. A";
const ANSWER: &str = "NoError aa; nid0001.cluster.local. 60 A 172.16.0.1";

/// A conversation with the fixture's cluster, through a pipe of so many bytes.
struct Talk {
    registry: Registry,
    client: DuplexStream,
    places: Places,
    task: tokio::task::JoinHandle<()>,
}

impl Talk {
    fn new(pipe: usize) -> Talk {
        let (service, registry) = service(replica());
        Talk::with(service, registry, pipe, Places::new(64, IDLE))
    }

    fn with(service: Arc<Service>, registry: Registry, pipe: usize, places: Places) -> Talk {
        let (client, server) = duplex(pipe);
        let place = places.take(Ipv4Addr::LOCALHOST.into()).unwrap();
        let task = places.tasks().spawn(async move {
            converse(&service, server, asker(Transport::Tcp), &place, &Semaphore::new(8)).await;
        });
        Talk { registry, client, places, task }
    }

    async fn ask(&mut self, question: &str) -> String {
        self.client.write_all(&framed(&query(question))).await.unwrap();
        read_reply(&mut self.client).await
    }

    /// It ends, for this reason; nothing: for none that is counted.
    async fn ends(self, reason: Option<&str>) {
        let Talk { registry, client, task, .. } = self;
        task.await.unwrap();
        drop(client);
        let page = exposition(&registry);
        let counted =
            page.lines().filter(|line| line.starts_with("dnsd_dropped_total") && !line.ends_with(" 0"));
        let counted: Vec<_> = counted.collect();
        let wanted = reason.map(|reason| format!("dnsd_dropped_total{{reason=\"{reason}\"}} 1"));
        assert_eq!(counted, wanted.into_iter().collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn queries_are_answered_however_they_are_cut() {
    let all: Vec<u8> = [KNOWN, "nid0002.cluster.local. AAAA", "nope.cluster.local. A"]
        .iter()
        .flat_map(|question| framed(&query(question)))
        .collect();
    for size in [1, 2, 3, 7, 50, all.len()] {
        let mut talk = Talk::new(4096);
        for piece in all.chunks(size) {
            talk.client.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(read_reply(&mut talk.client).await, ANSWER, "{size}");
        assert_eq!(
            read_reply(&mut talk.client).await,
            "NoError aa; nid0002.cluster.local. 60 AAAA fd00:16::2"
        );
        assert!(read_reply(&mut talk.client).await.starts_with("NXDomain aa"));
    }
}

#[tokio::test]
async fn what_was_asked_together_is_answered_in_one_write() {
    let mut talk = Talk::new(1 << 16);
    let many = framed(&query(KNOWN)).repeat(200);
    talk.client.write_all(&many).await.unwrap();
    let mut buffer = vec![0; 1 << 16];
    let length = talk.client.read(&mut buffer).await.unwrap();
    let one = usize::from(u16::from_be_bytes([buffer[0], buffer[1]])) + 2;
    assert_eq!(length, one * 200);
}

#[tokio::test]
async fn any_number_of_queries_is_answered_and_none_is_lost() {
    // Far more than fit into any of the buffers, through a narrow pipe.
    const MANY: usize = 20_000;
    let talk = Talk::new(3000);
    let (mut read, mut write) = tokio::io::split(talk.client);
    let asking = async {
        for number in 0..MANY {
            let mut question = query(KNOWN);
            question[..2].copy_from_slice(&(number as u16).to_be_bytes());
            write.write_all(&framed(&question)).await.unwrap();
        }
        // Half-closed: what was asked is answered all the same.
        write.shutdown().await.unwrap();
    };
    let answered = async {
        let mut answers = Vec::new();
        read.read_to_end(&mut answers).await.unwrap();
        answers
    };
    let ((), answers) = tokio::join!(asking, answered);
    let mut rest = &answers[..];
    for number in 0..MANY {
        let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
        assert_eq!(rest[2..4], (number as u16).to_be_bytes());
        rest = &rest[2 + length..];
    }
    assert!(rest.is_empty());
}

#[tokio::test(start_paused = true)]
async fn silent_clients_are_cut_off() {
    let mut talk = Talk::new(4096);
    assert_eq!(talk.ask(KNOWN).await, ANSWER);
    let began = Instant::now();
    talk.ends(Some("idle")).await;
    assert_eq!(began.elapsed().as_secs(), IDLE.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_now_and_then_is_not() {
    let mut talk = Talk::new(4096);
    for _ in 0..20 {
        assert_eq!(talk.ask(KNOWN).await, ANSWER);
        tokio::time::sleep(IDLE - Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_byte_a_second_does_not_hold_a_place() {
    let mut talk = Talk::new(4096);
    let began = Instant::now();
    for byte in framed(&query(KNOWN)) {
        if talk.client.write_all(&[byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(began.elapsed() <= ARRIVAL + Duration::from_secs(2), "{:?}", began.elapsed());
    talk.ends(Some("slow")).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_no_answers_is_cut_off() {
    let mut talk = Talk::new(64);
    let began = Instant::now();
    while talk.client.write_all(&framed(&query("nid0002.cluster.local. A"))).await.is_ok() {}
    assert_eq!(began.elapsed().as_secs(), UNREAD.as_secs());
    talk.ends(Some("unread")).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_a_byte_a_second_is_cut_off() {
    let talk = Talk::new(64);
    let asked = framed(&query(KNOWN)).repeat(1000);
    let (mut read, mut write) = tokio::io::split(talk.client);
    let asking = tokio::spawn(async move { write.write_all(&asked).await });
    let began = Instant::now();
    while read.read_u8().await.is_ok() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    // The pipe still holds some after the end.
    assert!(began.elapsed() < UNREAD + Duration::from_secs(70), "{:?}", began.elapsed());
    assert!(asking.await.unwrap().is_err());
    talk.task.await.unwrap();
    assert!(exposition(&talk.registry).contains("dnsd_dropped_total{reason=\"unread\"} 1"));
}

#[tokio::test]
async fn what_is_no_query_ends_the_connection() {
    let response = {
        let mut bytes = query(KNOWN);
        bytes[2] |= 0x80;
        framed(&bytes)
    };
    let cases = [
        (vec![0xff, 0xff, 0, 0], None),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), None),
        (vec![0, 0], Some("too_short")),
        (framed(&[0; 5]), Some("too_short")),
        (response, Some("response")),
    ];
    for (sent, reason) in cases {
        let mut talk = Talk::new(4096);
        talk.client.write_all(&sent).await.unwrap();
        assert_eq!(talk.client.read(&mut [0; 1]).await.unwrap(), 0, "{sent:?}");
        talk.ends(reason).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_to_leave_leaves_at_once_and_who_drains_answers_first() {
    let mut talk = Talk::new(1 << 16);
    talk.client.write_all(&framed(&query(KNOWN)).repeat(100)).await.unwrap();
    talk.places.finish().await;
    for _ in 0..100 {
        assert_eq!(read_reply(&mut talk.client).await, ANSWER);
    }
    assert_eq!(talk.client.read(&mut [0; 1]).await.unwrap(), 0);
    talk.ends(None).await;

    let (service, registry) = service(replica());
    let talk = Talk::with(service, registry, 4096, Places::new(1, IDLE));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(talk.places.take([10, 0, 0, 1].into()).is_ok());
    talk.ends(Some("evicted")).await;
}

/// A service whose smd-cache takes calls and never answers.
fn waiting(silent: &std::net::TcpListener) -> (Arc<Service>, Registry) {
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let endpoint = format!(
        "{CONFIG}\ninventory: {{endpoints: ['http://{}'], replica: false, replica_file: off}}\n",
        silent.local_addr().unwrap()
    );
    let config = config(&endpoint);
    let who = Who { name: "dnsd", version: "test", admin_port: 0 };
    let inventory =
        Inventory::start(&config.inventory, who, &mut Registry::default(), CancellationToken::new());
    (Arc::new(Service::new(inventory, &config, 1000, metrics)), registry)
}

#[tokio::test]
async fn queries_that_wait_keep_no_others_waiting() {
    let silent = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (service, registry) = waiting(&silent);
    let mut talk = Talk::with(service, registry, 1 << 16, Places::new(64, IDLE));
    let (slow, fast) = (framed(&query(KNOWN)), framed(&query("smd.cluster.local. A")));
    let asked = [slow.repeat(MAX_WAITING - 1), fast].concat();
    talk.client.write_all(&asked).await.unwrap();
    let first = read_reply(&mut talk.client).await;
    assert_eq!(first, "NoError aa; smd.cluster.local. 60 A 172.16.0.253");
    for _ in 1..MAX_WAITING {
        assert_eq!(read_reply(&mut talk.client).await, "ServFail");
    }
}

#[tokio::test]
async fn queries_that_wait_are_bounded_and_all_are_answered() {
    let silent = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (service, registry) = waiting(&silent);
    let mut talk = Talk::with(service, registry, 1 << 16, Places::new(64, IDLE));
    let asked = framed(&query(KNOWN)).repeat(MAX_WAITING + 20);
    talk.client.write_all(&asked).await.unwrap();
    // Half-closed as well.
    talk.client.shutdown().await.unwrap();
    let mut answers = Vec::new();
    talk.client.read_to_end(&mut answers).await.unwrap();
    let one = usize::from(u16::from_be_bytes([answers[0], answers[1]])) + 2;
    assert_eq!(text(&answers[2..one]), "ServFail");
    assert_eq!(answers.len(), one * (MAX_WAITING + 20));
    talk.ends(None).await;
}

#[tokio::test]
async fn an_idle_connection_is_small() {
    let (service, _) = service(replica());
    let (_client, server) = duplex(64);
    let place = Places::new(64, IDLE).take(Ipv4Addr::LOCALHOST.into()).unwrap();
    let permits = Semaphore::new(1);
    let future = converse(&service, server, asker(Transport::Tcp), &place, &permits);
    let size = size_of_val(&future);
    assert!(size <= 1024, "{size} bytes");
}

#[tokio::test(start_paused = true)]
async fn a_query_that_was_on_its_way_when_the_program_ends_is_answered() {
    let Talk { registry, mut client, places, task } = Talk::new(1 << 16);
    let ends = tokio::spawn({
        let places = places.clone();
        async move { places.finish().await }
    });
    tokio::time::sleep(LINGER / 2).await;
    client.write_all(&framed(&query(KNOWN))).await.unwrap();
    assert_eq!(read_reply(&mut client).await, ANSWER);
    // And nobody who goes on asking holds it up.
    tokio::time::sleep(LINGER).await;
    _ = client.write_all(&framed(&query(KNOWN))).await;
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
    ends.await.unwrap();
    Talk { registry, client, places, task }.ends(None).await;
}
