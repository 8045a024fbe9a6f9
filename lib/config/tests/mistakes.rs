//! Every mistake at once, each with its line, column, key and a sentence.

use config::{Config, Mistakes, Program, parse};

fn mistakes(text: &str) -> Vec<String> {
    match parse(text) {
        Ok(_) => Vec::new(),
        Err(Mistakes(mistakes)) => mistakes.iter().map(ToString::to_string).collect(),
    }
}

/// Each text has exactly this mistake.
fn check(table: &[(&str, &str)]) {
    let mut wrong = String::new();
    for (text, expected) in table {
        let found = mistakes(text);
        if found != [*expected] {
            wrong += &format!("{text}\n  found    {found:?}\n  expected {expected:?}\n");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn a_wrong_type_is_a_mistake_at_its_value() {
    check(&[
        (
            "smd_cache:\n  refresh: [10s]",
            "2:12: smd_cache.refresh: a list where a duration such as 30s or 1h30m is wanted",
        ),
        ("smd_cache: yes", "1:12: smd_cache: a single value where a section of `key: value` is wanted"),
        (
            "dhcpd:\n  v4:\n    router: 172.16.0.254",
            "3:13: dhcpd.v4.router: a single value where a list is wanted: write [172.16.0.254]",
        ),
        ("rules: {type: Node}", "1:8: rules: a section where a list is wanted"),
        ("rules: [[a]]", "1:9: rules[0]: a list where a section of `key: value` is wanted"),
        ("tftpd:\n  single_port: perhaps", "2:16: tftpd.single_port: 'perhaps' is neither true nor false"),
        (
            "tftpd:\n  listen:\n    - {}",
            "3:7: tftpd.listen[0]: a section where an address and port is wanted",
        ),
        ("- a", "1:1: a list where a section of `key: value` is wanted"),
        ("hello", "1:1: a single value where a section of `key: value` is wanted"),
    ]);
}

#[test]
fn an_unknown_key_is_a_mistake_with_a_guess() {
    check(&[
        ("rule: []", "1:1: rule: unknown key; did you mean `rules`?"),
        ("dhcpd:\n  v4:\n    routers: []", "3:5: dhcpd.v4.routers: unknown key; did you mean `router`?"),
        ("smd_cache: {refrehs: 1s}", "1:13: smd_cache.refrehs: unknown key; did you mean `refresh`?"),
        ("colour: green", "1:1: colour: unknown key"),
        ("zones:\n- name: a.b\n  Nodes: x", "3:3: zones[0].Nodes: unknown key; did you mean `nodes`?"),
        (
            "rules:\n- type: Node\n  hostname: a",
            "2:3: rules[0].type: unknown key; `type` belongs under `match`",
        ),
        (
            "rules: ['hostnam:a,routers:10.0.0.1']",
            "1:10: rules[0].hostnam: unknown key; did you mean `hostname`?",
        ),
        ("rules: ['typ:Node,hostname:a']", "1:10: rules[0].typ: unknown key; did you mean `type`?"),
    ]);
}

#[test]
fn a_key_given_twice_is_a_mistake() {
    check(&[
        ("domain: a\nrules: []\ndomain: b", "3:1: domain: given twice; the first is on line 1"),
        (
            "rules: ['type:Node,hostname:a,type:NodeBMC']",
            "1:31: rules[0].type: given twice; the first is on line 1",
        ),
        ("boot:\n  loaders: {0: a, 0: b}", "2:19: boot.loaders.0: given twice; the first is on line 2"),
    ]);
}

#[test]
fn text_that_is_no_yaml_is_a_mistake_at_its_place() {
    for (text, place) in [
        ("domain: [a", "2:1: "),
        ("domain: a\n  rules: b", "2:8: "),
        ("domain: \"a", "1:9: "),
        ("domain: a\n\trules: b", "1:9: "),
        ("a: *b", "1:4: "),
        ("a: b\n---\nc: d", "3:1: "),
        ("a: &x [*x]", "1:8: "),
    ] {
        let found = mistakes(text);
        assert!(found.len() == 1 && found[0].starts_with(place), "{text:?}: {found:?}");
    }
}

#[test]
fn values_that_cannot_be_are_mistakes() {
    check(&[
        (
            "domain: a b",
            "1:9: domain: 'a b' is not a DNS name: labels of letters, digits, '-' and '_', at most 63 long, 253 in all",
        ),
        (
            "smd_cache: {refresh: 10}",
            "1:22: smd_cache.refresh: '10' is no duration such as 30s, 1h30m or 300ms",
        ),
        ("smd_cache: {refresh: 0s}", "1:22: smd_cache.refresh: 0s is not between 100ms and 24h"),
        (
            "smd_cache: {refresh: -5s}",
            "1:22: smd_cache.refresh: '-5s' is no duration such as 30s, 1h30m or 300ms",
        ),
        ("smd_cache: {max_shrink: 101%}", "1:25: smd_cache.max_shrink: '101%' is no percentage such as 50%"),
        ("smd_cache: {max_shrink: 0.5}", "1:25: smd_cache.max_shrink: '0.5' is no percentage such as 50%"),
        ("smd_cache: {max_body: 5MB}", "1:23: smd_cache.max_body: '5MB' is no size such as 512MiB"),
        (
            "smd_cache: {shrink_confirmations: 0}",
            "1:35: smd_cache.shrink_confirmations: '0' is no whole number from 1 to 1000000",
        ),
        (
            "smd_cache: {listen: [localhost:1]}",
            "1:22: smd_cache.listen[0]: 'localhost:1' is no address and port such as 127.0.0.1:27780",
        ),
        (
            "smd_cache: {smd: {url: 'smd:27779'}}",
            "1:24: smd_cache.smd.url: 'smd:27779' is no URL such as http://HOST/PATH",
        ),
        (
            "smd_cache: {smd: {url: 'http://u:p@smd'}}",
            "1:24: smd_cache.smd.url: no user names or passwords in URLs: secrets stand in files of their own",
        ),
        (
            "smd_cache: {smd: {url: 'ldap://u:p@smd'}}",
            "1:24: smd_cache.smd.url: no user names or passwords in URLs: secrets stand in files of their own",
        ),
        (
            "smd_cache: {smd: {client_key: /k}}",
            "1:31: smd_cache.smd.client_key: `client_cert` is missing beside it",
        ),
        ("inventory: {endpoints: []}", "1:24: inventory.endpoints: at least one endpoint is needed"),
        (
            "inventory: {endpoints: ['unix:a']}",
            "1:25: inventory.endpoints[0]: 'a' is no absolute path: unix:/run/coresmd/smd-cache.sock",
        ),
        (
            "inventory: {endpoints: ['https://a:1']}",
            "1:25: inventory.endpoints[0]: http:// here; TLS is switched on by `inventory.tls`",
        ),
        (
            "inventory: {endpoints: ['http://a:1/x']}",
            "1:25: inventory.endpoints[0]: nothing follows the port of an endpoint, as '/x' does",
        ),
        (
            "inventory: {replica_file: '/a-{name}'}",
            "1:31: inventory.replica_file: '{name}' is none of {program}",
        ),
        (
            "boot: {tftp_server: fd00::1}",
            "1:21: boot.tftp_server: 'fd00::1' is no IPv4 address such as 10.0.0.1",
        ),
        ("boot: {tftp_server: 0.0.0.0}", "1:21: boot.tftp_server: 0.0.0.0 is no address of a machine"),
        (
            "boot: {script_url: 'http://a/?m={mac}&x={xid}'}",
            "1:41: boot.script_url: '{xid}' is none of {mac} {id} {nid} {hostname} {arch}",
        ),
        (
            "boot: {script_url: 'http://a/{mac'}",
            "1:30: boot.script_url: '{' is none of {mac} {id} {nid} {hostname} {arch}",
        ),
        (
            "boot: {script_url: 'http://1.2.3/x'}",
            "1:20: boot.script_url: 'http://1.2.3/x' is no URL such as http://HOST/PATH",
        ),
        ("boot: {http_url: 'tftp://a'}", "1:18: boot.http_url: 'tftp://a' is no URL with http or https"),
        (
            "boot: {loaders: {65536: a}}",
            "1:18: boot.loaders.65536: an architecture is a number from 0 to 65535",
        ),
        (
            "dhcpd: {v4: {netmask: 255.0.255.0}}",
            "1:23: dhcpd.v4.netmask: '255.0.255.0' is no netmask such as 255.255.255.0",
        ),
        ("dhcpd: {v4: {lease_time: 1500ms}}", "1:26: dhcpd.v4.lease_time: a lease lasts whole seconds"),
        (
            "dhcpd: {v4: {listen: [eth1]}}",
            "1:23: dhcpd.v4.listen[0]: 'eth1' is no ADDRESS%INTERFACE:PORT such as 0.0.0.0:67, %eth1 or 10.0.0.1%eth1:67",
        ),
        (
            "dhcpd: {v4: {listen: []}}",
            "1:22: dhcpd.v4.listen: at least one is needed; to serve no DHCPv4, leave `v4` out",
        ),
        (
            "dhcpd: {v4: {subnets: [{cidr: 10.0.0.1/24}]}}",
            "1:31: dhcpd.v4.subnets[0].cidr: 10.0.0.1/24 is an address in 10.0.0.0/24; the network is meant?",
        ),
        ("dhcpd: {v4: {subnets: [{router: [10.0.0.1]}]}}", "1:24: dhcpd.v4.subnets[0]: `cidr` is missing"),
        (
            "dhcpd: {v4: {subnets: [{cidr: 10.0.0.0/24}, {cidr: 10.0.0.0/24}]}}",
            "1:45: dhcpd.v4.subnets[1]: 10.0.0.0/24 is listed on line 1 already",
        ),
        ("dhcpd: {v4: {mtu: 20}}", "1:19: dhcpd.v4.mtu: '20' is no whole number from 68 to 65535"),
        ("dhcpd:\n  v4:", "2:5: dhcpd.v4: nothing in it: write {} for its defaults, or leave the key out"),
        (
            "dhcpd: {v6: {server_id: abc}}",
            "1:25: dhcpd.v6.server_id: 'abc' is no server identifier such as LL 00:de:ad:be:ef:00",
        ),
        ("zones: [{name: a.b}, {name: A.B.}]", "1:22: zones[1]: a.b is listed on line 1 already"),
        (
            "zones: [{name: 16.172.in-addr.arpa, nodes: 'a{04d}'}]",
            "1:44: zones[0].nodes: a reverse zone names addresses, not nodes",
        ),
        (
            "zones: [{name: 16.672.in-addr.arpa}]",
            "1:9: zones[0]: no address has a name in 16.672.in-addr.arpa",
        ),
        ("zones: [{name: fd.ip6.arpa}]", "1:9: zones[0]: no address has a name in fd.ip6.arpa"),
        (
            "zones: [{name: 16.172.in-addr.arpa, network: HSN}]",
            "1:46: zones[0].network: a reverse zone names addresses by what they are, on whatever network",
        ),
        ("zones: [{name: a.b, network: 'HSN|'}]", "1:35: zones[0].network: an empty word in a list"),
        (
            "zones: [{name: a.b, network: {}}]",
            "1:30: zones[0].network: a section where a word or a list is wanted",
        ),
        (
            "zones: [{name: a.b, nodes: 'n{nics}'}]",
            "1:30: zones[0].nodes: '{nics}' is none of {id}, {04d}, {network}, {nic}",
        ),
        ("zones: [{name: a.b, missing: maybe}]", "1:30: zones[0].missing: nxdomain or forward"),
        ("dnsd: {search: [a.b, 'A.b.']}", "1:22: dnsd.search[1]: listed already"),
        ("dnsd: {search: a.b}", "1:16: dnsd.search: a single value where a list is wanted: write [a.b]"),
        ("dnsd: {search: [a, b, c, d, e, f, g]}", "1:16: dnsd.search: at most 6 domains are searched"),
        ("dnsd: {zone_files: [/a, /a]}", "1:25: dnsd.zone_files[1]: listed already"),
        ("dnsd: {hosts_file: [/a]}", "1:20: dnsd.hosts_file: a list where text is wanted"),
        ("dnsd: {node_txt: maybe}", "1:18: dnsd.node_txt: 'maybe' is neither true nor false"),
        ("dnsd: {ptr: nid}", "1:13: dnsd.ptr: hostname or xname"),
        (
            "dnsd: {forward: [here]}",
            "1:18: dnsd.forward[0]: 'here' is no address such as 1.1.1.1, 10.0.0.2:5353 or tls://NAME@9.9.9.9",
        ),
        ("dnsd: {forward: [0.0.0.0]}", "1:18: dnsd.forward[0]: 0.0.0.0:53 is nobody who could answer"),
        ("dnsd: {forward: ['1.1.1.1:0']}", "1:18: dnsd.forward[0]: 1.1.1.1:0 is nobody who could answer"),
        (
            "dnsd: {forward: ['tls://a..b@9.9.9.9'], forward_ca: /c}",
            "1:18: dnsd.forward[0]: 'a..b' is not a DNS name: labels of letters, digits, '-' and '_', at most 63 long, 253 in all",
        ),
        (
            "dnsd: {forward: ['tls://9.9.9.9']}",
            "1:17: dnsd.forward: tls:// needs `forward_ca`, the certificates to trust",
        ),
        ("dnsd: {forward: [1.1.1.1, '1.1.1.1:53']}", "1:17: dnsd.forward: 1.1.1.1:53 is listed twice"),
        ("dnsd: {serve_stale: 0}", "1:21: dnsd.serve_stale: 0s is not between 1s and 168h"),
        ("dnsd: {tls: {cert: /c}}", "1:13: dnsd.tls: `key` is missing"),
        ("dnsd: {https: [0.0.0.0]}", "1:15: dnsd.https: its certificate is that of `tls`, which is missing"),
        (
            "dnsd: {query_from: [10.0.0.0/33]}",
            "1:21: dnsd.query_from[0]: '10.0.0.0/33' is no network such as 10.0.0.0/8",
        ),
        (
            "smd_cache: {tls: {cert: /c, key: /k, force: [a]}}",
            "1:18: smd_cache.tls: certificate names mean nothing without `client_ca`",
        ),
    ]);
}

#[test]
fn boot_files_that_cannot_be_are_mistakes() {
    check(&[
        ("boot: {nbp: grub.efi}", "1:13: boot.nbp: 'grub.efi' is no URL such as http://HOST/PATH"),
        ("boot: {nbp: 'tftp://10.0.0.1'}", "1:13: boot.nbp: 'tftp://10.0.0.1' names no file"),
        (
            "boot: {nbp: 'tftp://10.0.0.1:6969/a'}",
            "1:13: boot.nbp: DHCP cannot tell the port of a TFTP server, as :6969",
        ),
        (
            "boot: {loaders: {7: 'http://u:p@a/b'}}",
            "1:21: boot.loaders.7: no user names or passwords in URLs: secrets stand in files of their own",
        ),
        (
            "boot: {loaders: {7: '{xid}.efi'}}",
            "1:22: boot.loaders.7: '{xid}' is none of {mac} {id} {nid} {hostname} {arch}",
        ),
        (
            "rules: [{boot_file: 'ftp://a/b'}]",
            "1:21: rules[0].boot_file: 'ftp://a/b' is no URL with http or https or tftp",
        ),
    ]);
}

#[test]
fn pools_that_cannot_be_are_mistakes() {
    let with = |pools: &str| format!("dhcpd:\n  v4:\n    unknown:\n      pools:\n{pools}");
    check(
        &[
            ("      - {subnet: 10.0.0.0/24, start: 10.0.1.5, end: 10.0.0.9}", "5:38: dhcpd.v4.unknown.pools[0].start: 10.0.1.5 is not in 10.0.0.0/24"),
            ("      - {subnet: 10.0.0.0/24, start: 10.0.0.9, end: 10.0.0.5}", "5:53: dhcpd.v4.unknown.pools[0].end: the pool ends at 10.0.0.5, before it begins"),
            ("      - {subnet: 10.0.0.0/24, start: 10.0.0.0, end: 10.0.0.5}", "5:38: dhcpd.v4.unknown.pools[0].start: 10.0.0.0 is no address of a machine in 10.0.0.0/24"),
            ("      - {subnet: 10.0.0.0/24, start: 10.0.0.1, end: 10.0.0.255}", "5:53: dhcpd.v4.unknown.pools[0].end: 10.0.0.255 is no address of a machine in 10.0.0.0/24"),
            ("      - {subnet: 10.0.0.0/24, start: 10.0.0.1}", "5:9: dhcpd.v4.unknown.pools[0]: `end` is missing"),
            (
                "      - {subnet: 10.0.0.0/24, start: 10.0.0.1, end: 10.0.0.5}\n      - {subnet: 10.0.0.0/16, start: 10.0.0.5, end: 10.0.0.9}",
                "6:9: dhcpd.v4.unknown.pools[1]: shares addresses with the pool on line 5",
            ),
            ("        []", "5:9: dhcpd.v4.unknown.pools: at least one pool is needed; to serve no unknown MAC, leave `unknown` out"),
        ]
        .map(|(pools, expected)| (with(pools), expected))
        .iter()
        .map(|(text, expected)| (text.as_str(), *expected))
        .collect::<Vec<_>>(),
    );
    let pool = with("      - {subnet: 10.0.0.0/24, start: 10.0.0.1, end: 10.0.0.5}");
    let message = "not with `inventory.replica: false`: without the whole inventory nobody can tell which addresses are free";
    assert_eq!(
        mistakes(&format!("{pool}\ninventory: {{replica: false}}")),
        [format!("5:9: dhcpd.v4.unknown.pools: {message}")]
    );
    assert_eq!(mistakes(&pool), [""; 0]);
    let nbp =
        "dhcpd: {v4: {unknown: {boot: nbp, pools: [{subnet: 10.0.0.0/31, start: 10.0.0.0, end: 10.0.0.1}]}}}";
    assert_eq!(mistakes(nbp), ["1:30: dhcpd.v4.unknown.boot: `boot.nbp` says what to boot, and is missing"]);
}

#[test]
fn transfers_need_the_whole_inventory_and_a_key_that_is_still_used() {
    let message =
        "not with `inventory.replica: false`: without the whole inventory there are no whole zones to copy";
    assert_eq!(
        mistakes("inventory: {replica: false}\ndnsd: {transfer: {allow: [10.0.0.1]}}"),
        [format!("2:18: dnsd.transfer: {message}")]
    );
    for old in ["hmac-md5", "hmac-sha1", "hmac-sha224", "sha256"] {
        let text = format!("dnsd: {{transfer: {{tsig: {{name: k, algorithm: {old}, secret_file: /s}}}}}}");
        let [found] = &mistakes(&text)[..] else { panic!("{old} is taken") };
        assert!(found.contains("one of hmac-sha256, hmac-sha384, hmac-sha512"), "{found}");
    }
}

#[test]
fn rules_that_cannot_be_are_mistakes_at_the_part_that_is_wrong() {
    check(&[
        (
            "rules:\n  - type:Node,hostname:nid{4}",
            "2:27: rules[0].hostname: '{4}' is none of {id}, {04d}, {network}, {nic}",
        ),
        (
            "rules:\n  - \"type:Node,hostname:n o\"",
            "2:26: rules[0].hostname: ' ' cannot stand in a host name",
        ),
        (
            "rules:\n  - 'type:Node,hostname:''n{nid}'''",
            "2:28: rules[0].hostname: '{nid}' is none of {id}, {04d}, {network}, {nic}",
        ),
        (
            "rules:\n  - \"name:\\\"ü\\\",hostname:ü\"",
            "2:26: rules[0].hostname: 'ü' cannot stand in a host name",
        ),
        (
            "rules: ['hostname:a}']",
            "1:20: rules[0].hostname: a brace without its other half; patterns know {id}, {04d}, {network} and {nic}",
        ),
        ("rules: ['hostname:a..b']", "1:21: rules[0].hostname: an empty label in a DNS name"),
        ("rules: ['hostname:a.']", "1:20: rules[0].hostname: an empty label in a DNS name"),
        ("rules: ['hostname:a{021d}']", "1:20: rules[0].hostname: a NID is padded to at most 20 digits"),
        (
            "rules: ['type:Node']",
            "1:9: rules[0]: does nothing: it needs one of hostname, routers, netmask, cidr, ignore: true, or a subnet",
        ),
        (
            "rules: ['type:Node,ignore:no']",
            "1:9: rules[0]: does nothing: it needs one of hostname, routers, netmask, cidr, ignore: true, or a subnet",
        ),
        (
            "rules: [{hostname: a, match: {}, nam: b}]",
            "1:34: rules[0].nam: unknown key; did you mean `name`?",
        ),
        ("rules: ['type:Node,,hostname:a']", "1:20: rules[0]: an empty part between commas"),
        ("rules: ['Node,hostname:a']", "1:10: rules[0]: 'Node' is no key:value"),
        ("rules: ['hostname:']", "1:18: rules[0]: `hostname` has no value"),
        ("rules: [\"hostname:'a\"]", "1:19: rules[0]: a value in quotes ends with the quote it begins with"),
        ("rules: ['']", "1:9: rules[0]: an empty rule"),
        ("rules: ['match:a,hostname:b']", "1:10: rules[0]: 'match' is no key of the text form"),
        (
            "rules: ['id:x1,id_set:x2,hostname:a']",
            "1:23: rules[0].id_set: `id` and `id_set` exclude each other",
        ),
        (
            "rules: ['netmask:255.0.0.0,cidr:8']",
            "1:33: rules[0].cidr: `netmask` and `cidr` exclude each other",
        ),
        ("rules: ['cidr:33']", "1:15: rules[0].cidr: '33' is no prefix length from 1 to 32"),
        (
            "rules: ['routers:10.0.0.1|10.0.0.256']",
            "1:27: rules[0].routers: '10.0.0.256' is no IPv4 address such as 10.0.0.1",
        ),
        ("rules: ['subnet:10.0.0.0']", "1:17: rules[0].subnet: '10.0.0.0' is no network such as 10.0.0.0/8"),
        (
            "rules: ['hostname:a,domain_append:rule|rule']",
            "1:35: rules[0].domain_append: none of none, global, rule, global|rule, rule|global",
        ),
        ("rules: ['hostname:a,log:warn']", "1:25: rules[0].log: 'warn' is none of info, debug, none"),
        (
            "rules: ['hostname:a,continue:perhaps']",
            "1:30: rules[0].continue: 'perhaps' is neither true nor false",
        ),
        ("rules: ['type:Node||NodeBMC,hostname:a']", "1:20: rules[0].type: an empty word in a list"),
        (
            "rules: ['id:1000,hostname:a']",
            "1:13: rules[0].id: '1' is not part of an xname such as x1000c0s0b0n0",
        ),
        ("rules: ['id:x[0-1],hostname:a']", "1:14: rules[0].id: `id` is one xname; ranges are for `id_set`"),
        ("rules: ['id_set:x1s[0-3,hostname:a']", "1:20: rules[0].id_set: a bracket without its other half"),
        (
            "rules: ['id_set:x1s[3-0],hostname:a']",
            "1:21: rules[0].id_set: the range ends at 0, before it begins",
        ),
        ("rules: ['id_set:x1|x1s[0;1],hostname:a']", "1:25: rules[0].id_set: ';' in a range such as [0-3,8]"),
        (
            "rules: ['boot_file:{arhc}']",
            "1:20: rules[0].boot_file: '{arhc}' is none of {mac} {id} {nid} {hostname} {arch}",
        ),
        ("rules: ['dns:10.0.0.1|x']", "1:23: rules[0].dns: 'x' is no IPv4 address such as 10.0.0.1"),
        ("rules: ['lease_time:1500ms']", "1:21: rules[0].lease_time: a lease lasts whole seconds"),
    ]);
}

#[test]
fn a_wrong_id_set_bracket_is_found_when_the_rule_goes_on() {
    // No closing bracket at all: the comma ends the value.
    assert_eq!(mistakes("rules: ['id_set:x[0,hostname:a']").len(), 1);
}

#[test]
fn records_that_cannot_be_are_mistakes_at_the_word_that_is_wrong() {
    let with = |records: &str| format!("domain: d.x\ndnsd:\n  records:\n{records}");
    for (records, expected) in [
        ("  - www A 10.0.0", "4:11: dnsd.records[0]: '10.0.0' where an IPv4 address is wanted"),
        ("  - www A", "4:10: dnsd.records[0]: an IPv4 address is missing; a record is: OWNER TYPE DATA"),
        (
            "  - www",
            "4:8: dnsd.records[0]: a type (A, AAAA, CNAME, TXT, SRV, MX, NS, PTR) is missing; a record is: OWNER TYPE DATA",
        ),
        ("  - www SOA a b", "4:9: dnsd.records[0]: 'SOA' is none of A, AAAA, CNAME, TXT, SRV, MX, NS, PTR"),
        ("  - www A 10.0.0.1 10.0.0.2", "4:20: dnsd.records[0]: '10.0.0.2' is too much"),
        (
            "  - w/w A 10.0.0.1",
            "4:5: dnsd.records[0]: 'w/w.d.x' is not a DNS name: labels of letters, digits, '-' and '_', at most 63 long, 253 in all",
        ),
        ("  - www 4294967295 A 10.0.0.1", "4:9: dnsd.records[0]: a TTL is at most 2147483647 seconds"),
        ("  - '@ CNAME www'", "4:5: dnsd.records[0]: d.x is a zone and cannot be an alias (RFC 1034 §3.6.2)"),
        (
            "  - www A 10.0.0.1\n  - www CNAME a",
            "5:5: dnsd.records[1]: an alias has no other records (RFC 1034 §3.6.2), and www.d.x has one on line 4",
        ),
        (
            "  - www CNAME a\n  - www.d.x. TXT a",
            "5:5: dnsd.records[1]: an alias has no other records (RFC 1034 §3.6.2), and www.d.x has one on line 4",
        ),
        ("  - www A 10.0.0.1\n  - WWW A 10.0.0.1", "5:5: dnsd.records[1]: the same record is on line 4"),
        ("  - 'www TXT \"a'", "4:14: dnsd.records[0]: a quote without its other half"),
    ] {
        assert_eq!(mistakes(&with(records)), [expected], "{records}");
    }
    assert_eq!(
        mistakes("dnsd: {records: [www A 10.0.0.1]}"),
        ["1:18: dnsd.records[0]: 'www' is relative, and there is no `domain`: end it in a dot?"]
    );
}

#[test]
fn all_mistakes_are_reported_at_once_in_the_order_of_lines() {
    let text = "\
domian: a
rules:
  - type:Node,hostnam:nid{04d}
  - type:Node,hostname:nid{04x},routers:10.0.0
smd_cache:
  refresh: often
  smd: {url: 5}
dhcpd:
  v4:
    server_id: here
    unknown:
      pools:
        - {subnet: 10.0.0.0/24, start: 10.0.0.9, end: 10.0.0.1}
";
    let report = parse(text).unwrap_err().report("coresmd.yaml");
    let expected = "\
coresmd.yaml:1:1: domian: unknown key; did you mean `domain`?
coresmd.yaml:3:15: rules[0].hostnam: unknown key; did you mean `hostname`?
coresmd.yaml:4:27: rules[1].hostname: '{04x}' is none of {id}, {04d}, {network}, {nic}
coresmd.yaml:4:41: rules[1].routers: '10.0.0' is no IPv4 address such as 10.0.0.1
coresmd.yaml:6:12: smd_cache.refresh: 'often' is no duration such as 30s, 1h30m or 300ms
coresmd.yaml:7:14: smd_cache.smd.url: '5' is no URL such as http://HOST/PATH
coresmd.yaml:10:16: dhcpd.v4.server_id: 'here' is no IPv4 address such as 10.0.0.1
coresmd.yaml:13:55: dhcpd.v4.unknown.pools[0].end: the pool ends at 10.0.0.1, before it begins
";
    assert_eq!(report, expected);
    assert_eq!(parse(text).unwrap_err().to_string(), "8 mistakes in the configuration");
}

#[test]
fn keys_of_later_features_are_written_down_with_their_programs() {
    use Program::{Dhcpd, Tftpd};
    for (text, key, programs) in [
        ("boot: {autoexec: true}", "1:8: boot.autoexec: not served yet", vec![Tftpd]),
        ("boot: {script_url6: 'http://[fd00::1]/'}", "1:8: boot.script_url6: not served yet", vec![Dhcpd]),
        ("dhcpd: {v6: {server_id: LL 02:00:00:00:00:01}}", "1:9: dhcpd.v6: not served yet", vec![Dhcpd]),
    ] {
        let config = parse(text).unwrap_or_else(|mistakes| panic!("{}", mistakes.report(text)));
        let found: Vec<_> =
            config.not_served.iter().map(|(m, programs)| (m.to_string(), programs.clone())).collect();
        assert_eq!(found, [(key.to_owned(), programs)], "{text}");
    }
}

#[test]
fn keys_that_change_nothing_yet_are_taken() {
    let text = "
smd_cache: {poll_changes: 0, pull_through: false, max_shrink: 10%, shrink_confirmations: 5, snapshot_file: /tmp/s}
inventory: {replica_file: off}
boot: {autoexec: no, nbp: 'tftp://a/b'}
dhcpd: {v4: {authoritative: false, hosts_file: /h, auto_configure: false, mtu: 1500, options: {42: 10.0.0.1}}}
rules: ['boot_file:a,next_server:10.0.0.1,script_url:http://a/,mtu:9000', {options: {42: 10.0.0.1}}]
dnsd: {forward: [1.1.1.1], recursion_from: [10.0.0.0/8], serve_stale: 24h}
zones: [{name: a, missing: forward}]
";
    let config = parse(text).unwrap();
    assert_eq!(config.not_served, []);
    assert_eq!(config.inventory.replica_file, None);
    assert!(config.smd_cache.poll_changes.is_zero());
}

#[test]
fn a_mistake_is_one_line_and_does_nothing_to_a_terminal() {
    check(&[
        ("\"do\\nmain\\e[2J\": x", "1:1: do\\nmain\\u{1b}[2J: unknown key"),
        (
            "dhcpd: {v4: {listen: [\"%a\\nb\"]}}",
            "1:23: dhcpd.v4.listen[0]: '%a\\nb' is no ADDRESS%INTERFACE:PORT such as 0.0.0.0:67, %eth1 or 10.0.0.1%eth1:67",
        ),
    ]);
}

#[test]
fn places_are_the_same_with_the_line_ends_of_windows() {
    let text = "domain: a\nrules:\n  - \"type:Node,hostname:a}\"\nsmd_cache:\n  refresh: x\nrecords: [\n";
    let found = mistakes(text);
    assert_eq!(found, mistakes(&text.replace('\n', "\r\n")));
    let whole = text.trim_end_matches("records: [\n");
    let found = mistakes(whole);
    assert_eq!(found.len(), 2);
    assert_eq!(found, mistakes(&whole.replace('\n', "\r\n")));
}

#[test]
fn an_empty_file_is_the_defaults() {
    for text in ["", "\n# nothing\n", "---\n", "{}", "~", "\u{feff}", "rules:\ndhcpd:\n"] {
        assert_eq!(parse(text), Ok(Config::default()), "{text:?}");
    }
}

#[test]
fn anchors_are_followed_up_to_a_bound() {
    let text = "smd_cache: {refresh: &r 30s, stale_after: *r}\ntftpd: {listen: &l ['0.0.0.0:69']}";
    assert_eq!(parse(text).unwrap().smd_cache.stale_after.as_secs(), 30);
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let below = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb += &format!("a{level}: &a{level} [{below}]\n");
    }
    let found = mistakes(&bomb);
    assert!(found[0].ends_with("aliases stand for more than 100000 values"), "{found:?}");
    assert_eq!(mistakes(&format!("a: {}", "[".repeat(40))), ["1:36: more than 32 levels deep"]);
    assert_eq!(mistakes(&format!("a: {}", "[".repeat(100_000))).len(), 1);
    assert_eq!(mistakes(&"- ".repeat(100_000)).len(), 1);
}

#[test]
fn in_a_very_long_line_the_place_is_that_of_the_value() {
    let rule = "rules: ['hostname:a}']";
    assert!(mistakes(rule)[0].starts_with("1:20: "), "{:?}", mistakes(rule));
    let long = format!("{rule} # {}", "x".repeat(10_000));
    assert!(mistakes(&long)[0].starts_with("1:9: "), "{:?}", mistakes(&long));
}
