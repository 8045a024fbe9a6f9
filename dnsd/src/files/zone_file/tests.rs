use super::*;
use crate::explain::record_text;
use proptest::prelude::*;
use std::net::Ipv4Addr;

fn parsed(text: &str) -> Parsed {
    parse(text, Some(&"c.local".parse().unwrap())).unwrap()
}

fn shown(parsed: &Parsed) -> (Vec<String>, Vec<String>) {
    let record = |record: &Record| record_text(&record.owner, record.ttl, record.kind, &record.data);
    (parsed.records.iter().map(record).collect(), parsed.bad.iter().map(ToString::to_string).collect())
}

const SERVICES: &str = r#"
; services of the cluster
$TTL 1h
@       IN SOA ns hostmaster (
            2026010101 ; serial
            1h 15m 1w 5 )
        IN NS  ns
        NS     ns2.Example.COM.
ns      A      10.0.0.1
        AAAA   FD00::1
_slurmctld._tcp 300 SRV 0 0 6817 CTL
ctl     IN 60 CNAME ns
www     60 IN CNAME @
@       MX     10 mail.ctl
text    TXT    "one; \"two\"" three \195\169 ( "four"
               "five" )
$ORIGIN sub
a_b     A      10.0.0.2
x\.y    A      10.0.0.3
$ORIGIN 0.0.10.in-addr.arpa.
$TTL 60
1       PTR    ns.c.local.
"#;

#[test]
fn a_zone_file_is_its_records() {
    let parsed = parsed(SERVICES);
    let (records, bad) = shown(&parsed);
    assert_eq!(
        records,
        [
            "c.local. 3600 NS ns.c.local.",
            "c.local. 3600 NS ns2.example.com.",
            "ns.c.local. 3600 A 10.0.0.1",
            "ns.c.local. 3600 AAAA fd00::1",
            "_slurmctld._tcp.c.local. 300 SRV 0 0 6817 ctl.c.local.",
            "ctl.c.local. 60 CNAME ns.c.local.",
            "www.c.local. 60 CNAME c.local.",
            "c.local. 3600 MX 10 mail.ctl.c.local.",
            "text.c.local. 3600 TXT \"one; \\\"two\\\"\" \"three\" \"\\xc3\\xa9\" \"four\" \"five\"",
            "a_b.sub.c.local. 3600 A 10.0.0.2",
            "x\\046y.sub.c.local. 3600 A 10.0.0.3",
            "1.0.0.10.in-addr.arpa. 60 PTR ns.c.local.",
        ]
    );
    assert_eq!((bad.len(), parsed.soas), (0, 1), "{bad:?}");
}

#[test]
fn types_that_dnsd_does_not_know_go_through_as_they_are() {
    for (line, wanted) in [
        ("a CAA 0 issue \"ca.example.net\"", "TYPE257 \\# 21 0005697373756563612e6578616d706c652e6e6574"),
        ("a SSHFP 4 2 0123abcd", "TYPE44 \\# 6 04020123abcd"),
        ("a TLSA 3 1 1 aabb", "TYPE52 \\# 5 030101aabb"),
        ("a HINFO \"X 86\" Linux", "TYPE13 \\# 11 0458203836054c696e7578"),
        (
            "a NAPTR 100 10 U E2U+sip \"!^.*$!sip:a@b!\" REPL",
            "TYPE35 \\# 43 0064000a0155074532552b7369700e215e2e2a24217369703a61406221047265706c0163056c6f63616c00",
        ),
        ("a TYPE65534 \\# 3 01 02ff", "TYPE65534 \\# 3 0102ff"),
        ("a TYPE1 \\# 4 0a000001", "A 10.0.0.1"),
        ("a TYPE65534 \\# 0", "TYPE65534 \\# 0 "),
    ] {
        let (records, bad) = shown(&parsed(&format!("$TTL 60\n{line}\n")));
        assert_eq!((records, bad), (vec![format!("a.c.local. 60 {wanted}")], vec![]), "{line}");
    }
}

