//! From when to when a certificate is good. webpki checks it and does not tell.

use crate::der::{Elements, SEQUENCE};
use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use rustls::pki_types::CertificateDer;

const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// With so little of its life left a certificate should have been replaced: certbot and step-ca do it at a third. So this
/// is the last fifth.
const LAST_PART: i32 = 5;

/// Not before, not after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    begin: Timestamp,
    end: Timestamp,
}

impl Validity {
    /// What the certificate says; nothing where it cannot be read.
    ///
    /// `TBSCertificate ::= SEQUENCE { [0] version, serialNumber, signature, issuer, validity ... }` (RFC 5280 §4.1)
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Validity> {
        let (_, outer) = Elements(certificate).next()?;
        let (_, signed) = Elements(outer).next()?;
        let mut fields = Elements(signed).filter(|(tag, _)| *tag != VERSION).skip(3);
        let (SEQUENCE, validity) = fields.next()? else { return None };
        let mut times = Elements(validity);
        Some(Validity { begin: time(times.next()?)?, end: time(times.next()?)? })
    }

    /// A sentence when it is over, or soon will be; `section` names it.
    pub fn warning(&self, section: &str, now: Timestamp) -> Option<String> {
        let (life, left) = (self.end.duration_since(self.begin), self.end.duration_since(now));
        match () {
            () if left <= SignedDuration::ZERO => {
                Some(format!("The certificate of {section} ended at {}: clients refuse it.", self.end))
            }
            () if left < life / LAST_PART => {
                Some(format!("The certificate of {section} ends at {} and was not replaced yet.", self.end))
            }
            () => None,
        }
    }
}

/// RFC 5280 §4.1.2.5: always with seconds, always in UTC; two digits of a year are of 1950 to 2049.
fn time((tag, text): (u8, &[u8])) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?;
    let text = match tag {
        UTC_TIME if text >= "5" => format!("19{text}"),
        UTC_TIME => format!("20{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let time = DateTime::strptime("%Y%m%d%H%M%SZ", text).ok()?;
    TimeZone::UTC.to_timestamp(time).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    fn validity(begin: i32, end: i32) -> Option<Validity> {
        let mut params = CertificateParams::new(vec!["smd-cache".into()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(begin, 1, 1), date_time_ymd(end, 1, 1));
        Validity::of(params.self_signed(&KeyPair::generate().unwrap()).unwrap().der())
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn it_is_what_the_certificate_says_in_both_ways_of_writing() {
        let held = validity(1999, 2030).unwrap();
        assert_eq!((held.begin, held.end), (at("1999-01-01T00:00:00Z"), at("2030-01-01T00:00:00Z")));
        let held = validity(2026, 2126).unwrap();
        assert_eq!((held.begin, held.end), (at("2026-01-01T00:00:00Z"), at("2126-01-01T00:00:00Z")));
    }

    #[test]
    fn the_last_fifth_of_its_life_is_a_warning() {
        let held = validity(2020, 2030).unwrap();
        for (now, words) in [
            ("2019-01-01T00:00:00Z", None),
            ("2027-12-30T00:00:00Z", None),
            ("2028-01-05T00:00:00Z", Some("ends at 2030-01-01T00:00:00Z and was not replaced yet")),
            ("2030-01-01T00:00:00Z", Some("ended at 2030-01-01T00:00:00Z: clients refuse it")),
            ("2090-01-01T00:00:00Z", Some("ended at")),
        ] {
            let warning = held.warning("smd_cache.tls", at(now));
            assert_eq!(warning.is_some(), words.is_some(), "{now}: {warning:?}");
            assert!(warning.unwrap_or_default().contains(words.unwrap_or_default()), "{now}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = Validity::of(&CertificateDer::from(bytes));
        }
    }

    #[test]
    fn no_damage_makes_it_panic() {
        let params = CertificateParams::new(vec!["smd-cache".into()]).unwrap();
        let bytes = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
        for at in 0..bytes.len() {
            for byte in [0, 0x7f, 0x80, 0x82, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] = byte;
                let _ = Validity::of(&CertificateDer::from(damaged));
            }
        }
    }
}
