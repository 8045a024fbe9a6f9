//! Messages as one line for people: logs, transcripts of tests, `explain`.

use super::{Message, OptionCode};
use std::fmt;

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.message_type() {
            Some(kind) => write!(f, "{}", format!("{kind:?}").to_uppercase())?,
            None => write!(f, "BOOTP")?,
        }
        write!(f, " xid={:08x} flags={:04x}", self.xid, self.flags)?;
        let addresses = [
            ("ciaddr", self.ciaddr),
            ("yiaddr", self.yiaddr),
            ("siaddr", self.siaddr),
            ("giaddr", self.giaddr),
        ];
        for (name, address) in addresses.iter().filter(|(_, address)| !address.is_unspecified()) {
            write!(f, " {name}={address}")?;
        }
        write!(f, " chaddr=")?;
        for (index, byte) in self.hardware_address().iter().enumerate() {
            write!(f, "{}{byte:02x}", if index == 0 { "" } else { ":" })?;
        }
        for (name, number) in [("hops", self.hops as u16), ("secs", self.secs)] {
            if number != 0 {
                write!(f, " {name}={number}")?;
            }
        }
        write!(f, " |")?;
        let silent = u8::from(OptionCode::MessageType);
        for (code, value) in self.options().filter(|(code, _)| *code != silent) {
            write!(f, " {code}=")?;
            option_value(f, code, value)?;
        }
        write!(f, " | len={}", self.length)
    }
}

/// Text where it usually is text and looks like it, addresses and seconds where they are that, else hexadecimal.
fn option_value(f: &mut fmt::Formatter<'_>, code: u8, value: &[u8]) -> fmt::Result {
    const ADDRESSES: [u8; 11] = [1, 3, 4, 6, 7, 28, 42, 50, 54, 118, 150];
    const SECONDS: [u8; 4] = [51, 58, 59, 108];
    const TEXTS: [u8; 12] = [12, 15, 17, 56, 60, 66, 67, 77, 100, 101, 114, 252];
    let text = value.strip_suffix(&[0]).unwrap_or(value);
    if ADDRESSES.contains(&code) && !value.is_empty() && value.len().is_multiple_of(4) {
        for (index, address) in value.chunks_exact(4).enumerate() {
            let [a, b, c, d] = [address[0], address[1], address[2], address[3]];
            write!(f, "{}{a}.{b}.{c}.{d}", if index == 0 { "" } else { "," })?;
        }
        return Ok(());
    }
    if let (true, [a, b, c, d]) = (SECONDS.contains(&code), value) {
        return write!(f, "{}s", u32::from_be_bytes([*a, *b, *c, *d]));
    }
    if TEXTS.contains(&code) && !text.is_empty() && text.iter().all(u8::is_ascii_graphic) {
        return f.write_str(&String::from_utf8_lossy(text));
    }
    value.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}
