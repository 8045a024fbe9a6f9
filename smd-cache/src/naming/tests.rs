use super::*;
use std::net::IpAddr;
use values::Xname;

fn naming(rules: &[&str], domain: &str) -> Naming {
    let rules: String = rules.iter().map(|rule| format!("  - \"{rule}\"\n")).collect();
    let domain = if domain.is_empty() { String::new() } else { format!("domain: {domain}\n") };
    let config = config::parse(&format!("{domain}rules:\n{rules}")).unwrap();
    Naming::from_config(&config)
}

struct Machine {
    id: Xname,
    kind: &'static str,
    nid: Option<i64>,
    role: &'static str,
    enabled: Option<bool>,
    groups: Vec<String>,
}

fn node(nid: impl Into<Option<i64>>) -> Machine {
    let id = "x1000c0s0b0n0".parse().unwrap();
    Machine {
        id,
        kind: "Node",
        nid: nid.into(),
        role: "Compute",
        enabled: Some(true),
        groups: vec!["blue".into()],
    }
}

fn bmc(nid: i64) -> Machine {
    Machine { id: "x1000c0s0b0".parse().unwrap(), kind: "NodeBMC", ..node(nid) }
}

/// What the rules make of it at this address (none: apart from any), without contests: the FQDN and the policy.
fn judge(naming: &Naming, machine: &Machine, address: &str) -> (String, Policy) {
    let subject = Subject {
        id: Some(&machine.id),
        kind: machine.kind,
        role: machine.role,
        sub_role: "",
        arch: "X86",
        class: "",
        enabled: machine.enabled,
        groups: &machine.groups,
    };
    let place = address.parse::<IpAddr>().ok().map(|address| Place { address, network: "HSN" });
    let verdict = naming.evaluate(&subject, place);
    let nic = place.is_some().then_some(config::Nic { network: "hsn", number: 1 });
    let filling = Filling { id: &machine.id, nid: machine.nid, nic };
    let hostname = match naming.hostname(&verdict, &filling) {
        Hostname::Given(name) => name,
        other => format!("{other:?}"),
    };
    let domain = naming
        .domain_of(&verdict, place.map(|place| place.network))
        .map(|domain| format!(".{domain}"))
        .unwrap_or_default();
    (hostname + &domain, naming.policy(&verdict))
}

fn name(naming: &Naming, machine: &Machine, address: &str) -> String {
    judge(naming, machine, address).0
}

#[test]
fn the_first_match_ends_it_unless_it_continues() {
    let continues = [
        "name:base,type:Node,hostname:nid{04d},continue:true",
        "name:mgmt,type:Node,subnet:172.16.0.0/24,hostname:nid{04d},domain:mgmt.local",
    ];
    let naming_ = naming(&continues, "cluster.local");
    assert_eq!(name(&naming_, &node(7), "172.16.0.10"), "nid0007.mgmt.local");
    assert_eq!(name(&naming_, &node(7), "172.16.9.10"), "nid0007.cluster.local");
    assert_eq!(judge(&naming_, &node(7), "172.16.0.10").1.rules, ["base", "mgmt"]);
    let ends = naming(&["type:Node,hostname:first", "type:Node,hostname:second"], "");
    assert_eq!(name(&ends, &node(7), "172.16.0.10"), "first");
}

#[test]
fn documented_examples_hold() {
    for (rules, domain, machine, address, expected) in [
        (vec!["type:Node,hostname:nid{04d}"], "", node(42), "10.0.0.1", "nid0042"),
        (vec!["type:Node,hostname:nid{04d}"], "", node(12345), "10.0.0.1", "nid12345"),
        (
            vec!["type:Node,hostname:nid{04d}", "type:NodeBMC,hostname:bmc{04d}"],
            "c.local",
            bmc(1),
            "10.0.0.1",
            "bmc0001.c.local",
        ),
        (
            vec![
                "type:NodeBMC,subnet:172.16.10.0/24,hostname:bmc10-{04d}",
                "type:NodeBMC,hostname:bmc-{04d}",
            ],
            "lab.local",
            bmc(7),
            "172.16.10.99",
            "bmc10-0007.lab.local",
        ),
        (
            vec![
                "type:NodeBMC,subnet:172.16.10.0/24,hostname:bmc10-{04d}",
                "type:NodeBMC,hostname:bmc-{04d}",
            ],
            "lab.local",
            bmc(7),
            "172.16.12.10",
            "bmc-0007.lab.local",
        ),
        (
            vec!["type:NodeBMC,hostname:bmc{04d},domain_append:none"],
            ".c.local",
            bmc(1),
            "10.0.0.1",
            "bmc0001",
        ),
        (vec!["type:node,hostname:'rack42-{id}'"], "", node(1), "10.0.0.1", "rack42-x1000c0s0b0n0"),
    ] {
        assert_eq!(name(&naming(&rules, domain), &machine, address), expected, "{rules:?}");
    }
}

