//! Query strings as SMD reads them: keys in any case, unknown ones ignored, repeated ones collected.

use axum::{extract::Query, http::Uri};
use jiff::Timestamp;

/// Decoded pairs, keys in lower case.
#[derive(Debug, Default)]
pub(crate) struct Pairs(Vec<(String, String)>);

impl Pairs {
    pub(crate) fn of(uri: &Uri) -> Pairs {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).unwrap_or_default();
        Pairs(pairs.into_iter().map(|(key, value)| (key.to_lowercase(), value)).collect())
    }

    /// All values of a key; `None`: the key is not there.
    pub(crate) fn all(&self, key: &str) -> Option<Vec<&str>> {
        let values: Vec<&str> = self.0.iter().filter(|(k, _)| k == key).map(|(_, v)| v.as_str()).collect();
        (!values.is_empty()).then_some(values)
    }

    /// The first value of a key.
    pub(crate) fn first(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// Says yes.
    pub(crate) fn is_true(&self, key: &str) -> bool {
        self.first(key).is_some_and(|value| matches!(value.to_lowercase().as_str(), "true" | "1" | "t"))
    }

    /// Which keys were given, for counting.
    pub(crate) fn keys(&self) -> String {
        let mut keys: Vec<&str> = self.0.iter().map(|(key, _)| key.as_str()).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.join("&")
    }
}

/// RFC 3339 as Go parses it: capital T and Z, an offset with a colon, seconds not left out.
pub(crate) fn instant(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let shape = b"0000-00-00T00:00:00";
    let date = bytes.get(..shape.len())?;
    let fits = date.iter().zip(shape).all(|(c, s)| if *s == b'0' { c.is_ascii_digit() } else { c == s });
    let rest = &text[shape.len()..];
    let zone = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let zone_fits =
        zone == "Z" || (zone.len() == 6 && zone.starts_with(['+', '-']) && zone.as_bytes()[3] == b':');
    if fits && zone_fits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_strict_rfc_3339_is_a_time() {
        for (text, is) in [
            ("2026-11-23T00:07:24.446392Z", true),
            ("2026-11-23T00:07:24+00:00", true),
            ("2026-11-23T00:07:24-05:00", true),
            ("2026-11-23T00:07:24 00:00", false),
            ("2026-11-23t00:07:24z", false),
            ("2026-11-23", false),
            ("yesterday", false),
            ("", false),
        ] {
            assert_eq!(instant(text).is_some(), is, "{text}");
        }
    }
}
