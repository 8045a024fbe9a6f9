//! Forwarders made up on real sockets of this host, and what comes of asking them.

use super::*;
use crate::wire::{CLASS_IN, HEADER, kind};
use hickory_proto::{
    op::Message,
    rr::{Name, Record},
    serialize::txt::Parser,
};

/// A message with records as in a zone file, `|` between them.
pub fn message(id: u16, name: &[u8], kind: u16, rcode: u16, sections: [&str; 3]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    bytes[..2].copy_from_slice(&id.to_be_bytes());
    bytes[2..4].copy_from_slice(&(0x8180 | rcode).to_be_bytes());
    bytes[5] = 1;
    bytes.extend_from_slice(&name.to_ascii_lowercase());
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.extend_from_slice(&CLASS_IN.to_be_bytes());
    let mut message = Message::from_vec(&bytes).unwrap();
    let [answers, authorities, additionals] = sections.map(parse);
    message.answers = answers;
    message.authorities = authorities;
    message.additionals = additionals;
    let mut encoded = message.to_vec().unwrap();
    // hickory points only at names in the same case.
    encoded[HEADER..HEADER + name.len()].copy_from_slice(name);
    encoded
}

fn parse(lines: &str) -> Vec<Record> {
    let parsed = lines.split('|').filter(|line| !line.is_empty()).flat_map(|line| {
        let parser = Parser::new(format!("{}\n", line), None, Some(Name::root()));
        let (_, sets) = parser.parse().unwrap_or_else(|error| panic!("{line}: {error}"));
        sets.into_values()
            .flat_map(|set| set.records_without_rrsigs().cloned().collect::<Vec<_>>())
            .collect::<Vec<_>>()
    });
    parsed.collect()
}

mod streams;

use crate::wire::to_wire;
use prometheus_client::registry::Registry;
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
    task::JoinSet,
};

const NAME: &str = "www.some-example.com";
const A: &str = "www.some-example.com. 60 A 192.0.2.1";

/// A query as a forwarder sees it.
#[derive(Debug, Clone)]
pub struct Asked {
    pub bytes: Vec<u8>,
    pub tcp: bool,
}

impl Asked {
    fn id(&self) -> u16 {
        u16::from_be_bytes([self.bytes[0], self.bytes[1]])
    }

    fn spelled(&self) -> &[u8] {
        let root = crate::wire::suffixes(&self.bytes[HEADER..]).last().unwrap();
        &self.bytes[HEADER..self.bytes.len() - root.len() + 1]
    }

    fn kind(&self) -> u16 {
        let at = HEADER + self.spelled().len();
        u16::from_be_bytes([self.bytes[at], self.bytes[at + 1]])
    }

    fn has_opt(&self) -> bool {
        self.bytes[11] == 1
    }

    pub fn answer(&self, rcode: u16, answers: &str) -> Vec<u8> {
        message(self.id(), self.spelled(), self.kind(), rcode, [answers, "", ""])
    }
}

/// A forwarder on UDP and TCP; what it sends for a query, one message after the other.
pub struct Fake {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Asked>>>,
    _tasks: JoinSet<()>,
}

impl Fake {
    pub async fn start(replies: impl Fn(&Asked) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Fake {
        let replies = Arc::new(replies);
        let (udp, tcp) = loop {
            let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            // The port that TCP was given may be some client's on UDP.
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let address = tcp.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let mut tasks = JoinSet::new();
        let (noted, reply) = (seen.clone(), replies.clone());
        tasks.spawn(async move {
            let mut buffer = [0; 2048];
            loop {
                let Ok((length, from)) = udp.recv_from(&mut buffer).await else { continue };
                let asked = Asked { bytes: buffer[..length].to_vec(), tcp: false };
                noted.lock().unwrap().push(asked.clone());
                for message in reply(&asked) {
                    udp.send_to(&message, from).await.unwrap();
                }
            }
        });
        let noted = seen.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = tcp.accept().await {
                let (noted, reply) = (noted.clone(), replies.clone());
                connections.spawn(async move {
                    while let Ok(length) = stream.read_u16().await {
                        let mut bytes = vec![0; length.into()];
                        stream.read_exact(&mut bytes).await.unwrap();
                        let asked = Asked { bytes, tcp: true };
                        noted.lock().unwrap().push(asked.clone());
                        for message in reply(&asked) {
                            stream.write_all(&(message.len() as u16).to_be_bytes()).await.unwrap();
                            stream.write_all(&message).await.unwrap();
                        }
                    }
                });
            }
        });
        Fake { address, seen, _tasks: tasks }
    }

