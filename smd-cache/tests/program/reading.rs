//! What SMD says and how it is believed.

use crate::{
    Cache, eventually,
    fake_smd::{Answer, COMPONENTS, FakeSmd, GROUPS, INTERFACES, plain},
};
use proto::v1::{self, Outcome};
use smd_cache::smd::{Client, Settings, Source};
use std::{
    fs,
    time::{Duration, Instant},
};

const MAX_BODY: u64 = 100_000;

fn client(smd: &FakeSmd) -> Client {
    client_at(&smd.url(), None)
}

fn client_at(url: &str, token_file: Option<std::path::PathBuf>) -> Client {
    Client::new(&Settings { url: url.into(), ca_cert: None, client: None, token_file, max_body: MAX_BODY })
        .unwrap()
}

fn html(status: u16) -> Answer {
    Answer::Http { status, content_type: "text/html", body: "<html>Sign in</html>".into() }
}

fn problem(status: u16) -> Answer {
    let body = r#"{"type":"about:blank","title":"Internal Server Error","detail":"failed to query DB.","status":500}"#;
    Answer::Http { status, content_type: "application/problem+json", body: body.into() }
}

/// Bodies that are no answer; their label, and a word of what people are told.
fn bad_answers() -> Vec<(Answer, &'static str, &'static str)> {
    let json = |body: &str| Answer::Json(body.to_owned());
    vec![
        (html(200), "content_type", "text/html"),
        (html(502), "status", "502"),
        (problem(500), "status", "failed to query DB."),
        (problem(200), "content_type", "application/problem+json"),
        (plain(401, "no token found\n"), "status", "no token found"),
        (plain(404, "404 page not found\n"), "status", "404 page not found"),
        (Answer::Half(format!("[{}]", "{},".repeat(100))), "interrupted", "broke off"),
        (json(&" ".repeat(MAX_BODY as usize + 1)), "too_large", "max_body"),
        (json("[{\"ID\":"), "malformed", "cannot be used"),
        (json(""), "malformed", "cannot be used"),
        (json("null"), "malformed", "cannot be used"),
        (json("\"hello\""), "malformed", "cannot be used"),
    ]
}

