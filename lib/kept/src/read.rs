//! Reading: one message after the other, and nothing of it counts before the checksum holds.

use crate::Kind;
use prost::Message;
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    time::SystemTime,
};
use xxhash_rust::xxh3::Xxh3;

/// Bytes of the checksum.
const SUM: u64 = size_of::<u128>() as u64;

/// The first line is shorter. A guess with room for any name and number.
const MAX_LINE: u64 = 64;

/// Buffer of both directions. A guess.
pub(crate) const BUFFER: usize = 1 << 18;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The file system does not give it.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It does not begin as its kind does.
    #[error("it is no {0} file")]
    Foreign(&'static str),
    /// Of a later release.
    #[error("it is of version {version}, and this program knows {known}: a newer program wrote it")]
    Newer {
        /// The file's.
        version: u32,
        /// Ours.
        known: u32,
    },
    /// Cut short, or not as it was written.
    #[error("it is cut short or damaged: {0}")]
    Damaged(&'static str),
    /// Well written, but not for who reads it.
    #[error("{0}")]
    Unfit(String),
}

/// Reads a file.
pub struct Reader {
    from: BufReader<File>,
    sum: Xxh3,
    /// Bytes of messages that are still to come: no message is longer, whatever its length says.
    left: u64,
    buffer: Vec<u8>,
    written_at: SystemTime,
}

impl Reader {
    pub(crate) fn open(path: &Path, kind: Kind) -> Result<Reader, Unusable> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(Unusable::Foreign(kind.name));
        }
        let mut reader = Reader {
            from: BufReader::with_capacity(BUFFER, file),
            sum: Xxh3::new(),
            left: metadata.len().checked_sub(SUM).ok_or(Unusable::Damaged("it is too short"))?,
            buffer: Vec::new(),
            written_at: metadata.modified()?,
        };
        reader.line(kind)?;
        Ok(reader)
    }

    /// When the file was written.
    pub fn written_at(&self) -> SystemTime {
        self.written_at
    }

    /// The next message; `None` after the last one.
    ///
    /// # Errors
    /// There is none, and not the end either.
    pub fn message<M: Message + Default>(&mut self) -> Result<Option<M>, Unusable> {
        if self.left == 0 {
            return Ok(None);
        }
        let length = self.length()?;
        if length > self.left {
            return Err(Unusable::Damaged("a message is longer than the file"));
        }
        let length = usize::try_from(length).map_err(|_| Unusable::Damaged("a message is too long"))?;
        self.buffer.resize(length, 0);
        let mut buffer = std::mem::take(&mut self.buffer);
        self.take(&mut buffer)?;
        let message = M::decode(&buffer[..]).map_err(|_| Unusable::Damaged("a message is none"))?;
        self.buffer = buffer;
        Ok(Some(message))
    }

    /// Every message was read and the checksum holds.
    pub(crate) fn end(mut self) -> Result<(), Unusable> {
        if self.left > 0 {
            return Err(Unusable::Damaged("something follows the last message"));
        }
        let mut written = [0; SUM as usize];
        self.from.read_exact(&mut written)?;
        match u128::from_le_bytes(written) == self.sum.digest128() {
            true => Ok(()),
            false => Err(Unusable::Damaged("its checksum does not hold")),
        }
    }

    fn line(&mut self, kind: Kind) -> Result<(), Unusable> {
        let foreign = || Unusable::Foreign(kind.name);
        let mut line = Vec::new();
        (&mut self.from).take(MAX_LINE.min(self.left)).read_until(b'\n', &mut line)?;
        self.sum.update(&line);
        self.left -= line.len() as u64;
        let text = std::str::from_utf8(&line).ok().and_then(|line| line.strip_suffix('\n'));
        let number = text.and_then(|text| text.strip_prefix(kind.name)?.strip_prefix(' '));
        match number.and_then(|number| number.parse().ok()).ok_or_else(foreign)? {
            version if version == kind.version => Ok(()),
            version if version > kind.version => Err(Unusable::Newer { version, known: kind.version }),
            _ => Err(foreign()),
        }
    }

    /// A varint, as prost writes it.
    fn length(&mut self) -> Result<u64, Unusable> {
        let mut length = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let mut byte = [0u8];
            self.take(&mut byte)?;
            length |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] < 0x80 {
                return Ok(length);
            }
        }
        Err(Unusable::Damaged("a length is none"))
    }

    fn take(&mut self, bytes: &mut [u8]) -> Result<(), Unusable> {
        let length = bytes.len() as u64;
        self.left = self.left.checked_sub(length).ok_or(Unusable::Damaged("it ends within a message"))?;
        self.from.read_exact(bytes)?;
        self.sum.update(bytes);
        Ok(())
    }
}