    pub fn seen(&self) -> Vec<Asked> {
        self.seen.lock().unwrap().clone()
    }

    /// Whether queries came over TCP, one by one.
    fn over_tcp(&self) -> Vec<bool> {
        self.seen().iter().map(|asked| asked.tcp).collect()
    }
}

fn forwarding(dnsd: &str) -> (Arc<Forwarding>, Registry) {
    let mut registry = Registry::default();
    let forwarding = Arc::new(Forwarding::new(Metrics::new(&mut registry)));
    forwarding.configure(&crate::fixture::config(&format!("dnsd: {{{dnsd}}}")));
    (forwarding, registry)
}

fn asking(fakes: &[&Fake]) -> (Arc<Forwarding>, Registry) {
    let listed: Vec<String> = fakes.iter().map(|fake| fake.address.to_string()).collect();
    forwarding(&format!("forward: {listed:?}"))
}

fn question(name: &str) -> Question {
    Question::new(&to_wire(&name.parse().unwrap()), kind::A, false, false)
}

async fn ask(forwarding: &Arc<Forwarding>, name: &str) -> Resolved {
    let wire = to_wire(&name.parse().unwrap());
    forwarding.resolve(&question(name), Asker { address: Ipv4Addr::LOCALHOST.into(), spelled: &wire }).await
}

/// Where it came from, and what it is.
fn shown(resolved: &Resolved) -> (Source, String) {
    let mut bytes = resolved.entry.answer.bytes.to_vec();
    bytes[2..4].copy_from_slice(&(0x8000 | resolved.entry.answer.rcode & 0xf).to_be_bytes());
    (resolved.source, crate::fixture::text(&bytes))
}

fn good(source: Source) -> (Source, String) {
    (source, format!("NoError; {A}"))
}

fn servfail(source: Source) -> (Source, String) {
    (source, "ServFail".into())
}

fn has(registry: &Registry, lines: &[&str]) {
    let mut page = String::new();
    prometheus_client::encoding::text::encode(&mut page, registry).unwrap();
    for line in lines {
        assert!(page.contains(line), "{line} is not in\n{page}");
    }
}

#[tokio::test]
async fn an_answer_is_asked_for_once_and_then_kept() {
    let fake = Fake::start(|asked| vec![asked.answer(0, A)]).await;
    let (forwarding, registry) = asking(&[&fake]);
    assert!(forwarding.peek(&question(NAME)).is_none());
    assert_eq!(shown(&ask(&forwarding, NAME).await), good(Source::Forwarder));
    assert_eq!(shown(&ask(&forwarding, NAME).await), good(Source::Cache));
    assert_eq!(shown(&forwarding.peek(&question(NAME)).unwrap()), good(Source::Cache));
    let [asked] = &fake.seen()[..] else { panic!("{:?}", fake.seen()) };
    assert!(asked.has_opt() && !asked.tcp);
    assert!(asked.spelled().eq_ignore_ascii_case(question(NAME).name()));
    assert_ne!(asked.spelled(), question(NAME).name(), "in a case of our own");
    let of = fake.address.to_string();
    has(
        &registry,
        &[
            &format!("forward_queries_total{{upstream=\"{of}\"}} 1"),
            &format!("forward_healthy{{upstream=\"{of}\"}} 1"),
            &format!("forward_seconds_count{{upstream=\"{of}\"}} 1"),
        ],
    );
    forwarding.stopped().await;
}

