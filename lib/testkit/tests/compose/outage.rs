//! Starting while something is missing: SMD, smd-cache, or the usual order. Machines that were known before are served; those that
//! nobody has heard of yet as soon as somebody has.

use crate::stack::{NODE1, PROGRAMS, SERVER, Site, Stack, gets_its_address};
use std::time::{Duration, Instant};
use testkit::cluster::within;

/// smd-cache is waited for until it is unhealthy (5 s of grace, then three checks, 3 s apart); the rest is for a busy machine.
const WAITED_FOR: Duration = Duration::from_secs(60);
/// Health is looked at every 3 s, and SMD asked as often at least.
const WELL: Duration = Duration::from_secs(30);

#[test]
fn a_snapshot_from_before_serves_while_smd_is_gone() {
    let stack = Stack::up();
    stack.compose("down"); // volumes stay
    stack.line("COMPOSE_PROFILES= docker compose up -d --wait");
    assert!(
        stack.line("COMPOSE_PROFILES= docker compose ps --services").lines().all(|name| name != "smd-sim")
    );
    known_machines_are_served(&stack);
    let ready = stack.line("curl -s 127.0.0.1:27781/ready");
    assert!(ready.contains("degraded"), "smd-cache has not read SMD, and says {ready}");

    // Nor is smd-cache needed by who has a copy of its own; started in any order.
    stack.compose("stop smd-cache dhcpd dnsd tftpd");
    stack.compose("start tftpd dnsd dhcpd");
    within(WELL, "dhcpd and dnsd answer from their copies", || {
        stack
            .try_line(&format!("dig +short +time=1 +tries=1 @{SERVER} {}", NODE1.fqdn))
            .1
            .contains(NODE1.address)
            .then_some(())
    });
    let offer = stack.compose(&format!("exec dhcpd dhcpd explain {}", NODE1.mac));
    assert!(offer.contains(&format!("an OFFER of {}", NODE1.address)), "{offer}");
}

#[test]
fn a_start_without_smd_waits_a_little_and_then_for_nobody() {
    let stack = Stack::new();
    let began = Instant::now();
    stack.line("COMPOSE_PROFILES= docker compose up -d");
    let took = began.elapsed();
    println!("`up` without SMD took {took:.1?}");
    assert!(took < WAITED_FOR, "{took:?}");
    for (program, _) in PROGRAMS {
        let container = stack.container(program);
        assert_eq!(stack.inspect(&container, "{{.State.Status}}"), "running", "{program}");
    }
    // Nobody says that there is no such machine, as nobody has asked SMD.
    within(WELL, "dnsd says that it cannot tell", || {
        let (_, answer) = stack.try_line(&format!("dig +time=1 +tries=1 @{SERVER} {}", NODE1.fqdn));
        assert!(!answer.contains("NXDOMAIN"), "{answer}");
        answer.contains("SERVFAIL").then_some(())
    });
    let (well, said) = stack.try_line("docker compose exec smd-cache smd-cache --health");
    assert!(!well && said.contains("SMD"), "smd-cache has nothing to say, and says {said}");

    stack.compose("up -d --wait smd-sim");
    within(WELL, "everybody is healthy", || {
        let healthy =
            |program: &str| stack.inspect(&stack.container(program), "{{.State.Health.Status}}") == "healthy";
        PROGRAMS.iter().all(|(program, _)| healthy(program)).then_some(())
    });
    known_machines_are_served(&stack);
}

#[test]
fn a_machine_that_is_switched_off_and_on_serves_again() {
    let mut stack = Stack::up();
    stack.reboot();
    // Most engines start all of it themselves; some start those that join a network before the one that holds it, and give up.
    stack.compose("up -d --wait");
    known_machines_are_served(&stack);
}

#[test]
fn on_the_hosts_network_nobody_has_to_come_after_a_power_cut() {
    let mut stack = Stack::new();
    let site = Site::new(&stack);
    stack.line("cp -r deploy/config site");
    stack.line("sed -i 's|http://smd:27779|http://127.0.0.1:27779|' site/coresmd.yaml");
    stack.line(
        "printf '%s\\n' COMPOSE_FILE=compose.yaml:deploy/compose.host.yaml CORESMD_CONFIG=./site > .env",
    );
    stack.compose("up -d --wait");
    gets_its_address(&site.machine);
    drop(site);

    // The wire comes back only after the programs.
    stack.reboot();
    let running = || stack.try_line("docker compose ps --status running -q").1.lines().count();
    within(WELL, "the engine starts all four", || (running() == PROGRAMS.len()).then_some(()));
    let site = Site::new(&stack);
    gets_its_address(&site.machine);
}

fn known_machines_are_served(stack: &Stack) {
    let name = stack.line(&format!("dig +short @127.0.0.1 -p 5300 {}", NODE1.fqdn));
    assert_eq!(name.trim(), NODE1.address);
    let offer = stack.compose(&format!("exec dhcpd dhcpd explain {}", NODE1.mac));
    assert!(offer.contains(&format!("an OFFER of {}", NODE1.address)), "{offer}");
    let told = stack.compose(&format!("exec smd-cache smd-cache explain {}", NODE1.mac));
    assert!(told.contains(NODE1.address), "{told}");
}
