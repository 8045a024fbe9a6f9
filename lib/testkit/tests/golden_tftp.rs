//! The recorded TFTP cases, put to tftpd's transfers without sockets, and the TFTP packets of real firmware.

#![allow(clippy::unwrap_used)] // helpers of tests: what cannot go on ends the test

use serde_json::Value;
use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path, time::Instant};
use testkit::pcap;
use tftpd::{
    decide::{self, Refusal},
    files::Root,
    metrics::Ending,
    session::Outgoing,
    transfers::{Incoming, Outcome, Transfers},
    wire,
};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden");
/// As the scene of the recordings has it.
const PATH: decide::Path = decide::Path { mtu: 1500, ipv6: false };

/// One server, fresh for a case.
struct Server {
    root: Root,
    transfers: Transfers<()>,
    single_port: bool,
    /// The last answer came from a port of transfers: the recordings call that port "tid".
    tid_is_own: bool,
}

impl Server {
    fn new(config: &str) -> Server {
        let text = fs::read_to_string(format!("{GOLDEN}/configs/{config}.yaml")).expect("a configuration");
        let config = config::parse(&text).unwrap_or_else(|mistakes| panic!("{config}: {mistakes:?}"));
        let root = Root::open(&Path::new(GOLDEN).join("tftp/root")).expect("the root");
        Server {
            root,
            transfers: Transfers::default(),
            single_port: config.tftpd.single_port,
            tid_is_own: true,
        }
    }

    /// What comes back for one packet, if anything.
    fn answer(&mut self, send: &Value) -> Vec<Vec<u8>> {
        let peer: SocketAddr =
            format!("{}:{}", send["from"]["src_ip"].as_str().unwrap(), send["from"]["sport"])
                .parse()
                .unwrap();
        let own_port = self.single_port || (send["to"]["port"] == "tid" && self.tid_is_own);
        let packet = wire::parse(&testkit::hex(send["hex"].as_str().unwrap()));
        let incoming = Incoming { peer, packet, own_port, path: PATH, kept: () };
        match self.transfers.received(incoming, &self.root.files(), Instant::now()) {
            Outcome::Refuse(code, text, refusal) => {
                self.tid_is_own = refusal == Refusal::UnknownTransfer;
                vec![wire::error(code, text)]
            }
            Outcome::Began(_) | Outcome::Send | Outcome::Repeat => {
                self.tid_is_own = true;
                self.outgoing(&peer)
            }
            Outcome::Wait | Outcome::Ended(..) | Outcome::Silent(_) => Vec::new(),
        }
    }

    fn outgoing(&self, peer: &SocketAddr) -> Vec<Vec<u8>> {
        match self.transfers.get(peer).expect("a transfer that sends").session.outgoing() {
            Outgoing::OptionAck(packet) => vec![packet.to_vec()],
            Outgoing::Blocks(blocks) => blocks
                .map(|(block, payload)| {
                    let mut packet = Vec::new();
                    wire::data(&mut packet, block, payload);
                    packet
                })
                .collect(),
        }
    }
}

/// Where an answer differs from the judgement.
fn differences(ours: &Value, answers: &[Vec<u8>]) -> Vec<String> {
    let wanted = ours["reply"].as_str().unwrap();
    let Some(answer) = answers.first() else {
        return if wanted == "none" { Vec::new() } else { vec![format!("silence instead of {wanted}")] };
    };
    let (kind, rest) = (answer[1], &answer[2..]);
    let name = ["", "RRQ", "WRQ", "DATA", "ACK", "ERROR", "OACK"][usize::from(kind)];
    if name != wanted {
        return vec![format!("{name} instead of {wanted}: {}", answer.escape_ascii())];
    }
    let word = u16::from_be_bytes([rest[0], rest[1]]);
    let fields = &ours["fields"];
    let mut wrong = Vec::new();
    match name {
        "DATA" => {
            if fields["block"] != word || testkit::hex(fields["data"].as_str().unwrap()) != rest[2..] {
                wrong.push(format!("block {word} of {} bytes instead of {fields}", rest.len() - 2));
            }
        }
        "ERROR" => {
            let codes = fields["code"]["one_of"].as_array().unwrap();
            if !codes.contains(&word.into()) {
                wrong.push(format!("ERROR {word} instead of {codes:?}"));
            }
        }
        _ => wrong.extend(option_differences(ours, rest)),
    }
    wrong
}

