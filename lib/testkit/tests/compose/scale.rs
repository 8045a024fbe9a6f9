//! More replicas, and fewer, while clients ask.

use crate::{
    load::Load,
    stack::{SERVER, Stack},
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use testkit::cluster::within;

/// New questions that are spread: with three replicas each has a hundred of them, give or take ten.
const QUESTIONS: usize = 300;
/// Every replica has at least this part of its share. Three standard deviations are a quarter of it.
const FAIR: f64 = 0.6;
/// A replica that has gone is no target any more: its Watch ends with it.
const FORGOTTEN: Duration = Duration::from_secs(10);

#[test]
fn questions_spread_over_replicas_and_none_is_lost_when_they_go() {
    let stack = Stack::up();
    stack.compose("up -d --wait --scale dnsd=3 --scale tftpd=2");
    let replicas = replicas(&stack, "dnsd");
    assert_eq!(replicas.len(), 3, "each has admin HTTP of its own: {replicas:?}");
    for index in 1..=3 {
        assert_eq!(stack.compose(&format!("exec --index {index} dnsd dnsd --health")).trim(), "ready");
    }
    let targets = stack.line("curl -sf 127.0.0.1:27781/targets");
    for port in replicas.values() {
        assert!(targets.contains(&format!("127.0.0.1:{port}\"")), "{port} is not in {targets}");
    }
    spread(&stack, &replicas);
    stack.compose("run --rm node");
    assert_eq!(stack.containers("dnsd").len(), 3, "a pretend machine took replicas away");

    let load = Load::start(&stack);
    stack.compose("up -d --wait --scale dnsd=1 --scale tftpd=2");
    let report = load.stop();
    println!("from three replicas to one:");
    report.check();
    assert_eq!(report.asked_again, 0, "what is stopped answers what it has received: {report}");
    within(FORGOTTEN, "those that have gone are no targets", || {
        (self::replicas(&stack, "dnsd").len() == 1).then_some(())
    });

    transfers_go_on(&stack);
}

/// The replicas of a program: container, and port of admin HTTP.
fn replicas(stack: &Stack, program: &str) -> BTreeMap<String, u16> {
    let targets = stack.line("curl -sf 127.0.0.1:27781/targets");
    let ports = targets.split("127.0.0.1:").skip(1).filter_map(|rest| rest.split('"').next()?.parse().ok());
    let of_it = |port: &u16| {
        stack.try_line(&format!("curl -sf {SERVER}:{port}/version")).1.contains(&format!(r#""{program}""#))
    };
    ports.filter(of_it).map(|port: u16| (format!("{program} at {port}"), port)).collect()
}

fn spread(stack: &Stack, replicas: &BTreeMap<String, u16>) {
    let answered = || -> BTreeMap<String, f64> {
        let of = |name: &String, port: &u16| (name.clone(), stack.metric(*port, "dnsd_queries_total"));
        replicas.iter().map(|(name, port)| of(name, port)).collect()
    };
    let before = answered();
    stack.line(&format!(
        "for i in $(seq {QUESTIONS}); do dig @127.0.0.1 -p 5300 +short nid0001.openchami.cluster; done | sort | uniq -c"
    ));
    let after = answered();
    let shares: BTreeMap<_, _> = after.iter().map(|(name, count)| (name, count - before[name])).collect();
    println!("{QUESTIONS} questions: {shares:?}");
    let sum: f64 = shares.values().sum();
    assert_eq!(sum, QUESTIONS as f64, "{shares:?}");
    let fair = QUESTIONS as f64 / shares.len() as f64 * FAIR;
    assert!(shares.values().all(|share| *share >= fair), "{shares:?}");
}

/// Loads while a tftpd comes and goes, all of them whole.
fn transfers_go_on(stack: &Stack) {
    let load = "for i in $(seq 40); do curl -sf --tftp-blksize 512 tftp://172.16.0.253/ipxe-x86_64.efi | md5sum; done | sort | uniq -c";
    let (began, loads) = (
        Instant::now(),
        std::thread::scope(|scope| {
            let loads = scope.spawn(|| stack.line(load));
            stack.compose("up -d --wait --scale tftpd=3");
            stack.compose("up -d --wait --scale tftpd=1");
            loads.join().expect("the loads")
        }),
    );
    println!("40 loads in {:.1?}: {}", began.elapsed(), loads.trim());
    assert_eq!(loads.lines().count(), 1, "different bytes came: {loads}");
    assert!(loads.trim().starts_with("40 "), "{loads}");
}
