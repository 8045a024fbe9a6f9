use super::*;
use crate::records::{Read, decode_components, decode_interfaces};
use proptest::prelude::*;
use std::io::Cursor;

fn records() -> Records {
    let interfaces = r#"[
        {"ID":"020000000001","Description":"a","MACAddress":"02:00:00:00:00:01","LastUpdate":"2026-11-23T00:07:24.432823Z",
         "ComponentID":"x1000c0s0b0n0","Type":"Node","IPAddresses":[{"IPAddress":"10.0.0.1","Network":"HSN"},{"IPAddress":"fd00::1"},{"IPAddress":"?"}]},
        {"ID":"02-00-00-00-00-02","MACAddress":"02-00-00-00-00-02","IPAddresses":[]},
        {"ID":"x","MACAddress":"no mac"}]"#;
    let components = r#"{"Components":[
        {"ID":"x1000c0s0b0n0","Type":"Node","NID":7,"Role":"Compute","SubRole":"Worker","Arch":"X86","Class":"River","State":"On","Flag":"OK","Enabled":false},
        {"ID":"x1000c0s0b0","Type":"NodeBMC"}, {"ID":"no xname"}]}"#;
    let read = Read { sequence: 1, started_at: Timestamp::UNIX_EPOCH };
    let mut records = Records::new();
    let mut components = decode_components(components.as_bytes()).unwrap();
    components.records[0].groups = vec!["blue".to_owned(), "green".to_owned()];
    records.apply_whole_interfaces(read, decode_interfaces(interfaces.as_bytes()).unwrap());
    records.apply_whole_components(read, components);
    records
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn legacy() -> Legacy {
    let (mac, id) = ("02:00:00:00:00:01".parse().unwrap(), "x1000c0s0b0n0".parse().unwrap());
    let zone =
        crate::snapshot::LegacyZone { name: "c.local".parse().unwrap(), serial: 9, records: u128::MAX - 3 };
    Legacy {
        zones: vec![zone],
        macs: vec![(mac, id)],
        addresses: vec![
            ("10.0.0.1".parse().unwrap(), Some("x1000c0s0b0n0".parse().unwrap()), mac),
            ("fd00::1".parse().unwrap(), None, mac),
        ],
        names: vec![("nid0001.c.local".parse().unwrap(), "x1000c0s0b0n0".parse().unwrap())],
    }
}

fn keeping(records: &Records) -> Keeping<'_> {
    let peaks = vec![Peak { at: at(60), servable: 10_000 }];
    Keeping { read_at: Some(at(101)), whole_read_at: Some(at(100)), records, legacy: legacy(), peaks }
}

fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::new(directory.path().join("made/snapshot"));
    (directory, store)
}

fn keep(store: &Store) {
    store.put(store.write(&keeping(&records())).unwrap()).unwrap();
}

fn names(store: &Store) -> Vec<String> {
    let entries = fs::read_dir(store.file().parent().unwrap()).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[track_caller]
fn check(contents: &Contents) {
    let records = records();
    assert!(contents.interfaces.iter().eq(records.interfaces()));
    assert!(contents.components.iter().eq(records.components()));
    let rejected = |list: &[crate::records::Rejected]| {
        list.iter().map(|one| (one.key.clone(), one.problem.clone())).collect::<Vec<_>>()
    };
    let owned = |(key, problem): (&str, &crate::records::Problem)| (key.to_owned(), problem.clone());
    let (interfaces, components) = records.rejected();
    assert_eq!(rejected(&contents.rejected_interfaces), interfaces.map(owned).collect::<Vec<_>>());
    assert_eq!(rejected(&contents.rejected_components), components.map(owned).collect::<Vec<_>>());
    assert_eq!(contents.rejected_components.len(), 1);
    assert_eq!((contents.read_at, contents.whole_read_at), (Some(at(101)), Some(at(100))));
    assert_eq!(contents.legacy, legacy());
    assert_eq!(contents.peaks, [Peak { at: at(60), servable: 10_000 }]);
}

#[test]
fn what_is_kept_is_loaded_again() {
    let (_directory, store) = store();
    assert!(store.load().is_none(), "nothing was kept yet");
    keep(&store);
    check(&store.load().unwrap());
    assert_eq!(names(&store), ["snapshot"]);
    keep(&store);
    assert_eq!(names(&store), ["snapshot", "snapshot.previous"]);
    check(&store.load().unwrap());
}

#[test]
fn a_file_that_is_cut_anywhere_is_set_aside_and_the_one_before_is_loaded() {
    let (_directory, store) = store();
    keep(&store);
    let whole = fs::read(store.file()).unwrap();
    for length in 0..whole.len() {
        fs::write(store.sibling("previous"), &whole).unwrap();
        fs::write(store.file(), &whole[..length]).unwrap();
        check(&store.load().unwrap());
        assert_eq!(names(&store), ["snapshot.bad", "snapshot.previous"], "cut at {length}");
        assert_eq!(fs::read(store.sibling("bad")).unwrap().len(), length);
    }
    fs::write(store.sibling("previous"), &whole[1..]).unwrap();
    assert!(store.load().is_none(), "both are bad");
    assert_eq!(names(&store), ["snapshot.bad"]);
}

#[test]
fn a_file_of_a_later_version_is_set_aside_for_it() {
    let (_directory, store) = store();
    keep(&store);
    let text = fs::read(store.file()).unwrap();
    let newer = [b"coresmd-snapshot 2\n".as_slice(), &text[19..]].concat();
    fs::write(store.file(), &newer).unwrap();
    assert!(store.load().is_none());
    assert_eq!(names(&store), ["snapshot.newer"]);
    assert_eq!(fs::read(store.sibling("newer")).unwrap(), newer);
}

#[test]
fn what_is_in_the_way_stops_nobody() {
    let (_directory, store) = store();
    fs::create_dir_all(store.file()).unwrap();
    assert!(store.load().is_none(), "a directory");
    assert_eq!(names(&store), ["snapshot.bad"]);
    keep(&store);
    check(&store.load().unwrap());
}

#[test]
fn leftovers_of_the_dead_are_removed_and_those_of_the_living_stay() {
    let (_directory, store) = store();
    keep(&store);
    let living = store.sibling(&format!("tmp-{}", std::process::id()));
    fs::write(&living, "half").unwrap();
    fs::write(store.sibling("tmp-4194304999"), "half").unwrap();
    store.load().unwrap();
    assert_eq!(
        names(&store),
        ["snapshot".to_owned(), living.file_name().unwrap().to_string_lossy().into_owned()]
    );
}

#[test]
fn what_cannot_be_written_leaves_what_was() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::new(directory.path().join("snapshot"));
    keep(&store);
    let blocked = Store::new(directory.path().join("snapshot/below"));
    assert!(blocked.write(&keeping(&records())).is_err());
    check(&store.load().unwrap());
}

proptest! {
    #[test]
    fn no_change_of_a_byte_goes_unnoticed(at in any::<prop::sample::Index>(), flip in 1..=255u8) {
        let (_directory, store) = store();
        keep(&store);
        let mut bytes = fs::read(store.file()).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let length = bytes.len() as u64;
        prop_assert!(format::read(Cursor::new(bytes), length).is_err(), "{at}");
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let bytes = [b"coresmd-snapshot 1\n".as_slice(), &bytes].concat();
        let length = bytes.len() as u64;
        prop_assert!(format::read(Cursor::new(bytes), length).is_err());
    }
}
