//! What fuzzing found worth keeping (fuzz/corpus) holds the promises of fuzz/src, and so do mutations of it, the same in every run.

#[path = "../../../fuzz/src/lib.rs"]
mod fuzz;

use std::{fs, panic::catch_unwind, path::Path};

/// Panics where a promise does not hold.
type Promises = fn(&[u8]);

/// Every target, by the name of its corpus.
const TARGETS: [(&str, Promises); 6] = [
    ("dhcp4_parse", fuzz::dhcp4_parse),
    ("dhcp4_decide", fuzz::dhcp4_decide),
    ("dns_read", fuzz::dns_read),
    ("dns_decide", fuzz::dns_decide),
    ("tftp_parse", fuzz::tftp_parse),
    ("config_parse", fuzz::config_parse),
];

/// Inputs of a target, by file name.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.expect("an entry").path();
        (path.file_name().expect("a name").to_string_lossy().into_owned(), fs::read(&path).expect("a file"))
    };
    entries.map(read).collect()
}

/// Mutations of each input. All of them together take less than two seconds in a debug build.
const MUTATIONS: usize = 20;

#[test]
fn what_fuzzing_found_holds_the_promises_and_so_do_mutations_of_it() {
    let mut random = fastrand::Rng::with_seed(5);
    for (target, promises) in TARGETS {
        let inputs = corpus(target);
        assert!(inputs.len() >= 10, "{target} has a corpus");
        for (name, bytes) in inputs {
            let holds = catch_unwind(|| promises(&bytes));
            assert!(holds.is_ok(), "fuzz/corpus/{target}/{name} breaks a promise, see above");
            for _ in 0..MUTATIONS {
                let bytes = mutation(&bytes, &mut random);
                let holds = catch_unwind(|| promises(&bytes));
                assert!(
                    holds.is_ok(),
                    "a mutation of {target}/{name} breaks a promise, see above: {bytes:02x?}"
                );
            }
        }
    }
}

/// A few bytes are others, some are taken out or doubled, the end is cut off.
fn mutation(bytes: &[u8], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..random.usize(1..6) {
        let at = random.usize(..=bytes.len());
        let end = (at + random.usize(1..20)).min(bytes.len());
        match random.u8(..8) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => bytes.extend_from_within(at..end),
            3 => bytes.insert(at, random.u8(..)),
            _ if at < bytes.len() => bytes[at] = random.u8(..),
            _ => {}
        }
    }
    bytes
}

#[test]
fn every_target_has_a_corpus_and_is_replayed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/fuzz_targets");
    let mut targets: Vec<String> = fs::read_dir(folder)
        .expect("fuzz_targets")
        .map(|entry| {
            entry.expect("an entry").path().file_stem().expect("a name").to_string_lossy().into_owned()
        })
        .collect();
    targets.sort();
    let mut replayed = TARGETS.map(|(name, _)| name.to_owned());
    replayed.sort();
    assert_eq!(targets, replayed);
}
