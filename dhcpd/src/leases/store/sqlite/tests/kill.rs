//! kill -9, again and again.

use super::*;
use crate::leases::store::testing::{another_process, other_process};
use std::{
    io::{BufRead, BufReader},
    process::Child,
    time::Duration,
};

/// An address that gets a new holder in every commit.
const CONTESTED: u32 = 1 << 20;

/// What the other process does: a commit after the other, each of a few new rows and the contested one, and a line for it.
fn commit_and_tell(path: &Path) {
    let mut store = Sqlite::open(path).unwrap();
    let mut next = (store.load().unwrap().len() as u32).saturating_sub(1);
    for _ in 0..100_000 {
        let group = fastrand::u32(1..20);
        let mut changes: Vec<_> = (next..next + group).map(|number| put(number, number, 1)).collect();
        changes.push(put(next, CONTESTED, next.into()));
        store.commit(&changes).unwrap();
        println!("\ncommitted {next} {}", next + group);
        next += group;
    }
}

/// Kills it some time after its first commit: the last one that it told of.
fn kill(mut child: Child) -> Option<(u32, u32)> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut told = lines.filter_map(|line| {
        let (from, to) = line.strip_prefix("committed ")?.split_once(' ')?;
        Some((from.parse().ok()?, to.parse().ok()?))
    });
    let first = told.next();
    std::thread::sleep(Duration::from_millis(fastrand::u64(0..60)));
    child.kill().unwrap();
    let last = told.last().or(first);
    child.wait().unwrap();
    last
}

#[test]
fn killed_at_any_moment_every_row_that_was_reported_is_there() {
    if let Some(path) = other_process() {
        return commit_and_tell(&path);
    }
    let (_directory, path) = place();
    let test = "sqlite::tests::kill::killed_at_any_moment_every_row_that_was_reported_is_there";
    for round in 0..12 {
        let child = another_process(test, &path).spawn().unwrap();
        let (from, to) = kill(child).unwrap_or_else(|| panic!("round {round}: it committed nothing"));
        let mut store = Sqlite::open(&path).unwrap();
        assert_eq!(store.taken_over(), &TakenOver::default());
        let rows = sorted(store.load().unwrap());
        let holds = |pair: &[Row]| pair[0].address < pair[1].address;
        assert!(rows.windows(2).all(holds), "round {round}: an address has two rows");
        let (contested, rows) = rows.split_last().unwrap();
        assert!(contested.expiry >= from.into(), "round {round}: {contested:?} is older than {from}");
        assert!(rows.len() >= to as usize, "round {round}: {} of {to} rows", rows.len());
        let wanted: Vec<_> = (0..rows.len() as u32).map(|number| row(number, number, 1)).collect();
        assert!(rows == wanted, "round {round}: not the rows that were written");
    }
}