#[tokio::test]
async fn what_is_no_answer_is_refused_with_its_reason() {
    let smd = FakeSmd::empty().await;
    for (answer, label, words) in bad_answers().into_iter().filter(|(_, label, _)| *label != "malformed") {
        smd.answer(INTERFACES, answer.clone());
        let error = client(&smd).whole(Source::Interfaces).await.expect_err(label);
        assert_eq!(error.label(), label, "{answer:?}: {error}");
        assert!(error.to_string().contains(words), "{answer:?}: {error}");
    }
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = client_at(&format!("http://{gone}"), None).whole(Source::Interfaces).await.unwrap_err();
    assert_eq!(error.label(), "unreachable", "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn an_smd_that_hangs_is_given_up() {
    let smd = FakeSmd::empty().await;
    smd.answer(INTERFACES, Answer::Hang);
    let client = client(&smd);
    let asked = tokio::spawn(async move { client.whole(Source::Interfaces).await });
    eventually("asked", async || smd.count(INTERFACES) == 1).await;
    tokio::time::pause();
    let error = asked.await.unwrap().unwrap_err();
    assert_eq!(error.label(), "timed_out", "{error}");
}

#[tokio::test]
async fn groups_that_hang_do_not_make_a_whole_read_old() {
    let smd = FakeSmd::empty().await;
    smd.answer(GROUPS, Answer::Hang);
    let client = client(&smd);
    let asked = tokio::spawn(async move { client.whole(Source::Groups).await });
    eventually("asked", async || smd.count(GROUPS) == 1).await;
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    assert_eq!(asked.await.unwrap().unwrap_err().label(), "timed_out");
    assert!(begun.elapsed() < Duration::from_secs(10), "stale_after is 30 s by default");
}

#[tokio::test]
async fn the_url_may_hold_the_base_path_and_slashes() {
    let smd = FakeSmd::empty().await;
    for end in ["", "/", "/hsm/v2", "/hsm/v2/"] {
        client_at(&format!("{}{end}", smd.url()), None).whole(Source::Components).await.unwrap();
    }
    assert_eq!(smd.count(COMPONENTS), 4, "{:?}", smd.requests());
}

#[tokio::test]
async fn a_refused_token_is_read_again_once() {
    let smd = FakeSmd::empty().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    fs::write(&file, "old\n").unwrap();
    let written = fs::metadata(&file).unwrap().modified().unwrap();
    let client = client_at(&smd.url(), Some(file.clone()));
    smd.answer(GROUPS, Answer::Token("new", Box::new(Answer::Json("[]".into()))));
    let error = client.whole(Source::Groups).await.unwrap_err();
    assert!(error.to_string().contains("token is expired"), "{error}");
    assert_eq!(smd.requests().len(), 2, "once, and once more with the file read again");
    // The same length and time: only the 401 makes us look.
    fs::write(&file, "new\n").unwrap();
    fs::File::options().write(true).open(&file).unwrap().set_modified(written).unwrap();
    client.whole(Source::Groups).await.unwrap();
    assert!(smd.requests().last().unwrap().ends_with(" new"));
}

#[tokio::test]
async fn until_the_first_read_nothing_can_be_told() {
    let smd = FakeSmd::empty().await;
    smd.answer(INTERFACES, html(200));
    let mut cache = Cache::of(&smd).await;
    for reply in [
        cache.mac("02:00:00:00:00:01").await,
        cache.address("10.0.0.1").await,
        cache.name("nid0001.cluster.local").await,
        cache.component("x1000c0s1b0n0").await,
    ] {
        assert_eq!(reply.outcome(), Outcome::Unavailable, "{reply:?}");
        assert!(reply.freshness.unwrap().read_at.is_none());
    }
    assert_eq!(cache.page("/ready").await.0, 503);
    eventually("the error shows", async || !cache.status().await.sources.is_empty()).await;
    let status = cache.status().await;
    assert!(!status.ready && status.warnings[0].contains("not read yet"), "{status:#?}");
    assert!(status.sources[0].last_error.contains("text/html"), "{status:#?}");

    smd.set(&[1]);
    let mut cache = cache.ready().await;
    assert_eq!(cache.mac("02:00:00:00:00:01").await.outcome(), Outcome::Found);
    assert_eq!(cache.mac("02:00:00:00:00:02").await.outcome(), Outcome::Unknown);
    cache.stop().await;
}

#[tokio::test]
async fn a_failed_read_keeps_the_old_picture_and_shows() {
    let smd = FakeSmd::with(&[1]).await;
    let max_body = |settings: &mut smd_cache::config::Settings| settings.smd.max_body = MAX_BODY;
    let mut cache = Cache::start(&smd, "domain: cluster.local", max_body).await.ready().await;
    for path in [INTERFACES, COMPONENTS] {
        for (answer, label, words) in bad_answers() {
            smd.answer(path, answer.clone());
            let refused = cache.refresh().await.expect_err(label);
            assert_eq!(refused.code(), tonic::Code::Unavailable, "{answer:?}: {refused}");
            assert!(refused.message().contains(words), "{answer:?}: {refused}");
            assert_eq!(cache.mac("02:00:00:00:00:01").await.outcome(), Outcome::Found, "{answer:?}");
            let status = cache.status().await;
            assert!(status.warnings.iter().any(|warning| warning.contains(words)), "{answer:?}: {status:#?}");
            let source = if path == INTERFACES { "interfaces" } else { "components" };
            let counted = format!("smd_cache_reads_total{{source=\"{source}\",outcome=\"{label}\"}} 0");
            assert!(!cache.page("/metrics").await.1.contains(&counted), "{answer:?} is counted");
        }
        smd.set(&[1]);
        cache.refresh().await.unwrap();
        assert_eq!(cache.status().await.warnings, [""; 0]);
    }
    let status = cache.status().await;
    assert_eq!(status.freshness.unwrap().generation, 1, "nothing changed");
    assert!(!status.sources[0].last_error.is_empty(), "the last error is kept for those who come later");
    cache.stop().await;
}

fn rarely(settings: &mut smd_cache::config::Settings) {
    settings.refresh = Duration::from_secs(3600);
}

#[tokio::test]
async fn what_a_read_lacks_goes_when_smd_does_not_have_it_a_second_later() {
    let smd = FakeSmd::with(&[1, 2]).await;
    let mut cache = Cache::start(&smd, "domain: cluster.local", rarely).await.ready().await;
    let before = cache.mac("02:00:00:00:00:01").await.freshness.unwrap();
    smd.set(&[2]);
    let lacked = Instant::now();
    cache.refresh().await.unwrap();
    let meanwhile = cache.mac("02:00:00:00:00:01").await;
    assert_eq!(meanwhile.outcome(), Outcome::Found, "re-discovery looks like this");
    let meanwhile = meanwhile.freshness.unwrap();
    assert_eq!(
        meanwhile.whole_read_at, before.whole_read_at,
        "who knows that it is gone must not believe this"
    );
    assert_ne!(meanwhile.read_at, before.read_at);
    eventually("it goes", async || cache.mac("02:00:00:00:00:01").await.outcome() == Outcome::Unknown).await;
    assert!(lacked.elapsed() >= Duration::from_secs(1));
    let asked = smd.requests();
    assert!(asked.iter().any(|line| line.contains("EthernetInterfaces?ID=020000000001 ")), "{asked:?}");
    assert!(asked.iter().any(|line| line.contains("Components?id=x1000c0s1b0n0 ")), "{asked:?}");
    assert_eq!(cache.component("x1000c0s1b0n0").await.outcome(), Outcome::Unknown);
    cache.stop().await;
}

#[tokio::test]
async fn what_is_back_a_second_later_was_never_away() {
    let smd = FakeSmd::with(&[1, 2]).await;
    let mut cache = Cache::start(&smd, "domain: cluster.local", rarely).await.ready().await;
    smd.set(&[2]);
    cache.refresh().await.unwrap();
    smd.set(&[1, 2]);
    eventually("it is asked for", async || {
        smd.requests().iter().any(|line| line.contains("EthernetInterfaces?ID=020000000001 "))
    })
    .await;
    let asked = || smd.requests().iter().filter(|line| line.contains("?ID=")).count();
    let before = asked();
    cache.refresh().await.unwrap();
    assert_eq!(cache.mac("02:00:00:00:00:01").await.outcome(), Outcome::Found);
    assert_eq!(cache.status().await.freshness.unwrap().generation, 1, "nobody noticed");
    assert_eq!(asked(), before, "nor is it doubted any more");
    cache.stop().await;
}

#[tokio::test]
async fn an_empty_smd_is_believed_only_at_a_word() {
    let smd = FakeSmd::with(&[1, 2]).await;
    let mut cache = Cache::of(&smd).await.ready().await;
    smd.set(&[]);
    let held_back =
        async |cache: &mut Cache| cache.page("/metrics").await.1.contains("\nsmd_cache_losses_held_back 1");
    eventually("it is held back", async || held_back(&mut cache).await).await;
    assert_eq!(cache.mac("02:00:00:00:00:02").await.outcome(), Outcome::Found);
    let status = cache.status().await;
    assert!(status.warnings.iter().any(|text| text.contains("refresh --force")), "{status:#?}");
    assert!(status.problems_by_reason["held_back"] >= 2, "{status:#?}");
    // As it was: nothing happened at all.
    smd.set(&[1, 2]);
    eventually("it is not", async || !held_back(&mut cache).await).await;
    let status = cache.status().await;
    assert_eq!((status.warnings.len(), status.freshness.unwrap().generation), (0, 1));
    smd.set(&[]);
    eventually("it is held back", async || held_back(&mut cache).await).await;
    let forced = v1::RefreshRequest { full: true, force: true };
    let mut local = cache.over_the_socket().await;
    local.refresh(forced).await.unwrap();
    assert_eq!(cache.mac("02:00:00:00:00:02").await.outcome(), Outcome::Unknown, "when it returns, it is so");
    assert!(!held_back(&mut cache).await);
    cache.stop().await;
}

#[tokio::test]
async fn changes_show_without_a_whole_read() {
    let smd = FakeSmd::with(&[1]).await;
    let polling = |settings: &mut smd_cache::config::Settings| {
        rarely(settings);
        settings.poll_changes = Duration::from_millis(20);
        settings.pull_through = false;
    };
    let mut cache = Cache::start(&smd, "domain: cluster.local", polling).await.ready().await;
    let whole = smd.count(INTERFACES);
    smd.set_addresses(&[(1, "10.0.0.77".into()), (2, "10.0.0.2".into())]);
    eventually("an address", async || cache.address("10.0.0.77").await.outcome() == Outcome::Found).await;
    eventually("a machine with its component", async || {
        cache.name("nid0002.cluster.local").await.outcome() == Outcome::Found
    })
    .await;
    assert_eq!(cache.address("10.0.0.1").await.outcome(), Outcome::Unknown);
    assert_eq!(smd.count(INTERFACES), whole);
    let freshness = cache.status().await.freshness.unwrap();
    assert!(freshness.read_at.unwrap().nanos != freshness.whole_read_at.unwrap().nanos, "{freshness:?}");
    cache.stop().await;
}

#[tokio::test]
async fn an_smd_that_ignores_filters_is_not_believed() {
    let smd = FakeSmd::with(&[1]).await;
    let polling = |settings: &mut smd_cache::config::Settings| {
        rarely(settings);
        settings.poll_changes = Duration::from_millis(20);
    };
    let mut cache = Cache::start(&smd, "domain: cluster.local", polling).await.ready().await;
    let all = r#"[{"ID":"020000000001","MACAddress":"02:00:00:00:00:01","LastUpdate":"2001-01-01T00:00:00Z",
        "ComponentID":"x1000c0s1b0n0","IPAddresses":[{"IPAddress":"10.66.6.6"}]}]"#;
    smd.answer(INTERFACES, Answer::Http { status: 200, content_type: "application/json", body: all.into() });
    assert_eq!(cache.mac("02:00:00:00:00:07").await.outcome(), Outcome::Unknown, "nor is that one's answer");
    for source in ["changes", "by_id"] {
        let counted = format!("smd_cache_reads_total{{source=\"{source}\",outcome=\"not_asked\"}} 0");
        eventually(source, async || !cache.page("/metrics").await.1.contains(&counted)).await;
    }
    assert_eq!(cache.address("10.66.6.6").await.outcome(), Outcome::Unknown);
    cache.stop().await;
}

