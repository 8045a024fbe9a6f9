//! Leases in a SQLite file, in CoreSMD's own table, so that its file is taken over as it is and people can read it.
//!
//! ```text
//!   open:    made if missing ─▶ locked ─▶ checked whole ─▶ rows taken over ─▶ a write that proves it can be written ─▶ checkpoint
//!   commit:  one transaction ─▶ fsync of FILE-wal ─▶ FILE and FILE-wal are still the files that are open
//! ```
//! - WAL with `synchronous=FULL`: a commit is one fsync, and survives the loss of power.
//! - `locking_mode=EXCLUSIVE`: whoever opens the file beside us is told that it is locked, and so are we. It also means that
//!   nothing else in this process may open and close the file (POSIX drops all locks of a process then).
//! - Every open ends with a checkpoint that empties the WAL: after a failed fsync the kernel may call pages clean that are
//!   not on disk, and nothing may be appended behind those.
//! - An operator may move or delete the file while it is open, and SQLite would write on into what nobody finds again;
//!   hence the last step of a commit.

mod place;
mod take_over;
#[cfg(test)]
mod tests;
mod words;

pub use take_over::TakenOver;

use super::{Change, Row, Store, StoreError};
use place::Place;
use rusqlite::{
    Connection, OpenFlags, ToSql, TransactionBehavior, params,
    types::{ToSqlOutput, ValueRef},
};
use std::{fmt::Write, path::Path, time::Duration};

/// How long a file that is locked is waited for. Nothing that holds it for good lets go of it, so it only bridges a moment
/// (`sqlite3 FILE .dump`); the writer tries again anyway. A guess.
const BUSY: Duration = Duration::from_millis(250);

/// `user_version` of a file that was taken over. It is written at every open, which proves that the file can be written.
const LAYOUT: i32 = 1;

/// A renewal, which is what most writes are, touches one page: no index has the columns it changes. A row of another MAC
/// becomes this one's.
const PUT: &str = "insert into leases4 (mac, ip, expiry, hostname) values (?1, ?2, ?3, ?4) \
    on conflict (mac, ip) do update set expiry = excluded.expiry, hostname = excluded.hostname \
    on conflict (ip) do update set mac = excluded.mac, expiry = excluded.expiry, hostname = excluded.hostname";
const REMOVE: &str = "delete from leases4 where ip = ?1";

/// An open file of leases, ours alone.
#[derive(Debug)]
pub struct Sqlite {
    connection: Connection,
    place: Place,
    taken_over: TakenOver,
}

impl Sqlite {
    /// Opens the file; makes it where there is none, but not its directory. Blocks, in time in proportion to its rows.
    ///
    /// # Errors
    /// It cannot be opened, locked, read or written, is damaged, or its table is none of CoreSMD's.
    pub fn open(path: &Path) -> Result<Sqlite, StoreError> {
        let place = Place::prepare(path)?;
        let said = |error: rusqlite::Error| words::explain(path, &error);
        let mut connection = connect(&place).map_err(said)?;
        if connection.is_readonly("main").map_err(said)? {
            return Err(words::read_only(path));
        }
        lock(&connection).map_err(said)?;
        check(&connection, path)?;
        let taken_over = take_over::run(&mut connection, path)?;
        checkpoint(&connection).map_err(said)?;
        let place = place.opened()?;
        taken_over.report(path);
        Ok(Sqlite { connection, place, taken_over })
    }

    /// What was not as it should be when the file was opened, and is put right.
    pub fn taken_over(&self) -> &TakenOver {
        &self.taken_over
    }

    fn write(&mut self, changes: &[Change]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut put = transaction.prepare(PUT)?;
        let mut remove = transaction.prepare(REMOVE)?;
        let (mut mac, mut ip) = (Text::default(), Text::default());
        for change in changes {
            match change {
                Change::Put(Row { mac: holder, address, expiry, hostname }) => {
                    put.execute(params![mac.of(holder), ip.of(address), expiry, Hostname(hostname)])?
                }
                Change::Remove(address) => remove.execute([ip.of(address)])?,
            };
        }
        drop((put, remove));
        transaction.commit()
    }
}

impl Store for Sqlite {
    fn load(&mut self) -> Result<Vec<Row>, StoreError> {
        take_over::rows(&self.connection).map_err(|error| words::explain(&self.place.path, &error))
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.write(changes).map_err(|error| words::explain(&self.place.path, &error))?;
        self.place.still_there().inspect_err(|_| {
            // The file that was moved shall be whole by itself, and no WAL of it be left for the one that takes its place.
            let _ = checkpoint(&self.connection);
        })
    }
}

fn connect(place: &Place) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&place.file, flags)?;
    connection.busy_timeout(BUSY)?;
    Ok(connection)
}

fn lock(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "locking_mode", "exclusive")?;
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    debug_assert_eq!(mode, "wal", "a file on disk can always have one");
    connection.pragma_update(None, "synchronous", "full")?;
    // Reading takes the lock for good.
    connection.query_row("select count(*) from sqlite_schema", [], |row| row.get::<_, i64>(0)).map(drop)
}

/// The whole file is read and compared with its indexes: some 10 ms for ten thousand rows.
fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let found: Result<String, _> = connection.query_row("pragma integrity_check(1)", [], |row| row.get(0));
    match found.map_err(|error| words::explain(path, &error))? {
        found if found == "ok" => Ok(()),
        found => Err(words::damaged(path, &found)),
    }
}

/// Everything into the file itself, and the WAL emptied.
fn checkpoint(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(()))
}

/// Room for a value as text, used again for each row.
#[derive(Default)]
struct Text(String);

impl Text {
    fn of(&mut self, value: impl std::fmt::Display) -> &str {
        self.0.clear();
        write!(self.0, "{value}").expect("a string takes any text");
        &self.0
    }
}

/// The column's type `string` means NUMERIC to SQLite, which would make 42 of a host called `0042`. Bytes are left alone,
/// and read as text by everybody.
struct Hostname<'a>(&'a str);

impl ToSql for Hostname<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let bytes = self.0.as_bytes();
        let is_number = self.0.trim().parse::<f64>().is_ok();
        Ok(ToSqlOutput::Borrowed(if is_number { ValueRef::Blob(bytes) } else { ValueRef::Text(bytes) }))
    }
}
