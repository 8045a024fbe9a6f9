//! How long an answer holds.

use super::{HEADER, kind, query::skip_name};

/// The shortest TTL of a whole message's records, in seconds; nothing where it has none. OPT is no record (its TTL holds flags).
pub fn shortest_ttl(message: &[u8]) -> Option<u32> {
    let count = |at: usize| Some(usize::from(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?])));
    let mut at = HEADER;
    for _ in 0..count(4)? {
        at = skip_name(message, at)? + 4;
    }
    let mut shortest = None;
    for _ in 0..count(6)? + count(8)? + count(10)? {
        let fixed_at = skip_name(message, at)?;
        let fixed = message.get(fixed_at..fixed_at + 10)?;
        if u16::from_be_bytes([fixed[0], fixed[1]]) != kind::OPT {
            let ttl = u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
            shortest = Some(shortest.map_or(ttl, |shortest: u32| shortest.min(ttl)));
        }
        at = fixed_at + 10 + usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
    }
    shortest
}
