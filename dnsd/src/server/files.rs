//! How many file descriptors this process may have.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Lifts the soft limit to the hard one, as any program may that uses no `select(2)`, and says what it is. Services are often started
/// with 1,024 of half a million.
pub fn raise_limit() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return USUAL };
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard as usize,
        Err(error) => {
            tracing::warn!(%error, soft, "the limit of file descriptors stays as it is");
            soft as usize
        }
    }
}

/// Where nobody can tell.
const USUAL: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_the_hard_one_afterwards() {
        let files = raise_limit();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!((soft, hard as usize), (hard, files));
    }
}