#[tokio::test]
async fn what_is_no_answer_to_our_query_is_not_heeded_and_counted() {
    let fake = Fake::start(|asked| {
        let evil = asked.answer(0, "www.some-example.com. 60 A 6.6.6.6");
        let with = |change: fn(&mut Vec<u8>)| {
            let mut bytes = evil.clone();
            change(&mut bytes);
            bytes
        };
        vec![
            with(|bytes| bytes[1] ^= 1),
            with(|bytes| bytes[2] &= 0x7f),
            with(|bytes| bytes[HEADER + 1] = b'v'),
            with(|bytes| bytes.truncate(bytes.len() - 1)),
            vec![0; 3],
            asked.answer(0, A),
        ]
    })
    .await;
    let (forwarding, registry) = asking(&[&fake]);
    assert_eq!(shown(&ask(&forwarding, NAME).await), good(Source::Forwarder));
    let of = fake.address.to_string();
    let counted = |reason: &str, count: usize| {
        has(&registry, &[&format!("forward_ignored_total{{upstream=\"{of}\",reason=\"{reason}\"}} {count}")]);
    };
    for (reason, count) in
        [("id", 1), ("not_an_answer", 1), ("question", 1), ("malformed", 2), ("spelling", 0)]
    {
        counted(reason, count);
    }
}

#[tokio::test]
async fn signatures_checked_elsewhere_count_for_nothing_in_the_clear() {
    let fake = Fake::start(|asked| {
        let mut bytes = asked.answer(0, A);
        bytes[3] |= 0x20; // AD
        vec![bytes]
    })
    .await;
    let (forwarding, _) = asking(&[&fake]);
    let resolved = ask(&forwarding, NAME).await;
    assert_eq!(shown(&resolved), good(Source::Forwarder));
    assert!(!resolved.entry.answer.authentic);
}

#[tokio::test]
async fn who_guesses_ids_is_left_for_tcp() {
    let fake = Fake::start(|asked| match asked.tcp {
        true => vec![asked.answer(0, A)],
        false => (1..=20)
            .map(|guess| {
                let mut bytes = asked.answer(0, "www.some-example.com. 60 A 6.6.6.6");
                bytes[..2].copy_from_slice(&(asked.id() ^ guess).to_be_bytes());
                bytes
            })
            .collect(),
    })
    .await;
    let (forwarding, _) = asking(&[&fake]);
    assert_eq!(shown(&ask(&forwarding, NAME).await), good(Source::Forwarder));
    assert_eq!(fake.over_tcp(), [false, true]);
}

#[tokio::test]
async fn an_answer_in_another_spelling_is_believed_only_over_tcp() {
    let fake = Fake::start(|asked| {
        let lower = asked.spelled().to_ascii_lowercase();
        let address = if asked.tcp { "192.0.2.1" } else { "6.6.6.6" };
        vec![message(asked.id(), &lower, asked.kind(), 0, [&format!("{NAME}. 60 A {address}"), "", ""])]
    })
    .await;
    let (forwarding, _) = asking(&[&fake]);
    assert_eq!(shown(&ask(&forwarding, NAME).await), good(Source::Forwarder));
    assert_eq!(fake.over_tcp(), [false, true]);
}

#[tokio::test]
async fn what_is_truncated_is_asked_for_again_over_tcp() {
    let fake = Fake::start(|asked| {
        let mut bytes = asked.answer(0, A);
        if !asked.tcp {
            bytes[2] |= 2;
            bytes.truncate(bytes.len() - 3);
        }
        vec![bytes]
    })
    .await;
    let (forwarding, _) = asking(&[&fake]);
    assert_eq!(shown(&ask(&forwarding, NAME).await), good(Source::Forwarder));
    assert_eq!(fake.over_tcp(), [false, true]);
}

