//! What an operator reads when the file cannot be used, and what to do about it. dhcpd tries again in every case.

use super::place::directory;
use crate::leases::store::StoreError;
use rusqlite::ErrorCode;
use std::{io, path::Path};

/// What SQLite said.
pub fn explain(path: &Path, error: &rusqlite::Error) -> StoreError {
    let file = path.display();
    let folder = directory(path).display();
    StoreError(match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            format!(
                "another process uses {file}: end it (a second dhcpd? sqlite3? `fuser -v {file}` names it)"
            )
        }
        Some(ErrorCode::NotADatabase) => {
            format!("{file} is no SQLite database: move it away, and dhcpd makes a new one")
        }
        Some(ErrorCode::DatabaseCorrupt) => return damaged(path, &error.to_string()),
        Some(ErrorCode::DiskFull) => {
            format!("the disk that holds {file} is full: make room in {folder}")
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => return read_only(path),
        Some(ErrorCode::CannotOpen) => format!(
            "{file}, or {file}-wal beside it, cannot be opened: the user that dhcpd runs as must be allowed to write both \
             and the directory {folder}"
        ),
        Some(ErrorCode::SystemIoFailure) => {
            format!("the disk that holds {file} fails ({error}): see the kernel's log (dmesg)")
        }
        _ => format!("{file} cannot be used: SQLite says: {error}"),
    })
}

/// The file cannot be found or made.
pub fn no_file(path: &Path, error: &io::Error) -> StoreError {
    let file = path.display();
    let folder = directory(path).display();
    StoreError(match error.kind() {
        io::ErrorKind::NotFound => format!(
            "the directory {folder} of {file} does not exist: make it, and give it to the user that dhcpd runs as"
        ),
        io::ErrorKind::PermissionDenied => {
            format!(
                "{file} cannot be made: the user that dhcpd runs as must be allowed to write the directory {folder}"
            )
        }
        io::ErrorKind::StorageFull => format!("the disk that holds {file} is full: make room in {folder}"),
        io::ErrorKind::ReadOnlyFilesystem => return read_only(path),
        _ => format!("{file} cannot be opened: {error}"),
    })
}

/// It, or the WAL beside it, is not to be written.
pub fn read_only(path: &Path) -> StoreError {
    let file = path.display();
    let folder = directory(path).display();
    StoreError(format!(
        "{file}, or {file}-wal beside it, cannot be written: let the user that dhcpd runs as own it and the directory \
         {folder}, and see that the disk is not mounted read-only"
    ))
}

/// A directory, a device.
pub fn not_a_file(path: &Path) -> StoreError {
    StoreError(format!("{} is no file: `lease_store` wants the path of one", path.display()))
}

/// SQLite finds the content wrong.
pub fn damaged(path: &Path, what: &str) -> StoreError {
    let file = path.display();
    StoreError(format!(
        "{file} is damaged ({what}): move it and {file}-wal away, and dhcpd makes a new one from the leases it knows \
         (`sqlite3 COPY .recover` may bring back what was in it)"
    ))
}

/// The path is another file's, or nobody's.
pub fn moved(path: &Path) -> StoreError {
    StoreError(format!(
        "{} was moved, replaced or deleted while dhcpd used it: it is opened anew, and the leases dhcpd knows are written \
         into it",
        path.display()
    ))
}

/// A table of that name, but not CoreSMD's.
pub fn other_table(path: &Path, found: &str) -> StoreError {
    let file = path.display();
    StoreError(format!(
        "table leases4 in {file} is {found}, and not CoreSMD's (mac, ip, expiry, hostname, primary key (mac, ip)): move the \
         file away, and dhcpd makes a new one"
    ))
}
