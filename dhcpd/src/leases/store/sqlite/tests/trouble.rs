//! What an operator is told when the file cannot be used.

use super::*;
use crate::leases::store::testing::{another_process, fill, on_a_small_disk, other_process};
use nix::{
    mount::{MsFlags, mount},
    unistd::{Uid, setfsuid},
};
use std::{
    io::{BufRead, BufReader, Write},
    thread,
};

/// `nobody`.
const NOBODY: u32 = 65534;

/// That the file cannot be opened, and these words.
#[track_caller]
fn refused(path: &Path, words: &[&str]) {
    let error = Sqlite::open(path).unwrap_err();
    says(&error, words);
}

#[track_caller]
fn says(error: &StoreError, words: &[&str]) {
    for word in words {
        assert!(error.0.contains(word), "no '{word}' in: {error}");
    }
}

/// Files are opened as somebody who is not root; the rest of the process stays as it is.
fn as_nobody(test: impl FnOnce() + Send) {
    let work = || {
        setfsuid(Uid::from_raw(NOBODY));
        test();
    };
    let ended = thread::scope(|scope| scope.spawn(work).join());
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

/// For everybody to look into, not to write.
fn open_place() -> (tempfile::TempDir, PathBuf) {
    let (directory, path) = place();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    (directory, path)
}

#[test]
fn a_second_one_is_told_who_is_in_the_way_until_the_first_has_ended() {
    let (_directory, path) = place();
    let mut first = Sqlite::open(&path).unwrap();
    let name = path.to_str().unwrap();
    refused(&path, &["another process uses", name]);
    first.commit(&[put(1, 1, 1)]).unwrap();
    refused(&path, &["another process uses", name]);
    drop(first);
    assert_eq!(rows(&path), [row(1, 1, 1)]);
}

#[test]
fn no_other_process_can_use_the_file_nor_we_one_that_it_uses() {
    if let Some(path) = other_process() {
        // As sqlite3 does; then as dhcpd, until the first one says so.
        let select = |connection: Connection| {
            connection.busy_timeout(Duration::ZERO)?;
            connection.query_row("select count(*) from leases4", [], |_| Ok(()))
        };
        println!("\nfound {}", Connection::open(&path).and_then(select).unwrap_err());
        println!("found {}", Sqlite::open(&path).unwrap_err());
        std::io::stdin().read_line(&mut String::new()).unwrap();
        let _store = Sqlite::open(&path).unwrap();
        println!("found it free");
        std::io::stdin().read_line(&mut String::new()).unwrap();
        return;
    }
    let (_directory, path) = place();
    let first = Sqlite::open(&path).unwrap();
    let test = "sqlite::tests::trouble::no_other_process_can_use_the_file_nor_we_one_that_it_uses";
    let mut child = another_process(test, &path).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut found = lines.filter_map(|line| line.strip_prefix("found ").map(str::to_owned));
    assert_eq!(found.next().unwrap(), "database is locked");
    assert!(found.next().unwrap().contains("another process uses"));
    drop(first);
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"go on\n").unwrap();
    assert_eq!(found.next().unwrap(), "it free");
    refused(&path, &["another process uses", path.to_str().unwrap()]);
    drop(input);
    assert!(child.wait().unwrap().success());
    assert_eq!(rows(&path), []);
}

/// A reader in WAL mode holds a lock for as long as it has the file.
#[test]
fn an_sqlite3_that_has_read_the_file_is_in_the_way() {
    let (_directory, path) = place();
    drop(Sqlite::open(&path).unwrap());
    let other = Connection::open(&path).unwrap();
    let _: i64 = other.query_row("select count(*) from leases4", [], |row| row.get(0)).unwrap();
    refused(&path, &["another process uses", "sqlite3"]);
    drop(other);
    drop(Sqlite::open(&path).unwrap());
}