#[tokio::test]
async fn an_inventory_that_was_always_empty_is_believed() {
    let smd = FakeSmd::empty().await;
    let mut cache = Cache::of(&smd).await.ready().await;
    assert_eq!(cache.mac("02:00:00:00:00:01").await.outcome(), Outcome::Unknown);
    assert_eq!(cache.page("/ready").await, (200, "ready\n".into()));
    cache.stop().await;
}

#[tokio::test]
async fn an_old_picture_says_so_and_calls_no_mac_unknown() {
    let smd = FakeSmd::with(&[1]).await;
    let soon = |settings: &mut smd_cache::config::Settings| settings.stale_after = Duration::from_millis(200);
    let mut cache = Cache::start(&smd, "domain: cluster.local", soon).await.ready().await;
    smd.answer(INTERFACES, plain(503, "gone"));
    eventually("stale", async || cache.mac("02:00:00:00:00:01").await.freshness.unwrap().stale).await;
    assert_eq!(cache.mac("02:00:00:00:00:01").await.outcome(), Outcome::Found);
    assert_eq!(cache.mac("02:00:00:00:00:09").await.outcome(), Outcome::Unavailable);
    assert_eq!(cache.name("nobody.cluster.local").await.outcome(), Outcome::Unknown);
    assert_eq!(cache.address("10.9.9.9").await.outcome(), Outcome::Unknown);
    let (status, page) = cache.page("/ready").await;
    assert!(status == 200 && page.starts_with("degraded") && page.contains("stale"), "{page}");
    assert!(cache.page("/metrics").await.1.contains("smd_cache_stale 1"));
    cache.stop().await;
}

