//! SMD fails in every way it can: known nodes are served as before, and nobody is made up.

use crate::scene::{self, Dhcp, Dns, NEWCOMER, NXDOMAIN, RELAYED, SOON};
use std::{fs, time::Duration};
use testkit::{
    cluster::{Cluster, Fate, Settings, Wall, need_tools, within},
    prober::{Asked, Prober},
    smd::{Failure, Fault, Group, Inventory, Members, Token},
};

/// Every program that answers.
const ALL: [Asked; 3] = [Asked::Dhcpd, Asked::Dnsd, Asked::SmdCache];
/// How long a failure lasts at least: more than one read of SMD, which is read every second.
const FAILING: Duration = Duration::from_millis(1_500);

fn read_requests(cluster: &Cluster) -> u64 {
    let counts = cluster.smd().requests();
    counts.iter().filter(|(request, _)| request.starts_with("GET /hsm")).map(|(_, count)| count).sum()
}

/// SMD fails so until smd-cache has met it twice, and for [`FAILING`].
fn suffer(cluster: &Cluster, prober: &Prober, failure: Failure) {
    let before = read_requests(cluster);
    let fault = failure.kind;
    cluster.smd().fail(failure);
    prober.watch_for(FAILING);
    if fault != Fault::Hang {
        within(2 * SOON, &format!("smd-cache reads SMD, which does {fault:?}"), || {
            (read_requests(cluster) >= before + 2).then_some(())
        });
    }
    assert_eq!(scene::address_of(cluster, NEWCOMER.fqdn), NXDOMAIN, "nobody is made up by {fault:?}");
    cluster.smd().heal();
}

#[test]
fn whatever_smd_answers_known_nodes_are_served_and_nobody_is_made_up() {
    let cluster = Cluster::start(scene::probed());
    let prober = Prober::start(&cluster, &RELAYED);
    let slow = |fault| Failure::all(fault).by(Duration::from_millis(300));
    let failures = [
        Failure::all(Fault::Close),
        Failure::all(Fault::Error500),
        Failure::all(Fault::Html),
        Failure::all(Fault::HalfBody),
        Failure::all(Fault::CutJson),
        Failure::all(Fault::WrongShape),
        Failure::all(Fault::DatabaseDown),
        Failure::all(Fault::IgnoresFilters),
        slow(Fault::Slow),
        slow(Fault::Trickle),
        Failure::all(Fault::Error500).on("Components"),
        Failure::all(Fault::WrongShape).on("EthernetInterfaces"),
        Failure::all(Fault::Hang),
    ];
    for failure in failures {
        suffer(&cluster, &prober, failure);
    }
    cluster.smd().refuse(true);
    prober.watch_for(FAILING);
    let status = scene::status(&cluster, 27780).unwrap();
    assert!(status.warnings.iter().any(|text| text.contains("Reading interfaces failed")), "{status:#?}");
    cluster.smd().heal();

    scene::add(&cluster, NEWCOMER);
    within(2 * SOON, "once SMD is well a new node is known", || {
        (scene::address_of(&cluster, NEWCOMER.fqdn) == Dns::data(NEWCOMER.address)).then_some(())
    });
    let report = prober.stop();
    println!("{report}");
    report.check_nothing_lost(&ALL);
}

#[test]
fn smd_behind_a_broken_cable_is_an_outage_that_ends() {
    need_tools(&["nft"]);
    let cluster = Cluster::start(scene::probed());
    let prober = Prober::start(&cluster, &RELAYED);
    for fate in [Fate::Silence, Fate::Reset] {
        let wall = Wall::around(&cluster.wire.server, None, 27779, fate);
        within(4 * SOON, "smd-cache says that SMD cannot be read", || {
            let status = scene::status(&cluster, 27780)?;
            status.warnings.iter().any(|text| text.contains("Reading")).then_some(())
        });
        drop(wall);
        within(4 * SOON, "all is well again", || {
            scene::status(&cluster, 27780)?.warnings.is_empty().then_some(())
        });
    }
    let report = prober.stop();
    println!("{report}");
    report.check_nothing_lost(&ALL);
}

