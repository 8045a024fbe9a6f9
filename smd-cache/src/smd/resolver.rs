//! Name resolution that outlives the name servers: dnsd, which may be the resolver of this very host, cannot answer before
//! smd-cache has read SMD. So the last addresses a name had are remembered for as long as the process lives.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Then what is remembered is used. The C library itself waits 5 s for each server; below `CONNECT_TIMEOUT`, which includes it.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(2);

/// Asks the system, and falls back to what it said last. Bounded: only SMD's own name is ever asked.
#[derive(Debug, Clone, Default)]
pub struct Remembering {
    last: Arc<Mutex<HashMap<String, Vec<SocketAddr>>>>,
}

impl Resolve for Remembering {
    fn resolve(&self, name: Name) -> Resolving {
        let last = self.last.clone();
        Box::pin(async move {
            let addresses = choose(&last, name.as_str(), ask_system(name.as_str()).await)?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

async fn ask_system(name: &str) -> io::Result<Vec<SocketAddr>> {
    let asked = tokio::time::timeout(RESOLVE_TIMEOUT, tokio::net::lookup_host((name, 0))).await;
    Ok(asked.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??.collect())
}

fn choose(
    last: &Mutex<HashMap<String, Vec<SocketAddr>>>,
    name: &str,
    answer: io::Result<Vec<SocketAddr>>,
) -> io::Result<Vec<SocketAddr>> {
    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
    match answer {
        Ok(addresses) if !addresses.is_empty() => {
            last.insert(name.to_owned(), addresses.clone());
            Ok(addresses)
        }
        failed => match last.get(name) {
            Some(addresses) => {
                let error = failed.err().map(|error| error.to_string()).unwrap_or_default();
                tracing::warn!(name, error, "SMD's name does not resolve: its last addresses are used");
                Ok(addresses.clone())
            }
            None => failed.and(Err(io::Error::other(format!("'{name}' has no address")))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_good_addresses_outlive_the_name_server() {
        let last = Mutex::default();
        let refused = || Err(io::Error::from(io::ErrorKind::ConnectionRefused));
        let first: SocketAddr = ([10, 0, 0, 1], 0).into();
        let second: SocketAddr = ([10, 0, 0, 2], 0).into();
        assert!(choose(&last, "smd", refused()).is_err(), "nothing is remembered yet");
        assert!(choose(&last, "smd", Ok(vec![])).is_err());
        assert_eq!(choose(&last, "smd", Ok(vec![first])).unwrap(), [first]);
        assert_eq!(choose(&last, "smd", refused()).unwrap(), [first]);
        assert_eq!(choose(&last, "smd", Ok(vec![])).unwrap(), [first]);
        assert_eq!(choose(&last, "smd", Ok(vec![second])).unwrap(), [second]);
        assert_eq!(choose(&last, "smd", refused()).unwrap(), [second]);
        assert!(choose(&last, "other", refused()).is_err());
    }
}
