//! Reading the replica file.

use super::{MAGIC, ReplicaFile, Summed, VERSION};
use crate::{Freshness, Replica, parse, replica::Patch};
use prost::Message;
use proto::v1::{self, watch_event::Event};
use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::PathBuf,
    time::SystemTime,
};

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

/// Reads the file. Blocks. One that cannot be used is renamed to `.bad`, in place of the one before; never an error.
pub(crate) fn load(file: &ReplicaFile) -> Loaded {
    match read(file) {
        Ok((replica, written_at)) => Loaded::Replica(Box::new(replica), written_at),
        Err(Failure::Io(error)) if error.kind() == io::ErrorKind::NotFound => Loaded::Nothing,
        Err(failure) => {
            let aside = file.beside(".bad");
            let renamed = std::fs::rename(&file.path, &aside);
            Loaded::Bad(failure.to_string(), renamed.is_ok().then_some(aside))
        }
    }
}

/// How fresh the file is, if it can be read that far.
pub(super) fn freshness(file: &ReplicaFile) -> Option<Freshness> {
    let mut frames = Frames::open(file).ok()?;
    Some(parse::freshness(&frames.next::<v1::WatchRequest>().ok()?.freshness?))
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it is no replica file")]
    Foreign,
    #[error("it is of version {0}, and this program knows {VERSION}: a newer program wrote it")]
    Version(u8),
    #[error("it was written by {0}: give each program its own, with {{program}} in inventory.replica_file")]
    Program(String),
    #[error("it is cut short or damaged")]
    Damaged,
}

fn read(file: &ReplicaFile) -> Result<(Replica, SystemTime), Failure> {
    let mut frames = Frames::open(file)?;
    let whose: v1::WatchRequest = frames.next()?;
    if whose.client_name != file.program {
        return Err(Failure::Program(whose.client_name));
    }
    let mut replica = Replica::default();
    let complete = loop {
        match frames.next::<v1::WatchEvent>()?.event {
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
    let written_at = frames.end()?;
    replica.set_zones(complete.zones);
    replica.set_freshness(complete.freshness.unwrap_or_default());
    replica.mark_stale(true);
    replica.set_complete();
    Ok((replica, written_at))
}

/// One message after the other.
struct Frames {
    bytes: Summed<BufReader<File>>,
    /// Of the file; no message is longer, whatever its length says.
    left: u64,
    written_at: SystemTime,
}

impl Frames {
    fn open(file: &ReplicaFile) -> Result<Frames, Failure> {
        let handle = File::open(&file.path)?;
        let metadata = handle.metadata()?;
        if !metadata.is_file() {
            return Err(Failure::Foreign);
        }
        let written_at = metadata.modified()?;
        let mut frames =
            Frames { bytes: Summed::new(BufReader::new(handle)), left: metadata.len(), written_at };
        let mut magic = [0; MAGIC.len()];
        let [mut version] = [0; 1];
        frames.read(&mut magic)?;
        if magic != *MAGIC {
            return Err(Failure::Foreign);
        }
        frames.read(std::slice::from_mut(&mut version))?;
        if version != VERSION {
            return Err(Failure::Version(version));
        }
        Ok(frames)
    }

    fn next<M: Message + Default>(&mut self) -> Result<M, Failure> {
        let length = self.length()?;
        if length > self.left {
            return Err(Failure::Damaged);
        }
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| Failure::Damaged)?];
        self.read(&mut bytes)?;
        M::decode(&bytes[..]).map_err(|_| Failure::Damaged)
    }

    /// A varint, as prost writes it.
    fn length(&mut self) -> Result<u64, Failure> {
        let mut length = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let mut byte = 0u8;
            self.read(std::slice::from_mut(&mut byte))?;
            length |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(length);
            }
        }
        Err(Failure::Damaged)
    }

    /// The checksum, and nothing after it.
    fn end(mut self) -> Result<SystemTime, Failure> {
        let sum = self.bytes.sum.digest();
        let mut written = [0; size_of::<u64>()];
        self.read(&mut written)?;
        match self.left == 0 && written == sum.to_le_bytes() {
            true => Ok(self.written_at),
            false => Err(Failure::Damaged),
        }
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<(), Failure> {
        self.bytes.inner.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Failure::Damaged,
            _ => Failure::Io(error),
        })?;
        self.bytes.sum.update(bytes);
        self.left = self.left.saturating_sub(bytes.len() as u64);
        Ok(())
    }
}
