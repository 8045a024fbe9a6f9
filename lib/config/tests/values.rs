//! What single values look like, and what they turn into.

use config::{Config, Endpoint, Listen, Missing, Pointer, RecordData, parse};
use std::time::Duration;

fn good(text: &str) -> Config {
    parse(text).unwrap_or_else(|mistakes| panic!("{}", mistakes.report(text)))
}

#[test]
fn durations_are_gos() {
    for (text, millis) in [
        ("30s", 30_000),
        ("1h30m", 5_400_000),
        ("300ms", 300),
        ("1.5h", 5_400_000),
        ("2h45m", 9_900_000),
        ("1m0.5s", 60_500),
        (".5s", 500),
        ("1000000us", 1_000),
        ("1000000µs", 1_000),
        ("100000000ns", 100),
        ("\"30s\"", 30_000),
    ] {
        let config = good(&format!("smd_cache: {{refresh: {text}}}"));
        assert_eq!(config.smd_cache.refresh, Duration::from_millis(millis), "{text}");
    }
    for text in
        ["1d", "30", "s", "1.s.", "1..5s", "+1s", "1s ", "1 s", "1h-30m", "9999999999999h", "1e3s", "ä"]
    {
        assert!(parse(&format!("smd_cache: {{refresh: '{text}'}}")).is_err(), "{text}");
    }
}

#[test]
fn staleness_follows_the_refresh_unless_told_otherwise() {
    assert_eq!(good("").smd_cache.stale_after.as_secs(), 30);
    assert_eq!(good("smd_cache: {refresh: 1s}").smd_cache.stale_after.as_secs(), 30);
    assert_eq!(good("smd_cache: {refresh: 30s}").smd_cache.stale_after.as_secs(), 90);
    assert_eq!(good("smd_cache: {refresh: 30s, stale_after: 40s}").smd_cache.stale_after.as_secs(), 40);
}

#[test]
fn sizes_are_bytes_or_binary_multiples() {
    for (text, bytes) in [("1000", 1000), ("64KiB", 65_536), ("2 MiB", 2 << 20), ("1GiB", 1 << 30)] {
        assert_eq!(good(&format!("smd_cache: {{max_body: {text}}}")).smd_cache.max_body, bytes, "{text}");
    }
}

#[test]
fn listen_takes_each_part_or_none() {
    let listen = |address: Option<&str>, interface: Option<&str>, port| Listen {
        address: address.map(|address| address.parse().unwrap()),
        interface: interface.map(str::to_owned),
        port,
    };
    for (text, expected) in [
        ("0.0.0.0:67", listen(None, None, 67)),
        ("0.0.0.0", listen(None, None, 67)),
        (":6767", listen(None, None, 6767)),
        ("%eth1", listen(None, Some("eth1"), 67)),
        ("%eth1:6767", listen(None, Some("eth1"), 6767)),
        ("10.0.0.1", listen(Some("10.0.0.1"), None, 67)),
        ("10.0.0.1%bond0.100:1067", listen(Some("10.0.0.1"), Some("bond0.100"), 1067)),
        ("127.0.0.1:0", listen(Some("127.0.0.1"), None, 0)),
    ] {
        assert_eq!(
            good(&format!("dhcpd: {{v4: {{listen: ['{text}']}}}}")).dhcpd.v4.unwrap().listen,
            [expected],
            "{text}"
        );
    }
    for text in [
        "",
        "%",
        "%e/h",
        "10.0.0:67",
        "10.0.0.1:",
        "10.0.0.1:70000",
        "%a-very-long-interface",
        "224.0.0.1",
        "[::]:67",
    ] {
        assert!(parse(&format!("dhcpd: {{v4: {{listen: ['{text}']}}}}")).is_err(), "{text}");
    }
}

#[test]
fn the_port_of_other_sockets_may_be_left_out() {
    let config = good("dnsd: {listen: [127.0.0.1, '[::1]', '::', '127.0.0.1:0', '[::1]:5353']}");
    let listen: Vec<String> = config.dnsd.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["127.0.0.1:53", "[::1]:53", "[::]:53", "127.0.0.1:0", "[::1]:5353"]);
}

#[test]
fn transfers_are_for_networks_and_told_to_sockets() {
    let text = "dnsd: {transfer: {allow: [10.0.0.9, 'fd00::/64'], notify: [10.0.0.9, '[::1]:5353'], \
                tsig: {name: Key.X, algorithm: hmac-sha512, secret_file: /s}}}";
    let transfer = good(text).dnsd.transfer.unwrap();
    let networks: Vec<String> = transfer.allow.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.0.0.9/32", "fd00::/64"]);
    let told: Vec<String> = transfer.notify.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["10.0.0.9:53", "[::1]:5353"]);
    let key = transfer.tsig.unwrap();
    assert_eq!((key.name.as_str(), key.algorithm), ("key.x", config::TsigAlgorithm::HmacSha512));
    assert_eq!(good("dnsd: {transfer: {}}").dnsd.transfer.unwrap().allow, []);
}

