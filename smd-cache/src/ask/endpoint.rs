//! Where smd-cache is, how to get there, and what to do when one cannot.

use super::How;
use crate::config::{Settings, Socket};
use anyhow::{Context, anyhow, bail};
use std::{
    error::Error,
    fmt, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};
use tonic::transport::{self, Certificate, Channel, ClientTlsConfig, Identity};

/// Name resolution and a handshake. People wait for it: a guess.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Where to ask.
#[derive(Debug, Clone, PartialEq)]
pub enum Endpoint {
    /// On this host.
    Unix(PathBuf),
    /// In the clear.
    Tcp(String),
    /// With TLS.
    Tls(String, Material),
}

/// Files of TLS.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Material {
    ca_cert: Option<PathBuf>,
    client: Option<(PathBuf, PathBuf)>,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Unix(path) => write!(f, "unix:{}", path.display()),
            Endpoint::Tcp(url) | Endpoint::Tls(url, _) => f.write_str(url),
        }
    }
}

impl Endpoint {
    /// What was said, else the Unix socket of the configuration file, else the default one. A file that cannot be read is no
    /// mistake here: the default may be right.
    pub fn choose(file: &Path, how: &How) -> anyhow::Result<Endpoint> {
        let config = fs::read_to_string(file).ok().and_then(|text| ::config::parse(&text).ok());
        let Some(text) = &how.endpoint else {
            let config = config.map_or_else(|| ::config::parse("").context("the defaults"), Ok)?;
            let (Socket::Given(path) | Socket::Default(path)) = Settings::of(&config).socket;
            return Ok(Endpoint::Unix(path));
        };
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Endpoint::Unix(path.into()));
        }
        if text.starts_with("http://") {
            return Ok(Endpoint::Tcp(text.clone()));
        }
        if text.starts_with("https://") {
            let configured = config.and_then(|config| config.inventory.tls);
            return Ok(Endpoint::Tls(text.clone(), Material::choose(configured, how)));
        }
        bail!("--endpoint {text}: say unix:/PATH, http://HOST:PORT or https://HOST:PORT")
    }

    /// A connection, or what to do about it.
    pub async fn connect(&self) -> anyhow::Result<Channel> {
        let bad = || format!("{self} is no endpoint such as http://127.0.0.1:27780");
        let endpoint = transport::Endpoint::from_shared(self.to_string()).with_context(bad)?;
        let endpoint = match self {
            Endpoint::Tls(_, material) => endpoint.tls_config(material.config()?).context("TLS")?,
            _ => endpoint,
        };
        endpoint.connect_timeout(CONNECT_LIMIT).connect().await.map_err(|error| self.advise(&error))
    }

    fn advise(&self, error: &(dyn Error + 'static)) -> anyhow::Error {
        let kind = io_kind(error);
        match (self, kind) {
            (Endpoint::Unix(path), Some(io::ErrorKind::NotFound)) => anyhow!(
                "there is no socket {}: smd-cache does not run on this host, or with another RUNTIME_DIR or `smd_cache.socket`; \
                 name its configuration with --config, or ask by --endpoint http://HOST:27780",
                path.display()
            ),
            (Endpoint::Unix(path), Some(io::ErrorKind::PermissionDenied)) => {
                anyhow!("you may not use {}: join the group it belongs to, or use sudo", path.display())
            }
            (Endpoint::Unix(path), Some(io::ErrorKind::ConnectionRefused)) => anyhow!(
                "nobody listens on {}: smd-cache has ended, and has not removed it; start it again",
                path.display()
            ),
            (_, Some(io::ErrorKind::ConnectionRefused)) => anyhow!(
                "nobody listens at {self}: does smd-cache run there, and does its `smd_cache.listen` have this address?"
            ),
            _ => anyhow!("smd-cache cannot be reached at {self}: {}", root_cause(error)),
        }
    }
}

impl Material {
    /// Flags go before the file, each for itself.
    fn choose(configured: Option<::config::ClientTls>, how: &How) -> Material {
        let (ca, cert, key) =
            configured.map_or((None, None, None), |tls| (tls.ca_cert, tls.client_cert, tls.client_key));
        let given = how.client_cert.clone().zip(how.client_key.clone());
        Material { ca_cert: how.ca_cert.clone().or(ca), client: given.or(cert.zip(key)) }
    }

    fn config(&self) -> anyhow::Result<ClientTlsConfig> {
        let read = |path: &Path| fs::read(path).with_context(|| format!("{} cannot be read", path.display()));
        let Some(ca) = &self.ca_cert else {
            bail!(
                "who signed smd-cache's certificate? Say it with --ca-cert, or as `inventory.tls.ca_cert` in the configuration"
            );
        };
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(ca)?));
        Ok(match &self.client {
            Some((cert, key)) => tls.identity(Identity::from_pem(read(cert)?, read(key)?)),
            None => tls,
        })
    }
}

fn io_kind(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    causes(error).filter_map(|error| error.downcast_ref::<io::Error>()).map(io::Error::kind).last()
}

/// "transport error" helps nobody.
pub fn root_cause(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}