fn option_differences(ours: &Value, bytes: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(bytes).unwrap().trim_end_matches('\0');
    let words: Vec<_> = text.split('\0').collect();
    let given: Vec<_> = words.chunks(2).map(|pair| (pair[0], pair[1])).collect();
    let wanted = ours["options"].as_object().unwrap();
    let mut wrong = Vec::new();
    for (name, value) in wanted {
        let found = given.iter().find(|(given, _)| given == name).map(|(_, value)| *value);
        let good = match &value["max"] {
            Value::Null => found == value.as_str(),
            max => found
                .and_then(|found| found.parse().ok())
                .is_some_and(|found: u64| found <= max.as_u64().unwrap()),
        };
        if !good {
            wrong.push(format!("{name} is {found:?} instead of {value}"));
        }
    }
    if ours["only"] == true && given.len() != wanted.len() {
        wrong.push(format!("more options than asked for: {given:?}"));
    }
    wrong
}

#[test]
fn every_recorded_case_is_answered_as_judged() {
    let text = fs::read_to_string(format!("{GOLDEN}/tftp.jsonl")).unwrap();
    let (mut cases, mut wrong) = (0, Vec::new());
    for line in text.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let mut server = Server::new(case["config"].as_str().unwrap());
        for step in case["steps"].as_array().unwrap() {
            let answers = server.answer(&step["send"]);
            if !step["ours"].is_null() {
                for difference in differences(&step["ours"], &answers) {
                    wrong.push(format!("{}: {}: {difference}", case["name"], step["send"]["text"]));
                }
            }
        }
        cases += 1;
    }
    assert_eq!(cases, 21);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Read requests of real loaders and firmware, and what came next from the same port.
#[test]
fn firmware_gets_its_loader_and_its_size_probes_are_no_failures() {
    let mut seen = BTreeMap::new();
    for entry in fs::read_dir(format!("{GOLDEN}/firmware")).unwrap() {
        let path = entry.unwrap().path();
        let packets = pcap::datagrams(&fs::read(&path).unwrap());
        let root = root_of(&packets);
        let mut transfers = Transfers::default();
        for packet in &packets {
            let begins = packet.destination.port() == 69;
            let peer = SocketAddr::V4(packet.source);
            let goes_on = transfers.get(&peer).is_some();
            if !begins && !goes_on {
                continue;
            }
            let parsed = wire::parse(&packet.payload);
            let label = format!("{} {}: {parsed:?}", path.display(), packet.number);
            let incoming = Incoming { peer, packet: parsed, own_port: !begins, path: PATH, kept: () };
            let outcome = match transfers.received(incoming, &root.files(), Instant::now()) {
                Outcome::Began(None) => "began",
                Outcome::Send => "goes on",
                // The recordings leave out most blocks, so later ACKs are of blocks that were never sent here.
                Outcome::Wait => "waits",
                Outcome::Ended(_, Ending::SizeProbe) => "size probe",
                Outcome::Refuse(_, _, Refusal::NotFound) => "not found",
                _ => panic!("{label}"),
            };
            *seen.entry(outcome).or_insert(0) += 1;
        }
    }
    for outcome in ["began", "goes on", "size probe", "not found"] {
        assert!(seen.get(outcome).is_some_and(|count| *count > 0), "{outcome}: {seen:?}");
    }
}

/// A root with every file that the recorded server had: those whose request it did not answer with an ERROR.
fn root_of(packets: &[pcap::Datagram]) -> Root {
    let folder = tempfile::tempdir().unwrap();
    for (at, packet) in packets.iter().enumerate().filter(|(_, packet)| packet.destination.port() == 69) {
        let Ok(wire::Packet::Read(request)) = wire::parse(&packet.payload) else {
            panic!("no request: {packet:?}")
        };
        let answer = packets[at + 1..].iter().find(|later| later.destination == packet.source);
        if answer.is_some_and(|answer| answer.payload[1] != 5) {
            let file = folder.path().join(request.file.trim_start_matches('/'));
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, vec![0; 100_000]).unwrap();
        }
    }
    Root::open(folder.path()).unwrap()
}
