//! The wipe guard: SMD says that most of what was there is gone, and is not believed at once.

use crate::scene::{self, Dns, NODE1, NXDOMAIN, RELAYED, SOON};
use proto::v1::{self, smd_cache_client::SmdCacheClient};
use std::time::Duration;
use testkit::{
    cluster::{Cluster, Settings, within},
    prober::{Asked, Prober},
    smd::{Failure, Fault},
};

const ALL: [Asked; 3] = [Asked::Dhcpd, Asked::Dnsd, Asked::SmdCache];
/// Further nodes: with those of the scene there are 47 interfaces, of which half a SMD leaves less than half.
const CROWD: u8 = 41;
/// Whole reads, one a second, after which less is believed.
const CONFIRMATIONS: &str = "6";
/// Losses are held back or let go within so many seconds; room for a busy machine.
const DECIDED: Duration = Duration::from_secs(30);

fn started() -> Cluster {
    Cluster::start_with(
        scene::crowd(CROWD),
        &Settings::default().smd_cache("shrink_confirmations", CONFIRMATIONS),
    )
}

fn last_of_crowd(cluster: &Cluster) -> Dns {
    scene::address_of(cluster, &format!("nid{}.openchami.cluster", 2_000 + u16::from(CROWD) - 1))
}

fn wait_held_back(cluster: &Cluster, yes: bool) {
    within(DECIDED, &format!("losses are held back: {yes}"), || {
        let status = scene::status(cluster, 27780)?;
        let told = status.problems_by_reason.contains_key("held_back");
        let counted =
            cluster.metric("smd-cache", "smd_cache_losses_held_back") == Some(f64::from(u8::from(yes)));
        (told == yes && counted).then_some(())
    });
}

/// `Refresh{full}`, with or without force, over the Unix socket.
fn refresh(cluster: &Cluster, force: bool) -> Result<(), String> {
    let path = cluster.runtime_folder().join("smd-cache.sock");
    cluster.inside().run(async move {
        let endpoint = tonic::transport::Endpoint::from_shared(format!("unix:{}", path.display()));
        let channel = endpoint.expect("a path").connect().await.map_err(|error| error.to_string())?;
        let request = v1::RefreshRequest { full: true, force };
        let reply = SmdCacheClient::new(channel).refresh(request).await;
        reply.map(drop).map_err(|status| status.message().to_owned())
    })
}

#[test]
fn an_empty_smd_is_never_believed_by_itself_and_at_once_by_force() {
    let cluster = started();
    let prober = Prober::start(&cluster, &RELAYED);
    cluster.smd().fail(Failure::all(Fault::Empty));
    wait_held_back(&cluster, true);
    let status = scene::status(&cluster, 27780).unwrap();
    assert!(
        status.warnings.iter().any(|text| text.contains("--force")),
        "it says what to do: {:#?}",
        status.warnings
    );
    assert!(!status.problems.is_empty());
    prober.watch_for(Duration::from_secs(10)); // more whole reads than would do for a shrunken SMD
    assert_eq!(last_of_crowd(&cluster), Dns::data(&format!("172.16.1.{CROWD}")));
    refresh(&cluster, false).unwrap();
    wait_held_back(&cluster, true);
    let report = prober.stop();
    println!("{report}");
    report.check_nothing_lost(&ALL);

    refresh(&cluster, true).unwrap();
    wait_held_back(&cluster, false);
    within(SOON, "nobody is left", || (scene::address_of(&cluster, NODE1.fqdn) == NXDOMAIN).then_some(()));
    cluster.smd().heal();
    within(2 * SOON, "everybody is back", || {
        (scene::address_of(&cluster, NODE1.fqdn) == Dns::data(NODE1.address)).then_some(())
    });
}

