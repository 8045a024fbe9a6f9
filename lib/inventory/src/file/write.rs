//! Writing the replica file.

use super::{MAGIC, PUT_ITEMS, ReplicaFile, Summed, VERSION, read};
use crate::{Replica, messages, metrics};
use prost::Message;
use proto::v1::{self, watch_event::Event};
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, BufWriter, Seek, Write},
    os::unix::fs::MetadataExt,
    path::Path,
    time::SystemTime,
};

/// Puts the replica on disk. Blocks: it waits for the disk.
///
/// # Errors
/// Whatever the file system says; the file that was there is as it was.
pub(crate) fn save(file: &ReplicaFile, replica: &Replica) -> io::Result<metrics::Write> {
    if is_older(replica, file) {
        return Ok(metrics::Write::Newer);
    }
    let new = file.beside(".new");
    let Some(handle) = lock(&new)? else { return Ok(metrics::Write::Busy) };
    handle.set_len(0)?;
    let mut out = Summed::new(BufWriter::new(&handle));
    out.inner.rewind()?;
    write(&mut out, file.program, replica)?;
    let sum = out.sum.digest();
    out.inner.write_all(&sum.to_le_bytes())?;
    out.inner.flush()?;
    drop(out);
    handle.sync_all()?;
    std::fs::rename(&new, &file.path)?;
    sync_directory(&file.path)?;
    Ok(metrics::Write::Written)
}

/// Another process that shares the file knows more. A time that has not come yet is a clock that was wrong.
fn is_older(replica: &Replica, file: &ReplicaFile) -> bool {
    let there = read::freshness(file).and_then(|there| there.whole_read_at);
    let there = there.filter(|there| *there <= SystemTime::now());
    matches!((there, replica.freshness().whole_read_at), (Some(there), Some(ours)) if there > ours)
}

/// The file that is being written, for us alone. `None`: another process writes it, which does as well.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let handle = OpenOptions::new().create(true).read(true).write(true).truncate(false).open(path)?;
    match handle.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
        Ok(()) => {}
    }
    // Whoever had it before may have finished and renamed it.
    let is_ours = std::fs::metadata(path).is_ok_and(|there| {
        handle.metadata().is_ok_and(|ours| (ours.dev(), ours.ino()) == (there.dev(), there.ino()))
    });
    Ok(is_ours.then_some(handle))
}

fn write(out: &mut impl Write, program: &str, replica: &Replica) -> io::Result<()> {
    out.write_all(MAGIC)?;
    out.write_all(&[VERSION])?;
    let freshness = Some(replica.origin().clone());
    let zones: Vec<_> = replica.zones().iter().map(messages::zone).collect();
    let domain = replica.domain().map(ToString::to_string).unwrap_or_default();
    let mut message = Vec::new();
    let whose = v1::WatchRequest {
        client_name: program.into(),
        freshness: freshness.clone(),
        snapshot: true,
        ..Default::default()
    };
    put(out, &mut message, &whose)?;
    let mut event = |event| put(out, &mut message, &v1::WatchEvent { event: Some(event) });
    event(Event::Hello(v1::Hello {
        freshness: freshness.clone(),
        domain: domain.clone(),
        zones: zones.clone(),
        ..Default::default()
    }))?;
    let mut components = replica.components().map(|held| messages::component(held));
    while let Some(components) = some(&mut components) {
        event(Event::Put(v1::Put { components, interfaces: Vec::new() }))?;
    }
    let mut interfaces = replica.interfaces().map(|held| messages::interface(held));
    while let Some(interfaces) = some(&mut interfaces) {
        event(Event::Put(v1::Put { interfaces, components: Vec::new() }))?;
    }
    event(Event::Complete(v1::Complete { freshness, zones, domain: Some(domain) }))
}

/// The next ones, as many as one message takes.
fn some<T>(all: &mut impl Iterator<Item = T>) -> Option<Vec<T>> {
    let some: Vec<_> = all.take(PUT_ITEMS).collect();
    (!some.is_empty()).then_some(some)
}

fn put(out: &mut impl Write, buffer: &mut Vec<u8>, message: &impl Message) -> io::Result<()> {
    buffer.clear();
    message.encode_length_delimited(buffer).expect("a Vec has room for every message");
    out.write_all(buffer)
}

/// The rename itself is to be on disk, too.
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

impl<T: Write> Write for Summed<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.inner.write(bytes)?;
        self.sum.update(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
