//! Files that CoreSMD, or somebody else, left.

use super::*;

const CORESMD: &str = "create table if not exists leases4 \
    (mac string not null, ip string not null, expiry int, hostname string not null, primary key (mac, ip));";

fn insert(rows: &str) -> String {
    format!("{CORESMD} insert into leases4 values {rows};")
}

#[test]
fn coresmds_file_is_taken_over_with_its_rows() {
    let (_directory, path) = place();
    sql(
        &path,
        &insert(
            "('02:00:00:00:00:01', '10.0.0.1', 1800000000, 'host1'), ('02-00-00-00-00-0B', '10.0.0.11', 5, ''), \
             ('02:00:00:00:00:02', '10.0.0.2', 1800000000, 42)",
        ),
    );
    let wanted = [
        row(1, 1, 1_800_000_000),
        Row { hostname: "42".into(), ..row(2, 2, 1_800_000_000) },
        Row { hostname: String::new(), ..row(11, 11, 5) },
    ];
    let mut store = Sqlite::open(&path).unwrap();
    assert_eq!(sorted(store.load().unwrap()), wanted);
    assert_eq!(store.taken_over(), &TakenOver::default());
    store.commit(&[put(7, 11, 9)]).unwrap();
    drop(store);
    let first = "02:00:00:00:00:01|10.0.0.1|1800000000|host1";
    assert_eq!(
        dump(&path),
        [first, "02:00:00:00:00:07|10.0.0.11|9|host7", "02:00:00:00:00:02|10.0.0.2|1800000000|42"]
    );
}

#[test]
fn of_two_holders_of_an_address_the_one_that_runs_longer_stays() {
    let (_directory, path) = place();
    sql(
        &path,
        &insert(
            "('02:00:00:00:00:01', '10.0.0.1', 100, 'host1'), ('02:00:00:00:00:02', '10.0.0.1', 300, 'host2'), \
             ('02:00:00:00:00:03', '10.0.0.1', 200, 'host3'), ('02:00:00:00:00:04', '10.0.0.2', 50, 'host4'), \
             ('02:00:00:00:00:05', '10.0.0.2', 50, 'host5')",
        ),
    );
    let mut store = Sqlite::open(&path).unwrap();
    assert_eq!(sorted(store.load().unwrap()), [row(2, 1, 300), row(5, 2, 50)]);
    assert_eq!(
        sorted(store.taken_over().duplicates.clone()),
        [row(1, 1, 100), row(3, 1, 200), row(4, 2, 50)]
    );
    drop(store);
    assert_eq!(Sqlite::open(&path).unwrap().taken_over(), &TakenOver::default(), "reported once");
    let again = Connection::open(&path).unwrap();
    let second = again.execute("insert into leases4 values ('02:00:00:00:00:09', '10.0.0.1', 1, '')", []);
    assert!(second.unwrap_err().to_string().contains("UNIQUE"), "nor can anybody else make two again");
}

#[test]
fn rows_that_cannot_be_read_are_set_aside_and_hurt_nothing_else() {
    let (_directory, path) = place();
    sql(
        &path,
        &insert(
            "('', '10.0.0.1', 900, ''), ('02:00:00:00:00:02', 'nonsense', 1, 'a'), ('02:00:00:00:00:03', 'nonsense', 1, 'b'), \
             ('02:00:00:00:00:01', '10.0.0.1', 100, 'host1'), ('02:00:00:00:00:05', '10.0.0.5', null, 'c'), \
             ('02:00:00:00:00:06', '10.0.0.6', 'soon', 'd'), ('123456', '10.0.0.7', 1, ''), \
             ('02:00:00:00:00:08', x'31302e302e302e31', 999, ''), ('02:00:00:00:00:09', '10.0.0.09', 1, ''), \
             ('02:00:00:00:00:0a', 'fd00::1', 1, '')",
        ),
    );
    let mut store = Sqlite::open(&path).unwrap();
    assert_eq!(store.load().unwrap(), [row(1, 1, 100)]);
    assert_eq!(store.taken_over().duplicates, []);
    let unreadable = &store.taken_over().unreadable;
    assert_eq!(unreadable.len(), 9, "{unreadable:?}");
    assert!(unreadable.contains(&"02:00:00:00:00:03 nonsense 1 b".to_owned()), "{unreadable:?}");
    store.commit(&[put(2, 5, 7)]).unwrap();
    drop(store);
    let aside = Connection::open(&path).unwrap();
    let count: i64 =
        aside.query_row("select count(*) from leases4_unreadable", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 9, "people still find them");
    drop(aside);
    assert_eq!(rows(&path), [row(1, 1, 100), row(2, 5, 7)]);
}

#[test]
fn a_table_of_that_name_that_is_not_coresmds_is_refused_and_left_alone() {
    for (table, found) in [
        (
            "create table leases4 (mac, ip, expiry int, primary key (mac, ip))",
            "(mac (key 1), ip (key 2), expiry)",
        ),
        ("create table leases4 (mac, ip, expiry, hostname)", "(mac, ip, expiry, hostname)"),
        (
            "create table leases4 (mac, ip, expiry, hostname, vendor, primary key (mac, ip))",
            "(mac (key 1), ip (key 2), expiry, hostname, vendor)",
        ),
        (
            "create table leases4 (mac, ip, expiry, hostname, primary key (mac, ip)) without rowid",
            "a table without rowid",
        ),
        ("create view leases4 as select 1 as mac, 2 as ip, 3 as expiry, 4 as hostname", "a view"),
    ] {
        let (_directory, path) = place();
        sql(&path, table);
        let error = Sqlite::open(&path).unwrap_err().to_string();
        assert!(error.contains(found) && error.contains("move the file away"), "{error}");
        let connection = Connection::open(&path).unwrap();
        let now: String =
            connection.query_row("select sql from sqlite_schema", [], |row| row.get(0)).unwrap();
        assert_eq!(now.to_lowercase(), table);
    }
}

#[test]
fn other_tables_of_a_file_are_left_alone() {
    let (_directory, path) = place();
    sql(&path, "create table notes (text); insert into notes values ('rack 3 moves on Monday')");
    Sqlite::open(&path).unwrap().commit(&[put(1, 1, 1)]).unwrap();
    let connection = Connection::open(&path).unwrap();
    let note: String = connection.query_row("select text from notes", [], |row| row.get(0)).unwrap();
    assert_eq!(note, "rack 3 moves on Monday");
}

/// CoreDHCP was killed in the middle of a transaction.
#[test]
fn a_journal_that_was_left_is_played_back() {
    let (directory, path) = place();
    sql(&path, &insert("('02:00:00:00:00:01', '10.0.0.1', 100, 'host1')"));
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch("pragma cache_size = 1; begin immediate; update leases4 set expiry = 999")
        .unwrap();
    connection.cache_flush().unwrap();
    let copy = directory.path().join("copy.db");
    fs::copy(&path, &copy).unwrap();
    fs::copy(beside(&path, "-journal"), beside(&copy, "-journal")).unwrap();
    assert_eq!(rows(&copy), [row(1, 1, 100)]);
}
