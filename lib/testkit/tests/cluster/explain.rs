//! The programs asked why: `smd-cache explain`, `dhcpd explain`, `dnsd explain`, with SMD's records as wrong as they get.

use crate::scene::{self, Dhcp, NODE1, NODE2, NODE3};
use testkit::{
    cluster::{Cluster, Settings, within},
    smd::{Component, EthernetInterface, Inventory},
};

const RULES: &str = r#"
rules:
  - {name: broken, match: {id: x1000c0s4b0n0}, ignore: true}
  - {name: nodes, match: {type: Node}, hostname: "nid{04d}"}
  - {name: bmcs, match: {type: NodeBMC}, hostname: "bmc{04d}"}
"#;

/// Three nodes and a BMC that are well, and beside them: a node that claims NODE1's address, two with one NID, one that a rule
/// ignores, one that belongs to nobody, and a MAC that no machine can have. READMEs show it: see `transcripts`.
fn troubled() -> Inventory {
    let interface = |mac: &str, id: &str, address: &str| EthernetInterface::new(mac, id, &[address]);
    let well = [NODE1, NODE2, NODE3].map(|node| interface(node.mac, node.id, node.address));
    let interfaces = [
        interface("02:77:00:00:01:01", "x1000c0s0b0", "172.16.0.101"),
        interface("02:77:00:00:00:05", "x1000c0s2b0n0", NODE1.address),
        interface("02:77:00:00:00:08", "x1000c0s3b0n0", "172.16.0.18"),
        interface("02:77:00:00:00:09", "x1000c0s3b0n1", "172.16.0.19"),
        interface("02:77:00:00:00:0a", "x1000c0s4b0n0", "172.16.0.20"),
        interface("02:77:00:00:00:0b", "x1000c0s5b0n0", "172.16.0.21"),
        interface("03:77:00:00:00:0c", "x1000c0s2b0n0", "172.16.0.22"),
    ];
    let components = [
        (NODE1.id, NODE1.nid),
        (NODE2.id, NODE2.nid),
        (NODE3.id, NODE3.nid),
        ("x1000c0s0b0", 0),
        ("x1000c0s2b0n0", 5),
        ("x1000c0s3b0n0", 77),
        ("x1000c0s3b0n1", 77),
        ("x1000c0s4b0n0", 10),
    ];
    Inventory {
        interfaces: well.into_iter().chain(interfaces).collect(),
        components: components.map(|(id, nid)| Component::new(id, nid)).into(),
        groups: Vec::new(),
    }
}

/// All that can be asked, over the troubled inventory.
pub fn cluster() -> Cluster {
    let mut cluster = Cluster::bare();
    cluster.configure(&Settings::default().more(RULES));
    cluster.start_smd(troubled());
    for name in ["smd-cache", "dhcpd", "dnsd"] {
        cluster.start_program(name);
    }
    for name in ["smd-cache", "dhcpd", "dnsd"] {
        cluster.wait_ready(name);
    }
    cluster
}

