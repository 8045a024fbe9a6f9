//! The power goes. What was reported as committed is there, whatever became of what was not synced yet.

use super::*;

const PAGE: usize = 4096;

/// Files as a crash leaves them.
fn left(database: &[u8], wal: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let (directory, path) = place();
    fs::write(&path, database).unwrap();
    fs::write(beside(&path, "-wal"), wal).unwrap();
    (directory, path)
}

/// A commit was reported, and the next one was on its way: of what came after the first one's fsync, any part may be missing
/// or wrong.
#[test]
fn unsynced_writes_may_be_lost_in_any_way() {
    let (_directory, path) = place();
    let mut store = Sqlite::open(&path).unwrap();
    store.commit(&[put(1, 1, 100), put(2, 2, 100)]).unwrap();
    store.commit(&[put(3, 3, 100)]).unwrap();
    let wal = beside(&path, "-wal");
    let (database, reported) = (fs::read(&path).unwrap(), fs::read(&wal).unwrap().len());
    store.commit(&[put(4, 1, 200), Change::Remove(address(2)), put(5, 5, 200)]).unwrap();
    assert_eq!(database, fs::read(&path).unwrap(), "the WAL is where it happens");
    let wal = fs::read(&wal).unwrap();
    assert!(wal.len() > reported);

    let before = [row(1, 1, 100), row(2, 2, 100), row(3, 3, 100)];
    let after = [row(4, 1, 200), row(3, 3, 100), row(5, 5, 200)];
    let judge = |wal: &[u8], what: &str| {
        let (_directory, path) = left(&database, wal);
        assert_eq!(rows(&path), before, "{what}");
    };
    let mut random = fastrand::Rng::with_seed(5);
    for cut in (reported..wal.len()).step_by(512).chain([wal.len() - 1]) {
        judge(&wal[..cut], &format!("cut at {cut}"));
        let mut damaged = wal.clone();
        damaged[cut..].fill(0);
        judge(&damaged, &format!("zeros from {cut}"));
        random.fill(&mut damaged[cut..]);
        judge(&damaged, &format!("anything from {cut}"));
        let mut hole = wal.clone();
        hole[cut] ^= 0x40;
        judge(&hole, &format!("a bit of {cut}"));
    }
    let (_directory, path) = left(&database, &wal);
    assert_eq!(rows(&path), after, "and all of it may have arrived");
}

/// While the WAL goes into the file, any of the file's pages may be old or new.
#[test]
fn a_checkpoint_may_end_anywhere() {
    let (_directory, path) = place();
    let mut store = Sqlite::open(&path).unwrap();
    let old = fs::read(&path).unwrap();
    let wanted: Vec<_> = (0..400).map(|number| row(number * 7 % 400, number, 100)).collect();
    for rows in wanted.chunks(20) {
        store.commit(&rows.iter().cloned().map(Change::Put).collect::<Vec<_>>()).unwrap();
    }
    let wal = fs::read(beside(&path, "-wal")).unwrap();
    drop(store);
    let new = fs::read(&path).unwrap();
    assert!(new.len() > old.len() + 5 * PAGE, "there is something to mix");
    let mut random = fastrand::Rng::with_seed(5);
    for round in 0..50 {
        let pages = random.usize(old.len() / PAGE..=new.len() / PAGE);
        let mut mixed = new[..pages * PAGE].to_vec();
        for page in 0..pages {
            let part = page * PAGE..(page + 1) * PAGE;
            match (random.bool(), old.get(part.clone())) {
                (true, Some(before)) => mixed[part].copy_from_slice(before),
                (true, None) => mixed[part].fill(0),
                (false, _) => {}
            }
        }
        let (_directory, path) = left(&mixed, &wal);
        assert_eq!(rows(&path), wanted, "round {round}");
    }
}

/// After a failed fsync nobody knows what is on disk; a store that is opened again trusts nothing that is in the WAL only.
#[test]
fn an_open_leaves_nothing_in_the_wal() {
    let (_directory, path) = place();
    let mut store = Sqlite::open(&path).unwrap();
    store.commit(&[put(1, 1, 100)]).unwrap();
    let (_directory, copy) = left(&fs::read(&path).unwrap(), &fs::read(beside(&path, "-wal")).unwrap());
    let _store = Sqlite::open(&copy).unwrap();
    assert_eq!(fs::metadata(beside(&copy, "-wal")).unwrap().len(), 0);
    let (_directory, file_alone) = left(&fs::read(&copy).unwrap(), &[]);
    assert_eq!(rows(&file_alone), [row(1, 1, 100)]);
}

/// An operator took the file away after a crash and left the WAL behind.
#[test]
fn a_new_file_is_not_poisoned_by_an_old_wal() {
    let (_directory, path) = place();
    let mut store = Sqlite::open(&path).unwrap();
    store.commit(&[put(1, 1, 100)]).unwrap();
    let (directory, copy) = left(&fs::read(&path).unwrap(), &fs::read(beside(&path, "-wal")).unwrap());
    fs::rename(&copy, directory.path().join("away.db")).unwrap();
    assert_eq!(rows(&copy), []);
}
