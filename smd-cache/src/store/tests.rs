use super::*;
use crate::records::{Read, decode_components, decode_interfaces};
use std::fs;

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
    store.write(&keeping(&records())).unwrap().place().unwrap();
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
fn what_cannot_be_written_leaves_what_was() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::new(directory.path().join("snapshot"));
    keep(&store);
    let blocked = Store::new(directory.path().join("snapshot/below"));
    assert!(blocked.write(&keeping(&records())).is_err());
    check(&store.load().unwrap());
}

#[test]
fn the_one_before_is_loaded_where_the_last_one_is_damaged() {
    let (_directory, store) = store();
    keep(&store);
    keep(&store);
    let whole = fs::read(store.file()).unwrap();
    fs::write(store.file(), &whole[1..]).unwrap();
    check(&store.load().unwrap());
    assert_eq!(names(&store), ["snapshot.bad", "snapshot.previous"]);
}

#[test]
fn while_another_process_writes_it_nothing_is_written() {
    let (_directory, store) = store();
    let other = store.write(&keeping(&records())).unwrap();
    let error = store.write(&keeping(&records())).unwrap_err();
    assert_eq!(error.to_string(), "another process is writing it");
    other.place().unwrap();
    check(&store.load().unwrap());
}