#[test]
fn dns_over_tls_and_https_have_ports_of_their_own() {
    let config = good("dnsd: {tls: {cert: /c, key: /k}, https: [127.0.0.1, '[::1]:8443']}").dnsd;
    let shown = |listen: &[std::net::SocketAddr]| listen.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(shown(&config.tls.unwrap().listen), ["0.0.0.0:853"]);
    assert_eq!(shown(&config.https), ["127.0.0.1:443", "[::1]:8443"]);
    let https_alone = good("dnsd: {tls: {listen: [], cert: /c, key: /k}, https: ['::']}").dnsd;
    assert_eq!(https_alone.tls.unwrap().listen, []);
    assert_eq!(good("").dnsd.https, []);
}

#[test]
fn ports_of_tcp_are_those_of_all_programs() {
    let ports = |text| good(text).tcp_ports().into_iter().collect::<Vec<_>>();
    assert_eq!(ports(""), [53, 27780, 27781, 27782, 27783, 27784]);
    let all = "smd_cache: {listen: ['0.0.0.0:1', '[::]:2'], admin: '0.0.0.0:3'}\ndhcpd: {admin: '0.0.0.0:4'}\n\
               dnsd: {admin: '0.0.0.0:5', listen: ['0.0.0.0:6'], https: ['0.0.0.0:7'], tls: {listen: ['0.0.0.0:8'], cert: /c, key: /k}}\n\
               tftpd: {admin: '0.0.0.0:9', listen: ['0.0.0.0:10']}";
    assert_eq!(ports(all), [1, 2, 3, 4, 5, 6, 7, 8, 9], "TFTP is UDP");
}

#[test]
fn everybody_may_ask_unless_networks_are_given() {
    assert_eq!(good("").dnsd.query_from, None);
    let given = good("dnsd: {query_from: [10.0.0.0/8, 'fd00::1'], query_log: true}").dnsd;
    assert_eq!(given.query_from.unwrap(), ["10.0.0.0/8", "fd00::1/128"].map(|text| text.parse().unwrap()));
    assert!(given.query_log && !good("").dnsd.query_log);
}

#[test]
fn forwarders_are_addresses_with_a_port_and_a_name_to_verify_where_they_need_one() {
    let config = good(
        "dnsd: {forward_ca: /ca, forward: [1.1.1.1, '10.0.0.2:5353', 'fd00::1', '[fd00::1]:54', 'tls://9.9.9.9', \
         'tls://dns.Quad9.net@9.9.9.9:8853', 'tls://[fd00::1]']}",
    );
    let forward: Vec<String> = config.dnsd.forward.iter().map(ToString::to_string).collect();
    let wanted = [
        "1.1.1.1:53",
        "10.0.0.2:5353",
        "[fd00::1]:53",
        "[fd00::1]:54",
        "tls://9.9.9.9:853",
        "tls://dns.quad9.net@9.9.9.9:8853",
        "tls://[fd00::1]:853",
    ];
    assert_eq!(forward, wanted);
    let again = good(&format!("dnsd: {{forward_ca: /ca, forward: {forward:?}}}"));
    assert_eq!(again.dnsd.forward, config.dnsd.forward, "what is shown can be written");
}

#[test]
fn endpoints_are_tcp_or_unix() {
    let config = good("inventory: {endpoints: [http://smd-cache, 'http://[::1]:1/', unix:/run/a.sock]}");
    let expected = [
        Endpoint::Tcp("http://smd-cache:27780".into()),
        Endpoint::Tcp("http://[::1]:1".into()),
        Endpoint::Unix("/run/a.sock".into()),
    ];
    assert_eq!(config.inventory.endpoints, expected);
}

#[test]
fn the_api_path_of_smd_may_be_given_or_not() {
    for (text, url) in [
        ("http://smd:27779", "http://smd:27779"),
        ("http://smd:27779/", "http://smd:27779"),
        ("https://c.example:8443/hsm/v2", "https://c.example:8443"),
        ("https://c.example:8443/hsm/v2/", "https://c.example:8443"),
        ("https://gw/apis/smd/hsm/v2", "https://gw/apis/smd"),
    ] {
        assert_eq!(good(&format!("smd_cache: {{smd: {{url: '{text}'}}}}")).smd_cache.smd.url, url, "{text}");
    }
}