#[test]
fn a_host_name_comes_with_its_own_rules_domain() {
    let first = "hostname:first,domain:first.local,continue:yes";
    for (second, expected) in [
        ("hostname:second", "second.global.local"),
        ("routers:10.0.0.1", "first.first.local"),
        ("cidr:24,domain:second.local", "first.first.local"),
        ("hostname:second,domain_append:rule", "second"),
    ] {
        assert_eq!(
            name(&naming(&[first, second], "global.local"), &node(1), "10.0.0.9"),
            expected,
            "{second}"
        );
    }
}

#[test]
fn domain_append_joins_the_parts_there_are() {
    for (append, both, only_global, only_rule) in [
        ("", "n.r.local", "n.g.local", "n.r.local"),
        ("none", "n", "n", "n"),
        ("global", "n.g.local", "n.g.local", "n"),
        ("rule", "n.r.local", "n", "n.r.local"),
        ("global|rule", "n.g.local.r.local", "n.g.local", "n.r.local"),
        ("rule|global", "n.r.local.g.local", "n.g.local", "n.r.local"),
    ] {
        let append = if append.is_empty() { String::new() } else { format!(",domain_append:{append}") };
        let own = format!("hostname:n,domain:..r.local{append}");
        let none = format!("hostname:n{append}");
        assert_eq!(name(&naming(&[&own], "g.local"), &node(1), ""), both, "{append}");
        assert_eq!(name(&naming(&[&none], "g.local"), &node(1), ""), only_global, "{append}");
        assert_eq!(name(&naming(&[&own], ""), &node(1), ""), only_rule, "{append}");
    }
}

#[test]
fn policy_adds_up_and_later_rules_replace_earlier_ones() {
    let naming = naming(
        &[
            "name:a,routers:10.0.0.1,netmask:255.255.0.0,continue:on",
            "name:b,subnet:10.1.0.0/24|10.2.0.0/16,continue:1",
            "name:c,type:Node,routers:10.0.0.2|10.0.0.3",
        ],
        "",
    );
    let policy = |machine: &Machine, address| {
        let policy = judge(&naming, machine, address).1;
        (
            policy.routers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            policy.prefix_length,
            policy.rules.join(" "),
        )
    };
    let expected = |routers: &str, prefix, rules: &str| (routers.to_owned(), Some(prefix), rules.to_owned());
    assert_eq!(policy(&node(1), "10.2.0.1"), expected("10.0.0.2 10.0.0.3", 24, "a b c"));
    assert_eq!(policy(&node(1), "10.9.0.1"), expected("10.0.0.2 10.0.0.3", 16, "a c"));
    assert_eq!(policy(&bmc(1), "10.9.0.1"), expected("10.0.0.1", 16, "a"));
}

#[test]
fn what_a_rule_says_of_booting_and_options_is_policy_and_the_last_rule_counts_by_code() {
    let text = r#"
rules:
  - match: {type: [Node]}
    continue: true
    boot_file: first.efi
    next_server: 10.0.0.1
    script_url: http://10.0.0.1/a
    mtu: 9000
    options: {252: first, 28: 10.0.0.255, 150: 10.0.0.1}
  - name: second
    match: {subnet: [10.1.0.0/16]}
    continue: true
    boot_file: "second/{id}.efi"
    dns: [10.0.0.9]
    options: {252: second, 150: unset}
  - match: {subnet: [10.0.0.0/8]}
    lease_time: 1m
"#;
    let naming = Naming::from_config(&config::parse(text).unwrap());
    let policy = judge(&naming, &node(1), "10.1.0.5").1;
    assert_eq!(policy.boot_file.as_deref(), Some("second/{id}.efi"));
    assert_eq!(policy.next_server, Some([10, 0, 0, 1].into()));
    assert_eq!(policy.script_url.as_deref(), Some("http://10.0.0.1/a"));
    let options: Vec<(u8, &[u8])> = policy.options.iter().map(|(code, value)| (*code, &value[..])).collect();
    let expected: [(u8, &[u8]); 6] = [
        (6, &[10, 0, 0, 9]),
        (26, &[0x23, 0x28]),
        (28, &[10, 0, 0, 255]),
        (51, &[0, 0, 0, 60]),
        (150, &[]),
        (252, b"second"),
    ];
    assert_eq!(options, expected);
    let elsewhere = judge(&naming, &node(1), "10.2.0.5").1;
    assert_eq!(elsewhere.boot_file.as_deref(), Some("first.efi"));
    assert_eq!(elsewhere.options.keys().copied().collect::<Vec<_>>(), [26, 28, 51, 150, 252]);
    assert_eq!(elsewhere.options[&252], b"first");
}