#[tokio::test]
async fn a_forwarder_from_before_edns_is_asked_without() {
    let fake =
        Fake::start(|asked| vec![if asked.has_opt() { asked.answer(1, "") } else { asked.answer(0, A) }])
            .await;
    let (forwarding, _) = asking(&[&fake]);
    assert_eq!(shown(&ask(&forwarding, NAME).await), good(Source::Forwarder));
    assert_eq!(fake.seen().len(), 2);
}

#[tokio::test]
async fn a_failure_of_one_is_anothers_chance_and_one_of_all_passes_as_it_came() {
    for (first, second, wanted) in [
        (2, 0, "NoError; www.some-example.com. 60 A 192.0.2.1"),
        (5, 0, "NoError; www.some-example.com. 60 A 192.0.2.1"),
        (4, 0, "NoError; www.some-example.com. 60 A 192.0.2.1"),
        (3, 0, "NXDomain"),
        (9, 0, "NotAuth"),
        (2, 5, "Refused"),
        (5, 2, "ServFail"),
        (5, 5, "Refused"),
    ] {
        let one = Fake::start(move |asked| vec![asked.answer(first, "")]).await;
        let two =
            Fake::start(move |asked| vec![asked.answer(second, if second == 0 { A } else { "" })]).await;
        let (forwarding, _) = asking(&[&one, &two]);
        assert_eq!(
            shown(&ask(&forwarding, NAME).await),
            (Source::Forwarder, wanted.into()),
            "{first} {second}"
        );
        assert_eq!((one.seen().len(), two.seen().len()), (1, usize::from(![3, 9].contains(&first))));
        assert!(forwarding.list().iter().all(|(_, is_up)| *is_up), "who answers is up, whatever it says");
    }
}

#[tokio::test]
async fn where_nobody_listens_the_next_is_asked_at_once_and_it_is_probed_until_it_is_back() {
    let fake = Fake::start(|asked| vec![asked.answer(0, A)]).await;
    let gone = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let (forwarding, registry) = forwarding(&format!("forward: ['{address}', '{}']", fake.address));
    let started = std::time::Instant::now();
    assert_eq!(shown(&ask(&forwarding, NAME).await), good(Source::Forwarder));
    assert!(started.elapsed() < UDP_WAIT, "{:?}", started.elapsed());
    assert!(!forwarding.list()[0].1);
    assert_eq!(forwarding.readiness(), State::Ready, "the other one answers");
    has(&registry, &[&format!("forward_healthy{{upstream=\"{address}\"}} 0")]);

    let back = UdpSocket::bind(address).await.unwrap();
    let mut buffer = [0; 512];
    let (length, from) =
        timeout(Duration::from_secs(10), back.recv_from(&mut buffer)).await.unwrap().unwrap();
    let probe = Asked { bytes: buffer[..length].to_vec(), tcp: false };
    assert_eq!((probe.spelled(), probe.kind()), (&[0][..], kind::NS));
    back.send_to(&probe.answer(2, ""), from).await.unwrap();
    let up = async {
        while !forwarding.list()[0].1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(5), up).await.expect("an answer brings it back");
    forwarding.stopped().await;
}