#[test]
fn a_bad_entry_is_told_of_and_takes_down_nothing_else() {
    for (entry, wanted) in [
        ("b A 10.0.0", "line 2: '10.0.0' where an IPv4 address is wanted"),
        ("b A", "line 2: too few or too many values for its type"),
        ("b A 10.0.0.1 10.0.0.2", "line 2: too few or too many values for its type"),
        ("b", "line 2: a type is missing"),
        ("b MX ten mail", "line 2: 'ten' where a number up to 65535 is wanted"),
        ("b FOO bar", "line 2: 'FOO' is no type we know; TYPE and its number can stand for it"),
        ("b CH A 10.0.0.1", "line 2: class CH is not served"),
        ("b 99999999999 A 10.0.0.1", "line 2: a TTL is at most 2147483647 seconds"),
        ("b 1x A 10.0.0.1", "line 2: '1x' is no TTL such as 300 or 1h30m"),
        ("*.b A 10.0.0.1", "line 2: wildcards are not served"),
        ("a..b A 10.0.0.1", "line 2: '' is no label: they have 1 to 63 bytes"),
        ("b DS 1 8 2 ab", "line 2: DS is of DNSSEC, which is not served"),
        ("b DNAME a", "line 2: DNAME is not served: list the names below it"),
        ("b TYPE39 \\# 3 016100", "line 2: DNAME is not served: list the names below it"),
        ("b TYPE46 \\# 1 00", "line 2: TYPE46 is of DNSSEC, which is not served"),
        ("b AXFR", "line 2: AXFR cannot stand in a zone"),
        ("b TXT \"open", "line 2: a quote without its other half on the line"),
        ("b TYPE65534 \\# 2 00", "line 2: '\\#' is followed by a length and as many bytes in hexadecimal"),
        ("b A \\# 3 000000", "line 2: the data do not fit the type"),
        ("b CNAME \\# 2 0141", "line 2: the data do not fit the type"),
        ("$GENERATE 1-9 a A 10.0.0.$", "line 2: '$GENERATE' and one value are wanted"),
        ("$TTL soon", "line 2: $TTL is followed by seconds, or by 1h30m"),
    ] {
        let (records, bad) = shown(&parsed(&format!("a 60 A 10.0.0.8\n{entry}\nc 60 A 10.0.0.9\n")));
        assert_eq!(records, ["a.c.local. 60 A 10.0.0.8", "c.c.local. 60 A 10.0.0.9"], "{entry}");
        assert_eq!(bad, [wanted], "{entry}");
    }
    let long = format!("b TXT {}", "x".repeat(256));
    assert_eq!(shown(&parsed(&long)).1, ["line 1: a text has at most 255 bytes; write several"]);
}

#[test]
fn what_follows_a_bad_owner_or_origin_is_not_given_to_another() {
    let (records, bad) =
        shown(&parsed("a A 10.0.0.1\n*.b A 10.0.0.2\n  A 10.0.0.3\nc \"open\n  A 10.0.0.4\n"));
    assert_eq!((records.len(), bad.len()), (1, 4), "{bad:?}");
    assert_eq!(bad[1], "line 3: whose record this is cannot be told");
    let (records, bad) = shown(&parsed("$ORIGIN a..b\na A 10.0.0.1\nb.c.local. A 10.0.0.2\n"));
    assert_eq!(records, ["b.c.local. 60 A 10.0.0.2"]);
    assert_eq!(bad[1], "line 2: 'a' is relative, and there is no $ORIGIN");
    let parsed = parse("a A 10.0.0.1\nb.c. A 10.0.0.2\n", None).unwrap();
    assert_eq!((parsed.records.len(), parsed.bad.len()), (1, 1));
}

#[test]
fn a_file_of_which_something_would_be_missing_is_refused() {
    for (text, wanted) in [
        (
            "a A 10.0.0.1\n$include other\n",
            "line 2: $INCLUDE is not followed: list the other file in `zone_files`, too",
        ),
        ("a A 10.0.0.1\nb TXT ( a\nc A 10.0.0.2\n", "line 2: a parenthesis that is never closed"),
    ] {
        assert_eq!(parse(text, None).unwrap_err().to_string(), wanted);
    }
}

#[test]
fn ttls_are_the_records_or_the_files_or_those_of_the_record_before() {
    let (records, _) = shown(&parsed(
        "a A 10.0.0.1\nb 5 A 10.0.0.1\nc A 10.0.0.1\n$TTL 1d\nd A 10.0.0.1\ne 1w2d3h4m5s A 10.0.0.1\nf A 10.0.0.1",
    ));
    let ttls: Vec<&str> = records.iter().map(|record| record.split(' ').nth(1).unwrap()).collect();
    assert_eq!(ttls, ["60", "5", "5", "86400", "788645", "86400"]);
}

proptest! {
    /// Lines of pieces that mean something, and of anything.
    #[test]
    fn any_text_can_be_read(
        pieces in prop::collection::vec(prop_oneof![
            prop::sample::select(vec![
                "a", "@", "*", ".", "..", "$ORIGIN", "$TTL", "A", "AAAA", "TXT", "CAA", "NAPTR", "SVCB", "HTTPS", "SSHFP",
                "TLSA", "CERT", "CSYNC", "HINFO", "OPENPGPKEY", "SMIMEA", "ANAME", "NULL", "10.0.0.1", "60", "\"", "(", ")", ";",
                "\n", "\t", "\\", "\\#", "1", "00", "key=\"v\"", "alpn=h2", "é",
            ]).prop_map(str::to_owned),
            "\\PC{0,8}",
        ], 0..40),
        spaced: bool,
    ) {
        let text = pieces.join(if spaced { " " } else { "" });
        if let Ok(parsed) = parse(&text, Some(&"c.local".parse().unwrap())) {
            for record in &parsed.records {
                prop_assert!(record.owner.len() <= 255 && record.owner.ends_with(&[0]));
            }
        }
    }
}

#[test]
fn of_one_name_and_type_no_more_is_taken_than_a_message_holds() {
    let lines: String =
        (0..5000u32).map(|number| format!("many A {}\n", Ipv4Addr::from(10 << 24 | number))).collect();
    let Parsed { records, bad, .. } = parsed(&format!("{lines}other A 10.0.0.1\nmany TXT x\n"));
    assert_eq!(records.len(), MAX_SET / 16 + 2);
    assert_eq!(bad.len(), 5002 - records.len());
    assert_eq!(bad[0].to_string(), "line 4064: a message holds no more records of this name and type");
}
