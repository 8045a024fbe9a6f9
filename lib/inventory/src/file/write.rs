//! Writing the replica file.

use super::{PUT_ITEMS, ReplicaFile, read};
use crate::{Replica, messages, metrics};
use kept::Writer;
use proto::v1::{self, watch_event::Event};
use std::{io, time::SystemTime};

/// Puts the replica on disk. Blocks: it waits for the disk.
///
/// # Errors
/// Whatever the file system says; the file that was there is as it was.
pub(crate) fn save(file: &ReplicaFile, replica: &Replica) -> io::Result<metrics::Write> {
    if is_older(replica, file) {
        return Ok(metrics::Write::Newer);
    }
    // Another process that writes it does as well.
    let Some(mut writer) = file.kept.write()? else { return Ok(metrics::Write::Busy) };
    write(&mut writer, file.program, replica)?;
    writer.end()?.place()?;
    Ok(metrics::Write::Written)
}

/// Another process that shares the file knows more. A time that has not come yet is a clock that was wrong.
fn is_older(replica: &Replica, file: &ReplicaFile) -> bool {
    let there = read::freshness(file).and_then(|there| there.whole_read_at);
    let there = there.filter(|there| *there <= SystemTime::now());
    matches!((there, replica.freshness().whole_read_at), (Some(there), Some(ours)) if there > ours)
}

fn write(out: &mut Writer, program: &str, replica: &Replica) -> io::Result<()> {
    let freshness = Some(replica.origin().clone());
    let zones: Vec<_> = replica.zones().iter().map(messages::zone).collect();
    let domain = replica.domain().map(ToString::to_string).unwrap_or_default();
    let whose = v1::WatchRequest {
        client_name: program.into(),
        freshness: freshness.clone(),
        snapshot: true,
        ..Default::default()
    };
    out.put(&whose)?;
    let mut event = |event| out.put(&v1::WatchEvent { event: Some(event) });
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
