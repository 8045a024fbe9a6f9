//! Names as they stand in messages: labels with a length byte each, the root at the end (RFC 1035 §3.1).

use values::Name;

/// 255 bytes with all lengths and the root (RFC 1035 §2.3.4).
const MAX: usize = 255;
/// RFC 1035 §2.3.4; longer "lengths" are pointers and reserved forms.
const MAX_LABEL: u8 = 63;

/// A name in lower case and uncompressed, on the stack. Bytes, not text: a label may hold anything, also a dot.
#[derive(Clone)]
pub struct WireName {
    bytes: [u8; MAX],
    length: u8,
}

impl WireName {
    /// Reads the name at `at`; also says where it ends. Pointers are refused: nothing can stand before the first name of a message.
    pub fn read(message: &[u8], at: usize) -> Option<(WireName, usize)> {
        let end = name_end(message, at)?;
        let raw = message.get(at..end)?;
        let mut name = WireName { bytes: [0; MAX], length: raw.len() as u8 };
        name.bytes[..raw.len()].copy_from_slice(raw);
        // Lengths are below 'A', so they stay as they are.
        name.bytes[..raw.len()].make_ascii_lowercase();
        Some((name, end))
    }

    /// All labels and the root.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// Where the name that begins at `at` ends; `None`: it does not, is longer than a name can be, or is compressed.
pub(crate) fn name_end(message: &[u8], at: usize) -> Option<usize> {
    let mut end = at;
    loop {
        let length = *message.get(end)?;
        if length > MAX_LABEL {
            return None;
        }
        end += 1 + usize::from(length);
        if end - at > MAX {
            return None;
        }
        if length == 0 {
            return Some(end);
        }
    }
}

impl std::fmt::Debug for WireName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

/// The name, its parent, ... the root.
pub fn suffixes(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::successors(Some(name), |rest| parent(rest))
}

fn parent(name: &[u8]) -> Option<&[u8]> {
    match *name.first()? {
        0 => None,
        length => name.get(1 + usize::from(length)..),
    }
}

/// The wire form of a host name.
pub fn to_wire(name: &Name) -> Box<[u8]> {
    let mut wire = Vec::with_capacity(name.as_str().len() + 2);
    push_name(name, &mut wire);
    wire.into()
}

/// The same, behind other bytes.
pub fn push_name(name: &Name, out: &mut Vec<u8>) {
    for label in name.as_str().split('.') {
        out.push(label.len() as u8);
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
}

/// A name in wire form as people and zone files write it: without the final dot, what is not printable as `\\DDD` (RFC 1035 §5.1).
pub fn text(name: &[u8]) -> String {
    if name == [0] {
        return ".".into();
    }
    let mut text = String::with_capacity(name.len());
    for rest in suffixes(name).take_while(|rest| rest.len() > 1) {
        if !text.is_empty() {
            text.push('.');
        }
        let label = rest.get(1..=usize::from(rest[0])).unwrap_or_default();
        for byte in label {
            match byte {
                b'.' | b'\\' | b'"' => text.extend(['\\', char::from(*byte)]),
                0x21..=0x7e => text.push(char::from(*byte)),
                _ => text.push_str(&format!("\\{byte:03}")),
            }
        }
    }
    text
}

/// The text of a name in wire form, on the stack.
pub struct HostText {
    bytes: [u8; MAX],
    length: usize,
}

impl HostText {
    /// `None` where the name is no host name, such as the root or one with a dot inside a label: the inventory holds none of these.
    pub fn of(name: &[u8]) -> Option<HostText> {
        let length = name.len().checked_sub(2)?;
        let mut bytes = [0; MAX];
        let mut left = *name.first()?;
        for (byte, text) in name[1..=length].iter().zip(&mut bytes) {
            *text = match (left, *byte) {
                (0, next) => {
                    left = next;
                    b'.'
                }
                (_, byte) if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' => {
                    left -= 1;
                    byte
                }
                _ => return None,
            };
        }
        Some(HostText { bytes, length })
    }

    /// Lower case, without final dot.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).expect("letters, digits, '-', '_' and dots")
    }
}
