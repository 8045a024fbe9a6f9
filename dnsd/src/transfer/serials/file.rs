//! Serials on disk: beside the replica, as `lib/kept` keeps messages.

use super::{Serials, Served};
use kept::{Kept, Kind, Reader, Unusable};
use std::{io, path::Path, thread::sleep, time::Duration};

/// The one before it is of no use: its serials are those that must not come back.
const KIND: Kind = Kind { name: "coresmd-serials", version: 1, previous: false };

/// Another dnsd that shares the file writes for milliseconds; waited for so often, so long. Guesses.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(10);

/// One zone. Field numbers are never used again.
#[derive(Clone, PartialEq, prost::Message)]
struct ZoneServed {
    /// Wire form.
    #[prost(bytes = "vec", tag = "1")]
    apex: Vec<u8>,
    #[prost(uint32, tag = "2")]
    serial: u32,
    #[prost(fixed64, tag = "3")]
    digest: u64,
}

/// Where serials are kept.
#[derive(Debug, Clone)]
pub struct SerialsFile {
    kept: Kept,
}

/// What was found there.
#[derive(Debug)]
pub struct Held {
    /// Empty where there is no file, or none that can be used.
    pub serials: Serials,
    /// Sentences about files that could not be used.
    pub aside: Vec<String>,
}

impl SerialsFile {
    /// `{replica_file}.serials`.
    pub fn beside(replica_file: &Path) -> SerialsFile {
        let path = replica_file.to_string_lossy().replace("{program}", "dnsd");
        SerialsFile { kept: Kept::new(format!("{path}.serials").into(), KIND) }
    }

    /// Blocks. A damaged file is set aside, never an error: zones then begin with smd-cache's serials and the time.
    pub fn load(&self) -> Held {
        let loaded = self.kept.load(read);
        let aside = loaded.aside.iter().map(|aside| {
            let now =
                aside.now.as_ref().map_or("stays".to_owned(), |now| format!("is now {}", now.display()));
            format!("{} cannot be used and {now}: {}", aside.file.display(), aside.why)
        });
        Held { aside: aside.collect(), serials: loaded.content.unwrap_or_default() }
    }

    /// Blocks until they are on disk; takes over what others who share the file wrote.
    ///
    /// # Errors
    /// Whatever the file system says; the file that was there is as it was.
    pub fn save(&self, serials: &mut Serials) -> io::Result<()> {
        let mut tries = (0..TRIES).map(|_| self.kept.write());
        let mut writer = loop {
            match tries.next() {
                Some(Ok(Some(writer))) => break writer,
                Some(Ok(None)) => sleep(PAUSE),
                Some(Err(error)) => return Err(error),
                None => return Err(io::Error::other("another process does not stop writing it")),
            }
        };
        serials.merge(self.load().serials);
        for (apex, served) in &serials.held {
            let Served { serial, digest } = *served;
            writer.put(&ZoneServed { apex: apex.to_vec(), serial, digest })?;
        }
        writer.end()?.place()
    }
}

fn read(reader: &mut Reader) -> Result<Serials, Unusable> {
    let mut serials = Serials::default();
    while let Some(ZoneServed { apex, serial, digest }) = reader.message()? {
        serials.held.insert(apex.into(), Served { serial, digest });
    }
    Ok(serials)
}