/// A group that has a rule of its own.
fn grouped() -> (Inventory, Settings) {
    let members = Members { ids: vec![scene::NODE3.id.to_owned()] };
    let group = Group { label: "login".to_owned(), members, ..Group::default() };
    let inventory = Inventory { groups: vec![group], ..scene::probed() };
    let rules = "rules:\n  - 'group:login,hostname:login{02d}'\n  - 'type:Node,hostname:nid{04d}'\n";
    let smd = r#"{url: "http://127.0.0.1:27779", token_file: VAR/token}"#;
    (inventory, Settings::default().smd_cache("smd", smd).more(rules))
}

#[test]
fn a_token_that_expires_leaves_the_groups_as_they_were_until_there_is_another() {
    let (inventory, settings) = grouped();
    let mut cluster = Cluster::bare();
    cluster.configure(&settings);
    fs::write(cluster.var().join("token"), "first\n").unwrap();
    cluster.start_smd(inventory);
    cluster.smd().set_token(Some(Token::new("first")));
    for program in ["smd-cache", "dnsd", "dhcpd"] {
        cluster.start_program(program);
    }
    let name = "login03.openchami.cluster";
    within(2 * SOON, "a rule by group names the node", || {
        (scene::address_of(&cluster, name) == Dns::data(scene::NODE3.address)).then_some(())
    });

    cluster.smd().set_token(Some(Token::new("first").for_time(Duration::ZERO)));
    let warned = within(SOON, "smd-cache says that the groups cannot be read", || {
        let status = scene::status(&cluster, 27780)?;
        status.warnings.into_iter().find(|text| text.contains("401"))
    });
    assert!(warned.contains("groups") && warned.contains("token is expired"), "{warned}");
    scene::add(&cluster, NEWCOMER);
    within(2 * SOON, "everything but groups goes on", || {
        (scene::address_of(&cluster, NEWCOMER.fqdn) == Dns::data(NEWCOMER.address)).then_some(())
    });
    assert_eq!(scene::address_of(&cluster, name), Dns::data(scene::NODE3.address));
    assert_eq!(scene::address_of(&cluster, scene::NODE3.fqdn), NXDOMAIN, "the name of the other rule");
    assert_eq!(
        scene::discover(&cluster, scene::NODE3.mac),
        Dhcp::Offer(scene::NODE3.address.parse().unwrap())
    );

    cluster.smd().set_token(Some(Token::new("second")));
    fs::write(cluster.var().join("token"), "second\n").unwrap();
    within(SOON, "the new token is used without a restart", || {
        let status = scene::status(&cluster, 27780)?;
        status.warnings.is_empty().then_some(())
    });
    let said = cluster.log("smd-cache");
    assert!(!said.contains("first") && !said.contains("second"), "no token is in the log: {said}");
}

#[test]
fn the_gap_of_a_re_discovery_is_never_seen() {
    let cluster = Cluster::start(scene::probed());
    let prober = Prober::start(&cluster, &RELAYED);
    let node = scene::NODE5;
    cluster.smd().set_gap(Duration::from_millis(700));
    for _ in 0..5 {
        let body = format!(
            r#"{{"ID":"x1000c0s1b1","Systems":[{{"ethernet_interfaces":[{{"mac":"{}","ip":"{}"}}]}},
                {{"ethernet_interfaces":[{{"mac":"{}","ip":"{}"}}]}}]}}"#,
            node.mac,
            node.address,
            scene::NODE6.mac,
            scene::NODE6.address
        );
        let put = testkit::http()
            .put("http://127.0.0.1:27779/hsm/v2/Inventory/RedfishEndpoints/x1000c0s1b1")
            .body(body);
        let status = cluster.inside().run(async move { put.send().await.unwrap().status() });
        assert!(status.is_success(), "{status}");
        // At another time of smd-cache's period; what asks again a second later does not meet the next gap.
        prober.watch_for(Duration::from_millis(fastrand::u64(2_500..3_500)));
    }
    let report = prober.stop();
    println!("{report}");
    report.check_nothing_lost(&ALL);
}