#[test]
fn the_first_subnet_gives_the_mask() {
    let naming = naming(&["type:Node,subnet:172.16.0.0/21|172.16.8.0/22,hostname:nid{04d}"], "");
    for address in ["172.16.1.1", "172.16.8.1"] {
        assert_eq!(judge(&naming, &node(7), address).1.prefix_length, Some(21));
    }
    assert_eq!(judge(&naming, &node(7), "172.16.16.1").1, Policy::default());
}

#[test]
fn ignore_ends_everything() {
    let rules = [
        "name:base,hostname:kept,routers:10.0.0.1,continue:true",
        "name:quiet,type:Node,ignore:true,hostname:no",
        "name:after,hostname:never",
    ];
    let naming = naming(&rules, "");
    let (name, policy) = judge(&naming, &node(1), "10.0.0.9");
    assert_eq!((name.as_str(), policy.ignore, policy.rules.join(" ").as_str()), ("kept", true, "base quiet"));
    assert!(!judge(&naming, &bmc(1), "10.0.0.9").1.ignore);
}

#[test]
fn every_match_key_must_hold() {
    for (condition, holds) in [
        ("type:NODE", true),
        ("type:NodeBMC|Node", true),
        ("type:NodeBMC", false),
        ("id:X1000c0s00b0n0", true),
        ("id:x1000c0s0b0n1", false),
        ("id_set:x1000c0s[0-3]b0n[0-1]", true),
        ("id_set:x1000c0s[1-3]b0n0|x2000c0s0b0n0", false),
        ("role:compute", true),
        ("role:Service", false),
        ("sub_role:Worker", false),
        ("arch:ARM|X86", true),
        ("class:River", false),
        ("enabled:true", true),
        ("enabled:false", false),
        ("group:red|BLUE", true),
        ("group:red", false),
        ("network:hsn", true),
        ("network:NMN", false),
        ("subnet:10.0.0.0/8", true),
        ("subnet:11.0.0.0/8|fd00::/8", false),
        ("type:Node,role:Compute,subnet:10.0.0.0/8,network:HSN,group:blue", true),
        ("type:Node,role:Compute,subnet:10.0.0.0/8,network:HSN,group:red", false),
    ] {
        let naming = naming(&[&format!("{condition},hostname:matched")], "");
        let expected = if holds { "matched" } else { "Unnamed" };
        assert_eq!(name(&naming, &node(1), "10.0.0.9"), expected, "{condition}");
    }
}

#[test]
fn without_an_address_no_condition_on_addresses_holds() {
    for condition in ["subnet:0.0.0.0/0|::/0", "network:HSN"] {
        let naming = naming(&[&format!("{condition},hostname:matched")], "");
        assert_eq!(name(&naming, &node(1), ""), "Unnamed", "{condition}");
    }
}

#[test]
fn what_smd_leaves_out_matches_neither_true_nor_false() {
    for rule in ["enabled:true,hostname:matched", "enabled:false,hostname:matched"] {
        let unsaid = Machine { enabled: None, ..node(1) };
        assert_eq!(name(&naming(&[rule], ""), &unsaid, ""), "Unnamed");
    }
    assert!(naming(&["enabled:no,hostname:n"], "").looks_at_enabled());
    assert!(!naming(&["hostname:n"], "").looks_at_enabled());
}

#[test]
fn a_missing_nid_is_told() {
    for (hostname, machine, expected) in [
        ("nid{04d}", node(None), "Lacks(Nid).c.local"),
        ("{id}-{04d}", node(None), "Lacks(Nid).c.local"),
        ("{id}", node(None), "x1000c0s0b0n0.c.local"),
    ] {
        let naming = naming(&[&format!("hostname:{hostname}")], "c.local");
        assert_eq!(name(&naming, &machine, ""), expected, "{hostname}");
    }
}

