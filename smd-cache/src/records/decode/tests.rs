use super::*;

fn interfaces(body: &str) -> Decoded<InterfaceRecord> {
    decode_interfaces(body.as_bytes()).unwrap()
}

/// One interface with these fields besides a good MAC and ID.
fn one(fields: &str) -> InterfaceRecord {
    let body = format!(r#"[{{"ID":"020000000001","MACAddress":"02:00:00:00:00:01",{fields}}}]"#);
    let mut decoded = interfaces(&body);
    assert_eq!(decoded.rejected, [], "{body}");
    decoded.records.remove(0)
}

fn reasons(problems: &[Problem]) -> Vec<&'static str> {
    problems.iter().map(|problem| problem.reason.label()).collect()
}

fn golden(file: &str) -> Vec<u8> {
    let path = format!("{}/../lib/testkit/golden/smd/{file}", env!("CARGO_MANIFEST_DIR"));
    let captured: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    serde_json::to_vec(&captured["body"]).unwrap()
}

#[test]
fn a_body_that_is_not_smds_answer_is_not_believed_at_all() {
    for body in
        ["", "<html>", "null", "{}", "[", r#"[{"ID":"1"}"#, r#"[] trailing"#, r#"{"Components":[]}"#, "42"]
    {
        assert!(decode_interfaces(body.as_bytes()).is_err(), "{body}");
    }
    for body in [
        "",
        "<html>",
        "null",
        "{}",
        "[]",
        r#"{"Components":null}"#,
        r#"{"Components":[}"#,
        r#"{"Components":{}}"#,
    ] {
        assert!(decode_components(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn empty_answers_are_good() {
    assert_eq!(interfaces("[]").records, []);
    assert_eq!(decode_components(br#"{"Components":[]}"#).unwrap().records, []);
}

#[test]
fn a_bad_record_is_rejected_alone() {
    let good = r#"{"ID":"020000000001","MACAddress":"02:00:00:00:00:01"}"#;
    for (bad, reason) in [
        (r#"{"ID":"x","MACAddress":"x"}"#, "bad_mac"),
        (r#"{"ID":"x"}"#, "bad_mac"),
        (r#"{"ID":"x","MACAddress":null}"#, "bad_mac"),
        ("{}", "bad_mac"),
        (r#"{"ID":"x","MACAddress":"00:00:00:00:00:00"}"#, "unusable_mac"),
        (r#"{"ID":"x","MACAddress":"ff:ff:ff:ff:ff:ff"}"#, "unusable_mac"),
        (r#"{"ID":"x","MACAddress":"01:00:5e:00:00:01"}"#, "unusable_mac"),
        (r#"{"ID":"x","MACAddress":5}"#, "bad_record"),
        (r#"{"ID":"x","MACAddress":"02:00:00:00:00:02","IPAddresses":"172.16.0.1"}"#, "bad_record"),
        (r#"{"ID":"x","ID":"y","MACAddress":"02:00:00:00:00:02"}"#, "bad_record"),
        ("null", "bad_record"),
        ("[]", "bad_record"),
        (r#""text""#, "bad_record"),
    ] {
        let decoded = interfaces(&format!("[{bad},{good},{bad}]"));
        assert_eq!(decoded.records.len(), 1, "{bad}");
        let rejected: Vec<_> =
            decoded.rejected.iter().map(|rejected| rejected.problem.reason.label()).collect();
        assert_eq!(rejected, [reason; 2], "{bad}");
    }
}

#[test]
fn a_bad_component_is_rejected_alone() {
    let body =
        r#"{"Components":[{"ID":"nid-1"},{"ID":""},{"Type":"Node"},7,{"ID":"X1000C0S0B0N0","NID":1}]}"#;
    let decoded = decode_components(body.as_bytes()).unwrap();
    assert_eq!(decoded.records.len(), 1);
    assert_eq!(decoded.records[0].id.as_str(), "x1000c0s0b0n0");
    let rejected: Vec<_> = decoded.rejected.iter().map(|rejected| rejected.problem.reason.label()).collect();
    assert_eq!(rejected, ["bad_xname", "bad_xname", "bad_xname", "bad_record"]);
}

#[test]
fn missing_and_null_fields_are_empty() {
    for fields in [
        r#""Description":null,"LastUpdate":null,"ComponentID":null,"Type":null,"IPAddresses":null"#,
        r#""ComponentID":"","IPAddresses":[],"LastUpdate":"""#,
        r#""Unheard":{"of":[1,2]}"#,
    ] {
        let record = one(fields);
        assert_eq!(
            (&*record.description, &record.component_id, record.last_update),
            ("", &None, None),
            "{fields}"
        );
        assert_eq!((record.addresses.len(), record.problems.len()), (0, 0), "{fields}");
    }
}

#[test]
fn every_spelling_of_a_mac_is_taken_and_the_row_keeps_its_id() {
    for (id, mac) in [
        ("0200000001ab", "02:00:00:00:01:ab"),
        ("02-00-00-00-01-ab", "02-00-00-00-01-AB"),
        ("", "0200.0000.01ab"),
        ("0200000001AB", "0200000001AB"),
    ] {
        let decoded = interfaces(&format!(r#"[{{"ID":"{id}","MACAddress":"{mac}"}}]"#));
        assert_eq!(decoded.records[0].mac.to_string(), "02:00:00:00:01:ab");
        assert_eq!(decoded.records[0].id, if id.is_empty() { mac } else { id });
    }
}

#[test]
fn an_address_that_cannot_be_used_is_skipped_and_the_others_stay() {
    for (bad, reason) in [
        (r#"{"IPAddress":""}"#, Some("empty_address")),
        (r#"{"IPAddress":"  "}"#, Some("empty_address")),
        (r#"{"IPAddress":null}"#, Some("empty_address")),
        ("{}", Some("empty_address")),
        (r#"{"IPAddress":"172.16.0.300"}"#, Some("bad_address")),
        (r#"{"IPAddress":"172.16.0.1/24"}"#, Some("bad_address")),
        (r#"{"IPAddress":"not-an-address"}"#, Some("bad_address")),
        (r#"{"IPAddress":"0.0.0.0"}"#, Some("bad_address")),
        (r#"{"IPAddress":"::"}"#, Some("bad_address")),
        (r#"{"IPAddress":"255.255.255.255"}"#, Some("bad_address")),
        (r#"{"IPAddress":"224.0.0.1"}"#, Some("bad_address")),
        (r#"{"IPAddress":"127.0.0.1"}"#, Some("bad_address")),
        (r#"{"IPAddress":"ff02::1"}"#, Some("bad_address")),
        (r#"{"IPAddress":7}"#, Some("bad_address")),
        (r#""172.16.0.9""#, Some("bad_address")),
        ("null", Some("bad_address")),
        (r#"{"IPAddress":"172.16.0.1"}"#, None),
        (r#"{"IPAddress":"172.16.0.1","Network":"again"}"#, None),
        (r#"{"IPAddress":"::ffff:172.16.0.1"}"#, None),
        (r#"{"IPAddress":"::ffff:127.0.0.1"}"#, Some("bad_address")),
    ] {
        let good = r#"{"IPAddress":"172.16.0.1"},{"IPAddress":" FD00:0016:0:0::0005 ","Network":"HSN"}"#;
        let record = one(&format!(r#""IPAddresses":[{good},{bad}]"#));
        let addresses: Vec<String> =
            record.addresses.iter().map(|record| record.address.to_string()).collect();
        assert_eq!(addresses, ["172.16.0.1", "fd00:16::5"], "{bad}");
        assert_eq!(&*record.addresses[1].network, "HSN");
        assert_eq!(reasons(&record.problems), Vec::from_iter(reason), "{bad}");
        assert!(record.problems.iter().all(|problem| problem.mac == Some(record.mac)), "{bad}");
    }
}

#[test]
fn nids_are_numbers_or_text_of_numbers() {
    for (nid, expected, reason) in [
        ("7", Some(7), None),
        (r#""7""#, Some(7), None),
        (r#""0007""#, Some(7), None),
        ("0", None, None),
        ("null", None, None),
        (r#""""#, None, None),
        ("-1", None, Some("bad_nid")),
        ("1.5", None, Some("bad_nid")),
        (r#""seven""#, None, Some("bad_nid")),
        ("99999999999999999999", None, Some("bad_nid")),
        ("[7]", None, Some("bad_nid")),
    ] {
        let body = format!(r#"{{"Components":[{{"ID":"x0c0s0b0n0","NID":{nid}}}]}}"#);
        let decoded = decode_components(body.as_bytes()).unwrap();
        assert_eq!(decoded.records[0].nid, expected, "{nid}");
        assert_eq!(reasons(&decoded.records[0].problems), Vec::from_iter(reason), "{nid}");
    }
}

#[test]
fn long_text_is_cut_and_reported() {
    let long = "ä".repeat(300);
    let record = one(&format!(r#""Description":"{long}""#));
    assert_eq!(record.description.len(), MAX_TEXT);
    assert_eq!(reasons(&record.problems), ["long_text"]);
    let record = one(&format!(r#""ComponentID":"x{}""#, "1".repeat(300)));
    assert_eq!(record.component_id, None);
    assert_eq!(reasons(&record.problems), ["bad_xname"]);
}

#[test]
fn times_are_instants() {
    let time = |text: &str| one(&format!(r#""LastUpdate":"{text}""#));
    assert_eq!(
        time("2026-11-23T00:07:24.94624Z").last_update,
        time("2026-11-22T19:07:24.946240-05:00").last_update
    );
    assert_eq!(reasons(&time("yesterday").problems), ["bad_time"]);
}

#[test]
fn what_smd_itself_answers_is_read() {
    let odd = decode_interfaces(&golden("interfaces-odd.json")).unwrap();
    assert_eq!((odd.records.len(), odd.rejected.len()), (14, 2));
    assert_eq!(
        reasons(&odd.records.iter().flat_map(|record| record.problems.clone()).collect::<Vec<_>>()),
        ["bad_address"]
    );
    let plain = decode_interfaces(&golden("interfaces.json")).unwrap();
    assert!(plain.rejected.is_empty() && plain.records.iter().all(|record| record.problems.is_empty()));
    let components = decode_components(&golden("components-odd.json")).unwrap();
    assert_eq!((components.records.len(), components.rejected.len()), (16, 0));
    assert!(decode_interfaces(&golden("empty-interfaces.json")).unwrap().records.is_empty());
    assert!(decode_components(&golden("empty-components.json")).unwrap().records.is_empty());
    assert!(decode_interfaces(&golden("database-down-interfaces.json")).is_err());
    assert!(decode_components(&golden("database-down-components.json")).is_err());
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(body: Vec<u8>) {
        let _ = decode_interfaces(&body);
        let _ = decode_components(&body);
    }

    #[test]
    fn no_text_in_any_field_makes_it_panic(texts in proptest::collection::vec(".{0,40}", 8)) {
        let text = |at: usize| serde_json::Value::from(texts[at].clone());
        let body = serde_json::json!([{
            "ID": text(0), "MACAddress": text(1), "LastUpdate": text(2), "ComponentID": text(3),
            "IPAddresses": [{"IPAddress": text(4), "Network": text(5)}, text(6)], "Type": text(7),
        }]);
        let decoded = decode_interfaces(body.to_string().as_bytes()).unwrap();
        assert_eq!(decoded.records.len() + decoded.rejected.len(), 1);
    }
}
