//! The rule language: what each form means.

use config::{Config, DomainAppend, Filling, Lacking, Nic, Part, Pattern, Rule, RuleLog, parse};
use values::Xname;

fn rules(list: &str) -> Vec<Rule> {
    let text = format!("rules:\n{list}");
    parse(&text).unwrap_or_else(|mistakes| panic!("{}", mistakes.report(&text))).rules
}

fn rule(text: &str) -> Rule {
    rules(&format!("  - {text}")).remove(0)
}

fn xname(text: &str) -> Xname {
    text.parse().expect("an xname")
}

/// Everything but the name and the line.
fn nameless(rule: Rule) -> Rule {
    Rule { name: String::new(), line: 0, ..rule }
}

#[test]
fn the_examples_of_the_rule_documentation_hold() {
    let rules = rules(
        "  - name:base,type:Node,hostname:nid{04d},continue:true
  - name:mgmt,type:Node,subnet:172.16.0.0/24,hostname:nid{04d},domain:mgmt.local
  - type:Node,subnet:172.16.0.0/21|172.16.8.0/21,hostname:nid{04d}",
    );
    assert_eq!(rules[0].name, "base");
    assert_eq!((rules[0].goes_on, rules[0].line), (true, 2));
    assert_eq!(rules[0].matches.types, ["Node"]);
    assert_eq!(rules[0].hostname, Some(Pattern(vec![Part::Text("nid".into()), Part::Nid(4)])));
    assert_eq!(rules[0].prefix_length, None);
    assert_eq!(rules[1].matches.subnets, ["172.16.0.0/24".parse().unwrap()]);
    assert_eq!(rules[1].domain, Some("mgmt.local".parse().unwrap()));
    assert_eq!((rules[1].goes_on, rules[1].line), (false, 3));
    // 255.255.248.0
    assert_eq!(rules[2].prefix_length, Some(21));
}

#[test]
fn without_rules_nodes_and_bmcs_are_named_by_nid() {
    let config = Config::default();
    let written = rules("  - type:Node,hostname:nid{04d}\n  - type:NodeBMC,hostname:bmc{04d}");
    assert_eq!(config.rules.len(), 2);
    for (default, written) in config.rules.into_iter().zip(written) {
        assert_eq!(default.name, written.name);
        assert_eq!(nameless(default), nameless(written));
    }
    assert_eq!(parse("rules: []").unwrap().rules, []);
    assert_eq!(parse("rules:").unwrap().rules.len(), 2);
}

#[test]
fn both_forms_mean_the_same() {
    for (text, spelled_out) in [
        (
            "name:a,type:Node|NodeBMC,subnet:10.0.0.0/8|172.16.0.0/12,hostname:'n-{id}'",
            "{name: a, match: {type: [Node, NodeBMC], subnet: [10.0.0.0/8, 172.16.0.0/12]}, hostname: 'n-{id}'}",
        ),
        (
            "name:a,id_set:x[0-3,7]s1|x9,routers:10.0.0.1|10.0.0.2,netmask:255.255.0.0",
            "{name: a, match: {id_set: ['x[0-3,7]s1', x9]}, routers: [10.0.0.1, 10.0.0.2], netmask: 255.255.0.0}",
        ),
        (
            "name:a,role:Compute,sub_role:UAN|Worker,arch:X86,class:River,enabled:no,group:blue,network:HSN,ignore:true,log:none",
            "{name: a, match: {role: Compute, sub_role: UAN|Worker, arch: [X86], class: [River], enabled: false, \
             group: [blue], network: [HSN]}, ignore: true, log: none}",
        ),
        (
            "name:a,id:X1000C0S003B0,cidr:/22,domain:..b.c,domain_append:rule|global,continue:1",
            "{name: a, match: {id: x1000c0s3b0}, cidr: 22, domain: b.c, domain_append: [rule, global], continue: on}",
        ),
        (
            "name:a,boot_file:grub.efi,next_server:10.0.0.9,script_url:http://a/{mac}",
            "{name: a, boot_file: grub.efi, next_server: 10.0.0.9, script_url: 'http://a/{mac}'}",
        ),
    ] {
        assert_eq!(nameless(rule(&format!("\"{text}\""))), nameless(rule(spelled_out)), "{text}");
    }
}

#[test]
fn white_space_and_quotes_do_not_matter() {
    let plain = nameless(rule("name:a b,type:Node,hostname:n{04d}"));
    for text in [
        "' name : a b , type : Node , hostname : n{04d} '",
        "\"name:'a b',type:'Node',hostname:'n{04d}'\"",
        "'name:\"a b\",type:\"Node\",hostname:\"n{04d}\"'",
    ] {
        assert_eq!(nameless(rule(text)), plain, "{text}");
    }
    // A comma in quotes is part of the value; a lone quote in the middle of one is a character.
    assert_eq!(rule("\"name:'a,b',hostname:c\"").name, "a,b");
    assert_eq!(rule("\"name:node's,hostname:c\"").name, "node's");
}