#[tokio::test(start_paused = true)]
async fn silence_is_servfail_in_time_and_puts_aside_and_is_remembered() {
    let silent = || Fake::start(|_| Vec::new());
    let (one, two) = (silent().await, silent().await);
    let (forwarding, registry) = asking(&[&one, &two]);
    let started = Instant::now();
    assert_eq!(shown(&ask(&forwarding, NAME).await), servfail(Source::Failed));
    assert!(started.elapsed() <= TOTAL_WAIT, "{:?}", started.elapsed());
    assert_eq!(shown(&ask(&forwarding, NAME).await), servfail(Source::Cache), "not asked again at once");
    // Others fail, too, until both are put aside; then each is tried once.
    for number in 0..3 {
        assert_eq!(
            shown(&ask(&forwarding, &format!("n{number}.example.com")).await),
            servfail(Source::Failed)
        );
    }
    let started = Instant::now();
    assert_eq!(shown(&ask(&forwarding, "last.example.com").await), servfail(Source::Failed));
    assert!(started.elapsed() <= UDP_WAIT * 2 + Duration::from_millis(10), "{:?}", started.elapsed());
    assert!(forwarding.list().iter().all(|(_, is_up)| !is_up));
    assert!(
        matches!(forwarding.readiness(), State::Degraded(_)),
        "what we know ourselves is served all the same"
    );
    has(&registry, &[&format!("forward_healthy{{upstream=\"{}\"}} 0", one.address)]);
    forwarding.stopped().await;
}

