//! What EDNS compliance tests ask (RFC 6891; the list of the DNS flag day), with dig and kdig, over UDP and TCP, of the real program.

use crate::peers::served;
use std::time::Duration;
use testkit::cluster::{Cluster, finish, need_tools, tool};

const ANSWER: Duration = Duration::from_secs(15);
const NAME: &str = "nid0001.cluster.local";
/// 40 addresses: more than 512 bytes, less than 1232.
const LONG: &str = "nid0011.cluster.local";
/// 90 addresses: more than 1232.
const LONGEST: &str = "nid0012.cluster.local";

/// A question and options of dig; what must be in its answer, and what must not.
type Row<'a> = (&'a str, &'a str, &'a [&'a str], &'a [&'a str]);

/// Over both.
const BOTH: &[Row] = &[
    (NAME, "+noedns", &["NOERROR", "ANSWER: 2"], &["EDNS"]),
    (NAME, "+edns=0", &["NOERROR", "ANSWER: 2", "version: 0, flags:; udp: 1232"], &[]),
    (NAME, "+edns=1 +noednsneg", &["BADVERS", "ANSWER: 0, AUTHORITY: 0", "version: 0", " qr rd;"], &[" aa"]),
    (NAME, "+edns=100 +noednsneg", &["BADVERS", "version: 0"], &[]),
    (NAME, "+ednsopt=100", &["NOERROR", "ANSWER: 2", "version: 0"], &["OPT=100"]),
    (NAME, "+edns=1 +noednsneg +ednsopt=100", &["BADVERS", "version: 0"], &["OPT=100"]),
    (NAME, "+ednsflags=0x80", &["NOERROR", "ANSWER: 2", "flags:; udp"], &["MBZ"]),
    (NAME, "+edns=1 +noednsneg +ednsflags=0x80", &["BADVERS", "flags:; udp"], &["MBZ"]),
    (NAME, "+dnssec", &["NOERROR", "ANSWER: 2", "flags: do; udp: 1232"], &["RRSIG"]),
    (NAME, "+dnssec +edns=1 +noednsneg", &["BADVERS", "flags: do;"], &[]),
    (NAME, "+nsid", &["NOERROR", "ANSWER: 2"], &["NSID"]),
    (NAME, "+cookie", &["NOERROR", "ANSWER: 2"], &["COOKIE: "]),
    (NAME, "+cookie=0102030405060708a1a2a3a4a5a6a7a8", &["NOERROR", "ANSWER: 2"], &["COOKIE: "]),
    (NAME, "+subnet=10.0.0.0/8", &["NOERROR", "ANSWER: 2"], &["SUBNET"]),
    (NAME, "+expire", &["NOERROR", "ANSWER: 2"], &["EXPIRE"]),
    (NAME, "+padding=64", &["NOERROR", "ANSWER: 2"], &["PAD"]),
    (
        NAME,
        "+nsid +cookie +subnet=0 +expire +ednsopt=65001:00",
        &["NOERROR", "ANSWER: 2", "version: 0"],
        &["OPT="],
    ),
    (NAME, "+edns=0 +opcode=status", &["NOTIMP", "version: 0"], &[]),
    (NAME, "+edns=0 +opcode=15", &["NOTIMP", "version: 0"], &[]),
    (NAME, "+edns=0 +header-only", &["FORMERR", "QUERY: 0"], &[]),
    (NAME, "+adflag +cdflag +zflag", &["NOERROR", " qr aa rd cd;"], &["MBZ"]),
    ("nope.cluster.local", "+dnssec", &["NXDOMAIN", "AUTHORITY: 1", "flags: do;"], &["NSEC"]),
    ("cluster.local SOA", "+nocookie +norec", &["NOERROR", " qr aa;", "SOA"], &[]),
    ("cluster.local DNSKEY", "+dnssec", &["NOERROR", "ANSWER: 0", "AUTHORITY: 1"], &[]),
    ("www.example.com", "+edns=0", &["REFUSED", "version: 0", "AUTHORITY: 0"], &[" aa"]),
    ("version.bind TXT CH", "+edns=0", &["REFUSED", "version: 0"], &[]),
    (". NS", "+edns=0", &["REFUSED"], &[]),
    ("NiD0001.cLuStEr.LoCaL", "+edns=0", &["NOERROR", ";NiD0001.cLuStEr.LoCaL."], &[]),
];

/// Sizes: the options' answer is cut over UDP, and whole over TCP.
const CUT: &[Row] = &[
    (LONG, "+noedns +ignore", &["NOERROR", " tc ", "ANSWER: 0"], &["EDNS"]),
    (LONG, "+bufsize=512 +ignore", &["NOERROR", " tc ", "ANSWER: 0", "version: 0"], &[]),
    (LONG, "+bufsize=0 +ignore", &["NOERROR", " tc ", "ANSWER: 0", "version: 0"], &[]),
    (LONG, "+bufsize=1 +ignore", &["NOERROR", " tc ", "ANSWER: 0", "version: 0"], &[]),
    (LONGEST, "+bufsize=4096 +ignore", &["NOERROR", " tc ", "ANSWER: 0", "version: 0"], &[]),
    (LONGEST, "+bufsize=65535 +ignore", &["NOERROR", " tc ", "ANSWER: 0", "version: 0"], &[]),
];

fn said(cluster: &Cluster, program: &str, arguments: &str) -> String {
    let mut command = cluster.wire.server.command(tool(program));
    command.arg("@127.0.0.1").args(arguments.split_whitespace());
    finish(&mut command, ANSWER).1
}

/// What is wrong with an answer to a row.
fn judge(answer: &str, wanted: &[&str], unwanted: &[&str]) -> Vec<String> {
    let missing =
        wanted.iter().filter(|part| !answer.contains(*part)).map(|part| format!("'{part}' is not in"));
    let there = unwanted.iter().filter(|part| answer.contains(*part)).map(|part| format!("'{part}' is in"));
    missing.chain(there).map(|what| format!("{what} the answer:\n{answer}")).collect()
}

/// dig's words about one row over one transport.
fn ask(cluster: &Cluster, transport: &str, (question, options, wanted, unwanted): &Row) -> Vec<String> {
    // dig sends a cookie of its own where it is not told otherwise.
    let cookie = if options.contains("+cookie") { "" } else { "+nocookie" };
    let line = format!("+tries=1 +time=3 +qr {question} {transport} {cookie} {options}");
    let both = said(cluster, "dig", &line);
    let answer = both.rsplit(";; Got answer:").next().unwrap_or_default();
    judge(answer, wanted, unwanted).iter().map(|wrong| format!("dig {line}: {wrong}")).collect()
}

#[test]
fn edns_is_as_the_compliance_tests_want_it() {
    need_tools(&["dig"]);
    let cluster = served();
    let mut wrong = Vec::new();
    for transport in ["+notcp", "+tcp"] {
        wrong.extend(BOTH.iter().flat_map(|row| ask(&cluster, transport, row)));
    }
    wrong.extend(CUT.iter().flat_map(|row| ask(&cluster, "+notcp", row)));
    for (question, options, ..) in CUT {
        let (count, no) = (if *question == LONG { "ANSWER: 40" } else { "ANSWER: 90" }, [" tc "]);
        wrong.extend(ask(&cluster, "+tcp", &(question, options, &["NOERROR", count], &no)));
    }
    // With room for it, and told to come back by TCP, which dig then does.
    wrong.extend(ask(
        &cluster,
        "+notcp",
        &(LONG, "+bufsize=1232 +ignore", &["NOERROR", "ANSWER: 40"], &[" tc "]),
    ));
    wrong.extend(ask(
        &cluster,
        "+notcp",
        &(LONGEST, "+bufsize=1232", &["NOERROR", "ANSWER: 90", "(TCP)"], &[" tc "]),
    ));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn kdig_and_drill_get_what_dig_gets() {
    need_tools(&["kdig", "drill"]);
    let cluster = served();
    let long_name = format!("{LONG} AAAA");
    let rows: &[(&str, &str, &[&str], &[&str])] = &[
        ("kdig", "+noedns +notcp", &["NOERROR", "ANSWER: 2"], &["EDNS"]),
        (
            "kdig",
            "+edns=0 +tcp",
            &["NOERROR", "Version: 0; flags: ; UDP size: 1232 B; ext-rcode: NOERROR"],
            &[],
        ),
        ("kdig", "+edns=1", &["BADVERS", "ANSWER: 0", "Version: 0"], &[" aa"]),
        (
            "kdig",
            "+edns=0 +nsid +cookie +padding=100 +subnet=10.0.0.0/8",
            &["NOERROR", "ANSWER: 2"],
            &["COOKIE", "NSID", "SUBNET", "PADDING"],
        ),
        ("kdig", "+dnssec", &["flags: do;"], &["RRSIG"]),
        ("drill", "", &["rcode: NOERROR", "flags: qr aa rd ;", "ANSWER: 2"], &[]),
        ("drill", "-D -t", &["rcode: NOERROR", "ANSWER: 2", "EDNS: version 0; flags: do"], &[]),
    ];
    let mut wrong = Vec::new();
    for (program, options, wanted, unwanted) in rows {
        let line = format!("{options} {NAME}");
        let complaints = judge(&said(&cluster, program, &line), wanted, unwanted);
        wrong.extend(complaints.iter().map(|complaint| format!("{program} {line}: {complaint}")));
    }
    // Several questions on one connection.
    let line = format!("+tcp +keepopen {NAME} A {long_name} {LONGEST} A nope.cluster.local A");
    let answer = said(&cluster, "kdig", &line);
    let (found, absent) =
        (answer.matches("status: NOERROR").count(), answer.matches("status: NXDOMAIN").count());
    if (found, absent, answer.matches("172.21.").count()) != (3, 1, 90) {
        wrong.push(format!("kdig {line}:\n{answer}"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