#[test]
fn zones_are_those_listed_the_domain_and_those_of_rules() {
    let text = "domain: c.local
rules: [\"hostname:n,domain:.r.local\", \"hostname:m,domain:c.local\"]
zones: [{name: m.local, nodes: \"m{04d}\"}, {name: 16.172.in-addr.arpa}]";
    let naming = Naming::from_config(&config::parse(text).unwrap());
    let zones: Vec<&str> = naming.zones().iter().map(|zone| zone.name.as_str()).collect();
    assert_eq!(zones, ["m.local", "16.172.in-addr.arpa", "c.local", "r.local"]);
    assert_eq!((naming.zones_by_component().count(), naming.zones_by_address().count()), (1, 0));
}

#[test]
fn names_tell_network_and_interface_where_there_is_an_address() {
    for (hostname, address, expected) in [
        ("nid{06d}.{network}", "10.0.0.1", "nid001000.hsn.c.local"),
        ("nid{06d}-{nic}", "10.0.0.1", "nid001000-hsn1.c.local"),
        ("nid{06d}.{network}", "", "Lacks(Network).c.local"),
        ("nid{06d}-{nic}", "", "Lacks(Network).c.local"),
    ] {
        let naming = naming(&[&format!("hostname:{hostname}")], "c.local");
        assert!(naming.looks_at_networks());
        assert_eq!(name(&naming, &node(1000), address), expected, "{hostname}");
    }
    assert!(!naming(&["hostname:nid{04d}"], "c.local").looks_at_networks());
}

#[test]
fn a_domain_that_does_not_take_the_network_gives_way_to_the_global_one() {
    let naming = |rule: &str, zones: &str| {
        let text = format!("domain: c.local\nrules: [\"hostname:n,{rule}\"]\nzones: [{zones}]");
        Naming::from_config(&config::parse(&text).unwrap())
    };
    // The address is on the network HSN.
    for (rule, zones, expected) in [
        ("domain:h.local", "{name: h.local, network: hsn}", "n.h.local"),
        ("domain:h.local", "{name: h.local, network: [NMN, Hsn]}", "n.h.local"),
        ("domain:h.local", "{name: h.local, network: NMN}", "n.c.local"),
        ("domain:h.local", "{name: h.local, network: NMN}, {name: c.local, network: NMN}", "n"),
        ("domain_append:none", "{name: c.local, network: HSN}", "n"),
        ("log:none", "{name: c.local, network: NMN}", "n"),
        ("log:none", "{name: c.local, network: HSN}", "n.c.local"),
    ] {
        assert_eq!(name(&naming(rule, zones), &node(1), "10.0.0.1"), expected, "{rule} {zones}");
    }
    let only_hsn = naming("log:none", "{name: c.local, network: HSN}");
    assert_eq!(name(&only_hsn, &node(1), ""), "n", "what has no address is on no network");
}

#[test]
fn why_a_rule_did_not_match_is_a_clause_with_what_it_wants_and_what_there_is() {
    let groups = ["blue".to_owned(), "green".to_owned()];
    let id: Xname = "x1c0s0b0n0".parse().unwrap();
    let all = Subject {
        id: Some(&id),
        kind: "Node",
        role: "Service",
        sub_role: "Worker",
        arch: "X86",
        class: "River",
        enabled: Some(true),
        groups: &groups,
    };
    let none = Subject {
        id: None,
        kind: "",
        role: "",
        sub_role: "",
        arch: "",
        class: "",
        enabled: None,
        groups: &[],
    };
    let place = Place { address: "10.0.0.1".parse().unwrap(), network: "HMN" };
    for (rule, for_all, for_none) in [
        (
            "type: [NodeBMC, CabinetPDU]",
            "it wants type NodeBMC or CabinetPDU, and it is Node",
            "it wants type NodeBMC or CabinetPDU, and SMD does not say",
        ),
        (
            "subnet: 10.1.0.0/16",
            "it wants subnet 10.1.0.0/16, and 10.0.0.1 is not in there",
            "it wants subnet 10.1.0.0/16, and there is no address",
        ),
        (
            "id: x1c0s0b0n1",
            "x1c0s0b0n0 is not among the ids it wants",
            "it wants certain ids, and SMD ties the interface to none",
        ),
        (
            "role: Compute",
            "it wants role Compute, and it is Service",
            "it wants role Compute, and SMD does not say",
        ),
        (
            "sub_role: UAN",
            "it wants sub_role UAN, and it is Worker",
            "it wants sub_role UAN, and SMD does not say",
        ),
        ("arch: ARM", "it wants arch ARM, and it is X86", "it wants arch ARM, and SMD does not say"),
        ("class: Hill", "it wants class Hill, and it is River", "it wants class Hill, and SMD does not say"),
        (
            "enabled: false",
            "it wants enabled false, and it is true",
            "it wants enabled false, and SMD does not say",
        ),
        (
            "group: red",
            "it wants group red, and it is in blue and green",
            "it wants group red, and it is in none",
        ),
        (
            "network: NMN",
            "it wants network NMN, and it is HMN",
            "it wants network NMN, and there is no address",
        ),
    ] {
        let naming = Naming::from_config(
            &config::parse(&format!("rules: [{{match: {{{rule}}}, hostname: a}}]")).unwrap(),
        );
        let said = |subject, place| match naming.trace(subject, place)[0] {
            Fate::Mismatched(mismatch) => why(mismatch, &naming.rules()[0].matches, subject, place),
            fate => panic!("{rule}: {fate:?}"),
        };
        assert_eq!((said(&all, Some(place)).as_str(), said(&none, None).as_str()), (for_all, for_none));
    }
}