#[test]
fn loaders_are_added_to_the_table_and_taken_out() {
    let default = good("").boot.loaders;
    assert_eq!(
        default.iter().map(|(arch, _)| *arch).collect::<Vec<_>>(),
        [0, 6, 7, 9, 10, 11, 15, 16, 17, 18, 19, 20]
    );
    let config = good("boot: {loaders: {7: grub.efi, 11: off, 27: riscv.efi}}");
    let file = |arch| config.boot.loaders.iter().find(|(a, _)| *a == arch).map(|(_, file)| file.as_str());
    assert_eq!(
        (file(7), file(11), file(27), file(0)),
        (Some("grub.efi"), None, Some("riscv.efi"), Some("undionly.kpxe"))
    );
}

#[test]
fn names_lose_leading_dots_and_case() {
    let config = good(
        "domain: ..Global.Local\nzones: [{name: Mgmt.Local., nodes: 'n{02d}.rack'}, {name: 16.172.in-addr.arpa}]",
    );
    assert_eq!(config.domain.unwrap().as_str(), "global.local");
    assert_eq!(config.zones[0].name.as_str(), "mgmt.local");
    assert_eq!(config.zones[0].missing, Missing::Nxdomain);
    assert_eq!((config.zones[0].is_reverse(), config.zones[1].is_reverse()), (false, true));
}

#[test]
fn a_part_of_v4_left_out_has_its_default() {
    let v4 = good("dhcpd: {v4: {}}").dhcpd.v4.unwrap();
    assert_eq!(v4.listen, [Listen::default()]);
    assert_eq!((v4.lease_time.as_secs(), v4.server_id, v4.netmask), (3600, None, None));
    assert_eq!(good("").dhcpd.v4, None);
}

#[test]
fn records_are_zone_file_lines() {
    let name = |text: &str| text.parse().unwrap();
    for (line, owner, ttl, data) in [
        ("smd.c.x. A 172.16.0.253", "smd.c.x", None, RecordData::A("172.16.0.253".parse().unwrap())),
        ("www CNAME smd", "www.c.x", None, RecordData::Cname(name("smd.c.x"))),
        ("www 300 IN CNAME a.b.", "www.c.x", Some(300), RecordData::Cname(name("a.b"))),
        (
            "www in 300 aaaa fd00::1 ; note",
            "www.c.x",
            Some(300),
            RecordData::Aaaa("fd00::1".parse().unwrap()),
        ),
        ("@ MX 10 mail", "c.x", None, RecordData::Mx(10, name("mail.c.x"))),
        ("@ NS @", "c.x", None, RecordData::Ns(name("c.x"))),
        ("_smd._tcp SRV 1 2 27779 smd", "_smd._tcp.c.x", None, RecordData::Srv(1, 2, 27779, name("smd.c.x"))),
        ("1.0.0.10.in-addr.arpa. PTR gw", "1.0.0.10.in-addr.arpa", None, RecordData::Ptr(name("gw.c.x"))),
        (
            r#"t TXT "a b" c "d \" ; e""#,
            "t.c.x",
            None,
            RecordData::Txt(vec!["a b".into(), "c".into(), "d \" ; e".into()]),
        ),
    ] {
        let records = good(&format!("domain: c.x\ndnsd:\n  records:\n    - '{line}'")).dnsd.records;
        assert_eq!(
            (records[0].owner.as_str(), records[0].ttl, &records[0].data),
            (owner, ttl, &data),
            "{line}"
        );
        assert_eq!(records[0].text, line);
    }
    let two = good("domain: c.x\ndnsd: {records: [a A 10.0.0.1, a A 10.0.0.2, a TXT x]}").dnsd.records;
    assert_eq!(two.len(), 3);
}

#[test]
fn what_stands_beside_the_inventory_in_dns_is_off_unless_named() {
    let dnsd = good("").dnsd;
    assert_eq!(
        (dnsd.hosts_file, dnsd.zone_files.len(), dnsd.node_txt, dnsd.search.len()),
        (None, 0, false, 0)
    );
    let text =
        "dnsd: {hosts_file: /etc/hosts, zone_files: [/a, /b], node_txt: on, search: [C.Local., hsn.c.local]}";
    let dnsd = good(text).dnsd;
    assert_eq!(dnsd.hosts_file.as_deref(), Some("/etc/hosts".as_ref()));
    assert_eq!(dnsd.zone_files.len(), 2);
    assert!(dnsd.node_txt);
    assert_eq!(dnsd.ptr, Pointer::Hostname);
    assert_eq!(good("dnsd: {ptr: xname}").dnsd.ptr, Pointer::Xname);
    assert_eq!(dnsd.search.iter().map(ToString::to_string).collect::<Vec<_>>(), ["c.local", "hsn.c.local"]);
}

#[test]
fn a_zone_is_for_one_network_or_some() {
    for (text, networks) in
        [("", &[][..]), ("network: HSN", &["HSN"]), ("network: [HSN, 'a b']", &["HSN", "a b"])]
    {
        let config = good(&format!("zones: [{{name: a.b, {text}}}]"));
        assert_eq!(config.zones[0].networks, networks, "{text}");
    }
}