/// Every interface is there, but none can be served: the components are gone, or the addresses.
#[test]
fn what_can_serve_nobody_is_as_gone_as_what_is_not_there() {
    let cluster = started();
    let prober = Prober::start(&cluster, &RELAYED);
    cluster.smd().fail(Failure::all(Fault::Empty).on("Components"));
    wait_held_back(&cluster, true);
    prober.watch_for(Duration::from_secs(3));
    cluster.smd().heal();
    wait_held_back(&cluster, false);

    let before = cluster.smd().inventory();
    for interface in &before.interfaces {
        assert!(cluster.smd().set_addresses(&interface.mac, &[]));
    }
    wait_held_back(&cluster, true);
    prober.watch_for(Duration::from_secs(3));
    assert_eq!(last_of_crowd(&cluster), Dns::data(&format!("172.16.1.{CROWD}")));
    cluster.smd().load(before);
    wait_held_back(&cluster, false);
    let report = prober.stop();
    println!("{report}");
    report.check_nothing_lost(&ALL);
}

#[test]
fn force_is_not_for_everybody_who_reaches_the_port() {
    let cluster = started();
    let refused = cluster.inside().run(async {
        let mut client = SmdCacheClient::connect("http://127.0.0.1:27780").await.expect("smd-cache listens");
        client.refresh(v1::RefreshRequest { full: true, force: true }).await
    });
    assert_eq!(refused.map(drop).unwrap_err().code(), tonic::Code::PermissionDenied);
}

#[test]
fn a_restart_makes_an_empty_smd_no_more_believable() {
    let mut cluster = started();
    within(2 * SOON, "the snapshot is on disk", || cluster.var().join("snapshot").exists().then_some(()));
    let prober = Prober::start(&cluster, &RELAYED);
    cluster.smd().fail(Failure::all(Fault::Empty));
    cluster.kill("smd-cache");
    cluster.start_program("smd-cache");
    wait_held_back(&cluster, true);
    prober.watch_for(Duration::from_secs(3));
    assert_eq!(scene::outcome(&cluster, NODE1.mac), Some(v1::Outcome::Found));
    assert_eq!(last_of_crowd(&cluster), Dns::data(&format!("172.16.1.{CROWD}")));
    let report = prober.stop();
    println!("{report}");
    report.check_nothing_lost(&[Asked::Dhcpd, Asked::Dnsd]);
}

#[test]
fn half_an_smd_is_held_back_while_it_grows_and_believed_when_it_says_so_often_enough() {
    let cluster = started();
    let prober = Prober::start(&cluster, &RELAYED); // these are of the half that stays
    cluster.smd().fail(Failure::all(Fault::HalfList));
    wait_held_back(&cluster, true);
    assert_eq!(last_of_crowd(&cluster), Dns::data(&format!("172.16.1.{CROWD}")));
    assert!(cluster.smd().set_addresses(NODE1.mac, &["172.16.0.99"]));
    within(SOON, "addresses change meanwhile", || {
        (scene::address_of(&cluster, NODE1.fqdn) == Dns::data("172.16.0.99")).then_some(())
    });
    within(DECIDED, "half of them are gone", || (last_of_crowd(&cluster) == NXDOMAIN).then_some(()));
    wait_held_back(&cluster, false);
    cluster.smd().heal();
    within(2 * SOON, "they are back", || {
        (last_of_crowd(&cluster) == Dns::data(&format!("172.16.1.{CROWD}"))).then_some(())
    });
    let report = prober.stop();
    println!("{report}");
    report.check_nothing_lost(&ALL);
}

#[test]
fn half_an_smd_for_a_moment_costs_nobody() {
    let cluster = started();
    let (address, mac) = (format!("172.16.1.{CROWD}"), format!("02:79:00:00:00:{:02x}", CROWD - 1));
    let expected = Dns::data(&address);
    cluster.smd().fail(Failure::all(Fault::HalfList));
    let end = std::time::Instant::now() + Duration::from_secs(4);
    while std::time::Instant::now() < end {
        assert_eq!(last_of_crowd(&cluster), expected);
        std::thread::sleep(Duration::from_millis(20)); // what is seen in this time is the test
    }
    cluster.smd().heal();
    wait_held_back(&cluster, false);
    assert_eq!(last_of_crowd(&cluster), expected);
    assert_eq!(scene::outcome(&cluster, &mac), Some(v1::Outcome::Found));
}