#[tokio::test]
async fn all_who_ask_the_same_share_one_query() {
    let fake = Fake::start(|asked| vec![asked.answer(0, A)]).await;
    let (forwarding, _) = asking(&[&fake]);
    let mut askers = JoinSet::new();
    for _ in 0..100 {
        let forwarding = forwarding.clone();
        askers.spawn(async move { shown(&ask(&forwarding, NAME).await).1 });
    }
    let answers = askers.join_all().await;
    assert!(answers.iter().all(|answer| *answer == good(Source::Cache).1));
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_and_who_waits_is_bounded() {
    let fake = Fake::start(|_| Vec::new()).await;
    let (forwarding, _) = asking(&[&fake]);
    let mut askers = JoinSet::new();
    let busy = Arc::new(AtomicUsize::new(0));
    let mut start = |name: String| {
        let (forwarding, busy) = (forwarding.clone(), busy.clone());
        askers.spawn(async move {
            if ask(&forwarding, &name).await.source == Source::Busy {
                busy.fetch_add(1, Ordering::Relaxed);
            }
        });
    };
    (0..MAX_FLIGHTS + 10).for_each(|number| start(format!("n{number}.example.com")));
    // Those who ask the same board the flight that is there.
    (0..MAX_WAITING).for_each(|_| start("n0.example.com".into()));
    askers.join_all().await;
    // Ten found no flight and went, so that as many more could wait.
    assert_eq!(busy.load(Ordering::Relaxed), 10 + MAX_FLIGHTS);
    forwarding.stopped().await;
    assert_eq!(forwarding.waiting.available_permits(), MAX_WAITING);
}

#[tokio::test(start_paused = true)]
async fn an_answer_past_its_time_is_given_while_forwarders_fail() {
    for (stale, patience) in [("", None), (", serve_stale: 1h", Some(STALE_AFTER))] {
        let silent = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let is_silent = silent.clone();
        let answers = move |asked: &Asked| match is_silent.load(Ordering::Relaxed) {
            true => Vec::new(),
            false => vec![asked.answer(0, A)],
        };
        let fake = Fake::start(answers).await;
        let (forwarding, _) = forwarding(&format!("forward: ['{}']{stale}", fake.address));
        tokio::time::resume();
        assert_eq!(shown(&ask(&forwarding, NAME).await), good(Source::Forwarder));
        tokio::time::pause();
        silent.store(true, Ordering::Relaxed);
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(forwarding.peek(&question(NAME)).is_none(), "forwarders are asked first");
        let started = Instant::now();
        let resolved = ask(&forwarding, NAME).await;
        match patience {
            None => assert_eq!(shown(&resolved), servfail(Source::Failed)),
            Some(patience) => {
                assert_eq!((shown(&resolved), resolved.age), (good(Source::Stale), Age::Stale(30)));
                assert!(started.elapsed() <= patience + Duration::from_millis(10), "{:?}", started.elapsed());
                // The flight ends after that; then, for a while, nobody waits again.
                tokio::time::sleep(TOTAL_WAIT).await;
                let at_once = forwarding.peek(&question(NAME)).map(|resolved| resolved.source);
                assert_eq!(at_once, Some(Source::Stale));
                tokio::time::advance(Duration::from_secs(3600)).await;
                assert_eq!(
                    shown(&ask(&forwarding, NAME).await),
                    servfail(Source::Failed),
                    "but not for ever"
                );
            }
        }
        forwarding.stopped().await;
    }
}

#[tokio::test]
async fn our_own_question_that_comes_back_is_servfail_at_once() {
    // A forwarder that asks us what we ask it.
    let us: Arc<Mutex<Option<Arc<Forwarding>>>> = Arc::default();
    let listener = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (forwarding, _) = forwarding(&format!("forward: ['{address}']"));
    *us.lock().unwrap() = Some(forwarding.clone());
    let rounds = Arc::new(AtomicUsize::new(0));
    let counted = rounds.clone();
    let other = tokio::spawn(async move {
        let mut buffer = [0; 512];
        loop {
            let (length, from) = listener.recv_from(&mut buffer).await.unwrap();
            counted.fetch_add(1, Ordering::Relaxed);
            let asked = Asked { bytes: buffer[..length].to_vec(), tcp: false };
            let asker = Asker { address: Ipv4Addr::LOCALHOST.into(), spelled: asked.spelled() };
            let forwarding = us.lock().unwrap().clone().unwrap();
            let lower = asked.spelled().to_ascii_lowercase();
            let resolved =
                forwarding.resolve(&Question::new(&lower, asked.kind(), false, false), asker).await;
            assert_eq!(resolved.source, Source::Loop);
            listener.send_to(&asked.answer(resolved.entry.answer.rcode, ""), from).await.unwrap();
        }
    });
    for name in ["www.a-looping-example.com", "a.bc"] {
        assert_eq!(shown(&ask(&forwarding, name).await), servfail(Source::Forwarder));
    }
    assert_eq!(rounds.load(Ordering::Relaxed), 2, "one each");
    other.abort();
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_cannot_be_told_from_a_client_ends_all_the_same() {
    // As above, but spelled anew on the way, and answered only when we answer: never.
    let listener = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (forwarding, _) = forwarding(&format!("forward: ['{}']", listener.local_addr().unwrap()));
    let started = Instant::now();
    let (first, back) = tokio::join!(ask(&forwarding, NAME), ask(&forwarding, NAME));
    assert_eq!((first.entry.answer.rcode, back.entry.answer.rcode), (2, 2));
    assert!(started.elapsed() <= TOTAL_WAIT, "{:?}", started.elapsed());
    let mut queries = 0;
    while listener.try_recv(&mut [0; 512]).is_ok() {
        queries += 1;
    }
    assert!(queries <= 3, "nothing multiplies: {queries}");
    forwarding.stopped().await;
}

#[tokio::test]
async fn another_configuration_is_taken_up_and_what_others_said_is_forgotten() {
    let one = Fake::start(|asked| vec![asked.answer(0, A)]).await;
    let two = Fake::start(|asked| vec![asked.answer(3, "")]).await;
    let (forwarding, registry) = asking(&[&one]);
    assert_eq!(shown(&ask(&forwarding, NAME).await), good(Source::Forwarder));
    let config = |fake: &Fake| crate::fixture::config(&format!("dnsd: {{forward: ['{}']}}", fake.address));
    forwarding.configure(&config(&one));
    assert_eq!(shown(&ask(&forwarding, NAME).await), good(Source::Cache), "the same: nothing is forgotten");
    forwarding.configure(&config(&two));
    assert_eq!(shown(&ask(&forwarding, NAME).await), (Source::Forwarder, "NXDomain".into()));
    let mut page = String::new();
    prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
    assert!(!page.contains(&one.address.to_string()), "not counted any more:\n{page}");
    forwarding.configure(&crate::fixture::config(""));
    assert_eq!(shown(&ask(&forwarding, "x.example.com").await), servfail(Source::Failed));
}
