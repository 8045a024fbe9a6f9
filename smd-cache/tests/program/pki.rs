//! Authorities and certificates, made when they are needed.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Signs.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

/// A certificate and its key, PEM.
#[derive(Clone)]
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

/// What differs from an ordinary certificate.
#[derive(Clone, Copy, Default)]
pub struct Odd {
    /// It was over long ago.
    pub expired: bool,
    /// It is for servers alone.
    pub server_only: bool,
    /// The name stands among the DNS names and not in the subject.
    pub in_dns_names: bool,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test authority");
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// For a server that is called `localhost` and is at 127.0.0.1.
    pub fn server(&self) -> Pair {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        self.sign(CertificateParams::new(names).unwrap(), ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// For a client that is called so.
    pub fn client(&self, name: &str) -> Pair {
        self.odd_client(name, Odd::default())
    }

    pub fn odd_client(&self, name: &str, odd: Odd) -> Pair {
        let dns = if odd.in_dns_names { vec![name.to_owned()] } else { Vec::new() };
        let mut params = CertificateParams::new(dns).unwrap();
        if !odd.in_dns_names {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        if odd.expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2020, 1, 2);
        }
        let purpose = match odd.server_only {
            true => ExtendedKeyUsagePurpose::ServerAuth,
            false => ExtendedKeyUsagePurpose::ClientAuth,
        };
        self.sign(params, purpose)
    }

    fn sign(&self, mut params: CertificateParams, purpose: ExtendedKeyUsagePurpose) -> Pair {
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Pair { certificate, key: key.serialize_pem() }
    }
}

impl Pair {
    /// Writes both, as programs that rotate certificates do: a new file beside the old one, then renamed.
    pub fn write(&self, directory: &Path, name: &str) -> (PathBuf, PathBuf) {
        let files = (directory.join(format!("{name}.pem")), directory.join(format!("{name}.key")));
        replace(&files.0, &self.certificate);
        replace(&files.1, &self.key);
        files
    }

    pub fn identity(&self) -> tonic::transport::Identity {
        tonic::transport::Identity::from_pem(&self.certificate, &self.key)
    }
}

pub fn replace(file: &Path, text: &str) {
    let new = file.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(&new, file).unwrap();
}
