//! TLS towards smd-cache: `inventory.tls`. The files are read at each connection, so a certificate that was renewed needs no
//! restart.

use config::ClientTls;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::path::Path;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

/// What tonic needs, of the files as they are now. The server must have a certificate for the host of its endpoint.
///
/// # Errors
/// A sentence that names the key and the file.
pub(crate) async fn load(tls: &ClientTls) -> Result<ClientTlsConfig, String> {
    let mut config = ClientTlsConfig::new();
    config = match &tls.ca_cert {
        Some(path) => {
            config.ca_certificate(Certificate::from_pem(read("ca_cert", path, is_certificate).await?))
        }
        None => config.with_native_roots(),
    };
    if let (Some(certificate), Some(key)) = (&tls.client_cert, &tls.client_key) {
        let certificate = read("client_cert", certificate, is_certificate).await?;
        let key = read("client_key", key, is_key).await?;
        config = config.identity(Identity::from_pem(certificate, key));
    }
    Ok(config)
}

async fn read(key: &str, path: &Path, check: fn(&[u8]) -> Result<(), String>) -> Result<Vec<u8>, String> {
    let named = |why: String| format!("inventory.tls.{key}: {}: {why}", path.display());
    let pem = tokio::fs::read(path).await.map_err(|error| named(error.to_string()))?;
    check(&pem).map_err(named)?;
    Ok(pem)
}

fn is_certificate(pem: &[u8]) -> Result<(), String> {
    match CertificateDer::pem_slice_iter(pem).next() {
        Some(Ok(_)) => Ok(()),
        Some(Err(error)) => Err(format!("no certificate in PEM: {error}")),
        None => Err("there is no certificate in PEM in it".into()),
    }
}

fn is_key(pem: &[u8]) -> Result<(), String> {
    PrivateKeyDer::from_pem_slice(pem).map(drop).map_err(|_| "there is no private key in PEM in it".into()) // nothing of a key goes into a log
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[tokio::test]
    async fn an_error_says_which_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| -> PathBuf {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let key_pair = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec![]).unwrap().self_signed(&key_pair).unwrap();
        let good = file("good.pem", &certificate.pem());
        let key = file("good.key", &key_pair.serialize_pem());
        let nonsense = file("nonsense", "hello");
        let missing = directory.path().join("missing");
        let tls = |ca_cert: &PathBuf, client_cert: &PathBuf, client_key: &PathBuf| ClientTls {
            ca_cert: Some(ca_cert.clone()),
            client_cert: Some(client_cert.clone()),
            client_key: Some(client_key.clone()),
        };
        assert!(load(&tls(&good, &good, &key)).await.is_ok());
        for (bad, key, name) in [
            (tls(&missing, &good, &key), "ca_cert", "missing"),
            (tls(&nonsense, &good, &key), "ca_cert", "nonsense"),
            (tls(&good, &key, &key), "client_cert", "good.key"),
            (tls(&good, &good, &nonsense), "client_key", "nonsense"),
            (tls(&good, &good, &good), "client_key", "good.pem"),
        ] {
            let error = load(&bad).await.unwrap_err();
            assert!(error.starts_with(&format!("inventory.tls.{key}: ")) && error.contains(name), "{error}");
        }
    }
}
