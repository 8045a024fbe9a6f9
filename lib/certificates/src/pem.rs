//! PEM files. An error names its file and what is wrong with it.

use crate::files;
use anyhow::{Context, bail};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::path::Path;

/// A chain; never empty.
pub fn certificates(file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let pem = read(file)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.with_context(|| format!("{} is no PEM file", file.display()))?;
    if certificates.is_empty() {
        bail!("{} holds no certificate (PEM)", file.display());
    }
    Ok(certificates)
}

/// A key. The error of the PEM reader is left out: it may quote a line of it.
pub fn private_key(file: &Path) -> anyhow::Result<PrivateKeyDer<'static>> {
    let pem = read(file)?;
    PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| anyhow::anyhow!("{} holds no private key (PEM, not encrypted)", file.display()))
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    files::read(file).with_context(|| format!("{} cannot be read", file.display()))
}
