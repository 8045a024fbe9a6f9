use super::*;
use crate::leases::store::testing::{address, mac, put, row, sorted};
use proptest::prelude::*;
use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::PathBuf};
use values::Mac;

mod crash;
mod kill;
mod take_over;
mod trouble;

/// A directory, and where the file in it is to be.
fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("leases.db");
    (directory, path)
}

/// With SQLite alone, as people do while dhcpd is stopped.
fn sql(path: &Path, statement: &str) {
    Connection::open(path).unwrap().execute_batch(statement).unwrap();
}

/// What people see.
fn dump(path: &Path) -> Vec<String> {
    let connection = Connection::open(path).unwrap();
    let select = "select mac || '|' || ip || '|' || expiry || '|' || hostname from leases4 order by ip, mac";
    let mut select = connection.prepare(select).unwrap();
    select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

fn rows(path: &Path) -> Vec<Row> {
    sorted(Sqlite::open(path).unwrap().load().unwrap())
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(ending);
    name.into()
}

#[test]
fn what_was_committed_is_there_at_the_next_start() {
    let (_directory, path) = place();
    let mut store = Sqlite::open(&path).unwrap();
    assert_eq!(store.load().unwrap(), []);
    store.commit(&[put(1, 1, 100), put(2, 2, 200)]).unwrap();
    store.commit(&[Change::Remove(address(1)), put(3, 3, 300), put(2, 2, 250)]).unwrap();
    store.commit(&[]).unwrap();
    let wanted = [row(2, 2, 250), row(3, 3, 300)];
    assert_eq!(sorted(store.load().unwrap()), wanted);
    drop(store);
    assert_eq!(rows(&path), wanted);
    assert!(!beside(&path, "-wal").exists(), "a stop leaves one file");
}

#[test]
fn an_address_is_the_last_macs_and_only_its() {
    let (_directory, path) = place();
    let mut store = Sqlite::open(&path).unwrap();
    store.commit(&[put(1, 1, 100)]).unwrap();
    store.commit(&[put(2, 1, 50)]).unwrap();
    assert_eq!(store.load().unwrap(), [row(2, 1, 50)]);
    store
        .commit(&[Change::Remove(address(1)), put(3, 1, 1), Change::Remove(address(1)), put(4, 1, 2)])
        .unwrap();
    assert_eq!(store.load().unwrap(), [row(4, 1, 2)], "in the order given");
    store.commit(&[put(4, 2, 3)]).unwrap();
    assert_eq!(sorted(store.load().unwrap()), [row(4, 1, 2), row(4, 2, 3)], "a MAC may have several");
}

#[test]
fn the_file_is_coresmds_and_people_can_read_it() {
    let (_directory, path) = place();
    let row = Row { mac: Mac([2, 0, 0, 0, 1, 0xab]), ..row(1, 1, 1_800_000_000) };
    Sqlite::open(&path)
        .unwrap()
        .commit(&[Change::Put(Row { hostname: "0042".into(), ..row.clone() })])
        .unwrap();
    assert_eq!(dump(&path), ["02:00:00:00:01:ab|10.0.0.1|1800000000|0042"]);
    // The words of CoreSMD itself: it finds its table and writes into it.
    sql(
        &path,
        "create table if not exists leases4 (mac string not null, ip string not null, expiry int, hostname string not null, \
         primary key (mac, ip)); insert or replace into leases4(mac, ip, expiry, hostname) \
         values ('02:00:00:00:01:ab', '10.0.0.1', 1800000300, 'x')",
    );
    assert_eq!(rows(&path), [Row { expiry: 1_800_000_300, hostname: "x".into(), ..row }]);
}

#[test]
fn a_new_file_is_for_dhcpd_and_its_group() {
    let (_directory, path) = place();
    let _store = Sqlite::open(&path).unwrap();
    for file in [path.clone(), beside(&path, "-wal")] {
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o007, 0, "{}", file.display());
    }
    assert!(!beside(&path, "-shm").exists(), "nobody shares it");
}

