//! Reading the replica file.

use super::ReplicaFile;
use crate::{Freshness, Replica, parse, replica::Patch};
use kept::{Reader, Unusable};
use proto::v1::{self, watch_event::Event};
use std::{path::PathBuf, time::SystemTime};

/// What came of reading it.
#[derive(Debug)]
pub(crate) enum Loaded {
    /// A whole replica, marked stale, and when it was written.
    Replica(Box<Replica>, SystemTime),
    /// There is none.
    Nothing,
    /// It cannot be used and was set aside: why, and where it is now; `None`: it is where it was.
    Bad(String, Option<PathBuf>),
}

/// Reads the file. Blocks. One that cannot be used is set aside; never an error.
pub(crate) fn load(file: &ReplicaFile) -> Loaded {
    let mut loaded = file.kept.load(|reader| read(reader, file.program));
    match (loaded.content, loaded.aside.pop()) {
        (Some((replica, written_at)), _) => Loaded::Replica(Box::new(replica), written_at),
        (None, Some(aside)) => Loaded::Bad(aside.why.to_string(), aside.now.ok()),
        (None, None) => Loaded::Nothing,
    }
}

/// How fresh the file is, if it can be read that far.
pub(super) fn freshness(file: &ReplicaFile) -> Option<Freshness> {
    let whose = file.kept.peek().ok()?.message::<v1::WatchRequest>().ok()??;
    Some(parse::freshness(&whose.freshness?))
}

fn read(reader: &mut Reader, program: &str) -> Result<(Replica, SystemTime), Unusable> {
    let whose: v1::WatchRequest = reader.message()?.unwrap_or_default();
    if whose.client_name != program {
        let writer = whose.client_name;
        return Err(Unusable::Unfit(format!(
            "it was written by {writer}: give each program its own, with {{program}} in inventory.replica_file"
        )));
    }
    let mut replica = Replica::default();
    let complete = loop {
        let event: Option<v1::WatchEvent> = reader.message()?;
        match event.ok_or(Unusable::Damaged("it has no end"))?.event {
            Some(Event::Hello(hello)) => replica.set_domain(&hello.domain),
            Some(Event::Put(put)) => replica.apply(Patch {
                interfaces: put.interfaces,
                components: put.components,
                ..Patch::default()
            }),
            Some(Event::Complete(complete)) => break complete,
            // A message that a later release adds.
            _ => {}
        }
    };
    replica.set_zones(complete.zones);
    replica.set_freshness(complete.freshness.unwrap_or_default());
    replica.mark_stale(true);
    replica.set_complete();
    Ok((replica, reader.written_at()))
}
