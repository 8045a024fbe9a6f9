//! A file as CoreSMD left it becomes one of ours: the same table, and a unique index on the address.
//!
//! Of several rows of an address the one with the latest expiry stays. Rows whose MAC, address or expiry cannot be read are
//! set aside in a table of their own, where they are in nobody's way and people find them.

use super::{LAYOUT, words};
use crate::leases::store::{Row, StoreError};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, types::ValueRef};
use std::{collections::BTreeMap, net::Ipv4Addr, path::Path, str};

/// CoreSMD's own words; with the index that keeps an address from having two holders.
const TABLE: &str = "create table if not exists leases4 \
    (mac string not null, ip string not null, expiry int, hostname string not null, primary key (mac, ip))";
const INDEX: &str = "create unique index if not exists leases4_one_row_per_address on leases4 (ip)";

/// Without types, so that everything stays as it was.
const ASIDE: &str = "create table if not exists leases4_unreadable (mac, ip, expiry, hostname)";

/// How many rows one line of the log names. A guess.
const NAMED: usize = 20;

/// What was put right when a file was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TakenOver {
    /// Rows that were removed: another one of the address runs longer.
    pub duplicates: Vec<Row>,
    /// Rows that were set aside in table `leases4_unreadable`, as text.
    pub unreadable: Vec<String>,
}

/// What a row is, and which.
enum Found {
    Lease(i64, Row),
    Unreadable(i64, String),
}

/// In one transaction, which writes something in any case.
pub fn run(connection: &mut Connection, path: &Path) -> Result<TakenOver, StoreError> {
    let said = |error: rusqlite::Error| words::explain(path, &error);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(said)?;
    if let Some(found) = other_table(&transaction).map_err(said)? {
        return Err(words::other_table(path, &found));
    }
    let taken_over = put_right(&transaction).map_err(said)?;
    transaction.commit().map_err(said)?;
    Ok(taken_over)
}

/// Every row that is a lease.
pub fn rows(connection: &Connection) -> rusqlite::Result<Vec<Row>> {
    let found = scan(connection)?.into_iter();
    Ok(found.filter_map(|found| if let Found::Lease(_, row) = found { Some(row) } else { None }).collect())
}

/// What is called `leases4` and is none of ours.
fn other_table(transaction: &Transaction) -> rusqlite::Result<Option<String>> {
    let kind = "select case when wr then type || ' without rowid' else type end \
        from pragma_table_list('leases4') where schema = 'main'";
    match transaction.query_row(kind, [], |row| row.get::<_, String>(0)).optional()? {
        None => return Ok(None),
        Some(kind) if kind != "table" => return Ok(Some(format!("a {kind}"))),
        Some(_) => {}
    }
    let columns = "select name, pk from pragma_table_info('leases4') order by cid";
    let columns: Vec<(String, i64)> = transaction
        .prepare(columns)?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let wanted = [("mac", 1), ("ip", 2), ("expiry", 0), ("hostname", 0)];
    let same = columns.iter().map(|(name, key)| (name.as_str(), *key)).eq(wanted);
    let words = |(name, key): &(String, i64)| {
        if *key > 0 { format!("{name} (key {key})") } else { name.clone() }
    };
    Ok((!same).then(|| format!("({})", columns.iter().map(words).collect::<Vec<_>>().join(", "))))
}

fn put_right(transaction: &Transaction) -> rusqlite::Result<TakenOver> {
    transaction.execute(TABLE, [])?;
    let mut taken_over = TakenOver::default();
    let mut kept: BTreeMap<Ipv4Addr, (i64, Row)> = BTreeMap::new();
    for found in scan(transaction)? {
        match found {
            Found::Unreadable(id, text) => {
                set_aside(transaction, id)?;
                taken_over.unreadable.push(text);
            }
            Found::Lease(id, row) => {
                let before = kept.get(&row.address).map(|(_, before)| before.expiry);
                // Rows come in the order they were written: of two that end at once the later one stays.
                let loser = match before {
                    Some(expiry) if expiry > row.expiry => Some((id, row)),
                    _ => kept.insert(row.address, (id, row)),
                };
                if let Some((id, row)) = loser {
                    transaction.execute("delete from leases4 where rowid = ?1", [id])?;
                    taken_over.duplicates.push(row);
                }
            }
        }
    }
    transaction.execute(INDEX, [])?;
    transaction.pragma_update(None, "user_version", LAYOUT)?;
    Ok(taken_over)
}

fn set_aside(transaction: &Transaction, id: i64) -> rusqlite::Result<()> {
    transaction.execute(ASIDE, [])?;
    let copy =
        "insert into leases4_unreadable select mac, ip, expiry, hostname from leases4 where rowid = ?1";
    transaction.execute(copy, [id])?;
    transaction.execute("delete from leases4 where rowid = ?1", [id]).map(drop)
}

fn scan(connection: &Connection) -> rusqlite::Result<Vec<Found>> {
    let mut select =
        connection.prepare("select rowid, mac, ip, expiry, hostname from leases4 order by rowid")?;
    let rows = select.query_map([], |row| {
        let id = row.get(0)?;
        let [mac, ip, expiry, hostname] =
            [row.get_ref(1)?, row.get_ref(2)?, row.get_ref(3)?, row.get_ref(4)?];
        Ok(match lease(mac, ip, expiry, hostname) {
            Some(row) => Found::Lease(id, row),
            None => Found::Unreadable(id, [mac, ip, expiry, hostname].map(text).join(" ")),
        })
    })?;
    rows.collect()
}

/// MAC and address are text that dhcpd or CoreSMD wrote; a MAC may be spelled otherwise, an address cannot.
fn lease(mac: ValueRef, ip: ValueRef, expiry: ValueRef, hostname: ValueRef) -> Option<Row> {
    let parsed = |value| match value {
        ValueRef::Text(text) => str::from_utf8(text).ok(),
        _ => None,
    };
    let ValueRef::Integer(expiry) = expiry else { return None };
    Some(Row {
        mac: parsed(mac)?.parse().ok()?,
        address: parsed(ip)?.parse().ok()?,
        expiry,
        hostname: text(hostname),
    })
}

fn text(value: ValueRef) -> String {
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

impl TakenOver {
    /// Into the log, once: the next open finds the file in order.
    pub fn report(&self, path: &Path) {
        let file = path.display();
        if !self.duplicates.is_empty() {
            let rows = self.duplicates.iter().map(|row| format!("{} of {}", row.address, row.mac));
            let (count, rows) = (self.duplicates.len(), first(rows));
            tracing::warn!(%file, count, %rows, "leases of an address that another lease outlives were removed");
        }
        if !self.unreadable.is_empty() {
            // What is in there is anybody's; quoted, no byte of it does anything to a terminal.
            let (count, rows) =
                (self.unreadable.len(), first(self.unreadable.iter().map(|row| format!("{row:?}"))));
            tracing::warn!(%file, count, %rows, "rows that are no leases were set aside in table leases4_unreadable");
        }
    }
}

fn first(rows: impl Iterator<Item = String>) -> String {
    let mut rows: Vec<_> = rows.take(NAMED + 1).collect();
    if rows.len() > NAMED {
        rows[NAMED] = "...".into();
    }
    rows.join(", ")
}
