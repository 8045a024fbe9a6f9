//! The HTTP client, made anew when the files of its certificates change. A bad new file keeps the old client.

use super::{Settings, resolver::Remembering};
use anyhow::Context;
use certificates::files::{self, Stamp};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// SMD is a few milliseconds away; a guess that allows for two lost SYNs (1 s and 2 s after the first).
const CONNECT_TIMEOUT: Duration = Duration::from_millis(3_500);

/// Silence that ends a read. With its database gone SMD answers within 1.5 s; a guess at three times that.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// Talks HTTP with what the files say.
#[derive(Debug)]
pub struct Http {
    settings: Settings,
    resolver: Remembering,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    stamp: Stamp,
    client: reqwest::Client,
    problem: Option<String>,
}

impl Http {
    /// Reads the files, or says what is wrong with them.
    pub fn new(settings: &Settings) -> anyhow::Result<Http> {
        let (settings, resolver) = (settings.clone(), Remembering::default());
        let stamp = stamp(&settings);
        let client = build(&settings, resolver.clone())?;
        Ok(Http { settings, resolver, held: Mutex::new(Held { stamp, client, problem: None }) })
    }

    /// For one request. Files are looked at each time there are any: SMD is asked once or twice a second.
    pub async fn client(self: &Arc<Http>) -> reqwest::Client {
        if files_of(&self.settings).next().is_some() {
            let http = self.clone();
            // They may be on a file system that hangs. A panic in it is reported by the runtime, and tried again.
            let _ = tokio::task::spawn_blocking(move || http.check()).await;
        }
        self.held().client.clone()
    }

    /// What is wrong with the files.
    pub fn problem(&self) -> Option<String> {
        self.held().problem.clone()
    }

    fn check(&self) {
        // Before they are read: what is written in between is seen the next time.
        let stamp = stamp(&self.settings);
        if stamp == self.held().stamp {
            return;
        }
        let built = build(&self.settings, self.resolver.clone());
        let mut held = self.held();
        held.stamp = stamp;
        match built {
            Ok(client) => {
                tracing::info!("new certificate files are in use towards SMD");
                (held.client, held.problem) = (client, None);
            }
            Err(error) => {
                let problem =
                    format!("new certificate files towards SMD cannot be used, the old ones are: {error:#}");
                if held.problem.as_ref() != Some(&problem) {
                    tracing::warn!(problem, "SMD is asked with the old certificates");
                }
                held.problem = Some(problem);
            }
        }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn files_of(settings: &Settings) -> impl Iterator<Item = &Path> {
    let client = settings.client.iter().flat_map(|(certificate, key)| [certificate, key]);
    settings.ca_cert.iter().chain(client).map(PathBuf::as_path)
}

fn stamp(settings: &Settings) -> Stamp {
    Stamp::of(files_of(settings))
}

fn build(settings: &Settings, resolver: Remembering) -> anyhow::Result<reqwest::Client> {
    // Fails when it is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("smd-cache/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .dns_resolver(resolver)
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(IDLE_TIMEOUT);
    if let Some(file) = &settings.ca_cert {
        builder = builder.tls_certs_merge(authorities(file)?);
    } else if settings.url.starts_with("http:") {
        // Else a machine without any certificates could not even talk plain HTTP.
        builder = builder.tls_certs_only([]);
    }
    if let Some((certificate, key)) = &settings.client {
        builder = builder.identity(identity(certificate, key)?);
    }
    builder.build().context("smd_cache.smd: no HTTP client can be made of this")
}

fn authorities(file: &Path) -> anyhow::Result<Vec<reqwest::Certificate>> {
    let wrong = || format!("smd_cache.smd.ca_cert: {} holds no certificate (PEM)", file.display());
    let certificates = reqwest::Certificate::from_pem_bundle(&read(file)?).with_context(wrong)?;
    anyhow::ensure!(!certificates.is_empty(), wrong());
    Ok(certificates)
}

fn identity(certificate: &Path, key: &Path) -> anyhow::Result<reqwest::Identity> {
    let pem = [read(certificate)?, b"\n".to_vec(), read(key)?].concat();
    // The cause is left out: it may quote a line of the key.
    reqwest::Identity::from_pem(&pem).map_err(|_| {
        let (certificate, key) = (certificate.display(), key.display());
        anyhow::anyhow!("smd_cache.smd.client_cert: {certificate} and {key} are no PEM pair")
    })
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    files::read(file).with_context(|| format!("smd_cache.smd: {} cannot be read", file.display()))
}