#[tokio::test]
async fn a_bad_record_is_refused_alone_and_reported() {
    let smd = FakeSmd::with(&[1]).await;
    let body = r#"[{"ID":"x","Description":"","MACAddress":"no mac","LastUpdate":"2026-11-23T00:07:24Z","ComponentID":"x1000c0s1b0n0",
        "Type":"Node","IPAddresses":[]}, 7,
        {"ID":"020000000001","Description":"","MACAddress":"02:00:00:00:00:01","LastUpdate":"2026-11-23T00:07:24Z",
        "ComponentID":"x1000c0s1b0n0","Type":"Node","IPAddresses":[{"IPAddress":""},{"IPAddress":"10.0.0.1"},{"IPAddress":"10.0.0.400"}]}]"#;
    smd.answer(INTERFACES, Answer::Json(body.into()));
    let mut cache = Cache::of(&smd).await.ready().await;
    let held = cache.mac("02-00-00-00-00-01").await.interfaces.remove(0);
    assert_eq!(held.addresses.len(), 1, "{held:#?}");
    let status = cache.status().await;
    for reason in ["bad_mac", "bad_record", "empty_address", "bad_address"] {
        assert_eq!(status.problems_by_reason.get(reason), Some(&1), "{reason}: {status:#?}");
        assert!(
            status.problems.iter().any(|problem| problem.reason == reason && !problem.message.is_empty())
        );
        let counted = format!("smd_cache_problems{{reason=\"{reason}\"}} 1");
        assert!(cache.page("/metrics").await.1.contains(&counted), "{reason}");
    }
    let listed = crate::look_ups::problems(&mut cache).await;
    assert_eq!(listed, status.problems);
    cache.stop().await;
}

