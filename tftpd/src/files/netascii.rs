//! Text as TFTP's netascii mode carries it.

use bytes::Bytes;

/// RFC 764: a line ends in CR LF, a bare CR is CR NUL.
pub(super) fn encode(content: &[u8]) -> Bytes {
    let mut text = Vec::with_capacity(content.len() + content.len() / 16);
    let mut bytes = content.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\r' if bytes.next_if_eq(&b'\n').is_some() => text.extend(b"\r\n"),
            b'\r' => text.extend(b"\r\0"),
            b'\n' => text.extend(b"\r\n"),
            other => text.push(other),
        }
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn netascii_keeps_line_ends_apart_from_carriage_returns() {
        assert_eq!(encode(b"a\nb\r\nc\rd").escape_ascii().to_string(), r"a\r\nb\r\nc\r\x00d");
    }
}
