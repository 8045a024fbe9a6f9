//! Why handshakes fail.

use rustls::{CertificateError, Error as TlsError};
use std::{io, time::Duration};

/// From accept to the end of the handshake: two round trips and a signature. A guess that allows for two lost packets.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);

/// Why a connection did not become one; also a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// It showed no certificate.
    NoCertificate,
    /// Its certificate is over, or not valid yet.
    Expired,
    /// An authority signed its certificate that is not ours.
    UnknownAuthority,
    /// Its certificate cannot be used for another reason: its kind, its signature, its purpose.
    BadCertificate,
    /// It does not believe *our* certificate.
    DistrustsUs,
    /// It speaks something else: plain HTTP, HTTP/1.1 over TLS, nonsense.
    NotTls,
    /// It took too long.
    TimedOut,
    /// It went in the middle of it.
    Gone,
}

impl Refusal {
    /// All of them, for metrics that start at zero.
    pub const ALL: [Refusal; 8] = [
        Refusal::NoCertificate,
        Refusal::Expired,
        Refusal::UnknownAuthority,
        Refusal::BadCertificate,
        Refusal::DistrustsUs,
        Refusal::NotTls,
        Refusal::TimedOut,
        Refusal::Gone,
    ];

    /// The metric label.
    pub fn label(self) -> &'static str {
        match self {
            Refusal::NoCertificate => "no_certificate",
            Refusal::Expired => "expired",
            Refusal::UnknownAuthority => "unknown_authority",
            Refusal::BadCertificate => "bad_certificate",
            Refusal::DistrustsUs => "distrusts_us",
            Refusal::NotTls => "not_tls",
            Refusal::TimedOut => "handshake_timed_out",
            Refusal::Gone => "gone",
        }
    }

    /// What the error of a handshake means.
    pub fn of(error: &io::Error) -> Refusal {
        let tls = error.get_ref().and_then(|error| error.downcast_ref::<TlsError>());
        match tls {
            None => Refusal::Gone,
            Some(TlsError::NoCertificatesPresented) => Refusal::NoCertificate,
            Some(TlsError::InvalidCertificate(certificate)) => Refusal::of_certificate(certificate),
            Some(TlsError::AlertReceived(_)) => Refusal::DistrustsUs,
            Some(_) => Refusal::NotTls,
        }
    }

    fn of_certificate(error: &CertificateError) -> Refusal {
        use CertificateError::{
            BadSignature, Expired, ExpiredContext, NotValidYet, NotValidYetContext, UnknownIssuer,
        };
        match error {
            Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. } => Refusal::Expired,
            // The name of the authority is right and the key is not.
            UnknownIssuer | BadSignature => Refusal::UnknownAuthority,
            _ => Refusal::BadCertificate,
        }
    }
}