#[tokio::test]
async fn groups_are_read_only_for_rules_and_their_absence_harms_nothing_else() {
    let rules = "domain: cluster.local\nrules:\n  - {match: {group: [blue]}, hostname: 'blue{04d}'}\n  - type:Node,hostname:nid{04d}\n";
    let smd = FakeSmd::with(&[1, 2]).await;
    let cache = Cache::of(&smd).await.ready().await;
    assert_eq!(smd.count(GROUPS), 0);
    cache.stop().await;

    let groups = r#"[{"label":"blue","description":"","members":{"ids":["x1000c0s1b0n0"]}}]"#;
    smd.answer(GROUPS, Answer::Token("good", Box::new(Answer::Json(groups.into()))));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    let with_file = |settings: &mut smd_cache::config::Settings| settings.smd.token_file = Some(file.clone());
    let mut cache = Cache::start(&smd, rules, with_file).await.ready().await;
    assert_eq!(cache.name("nid0001.cluster.local").await.outcome(), Outcome::Found);
    let warnings = cache.status().await.warnings.join("\n");
    for words in ["Reading groups failed", "match nothing", "token file"] {
        assert!(warnings.contains(words), "{words}: {warnings}");
    }
    fs::write(&file, "good").unwrap();
    eventually("named by group", async || {
        cache.name("blue0001.cluster.local").await.outcome() == Outcome::Found
    })
    .await;
    assert_eq!(cache.name("nid0002.cluster.local").await.outcome(), Outcome::Found);
    smd.answer(GROUPS, plain(401, "token is expired"));
    assert!(cache.refresh().await.is_ok());
    assert!(cache.refresh().await.is_ok());
    assert_eq!(
        cache.name("blue0001.cluster.local").await.outcome(),
        Outcome::Found,
        "as they were read last"
    );
    cache.stop().await;
}

#[tokio::test]
async fn components_that_interfaces_name_are_asked_for_in_the_same_cycle() {
    let smd = FakeSmd::with(&[1]).await;
    smd.answer(COMPONENTS, Answer::Json(r#"{"Components":[]}"#.into()));
    let cache = Cache::of(&smd).await.ready().await;
    let asked = smd.requests();
    assert!(asked.iter().any(|line| line.contains("State/Components?id=x1000c0s1b0n0 ")), "{asked:?}");
    cache.stop().await;
}

#[tokio::test]
async fn an_answer_that_holds_more_than_was_asked_is_none() {
    let smd = FakeSmd::with(&[1]).await;
    let body = r#"{"Components":[{"ID":"x1000c0s7b0n0","Type":"Node"}]}"#;
    // An SMD that ignores `id` says the same to both.
    smd.answer(COMPONENTS, Answer::Http { status: 200, content_type: "application/json", body: body.into() });
    let mut cache = Cache::of(&smd).await.ready().await;
    let status = cache.status().await;
    let errors: Vec<_> = status.sources.iter().map(|source| source.last_error.as_str()).collect();
    assert!(errors.iter().any(|error| error.contains("x1000c0s7b0n0")), "{errors:?}");
    cache.stop().await;
}

#[tokio::test]
async fn a_refresh_that_is_asked_for_begins_after_the_asking() {
    let smd = FakeSmd::with(&[1]).await;
    let mut cache = Cache::start(&smd, "domain: cluster.local", rarely).await.ready().await;
    let before = cache.status().await.freshness.unwrap();
    smd.set(&[1, 2]);
    let after = cache.refresh().await.unwrap();
    assert_eq!((before.generation, after.generation), (1, 2));
    assert_eq!(cache.mac("02:00:00:00:00:02").await.outcome(), Outcome::Found);
    // Many at once share reads.
    let reads = smd.count(INTERFACES);
    let asking = (0..20).map(|_| {
        let mut grpc = cache.grpc.clone();
        async move { grpc.refresh(v1::RefreshRequest { full: true, force: false }).await }
    });
    assert!(futures::future::join_all(asking).await.iter().all(Result::is_ok));
    assert!(smd.count(INTERFACES) - reads < 20, "single flight");
    cache.stop().await;
}
