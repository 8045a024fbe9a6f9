//! The prober itself: it hears what is right, and notices what is wrong.

use crate::scene::{self, Node};
use std::time::Duration;
use testkit::{
    cluster::Cluster,
    prober::{Asked, Prober},
};

#[test]
fn an_undisturbed_cluster_answers_everything() {
    let cluster = Cluster::start(scene::probed());
    let prober = Prober::start(&cluster, &scene::RELAYED);
    prober.watch_for(Duration::from_secs(1));
    let report = prober.stop();
    println!("{report}");
    report.check_nothing_lost(&[Asked::Dhcpd, Asked::Dnsd, Asked::SmdCache]);
    assert!(report.longest_gap(Asked::Dnsd) < Duration::from_secs(1));
}

#[test]
fn a_wrong_answer_is_noticed() {
    let cluster = Cluster::start(scene::probed());
    let elsewhere = Node { address: "10.40.1.99", ..scene::NODE3 };
    let prober = Prober::start(&cluster, &[elsewhere]);
    prober.watch_for(Duration::from_millis(500));
    let report = prober.stop();
    let judged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| report.check_nothing_wrong()));
    assert!(judged.is_err(), "{report}");
    assert_eq!(report.wrong(), [Asked::Dhcpd, Asked::Dnsd, Asked::SmdCache].into());
}