#[test]
fn a_commit_is_synced() {
    let (_directory, path) = place();
    let store = Sqlite::open(&path).unwrap();
    let setting = |name: &str| -> String {
        store
            .connection
            .query_row(&format!("select cast({name} as text) from pragma_{name}"), [], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(setting("synchronous"), "2", "full");
    assert_eq!(setting("journal_mode"), "wal");
    assert_eq!(setting("locking_mode"), "exclusive");
}

#[test]
fn a_symbolic_link_is_followed() {
    let (directory, path) = place();
    let link = directory.path().join("link.db");
    fs::create_dir(directory.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink("elsewhere/leases.db", &link).unwrap();
    assert!(Sqlite::open(&link).unwrap_err().0.contains("link.db"), "it leads nowhere yet");
    fs::write(directory.path().join("elsewhere/leases.db"), "").unwrap();
    Sqlite::open(&link).unwrap().commit(&[put(1, 1, 1)]).unwrap();
    assert_eq!(rows(&directory.path().join("elsewhere/leases.db")), [row(1, 1, 1)]);
    assert!(!path.exists());
}

#[test]
fn host_names_of_digits_stay_what_they_are() {
    let (_directory, path) = place();
    let names = [
        "",
        "0042",
        "1e5",
        " 7 ",
        "+1",
        ".5",
        "5.",
        "-0",
        "0x10",
        "inf",
        "nan",
        "1_000",
        "9223372036854775808",
        "ü\0x",
    ];
    let row = |(number, name): (usize, &str)| Row { hostname: name.into(), ..row(1, number as u32, 1) };
    let wanted: Vec<_> = names.into_iter().enumerate().map(row).collect();
    let changes: Vec<_> = wanted.iter().cloned().map(Change::Put).collect();
    Sqlite::open(&path).unwrap().commit(&changes).unwrap();
    assert_eq!(rows(&path), wanted);
}

/// What happens to a store.
#[derive(Debug, Clone)]
enum Step {
    Commit(Vec<Change>),
    Reopen,
    /// The power goes: what is in the files stays.
    Crash,
}

fn change() -> impl Strategy<Value = Change> {
    let name = prop_oneof!["[0-9+.e -]{0,6}", "[a-z0-9-]{0,12}", any::<String>()];
    let put = (0..8u32, 0..12u32, any::<i64>(), name).prop_map(|(holder, of, expiry, hostname)| {
        Change::Put(Row { mac: mac(holder), address: address(of), expiry, hostname })
    });
    prop_oneof![3 => put, 1 => (0..12u32).prop_map(|of| Change::Remove(address(of)))]
}

fn step() -> impl Strategy<Value = Step> {
    let commit = prop::collection::vec(change(), 0..6).prop_map(Step::Commit);
    prop_oneof![6 => commit, 1 => Just(Step::Reopen), 1 => Just(Step::Crash)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_is_done_the_file_holds_what_was_committed(steps in prop::collection::vec(step(), 1..30)) {
        // In memory: a thousand commits, and none of them is about the disk.
        let directory = tempfile::tempdir_in("/dev/shm").unwrap();
        let mut path = directory.path().join("leases.db");
        let mut store = Sqlite::open(&path).unwrap();
        let mut wanted = BTreeMap::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Commit(changes) => {
                    store.commit(&changes).unwrap();
                    for change in changes {
                        match change {
                            Change::Put(row) => wanted.insert(row.address, row),
                            Change::Remove(address) => wanted.remove(&address),
                        };
                    }
                }
                Step::Reopen => {
                    drop(store);
                    store = Sqlite::open(&path).unwrap();
                }
                Step::Crash => {
                    let next = directory.path().join(format!("{number}.db"));
                    fs::copy(&path, &next).unwrap();
                    fs::copy(beside(&path, "-wal"), beside(&next, "-wal")).unwrap();
                    path = next;
                    store = Sqlite::open(&path).unwrap();
                }
            }
            prop_assert_eq!(sorted(store.load().unwrap()), wanted.values().cloned().collect::<Vec<_>>());
            prop_assert_eq!(store.taken_over(), &TakenOver::default(), "nothing was to put right");
        }
    }
}