#[test]
fn a_directory_that_is_missing_is_named() {
    let (directory, _path) = place();
    let missing = directory.path().join("missing");
    refused(&missing.join("leases.db"), &["the directory", missing.to_str().unwrap(), "does not exist"]);
    assert!(!missing.exists());
    refused(directory.path(), &["is no file"]);
}

#[test]
fn a_directory_that_may_not_be_written_is_named() {
    let (directory, path) = open_place();
    as_nobody(|| refused(&path, &["cannot be made", directory.path().to_str().unwrap()]));
    // The file is there and ours to write, but not the directory, where the WAL is to be.
    drop(Sqlite::open(&path).unwrap());
    std::os::unix::fs::chown(&path, Some(NOBODY), None).unwrap();
    as_nobody(|| refused(&path, &["leases.db-wal", "the directory", directory.path().to_str().unwrap()]));
}

#[test]
fn a_file_that_may_not_be_written_is_named() {
    let (_directory, path) = open_place();
    drop(Sqlite::open(&path).unwrap());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    as_nobody(|| refused(&path, &[path.to_str().unwrap(), "cannot be written"]));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    as_nobody(|| refused(&path, &[path.to_str().unwrap()]));
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let (_directory, path) = place();
    // As CoreDHCP kept them once.
    let text = "02:00:00:00:00:01 10.0.0.1 2027-01-01T00:00:00Z\n".repeat(100);
    fs::write(&path, &text).unwrap();
    refused(&path, &["is no SQLite database", "move it away"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    fs::rename(&path, beside(&path, ".old")).unwrap();
    assert_eq!(rows(&path), []);
}

/// Wherever a byte is wrong, it is found when the file is opened, or does not matter; nothing panics.
#[test]
fn a_damaged_file_is_refused_or_harmless() {
    let (_directory, path) = place();
    let wanted: Vec<_> = (0..200).map(|number| row(number, number, 100)).collect();
    let changes: Vec<_> = wanted.iter().cloned().map(Change::Put).collect();
    Sqlite::open(&path).unwrap().commit(&changes).unwrap();
    let whole = fs::read(&path).unwrap();
    let mut random = fastrand::Rng::with_seed(5);
    let mut refused = 0;
    for round in 0..150 {
        let mut damaged = whole.clone();
        match round % 3 {
            0 => damaged[random.usize(0..whole.len())] ^= 1 << random.u8(0..8),
            1 => damaged.truncate(random.usize(1..whole.len())),
            _ => {
                let at = random.usize(0..whole.len() - 512);
                random.fill(&mut damaged[at..at + 512]);
            }
        }
        fs::write(&path, damaged).unwrap();
        match Sqlite::open(&path) {
            Err(error) => {
                refused += 1;
                assert!(error.0.contains(path.to_str().unwrap()), "{error}");
            }
            Ok(mut store) => {
                let rows = sorted(store.load().unwrap());
                assert!(rows.windows(2).all(|pair| pair[0].address < pair[1].address), "round {round}");
            }
        }
        let _ = fs::remove_file(beside(&path, "-wal"));
    }
    assert!(refused > 75, "{refused}");
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let error = Sqlite::open(&path).unwrap_err();
    says(&error, &["is damaged", "move it"]);
}

#[test]
fn a_full_disk_is_named_and_what_was_committed_stays() {
    on_a_small_disk(512, |folder| {
        let path = folder.join("leases.db");
        let mut store = Sqlite::open(&path).unwrap();
        store.commit(&[put(1, 1, 100)]).unwrap();
        fill(&folder.join("filler"));
        let full =
            (2..1000).find_map(|number| store.commit(&[put(number, number, 100)]).err().zip(Some(number)));
        let (error, failed) = full.expect("there is no room for so many");
        says(&error, &["full", "make room", folder.to_str().unwrap()]);
        // SQLite puts the WAL away when it closes the file, and there is a little room.
        drop(store);
        fill(&folder.join("filler more"));
        refused(&path, &["full"]);
        fs::remove_file(folder.join("filler")).unwrap();
        let mut store = Sqlite::open(&path).unwrap();
        let rows = sorted(store.load().unwrap());
        let wanted: Vec<_> = (1..failed).map(|number| row(number, number, 100)).collect();
        assert!(rows == wanted, "{} rows of {failed}", rows.len());
        store.commit(&[put(1000, 1000, 1)]).unwrap();
    });
}

#[test]
fn a_full_disk_without_a_file_is_named() {
    on_a_small_disk(16, |folder| {
        fill(&folder.join("filler"));
        refused(&folder.join("leases.db"), &["full"]);
        fs::remove_file(folder.join("filler")).unwrap();
        refused(&folder.join("leases.db"), &["full"]);
    });
}

#[test]
fn a_disk_that_is_mounted_read_only_is_named() {
    on_a_small_disk(512, |folder| {
        let path = folder.join("leases.db");
        drop(Sqlite::open(&path).unwrap());
        let mode = |flags| {
            mount(None::<&str>, folder, None::<&str>, MsFlags::MS_REMOUNT | flags, None::<&str>).unwrap()
        };
        mode(MsFlags::MS_RDONLY);
        refused(&path, &["cannot be written", "read-only"]);
        refused(&folder.join("other.db"), &["cannot be written", "read-only"]);
        mode(MsFlags::empty());
        drop(Sqlite::open(&path).unwrap());
    });
}

#[test]
fn a_file_that_was_moved_away_is_not_written_into_unnoticed() {
    let (directory, path) = place();
    let mut store = Sqlite::open(&path).unwrap();
    store.commit(&[put(1, 1, 100)]).unwrap();
    let away = directory.path().join("away.db");
    fs::rename(&path, &away).unwrap();
    let error = store.commit(&[put(2, 2, 100)]).unwrap_err();
    says(&error, &[path.to_str().unwrap(), "moved"]);
    drop(store);
    assert_eq!(rows(&path), [], "a new one takes its place");
    assert_eq!(
        rows(&away),
        [row(1, 1, 100), row(2, 2, 100)],
        "and the old one is whole without the WAL it left"
    );
}

#[test]
fn a_file_that_was_deleted_or_replaced_is_noticed() {
    let (directory, path) = place();
    let mut store = Sqlite::open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    says(&store.commit(&[put(1, 1, 100)]).unwrap_err(), &["deleted"]);
    let mut store = Sqlite::open(&path).unwrap();
    let other = directory.path().join("other.db");
    Sqlite::open(&other).unwrap().commit(&[put(7, 7, 7)]).unwrap();
    fs::rename(&other, &path).unwrap();
    says(&store.commit(&[put(1, 1, 100)]).unwrap_err(), &["replaced"]);
    drop(store);
    assert_eq!(rows(&path), [row(7, 7, 7)], "no WAL of the one before is played into it");
}

#[test]
fn a_wal_that_was_deleted_is_noticed_and_nothing_of_it_lost() {
    let (_directory, path) = place();
    let mut store = Sqlite::open(&path).unwrap();
    store.commit(&[put(1, 1, 100)]).unwrap();
    fs::remove_file(beside(&path, "-wal")).unwrap();
    says(&store.commit(&[put(2, 2, 100)]).unwrap_err(), &["leases.db-wal", "deleted"]);
    drop(store);
    assert_eq!(rows(&path), [row(1, 1, 100), row(2, 2, 100)]);
}

#[test]
fn a_directory_that_was_moved_is_noticed() {
    let (directory, _path) = place();
    let folder = directory.path().join("folder");
    fs::create_dir(&folder).unwrap();
    let path = folder.join("leases.db");
    let mut store = Sqlite::open(&path).unwrap();
    fs::rename(&folder, directory.path().join("moved")).unwrap();
    says(&store.commit(&[put(1, 1, 100)]).unwrap_err(), &["moved"]);
}
