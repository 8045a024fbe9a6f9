//! Each program is restarted, killed and stopped while machines ask all of them: what is known is answered, at the latest when it
//! is asked for once more.

use crate::{
    load::Load,
    stack::{NODE1, NODE3, Stack},
};
use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};
use testkit::{
    cluster::{Namespace, within},
    prober::{Asked, Prober, Report},
};

/// The prober's place on network `cluster`: no address that Docker or smd-sim gives to anybody.
const PROBER: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 250);
/// A restart: at most 15 s to stop (none of them takes one), a second to start.
const BACK: Duration = Duration::from_secs(30);
/// The engine starts again what was killed: after 100 ms at first, twice as long each time.
const AGAIN: Duration = Duration::from_secs(20);
/// How long everything is quiet before and after, so that what goes wrong late is seen, too.
const QUIET: Duration = Duration::from_millis(1_500);
const EVERYBODY: [Asked; 3] = [Asked::Dhcpd, Asked::Dnsd, Asked::SmdCache];

/// What answers for whom: all but the one that is away, which is asked once more.
const SERVICES: [&str; 5] = ["smd-cache", "dhcpd", "dnsd", "tftpd", "smd-sim"];

#[test]
fn any_one_is_restarted_and_no_machine_notices() {
    let stack = Stack::up();
    let machine = prober_machine(&stack);
    for service in SERVICES {
        during(&stack, &machine, &format!("restart {service}"), || {
            stack.compose(&format!("restart {service}"));
            healthy(&stack, service, BACK);
        });
    }
    // All of them at once, in whatever order, with SMD gone: from copies on disk.
    stack.compose("stop smd-sim");
    stack.compose("restart tftpd dnsd dhcpd smd-cache");
    ["smd-cache", "dhcpd", "dnsd", "tftpd"].iter().for_each(|service| healthy(&stack, service, BACK));
    during(&stack, &machine, "nothing, SMD being gone since before the restart of all", || {});
}

#[test]
fn any_one_is_killed_and_comes_back_by_itself() {
    let stack = Stack::up();
    let machine = prober_machine(&stack);
    // To some engines a signal that is no stop is one all the same.
    stack.compose("kill -s HUP dnsd dhcpd smd-cache tftpd");
    for service in SERVICES {
        let container = stack.container(service);
        let restarts = || stack.inspect(&container, "{{.RestartCount}}");
        let before = restarts();
        during(&stack, &machine, &format!("kill -9 {service}"), || {
            stack.kill(&container);
            within(AGAIN, "the engine starts it again", || (restarts() != before).then_some(()));
            healthy(&stack, service, BACK);
        });
    }
}

/// Asks all the time while something is done, says what was seen, and wants every answer.
fn during(stack: &Stack, machine: &Namespace, what: &str, work: impl FnOnce()) -> Report {
    let prober = Prober::at(machine, PROBER, &[NODE1, NODE3]);
    let load = Load::start(stack);
    prober.watch_for(QUIET);
    let began = Instant::now();
    work();
    let took = began.elapsed();
    prober.watch_for(QUIET);
    let (report, load) = (prober.stop(), load.stop());
    println!("{what} ({took:.1?}):\n{report}");
    load.check();
    report.check_nothing_lost(&EVERYBODY);
    report
}

fn prober_machine(stack: &Stack) -> Namespace {
    let machine = stack.machine("prober");
    machine.ip(&format!("addr add {PROBER}/24 dev eth0"));
    machine
}

/// Waits until a service is, or, where it has no health check, runs.
fn healthy(stack: &Stack, service: &str, time: Duration) {
    let format = "{{if .State.Health}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}}";
    within(time, &format!("{service} is healthy"), || {
        let how = stack.inspect(&stack.container(service), format);
        ["healthy", "running"].contains(&how.as_str()).then_some(())
    });
}
