//! What a certificate calls its holder: the common name of its subject and its DNS names.
//!
//! Both count. RFC 9525 leaves the common name out where a *server's* host name is looked for among the names of public
//! authorities; here one authority, chosen by the site, vouches for clients whose names are roles such as `dhcpd`.

use certificates::der::{Elements, SEQUENCE};
use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

/// Names that are looked at. A guess; real certificates have one or two.
const MAX_NAMES: usize = 16;

/// Longest name; a common name has at most 64 characters (RFC 5280, ub-common-name), a DNS name 253.
const MAX_NAME: usize = 253;

/// id-at-commonName, 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;

/// The names in a certificate that was verified; none when there is nothing in it that can be compared.
pub fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(parsed) = EndEntityCert::try_from(certificate) else { return Vec::new() };
    let dns = parsed.valid_dns_names().map(str::to_owned);
    let mut names: Vec<String> = common_names(parsed.subject()).into_iter().chain(dns).collect();
    names.retain(|name| (1..=MAX_NAME).contains(&name.len()) && !name.contains(char::is_control));
    names.truncate(MAX_NAMES);
    names.dedup();
    names
}

/// `RDNSequence ::= SEQUENCE OF SET OF SEQUENCE { type OBJECT IDENTIFIER, value ANY }` (RFC 5280 §4.1.2.4), without the
/// outer tag. What cannot be read ends the search.
fn common_names(subject: &[u8]) -> Vec<String> {
    let sets = Elements(subject).filter(|(tag, _)| *tag == SET);
    let attributes = sets.flat_map(|(_, set)| Elements(set)).filter(|(tag, _)| *tag == SEQUENCE);
    attributes.filter_map(|(_, attribute)| common_name(attribute)).collect()
}

fn common_name(attribute: &[u8]) -> Option<String> {
    let mut parts = Elements(attribute);
    if parts.next()? != (OBJECT_IDENTIFIER, COMMON_NAME) {
        return None;
    }
    match parts.next()? {
        (UTF8_STRING | PRINTABLE_STRING, text) => String::from_utf8(text.to_vec()).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    fn named(common_name: Option<&str>, dns: &[&str]) -> Vec<String> {
        let dns: Vec<String> = dns.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(dns).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "dnsd");
        if let Some(name) = common_name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        names(params.self_signed(&KeyPair::generate().unwrap()).unwrap().der())
    }

    #[test]
    fn common_name_and_dns_names_count_and_nothing_else() {
        assert_eq!(named(Some("dhcpd"), &[]), ["dhcpd"]);
        assert_eq!(named(None, &["dhcpd", "host.cluster"]), ["dhcpd", "host.cluster"]);
        assert_eq!(named(Some("dhcpd"), &["host.cluster", "10.0.0.1"]), ["dhcpd", "host.cluster"]);
        assert!(named(None, &[]).is_empty(), "an organization is nobody");
        assert!(named(Some(""), &[]).is_empty());
        assert!(named(Some("a\nb"), &[]).is_empty());
        assert_eq!(named(Some(&"n".repeat(200)), &[]), ["n".repeat(200)], "lengths of two bytes");
    }

    #[test]
    fn what_is_no_certificate_has_no_names() {
        assert!(names(&CertificateDer::from(&b"garbage"[..])).is_empty());
    }

    proptest! {
        #[test]
        fn no_subject_makes_it_panic(subject: Vec<u8>) {
            common_names(&subject);
        }
    }
}
