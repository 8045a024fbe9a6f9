use crate::{
    access::Client,
    explain::Asked,
    fixture::{CONFIG, config, query, replica, text},
    forward::tests::Fake,
    metrics::Metrics,
    server::{Outcome, Service},
    wire::Transport,
};
use inventory::Inventory;
use prometheus_client::registry::Registry;
use std::{net::IpAddr, sync::Arc};

const SITE: &str = "www.example.com. 60 A 192.0.2.1";

/// The fixture's cluster with a forwarder, and clients in 10.0.0.0/8.
fn service(fake: &Fake) -> (Arc<Service>, Registry) {
    let configuration =
        format!("{CONFIG}\n  forward: ['{}']\n  recursion_from: [10.0.0.0/8, 127.0.0.1]", fake.address);
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    (Arc::new(Service::new(Inventory::fixed(replica()), &config(&configuration), 1000, metrics)), registry)
}

fn from(address: &str) -> Client {
    Client { address: address.parse::<IpAddr>().unwrap(), transport: Transport::Udp }
}

/// With RD.
fn asking(question: &str) -> Vec<u8> {
    let mut bytes = query(question);
    bytes[2] = 1;
    bytes
}

async fn answer(service: &Service, question: &str, client: &str) -> String {
    let mut out = Vec::new();
    assert!(service.answer(&asking(question), from(client), &mut out).await);
    text(&out)
}

#[tokio::test]
async fn what_is_kept_is_answered_in_place() {
    let fake = Fake::start(|asked| vec![asked.answer(0, SITE)]).await;
    let (service, registry) = service(&fake);
    let mut out = Vec::new();
    let now = |out: &mut Vec<u8>| service.answer_now(&asking("WWW.example.com. A"), from("10.0.0.1"), out);
    assert_eq!(now(&mut out), Outcome::Wait);
    assert_eq!(
        answer(&service, "www.Example.com. A", "10.0.0.1").await,
        "NoError ra; www.Example.com. 60 A 192.0.2.1"
    );
    assert_eq!(now(&mut out), Outcome::Reply);
    assert_eq!(text(&out), "NoError ra; WWW.example.com. 60 A 192.0.2.1", "in the spelling of who asks now");
    let mut page = String::new();
    prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
    for line in [
        "dnsd_forward_answers_total{source=\"forwarder\"} 1",
        "dnsd_forward_answers_total{source=\"cache\"} 1",
        "dnsd_queries_total{transport=\"udp\",type=\"a\"} 2",
        "dnsd_replies_total{rcode=\"noerror\"} 2",
        "dnsd_forward_cache_entries",
    ] {
        assert!(page.contains(line), "{line} is not in\n{page}");
    }
}

#[tokio::test]
async fn who_may_recurse_is_told_so_in_every_answer_and_others_get_nothing_of_it() {
    let fake = Fake::start(|asked| vec![asked.answer(0, SITE)]).await;
    let (service, _) = service(&fake);
    for (question, inside, outside) in [
        ("www.example.com. A", "NoError ra; www.example.com. 60 A 192.0.2.1", "Refused"),
        (
            "nid0001.cluster.local. A",
            "NoError aa ra; nid0001.cluster.local. 60 A 172.16.0.1",
            "NoError aa; nid0001.cluster.local. 60 A 172.16.0.1",
        ),
        (
            "out.cluster.local. A",
            "NoError aa ra; out.cluster.local. 60 CNAME www.example.com., www.example.com. 60 A 192.0.2.1",
            "NoError aa; out.cluster.local. 60 CNAME www.example.com.",
        ),
        ("localhost. A", "NoError ra; localhost. 3600 A 127.0.0.1", "Refused"),
        ("printer. A", "NXDomain ra", "Refused"),
        ("www.example.com. ANY", "Refused ra", "Refused"),
    ] {
        assert_eq!(answer(&service, question, "10.0.0.1").await, inside, "{question}");
        assert_eq!(answer(&service, question, "172.16.0.1").await, outside, "{question}");
    }
    let mut without_rd = Vec::new();
    service.answer_now(&query("www.example.com. A"), from("10.0.0.1"), &mut without_rd);
    assert_eq!(text(&without_rd), "Refused ra", "what others asked for is nobody's business");
    assert!(fake.seen().iter().all(|asked| {
        asked.answer(0, "").windows(11).any(|part| part.eq_ignore_ascii_case(b"example\x03com"))
    }));
}

#[tokio::test]
async fn an_explanation_says_who_said_so() {
    let fake = Fake::start(|asked| vec![asked.answer(0, SITE)]).await;
    let (service, _) = service(&fake);
    let asked = |name: &str| Asked { name: name.into(), r#type: None };
    let first = service.explain(&asked("www.example.com")).await.unwrap();
    let text = [
        "dnsd answers www.example.com A with 192.0.2.1.".to_owned(),
        "answer: www.example.com. 60 A 192.0.2.1".to_owned(),
        "It is in no zone of ours, so forwarders are asked, for clients in `dnsd.recursion_from`.".to_owned(),
        format!("{} said so just now.", fake.address),
        format!("The forwarders are {}.", fake.address),
    ];
    assert_eq!(first.text, text);
    assert_eq!((first.exit_code(), first.zone, first.inventory), (0, None, None));
    let again = service.explain(&asked("www.example.com")).await.unwrap();
    assert_eq!(again.text[3], format!("{} said so 0 s ago; it is kept for 60 s more.", fake.address));
    let alias = service.explain(&asked("out")).await.unwrap();
    assert!(alias.authoritative && alias.answers.len() == 2, "{alias:?}");
    assert_eq!(alias.zone.as_deref(), Some("cluster.local."));
}

/// Many clients ask for many names that nobody answers; known names do not notice.
#[tokio::test(start_paused = true)]
async fn a_flood_of_others_names_leaves_known_names_alone() {
    let fake = Fake::start(|_| Vec::new()).await;
    let (service, _) = service(&fake);
    let mut waiting = tokio::task::JoinSet::new();
    let mut out = Vec::new();
    for number in 0..5000u32 {
        let asked = service.clone();
        waiting.spawn(async move {
            let client = format!("10.0.{}.{}", number / 256 % 256, number % 256);
            answer(&asked, &format!("n{number}.example.com. A"), &client).await
        });
        if number % 100 == 0 {
            tokio::task::yield_now().await;
        }
        let outcome = service.answer_now(&asking("nid0001.cluster.local. A"), from("10.0.0.1"), &mut out);
        assert_eq!(outcome, Outcome::Reply);
    }
    let answers = waiting.join_all().await;
    assert!(answers.iter().all(|answer| answer == "ServFail ra"));
}

#[test]
fn who_lists_itself_is_told_and_who_lists_a_resolver_of_containers_is_not() {
    let own = ["127.0.0.1/8", "172.16.0.253/24", "::1/128"].map(|network| network.parse().unwrap());
    let everywhere = ["0.0.0.0:53", "172.16.0.253:5353"].map(|listen| listen.parse().unwrap());
    for (forwarder, ours) in [
        ("127.0.0.1:53", true),
        ("172.16.0.253:53", true),
        ("172.16.0.253:5353", true),
        ("127.0.0.11:53", false),
        ("127.0.0.1:5353", false),
        ("172.16.0.252:53", false),
        ("[::1]:53", false),
    ] {
        assert_eq!(super::is_ours(forwarder.parse().unwrap(), &everywhere, &own), ours, "{forwarder}");
    }
}