#[test]
fn a_rule_without_a_name_has_one_from_its_text() {
    let named = rules("  - hostname:a\n  - hostname:b\n  - ' hostname:a '\n  - {hostname: a}");
    let digits = named[0].name.strip_prefix("rule-").unwrap();
    assert!(digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_hexdigit()), "{digits}");
    assert_ne!(named[0].name, named[1].name);
    assert_eq!(named[0].name, named[2].name);
    assert_eq!(named[0].name, named[3].name);
}

#[test]
fn booleans_are_taken_in_every_spelling() {
    for (text, value) in [("true", true), ("Yes", true), ("ON", true), ("1", true)].into_iter().chain([
        ("false", false),
        ("NO", false),
        ("off", false),
        ("0", false),
    ]) {
        assert_eq!(rule(&format!("hostname:a,continue:{text}")).goes_on, value, "{text}");
    }
}

#[test]
fn domain_append_says_which_parts_follow() {
    for (text, expected) in [
        ("none", DomainAppend::None),
        ("global", DomainAppend::Global),
        ("rule", DomainAppend::Rule),
        ("global|rule", DomainAppend::GlobalRule),
        ("rule|global", DomainAppend::RuleGlobal),
    ] {
        assert_eq!(rule(&format!("hostname:a,domain_append:{text}")).domain_append, Some(expected));
    }
    assert_eq!(rule("hostname:a").domain_append, None);
    assert_eq!((rule("hostname:a").log, rule("hostname:a,log:info").log), (RuleLog::Debug, RuleLog::Info));
}

#[test]
fn the_netmask_comes_from_the_nearest_place() {
    for (text, expected) in [
        ("netmask:255.255.248.0", Some(21)),
        ("cidr:22", Some(22)),
        ("subnet:10.0.0.0/8,cidr:24", Some(24)),
        ("'subnet:fd00::/64|10.0.0.0/8'", Some(8)),
        ("'subnet:fd00::/64'", None),
        ("subnet:10.0.0.7/24", Some(24)),
        ("hostname:a", None),
    ] {
        assert_eq!(rule(text).prefix_length, expected, "{text}");
    }
}

#[test]
fn patterns_are_filled_with_xname_nid_and_network() {
    let node = xname("x1000c0s0b0n0");
    let hsn1 = Some(Nic { network: "hsn", number: 1 });
    for (pattern, nid, nic, name) in [
        ("nid{04d}", Some(7), None, Ok("nid0007")),
        ("nid{4d}", Some(7), None, Ok("nid0007")),
        ("nid{04d}", Some(123_456), None, Ok("nid123456")),
        ("nid{0d}", Some(7), None, Ok("nid7")),
        ("nid{04d}", None, hsn1, Err(Lacking::Nid)),
        ("nid{04d}", Some(-1), None, Err(Lacking::Nid)),
        ("'{id}-bmc'", None, None, Ok("x1000c0s0b0n0-bmc")),
        ("n{02d}.rack", Some(3), None, Ok("n03.rack")),
        ("h-{id}-{03d}", Some(3), None, Ok("h-x1000c0s0b0n0-003")),
        ("login", None, None, Ok("login")),
        ("nid{06d}.{network}", Some(1000), hsn1, Ok("nid001000.hsn")),
        ("nid{06d}-{nic}", Some(1000), hsn1, Ok("nid001000-hsn1")),
        ("'{nic}.{id}'", None, hsn1, Ok("hsn1.x1000c0s0b0n0")),
        ("nid{06d}-{nic}", Some(1000), None, Err(Lacking::Network)),
        ("nid{06d}.{network}", Some(1000), None, Err(Lacking::Network)),
    ] {
        let pattern = rule(&format!("\"hostname:{pattern}\"")).hostname.unwrap();
        let filled = pattern.fill(&Filling { id: &node, nid, nic });
        assert_eq!(filled.as_deref(), name.as_ref().copied(), "{pattern:?}");
        assert_eq!(
            pattern.needs_network(),
            pattern.0.iter().any(|part| matches!(part, Part::Network | Part::Nic))
        );
    }
}

#[test]
fn id_sets_hold_what_their_ranges_say() {
    let set = rule("id_set:x1000c0s[0-3]b0n[0-1,5]|X2000c[07-10],hostname:a").matches.ids.unwrap();
    for (id, inside) in [
        ("x1000c0s0b0n0", true),
        ("X1000C0S03B0N5", true),
        ("x1000c0s3b0n1", true),
        ("x1000c0s4b0n0", false),
        ("x1000c0s0b0n2", false),
        ("x1000c0s0b0", false),
        ("x1000c0s0b0n0p0", false),
        ("x2000c7", true),
        ("x2000c10", true),
        ("x2000c11", false),
        ("x2000d7", false),
        ("x99999999999999999999999999", false),
    ] {
        assert_eq!(set.contains(&xname(id)), inside, "{id}");
    }
    assert_eq!(set.size(), 4 * 3 + 4);
}

#[test]
fn huge_id_sets_cost_nothing() {
    let text = format!("id_set:x{},hostname:a", "[0-99999]c".repeat(8) + "[0-99999]");
    let set = rule(&text).matches.ids.unwrap();
    assert!(set.size() > 1 << 100);
    assert!(!set.contains(&xname("x1c1")));
}
