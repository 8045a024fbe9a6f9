//! DNS queries, TFTP packets and the configuration file.

use dnsd::wire::{Silent, read};
use tftpd::wire::{Packet, parse};

/// A query is read no further than it reaches, and what comes back of it is its own bytes.
pub fn dns_read(bytes: &[u8]) {
    let message = match read(bytes) {
        Err(Silent::TooShort) => return assert!(bytes.len() < 12),
        Err(Silent::Response) => return assert!(bytes[2] & 0x80 != 0),
        Ok(message) => message,
    };
    assert_eq!([message.id, message.flags].map(u16::to_be_bytes).concat(), bytes[..4]);
    assert!(message.opcode() < 16);
    let Some(question) = message.question else { return assert!(message.malformed) };
    assert_eq!(question.raw, &bytes[12..12 + question.raw.len()]);
    let name = question.name.as_bytes();
    assert!(name.len() <= 255 && name.last() == Some(&0), "a name ends at the root: {name:?}");
    assert_eq!(name, question.raw[..question.raw.len() - 4].to_ascii_lowercase());
    if message.malformed {
        assert_eq!(message.edns, None);
    }
}

/// A packet, or a reason; a request is what its strings say.
pub fn tftp_parse(bytes: &[u8]) {
    let Ok(Packet::Read(request)) = parse(bytes) else { return };
    assert!(bytes.len() <= 514 && !request.file.is_empty() && !request.file.contains('\0'));
    assert_eq!(request.file.as_bytes(), &bytes[2..2 + request.file.len()]);
    let options = request.options;
    assert!(options.block_size.is_none_or(|size| (8..=65464).contains(&size)));
    assert!(options.timeout != Some(0) && options.window_size != Some(0));
}

/// Any text is a configuration, or mistakes that can be shown; each stands at a place that the text has.
pub fn config_parse(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Err(mistakes) = config::parse(text) else { return };
    assert!(!mistakes.0.is_empty(), "no configuration, and no mistake");
    assert_eq!(mistakes.report("file").lines().count(), mistakes.0.len(), "a line each");
}
