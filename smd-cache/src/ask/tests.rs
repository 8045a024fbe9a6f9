use super::{
    key::{Word, candidates},
    *,
};
use proto::v1::explain_request::Key;

#[test]
fn a_word_is_a_mac_an_address_an_xname_or_a_name() {
    let key = |text: &str| match Word::of(text) {
        Ok(Word::Key(Key::Mac(key))) => format!("mac {key}"),
        Ok(Word::Key(Key::Address(key))) => format!("address {key}"),
        Ok(Word::Key(Key::Id(key))) => format!("id {key}"),
        Ok(Word::Key(Key::Name(key))) => format!("name {key}"),
        Ok(Word::Short(key)) => format!("short {key}"),
        Err(error) => error.to_string(),
    };
    for (text, wanted) in [
        ("02:00:00:00:00:01", "mac 02:00:00:00:00:01"),
        ("0200.0000.0001", "mac 02:00:00:00:00:01"),
        ("02-00-00-00-00-0A", "mac 02:00:00:00:00:0a"),
        ("172.16.0.1", "address 172.16.0.1"),
        ("fd00:0:0::1", "address fd00::1"),
        ("x1000c0s0b0n0", "id x1000c0s0b0n0"),
        ("X1000C0S0B0N0", "id X1000C0S0B0N0"),
        ("nid0001", "short nid0001"),
        ("NID0001", "short nid0001"),
        ("xenon", "short xenon"),
        ("nid0001.openchami.cluster.", "name nid0001.openchami.cluster"),
        ("x1000c0s0b0n0.openchami.cluster", "name x1000c0s0b0n0.openchami.cluster"),
        ("", "'' is neither a MAC nor an address, an xname or a host name"),
        ("a b", "'a b' is neither a MAC nor an address, an xname or a host name"),
    ] {
        assert_eq!(key(text), wanted, "{text}");
    }
}

#[test]
fn a_short_name_is_tried_in_each_zone_and_then_by_itself() {
    let zones = ["c.local", "16.172.in-addr.arpa", "mgmt.local"];
    let short = "nid0001".parse().unwrap();
    assert_eq!(candidates(&short, zones.into_iter()), ["nid0001.c.local", "nid0001.mgmt.local", "nid0001"]);
}

#[test]
fn status_is_a_page_that_begins_with_what_is_not_well() {
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    let status = v1::Status {
        freshness: Some(v1::Freshness {
            instance: "5f".into(),
            generation: 7,
            read_at: at(97),
            whole_read_at: at(90),
            ..Default::default()
        }),
        version: "0.1.0".into(),
        started_at: at(0),
        ready: true,
        warnings: vec!["One record of SMD has a problem: see problems.".into()],
        interfaces: 4,
        components: 3,
        addresses: 5,
        names: 8,
        servable_interfaces: 2,
        sources: vec![
            v1::Source {
                name: "interfaces".into(),
                last_success: at(90),
                successes: 12,
                ..Default::default()
            },
            v1::Source {
                name: "components".into(),
                last_success: at(90),
                last_failure: at(40),
                last_error: "connection refused".into(),
                successes: 11,
                failures: 2,
            },
        ],
        problems_by_reason: [("bad_mac".to_owned(), 1)].into(),
        clients: vec![
            v1::Client {
                name: "dhcpd".into(),
                version: "0.1.0".into(),
                host: "127.0.0.1".into(),
                admin_port: 27782,
                connected_at: at(10),
                generation: 7,
            },
            v1::Client {
                name: "script".into(),
                version: "1".into(),
                connected_at: at(99),
                generation: 7,
                ..Default::default()
            },
        ],
        zones: vec![v1::Zone { name: "c.local".into(), serial: 12 }],
        ..Default::default()
    };
    let wanted = "\
smd-cache 0.1.0 at unix:/run/x.sock: ready
warnings  One record of SMD has a problem: see problems.
SMD       read 3 s ago, whole 10 s ago
holds     4 interfaces (2 that DHCP can serve), 3 components
          5 addresses, 8 names, in generation 7
sources   interfaces: read 10 s ago (12 good, 0 failed)
          components: read 10 s ago (11 good, 2 failed, the last 60 s ago: connection refused)
problems  1 bad_mac
zones     c.local (serial 12)
clients   dhcpd 0.1.0 from 127.0.0.1, admin port 27782, since 90 s ago, generation 7
          script 1 from the Unix socket, since 1 s ago, generation 7
started   100 s ago, instance 5f
";
    assert_eq!(page::status(&status, "unix:/run/x.sock", 100), wanted);
    let json = page::json("Status", &status).unwrap();
    for part in [r#""interfaces": "4""#, r#""wholeReadAt": "1970-01-01T00:01:30Z""#, r#""bad_mac": "1""#] {
        assert!(json.contains(part), "{json}");
    }
}

#[test]
fn problems_are_grouped_by_their_reason() {
    let problem = |reason: &str, message: &str| v1::Problem {
        reason: reason.into(),
        message: message.into(),
        ..Default::default()
    };
    let all =
        [problem("no_nid", "x1 has none"), problem("bad_mac", "a is none"), problem("no_nid", "x2 has none")];
    assert_eq!(page::problems(&all), "bad_mac (1)\n  a is none\nno_nid (2)\n  x1 has none\n  x2 has none\n");
    assert_eq!(page::problems(&[]), "no problem with SMD's records\n");
    let json: serde_json::Value = serde_json::from_str(&page::json_list("Problem", &all).unwrap()).unwrap();
    assert_eq!(json[1]["reason"], "bad_mac");
}

#[tokio::test]
async fn who_cannot_be_reached_is_a_sentence_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("coresmd.yaml");
    let absent = folder.path().join("absent.sock");
    std::fs::write(&file, format!("smd_cache: {{socket: {}}}", absent.display())).unwrap();
    let failed = async |endpoint: Option<&str>| {
        let how = How { endpoint: endpoint.map(ToOwned::to_owned), ..How::default() };
        ask(&file, &Question::Status { how }).await.unwrap_err().to_string()
    };
    let said = failed(None).await;
    assert!(said.starts_with(&format!("there is no socket {}: ", absent.display())), "{said}");
    let dead = folder.path().join("dead.sock");
    drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
    let said = failed(Some(&format!("unix:{}", dead.display()))).await;
    assert!(said.contains("smd-cache has ended"), "{said}");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let said = failed(Some(&format!("http://127.0.0.1:{port}"))).await;
    assert!(said.starts_with(&format!("nobody listens at http://127.0.0.1:{port}: ")), "{said}");
    let said = failed(Some("https://127.0.0.1:1")).await;
    assert!(said.contains("--ca-cert"), "{said}");
    let said = failed(Some("127.0.0.1:27780")).await;
    assert!(said.contains("say unix:/PATH"), "{said}");
}
