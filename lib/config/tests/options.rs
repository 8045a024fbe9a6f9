//! DHCP options: every way to write one, the bytes it becomes, and what cannot be.

use config::{Config, Mistakes, Options, parse};

fn good(text: &str) -> Config {
    parse(text).unwrap_or_else(|mistakes| panic!("{}", mistakes.report(text)))
}

/// What `dhcpd.v4` lists.
fn global(text: &str) -> Options {
    good(&format!("dhcpd: {{v4: {{{text}}}}}")).dhcpd.v4.expect("v4").options
}

fn mistake(text: &str) -> String {
    match parse(&format!("dhcpd: {{v4: {{{text}}}}}")) {
        Ok(config) => panic!("{text}: {config:?}"),
        Err(Mistakes(mistakes)) => mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn what_a_value_means_is_decided_by_its_code() {
    for (text, wire) in [
        ("42: 10.40.0.1", "0a280001"),
        ("42: [10.40.0.1, 10.40.0.2]", "0a2800010a280002"),
        ("28: 10.40.1.255", "0a2801ff"),
        ("28: 255.255.255.255", "ffffffff"),
        ("252: \"http://wpad/x\"", "687474703a2f2f777061642f78"),
        ("66: tftp.local", "746674702e6c6f63616c00"),
        ("67: 0x6100", "6100"),
        ("64: nis.local", "6e69732e6c6f63616c"),
        ("43: 0x0104", "0104"),
        ("43: hex:01:04:Ff", "0104ff"),
        ("42: 0x0a280001", "0a280001"),
        ("2: -3600", "fffff1f0"),
        ("23: 64", "40"),
        ("13: 513", "0201"),
        ("24: 65536", "00010000"),
        ("19: true", "01"),
        ("19: off", "00"),
        ("25: [68, 1500]", "004405dc"),
        ("33: 10.0.0.0 10.0.0.1", "0a0000000a000001"),
        ("33: [10.0.0.0 10.0.0.1, 10.1.0.0 10.0.0.2]", "0a0000000a0000010a0100000a000002"),
        ("119: [a.b, c]", "0161016200016300"),
        ("137: lost.example", "046c6f7374076578616d706c6500"),
        ("121: [{to: 10.0.0.0/8, via: 10.0.0.1}]", "080a0a000001"),
        ("121: \"10.17.0.0/16,10.0.0.1\"", "100a110a000001"),
        ("249: {to: 0.0.0.0/0, via: 10.0.0.1}", "000a000001"),
        ("150: 10.0.0.1", "0a000001"),
        ("224: \"5\"", "35"),
        ("252: unset", ""),
    ] {
        let code: u8 = text.split(':').next().unwrap().parse().unwrap();
        let options = global(&format!("options: {{{text}}}"));
        let found: Vec<_> = options.iter().map(|(code, value)| (*code, hex(value))).collect();
        assert_eq!(found, [(code, wire.replace(' ', ""))], "{text}");
    }
}

#[test]
fn each_key_is_an_option() {
    for (text, code, wire) in [
        ("mtu: 9000", 26, "2328"),
        ("search_domains: [openchami.cluster]", 119, "096f70656e6368616d6907636c757374657200"),
        (
            "static_routes: [{to: 10.0.0.0/8, via: 172.16.0.1}, {to: 0.0.0.0/0, via: 172.16.0.254}]",
            121,
            "080aac10000100ac1000fe",
        ),
        ("ipv6_only_wait: 30m", 108, "00000708"),
        ("ntp_servers: [172.16.0.1, 172.16.0.2]", 42, "ac100001ac100002"),
        ("log_servers: [172.16.0.1]", 7, "ac100001"),
        ("time_servers: [172.16.0.1]", 4, "ac100001"),
        ("time_servers: []", 4, ""),
    ] {
        let found: Vec<_> = global(text).iter().map(|(code, value)| (*code, hex(value))).collect();
        assert_eq!(found, [(code, wire.to_owned())], "{text}");
    }
}

#[test]
fn a_subnet_and_a_rule_take_the_same_keys() {
    let text = "
rules:
  - match: {type: [Node]}
    mtu: 1500
    dns: [10.0.0.9]
    lease_time: 2h
    options: {252: http://r/}
  - 'type:NodeBMC,ntp_servers:10.0.0.1|10.0.0.2,mtu:1400,dns:10.0.0.8,search_domains:a|b,lease_time:90s'
dhcpd:
  v4:
    subnets:
      - {cidr: 10.0.0.0/24, mtu: 4000, ntp_servers: [], auto_configure: true, options: {28: 10.0.0.255}}
";
    let config = good(text);
    let found = |options: &Options| -> Vec<String> {
        options.iter().map(|(code, value)| format!("{code}={}", hex(value))).collect()
    };
    assert_eq!(
        found(&config.rules[0].options),
        ["6=0a000009", "26=05dc", "51=00001c20", "252=687474703a2f2f722f"]
    );
    assert_eq!(
        found(&config.rules[1].options),
        ["6=0a000008", "26=0578", "42=0a0000010a000002", "51=0000005a", "119=016100016200"]
    );
    let subnet = &config.dhcpd.v4.as_ref().unwrap().subnets[0];
    assert_eq!(found(&subnet.options), ["26=0fa0", "28=0a0000ff", "42="]);
    assert_eq!(subnet.auto_configure, Some(true));
}

#[test]
fn values_that_cannot_be_are_mistakes_at_their_place() {
    for (text, expected) in [
        ("options: {42: here}", "1:28: dhcpd.v4.options.42: 'here' is no IPv4 address such as 10.0.0.1"),
        (
            "options: {42: [10.0.0.1, 0.0.0.0]}",
            "1:39: dhcpd.v4.options.42[1]: 0.0.0.0 is no address of a machine",
        ),
        (
            "options: {42: []}",
            "1:28: dhcpd.v4.options.42: nothing in it; to take out what a wider section says, write unset",
        ),
        ("options: {28: 10.0.0}", "1:28: dhcpd.v4.options.28: '10.0.0' is no IPv4 address such as 10.0.0.1"),
        ("options: {23: 256}", "1:28: dhcpd.v4.options.23: '256' is no whole number from 0 to 255"),
        ("options: {19: maybe}", "1:28: dhcpd.v4.options.19: 'maybe' is neither true nor false"),
        (
            "options: {33: 10.0.0.0}",
            "1:28: dhcpd.v4.options.33: '10.0.0.0' is not two addresses such as 10.0.0.0 10.0.0.1",
        ),
        (
            "options: {43: vendor}",
            "1:28: dhcpd.v4.options.43: only in hexadecimal, such as 0x0104 or hex:01:04",
        ),
        (
            "options: {43: 0x010}",
            "1:28: dhcpd.v4.options.43: '0x010' is no hexadecimal such as 0x0104 or hex:01:04",
        ),
        (
            "options: {43: 'hex:'}",
            "1:28: dhcpd.v4.options.43: 'hex:' is no hexadecimal such as 0x0104 or hex:01:04",
        ),
        (
            "options: {43: 0xäb}",
            "1:28: dhcpd.v4.options.43: '0xäb' is no hexadecimal such as 0x0104 or hex:01:04",
        ),
        (
            "options: {121: 10.0.0.0/8}",
            "1:29: dhcpd.v4.options.121: '10.0.0.0/8' is no route such as 10.0.0.0/8,10.0.0.1",
        ),
        ("options: {121: [{to: 10.0.0.0/8}]}", "1:30: dhcpd.v4.options.121[0]: `via` is missing"),
        ("options: {252: [a]}", "1:29: dhcpd.v4.options.252: a list where text is wanted"),
        ("options: {252: \"\"}", "1:29: dhcpd.v4.options.252: empty"),
        ("options: {0: a}", "1:24: dhcpd.v4.options.0: an option has a code from 1 to 254"),
        ("options: {255: a}", "1:24: dhcpd.v4.options.255: an option has a code from 1 to 254"),
        ("options: {256: a}", "1:24: dhcpd.v4.options.256: an option has a code from 1 to 254"),
        ("options: {ntp: a}", "1:24: dhcpd.v4.options.ntp: an option has a code from 1 to 254"),
        ("options: {1: 255.0.0.0}", "1:24: dhcpd.v4.options.1: `netmask` says that, or the CIDR of a subnet"),
        ("options: {3: 10.0.0.1}", "1:24: dhcpd.v4.options.3: `router` says that, in a rule `routers`"),
        ("options: {6: 10.0.0.1}", "1:24: dhcpd.v4.options.6: `dns` says that"),
        ("options: {51: 60}", "1:24: dhcpd.v4.options.51: `lease_time` says that"),
        ("options: {116: 0}", "1:24: dhcpd.v4.options.116: `auto_configure` says that"),
        ("options: {42: 10.0.0.1, 042: 10.0.0.2}", "1:38: dhcpd.v4.options.042: 42 is given twice"),
        ("mtu: 9000, options: {26: 1500}", "1:19: dhcpd.v4.mtu: `options` has 26 already, which is the same"),
        (
            "ntp_servers: 10.0.0.1",
            "1:27: dhcpd.v4.ntp_servers: a single value where a list is wanted: write [10.0.0.1]",
        ),
        ("ipv6_only_wait: 10s", "1:30: dhcpd.v4.ipv6_only_wait: 10s is not between 5m and 4294967295s"),
    ] {
        assert_eq!(mistake(text), expected, "{text}");
    }
}

#[test]
fn what_the_protocol_owns_cannot_be_listed() {
    for code in [50, 52, 53, 54, 55, 56, 57, 61, 80, 82, 97, 118] {
        let expected = format!("1:24: dhcpd.v4.options.{code}: this option is the protocol's own");
        assert_eq!(mistake(&format!("options: {{{code}: 0x01}}")), expected);
    }
    for code in [58, 59, 60, 66, 67, 12, 17] {
        assert_eq!(global(&format!("options: {{{code}: 0x01}}")), [(code, vec![1])]);
    }
}

#[test]
fn a_value_that_fits_into_no_answer_is_a_mistake() {
    let text = format!("options: {{252: {}}}", "x".repeat(1001));
    assert_eq!(
        mistake(&text),
        "1:29: dhcpd.v4.options.252: 1001 bytes; no answer has room for more than 1000"
    );
    assert_eq!(global(&format!("options: {{43: 0x{}}}", "00".repeat(1000)))[0].1.len(), 1000);
}

/// Whatever is written there: a value or a sentence, for any code, and never a panic.
#[test]
fn any_code_takes_hexadecimal_or_says_why_not() {
    for code in 0..=256 {
        let text = format!("dhcpd: {{v4: {{options: {{{code}: 0x0102}}}}}}");
        match parse(&text) {
            Ok(config) => assert_eq!(config.dhcpd.v4.unwrap().options, [(code as u8, vec![1, 2])]),
            Err(Mistakes(mistakes)) => assert_eq!(mistakes.len(), 1, "{mistakes:?}"),
        }
        for value in
            ["a", "10.0.0.1", "7", "true", "[a, b]", "{to: 10.0.0.0/8, via: 10.0.0.1}", "~", "''", "a,b"]
        {
            let _ = parse(&format!("dhcpd: {{v4: {{options: {{{code}: {value}}}}}}}"));
        }
    }
}