/// A question, its exit code, and what its answer holds: the verdict is its first line.
type Case = (&'static str, i32, &'static [&'static str]);

const CLAIMED: &str =
    "Problem (duplicate_address): address 172.16.0.11 is claimed by x1000c0s0b0n0 and by x1000c0s2b0n0";
const ONE_NID: &str =
    "Problem (duplicate_name): name nid0077.openchami.cluster is claimed by x1000c0s3b0n0, x1000c0s3b0n1";

const SMD_CACHE: &[Case] = &[
    (
        "explain nid0001",
        0,
        &[
            "nid0001.openchami.cluster is x1000c0s0b0n0: 172.16.0.11.",
            "nid0001 boots: 02:77:00:00:00:01 (x1000c0s0b0n0) has 172.16.0.11.",
            CLAIMED,
            "Rule nodes matched.",
        ],
    ),
    ("explain 172.16.0.11", 0, &["172.16.0.11 belongs to 02:77:00:00:00:01 (x1000c0s0b0n0).", CLAIMED]),
    (
        "explain 0277.0000.0005",
        0,
        &["DHCP treats 02:77:00:00:00:05 as unknown: others have what it claims", CLAIMED],
    ),
    ("explain X1000C0S0B0N0", 0, &["nid0001 boots: ", "SMD has x1000c0s0b0n0 as Node, NID 1, role Compute"]),
    ("explain nid0077", 3, &["Nobody is called nid0077.openchami.cluster: ", ONE_NID]),
    ("explain 02:77:00:00:01:99", 3, &["DHCP treats 02:77:00:00:01:99 as unknown: SMD was read "]),
    ("explain 02:77:00:00:00:01 --json", 0, &["{", r#""outcome": "OUTCOME_FOUND""#, r#""rule": "nodes""#]),
    ("explain ;;", 1, &["';;' is neither a MAC nor an address, an xname or a host name"]),
    (
        "status",
        0,
        &[
            "smd-cache ",
            "holds     9 interfaces (7 that DHCP can serve), 8 components",
            "1 duplicate_address",
            "dhcpd ",
        ],
    ),
    ("status --endpoint http://127.0.0.1:27780 --json", 0, &["{", r#""ready": true"#]),
    ("status --endpoint http://127.0.0.1:1", 1, &["nobody listens at http://127.0.0.1:1: "]),
    ("problems", 3, &["duplicate_address (1)", "no_component (1)", "unusable_mac (1)"]),
    ("refresh --full", 0, &["SMD was read: generation "]),
];

const DHCPD: &[Case] = &[
    (
        "02:77:00:00:00:01",
        0,
        &[
            "dhcpd answers a DISCOVER of 02:77:00:00:00:01 heard on srv0 with an OFFER of 172.16.0.11 for 1 h.",
            "nid0001.openchami.cluster",
            "It boots nothing from us",
            CLAIMED,
            "Rules that matched: nodes.",
        ],
    ),
    (
        "02:77:00:00:00:01 --arch 7",
        0,
        &["dhcpd answers", "It boots ipxe-x86_64.efi from 172.16.0.253 (TFTP)."],
    ),
    (
        "02:77:00:00:00:01 --user-class iPXE",
        0,
        &["dhcpd answers", "It boots http://172.16.0.253:8081/boot/v1/bootscript?mac=02:77:00:00:00:01."],
    ),
    (
        "02:77:00:00:00:01 --message request --requested 172.16.0.11",
        0,
        &["dhcpd answers a REQUEST of 02:77:00:00:00:01 heard on srv0 with an ACK: 172.16.0.11 for 1 h."],
    ),
    (
        "02:77:00:00:00:01 --message request --requested 172.16.0.99",
        0,
        &[
            "dhcpd answers a REQUEST of 02:77:00:00:00:01 heard on srv0 with a NAK",
            "172.16.0.99 is not its address where it asks; SMD has 172.16.0.11 for it.",
        ],
    ),
    (
        "02:77:00:00:00:01 --message inform --requested 172.16.0.11",
        0,
        &["dhcpd answers an INFORM of", "by unicast to 172.16.0.11:68"],
    ),
    (
        "02:77:00:00:00:01 --relay 10.40.1.1",
        3,
        &[
            "dhcpd stays silent to a DISCOVER of 02:77:00:00:00:01 heard through the relay 10.40.1.1: none of its addresses (172.16.0.11) is of the subnet it asks from.",
        ],
    ),
    (
        "02:77:00:00:00:03 --relay 10.40.1.1",
        0,
        &[
            "dhcpd answers a DISCOVER of 02:77:00:00:00:03 heard through the relay 10.40.1.1 with an OFFER of 10.40.1.13 for 1 h.",
            "router 10.40.1.1",
        ],
    ),
    ("02:77:00:00:00:03", 0, &["dhcpd answers", "10.40.1.13 is in no network of that interface"]),
    (
        "02:77:00:00:00:05",
        3,
        &[
            "dhcpd stays silent to a DISCOVER of 02:77:00:00:00:05 heard on srv0: SMD has no IPv4 address for it",
            CLAIMED,
        ],
    ),
    ("02:77:00:00:00:09", 0, &["dhcpd answers", ONE_NID, "It is called x1000c0s3b0n1.openchami.cluster."]),
    (
        "02:77:00:00:00:0a",
        3,
        &["dhcpd stays silent to a DISCOVER of 02:77:00:00:00:0a heard on srv0: rule broken says ignore."],
    ),
    (
        "02:77:00:00:00:0b",
        3,
        &[
            "dhcpd stays silent to a DISCOVER of 02:77:00:00:00:0b heard on srv0: SMD ties it to x1000c0s5b0n0, which SMD does not have",
            "Problem (no_component): ",
        ],
    ),
    (
        "03:77:00:00:00:0c",
        3,
        &[
            "dhcpd stays silent to a DISCOVER of 03:77:00:00:00:0c heard on srv0: it is all zeros or a group address",
            "Problem (unusable_mac): ",
        ],
    ),
    (
        "02:77:00:00:01:99",
        3,
        &["dhcpd stays silent to a DISCOVER of 02:77:00:00:01:99 heard on srv0: SMD does not have it."],
    ),
    ("02:77:00:00:00:01 --interface eth9", 1, &["this dhcpd does not listen on 'eth9', but on srv0"]),
    ("02:77:00:00:00:01 --message renew", 1, &["who renews or rebinds has an address: --requested ADDRESS"]),
    (
        "02:77:00:00:00:01 --message renew --requested 172.16.0.11",
        0,
        &["dhcpd answers a REQUEST (to renew) of 02:77:00:00:00:01", "by unicast to 172.16.0.11:68"],
    ),
    (
        "02:77:00:00:00:01 --message select --requested 172.16.0.99",
        0,
        &["dhcpd answers a REQUEST (for our offer) of 02:77:00:00:00:01 heard on srv0 with a NAK"],
    ),
    ("02:77:00:00:00:01 --options 1,3,300", 1, &["options are numbers up to 255 with commas between"]),
    ("02:77:00:00:00:01 --json", 0, &["{", r#""kind": "offer""#, r#""address": "172.16.0.11""#]),
];

const DNSD: &[Case] = &[
    (
        "nid0001",
        0,
        &[
            "dnsd answers nid0001.openchami.cluster A with 172.16.0.11.",
            CLAIMED,
            "It is in our zone openchami.cluster; the inventory has nid0001.openchami.cluster.",
        ],
    ),
    ("nid0001.openchami.cluster aaaa", 3, &["dnsd answers nid0001.openchami.cluster AAAA with no data: "]),
    ("172.16.0.11", 0, &["dnsd answers 11.0.16.172.in-addr.arpa PTR with nid0001.openchami.cluster."]),
    (
        "nid0077",
        3,
        &["dnsd answers nid0077.openchami.cluster A with NXDOMAIN: there is no such name.", ONE_NID],
    ),
    ("smd", 0, &["dnsd answers smd.openchami.cluster A with 172.16.0.253.", "the configuration has it"]),
    (
        "nid0001.example.org",
        3,
        &[
            "dnsd answers nid0001.example.org A with REFUSED: it is in no zone of ours; those are openchami.cluster.",
            "nid0001.openchami.cluster exists: it is x1000c0s0b0n0.",
        ],
    ),
    ("a..b", 1, &["'a..b' is not a DNS name"]),
    ("nid0001 FOO", 1, &["'FOO' is no type such as A"]),
    ("nid0001 --json", 0, &["{", r#""rcode": "noerror""#]),
];

fn check(cluster: &Cluster, program: &'static str, before: &[&str], cases: &[Case]) {
    for (question, code, wanted) in cases {
        let words: Vec<&str> = before.iter().copied().chain(question.split(' ')).collect();
        let (ended, said) = cluster.ask(program, &words);
        assert_eq!(ended, Some(*code), "{program} {words:?}: {said}");
        assert!(
            said.starts_with(wanted[0]),
            "'{}' is not the verdict of {program} {words:?}:\n{said}",
            wanted[0]
        );
        for part in *wanted {
            assert!(said.contains(part), "'{part}' is not in the answer to {program} {words:?}:\n{said}");
        }
    }
}

/// Lines of `/metrics` that packets count in.
fn counted(cluster: &Cluster, program: &str, prefix: &str) -> Vec<String> {
    let (_, page) = cluster.admin(program, "/metrics").unwrap();
    page.lines().filter(|line| line.starts_with(prefix)).map(ToOwned::to_owned).collect()
}

#[test]
fn each_program_says_what_it_does_and_which_problem_stands_in_the_way() {
    let cluster = cluster();
    let before = ["dhcpd", "dnsd"].map(|name| counted(&cluster, name, &format!("{name}_")));
    check(&cluster, "smd-cache", &[], SMD_CACHE);
    check(&cluster, "dhcpd", &["explain"], DHCPD);
    check(&cluster, "dnsd", &["explain"], DNSD);
    let after = ["dhcpd", "dnsd"].map(|name| counted(&cluster, name, &format!("{name}_")));
    assert!(before.iter().all(|lines| lines.len() > 10));
    assert_eq!(before, after, "an explanation is no packet");
    assert_eq!(cluster.admin("dhcpd", "/unknown"), Some((200, "[]".into())), "nobody has asked");
}

#[test]
fn what_is_explained_is_what_is_served() {
    let cluster = cluster();
    for (mac, offered) in [(NODE3.mac, Some(NODE3.address)), (NODE1.mac, None), ("02:77:00:00:00:99", None)] {
        let (_, said) = cluster.ask("dhcpd", &["explain", mac, "--relay", "10.40.1.1"]);
        let served = scene::discover(&cluster, mac);
        match offered {
            Some(address) => {
                assert_eq!(served, Dhcp::Offer(address.parse().unwrap()));
                assert!(said.contains(&format!("with an OFFER of {address} ")), "{said}");
            }
            None => {
                assert_eq!(served, Dhcp::Silent);
                assert!(said.starts_with("dhcpd stays silent"), "{said}");
            }
        }
    }
}

#[test]
fn while_nobody_can_tell_the_answer_is_that_and_not_unknown() {
    let mut cluster = Cluster::bare();
    cluster.configure(&Settings::default().more(RULES));
    cluster.start_program("smd-cache");
    let stranger = "02:77:00:00:00:99";
    within(scene::SOON, "smd-cache listens", || {
        (cluster.ask("smd-cache", &["status"]).0 == Some(4)).then_some(())
    });
    let (code, said) = cluster.ask("smd-cache", &["explain", stranger]);
    assert_eq!(code, Some(4), "{said}");
    assert!(
        said.starts_with(&format!("It cannot be told whether SMD has {stranger}: SMD was never read.")),
        "{said}"
    );
    let (code, said) = cluster.ask("dhcpd", &["explain", stranger]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("does it run?"), "{said}");

    cluster.start_smd(troubled());
    cluster.wait_ready("smd-cache");
    for name in ["dhcpd", "dnsd"] {
        cluster.start_program(name);
        cluster.wait_ready(name);
    }
    cluster.kill("smd-cache");
    let (code, said) = cluster.ask("smd-cache", &["status"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("smd-cache has ended"), "{said}");
    within(scene::SOON, "dhcpd answers from what it holds", || {
        let (code, said) = cluster.ask("dhcpd", &["explain", NODE1.mac]);
        (code == Some(0) && said.contains("smd-cache cannot be asked for more")).then_some(())
    });
    let (code, said) = cluster.ask("dhcpd", &["explain", stranger]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("it cannot be told whether SMD has it"), "{said}");
    let (code, said) = cluster.ask("dnsd", &["explain", "nid0001"]);
    assert_eq!(code, Some(0), "{said}");
}
