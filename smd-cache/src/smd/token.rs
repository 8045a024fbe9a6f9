//! The bearer token: read from its file when the file changes, and once more when SMD refuses it.

use reqwest::header::HeaderValue;
use std::{
    fmt, io,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

/// Real tokens have 1 to 4 kB; SMD refuses headers beyond 1 MB. A guess.
const MAX_TOKEN: u64 = 64 * 1024;

const SCHEME: &str = "Bearer ";

/// So many bytes of a token are not in a text by chance. Those of JWTs begin alike for 20 and more, which errs on the safe
/// side. A guess.
const TELLING: usize = 16;

/// A file with a token.
pub struct Token {
    file: PathBuf,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    /// Of the file that was read.
    stamp: Option<(SystemTime, u64)>,
    header: Option<HeaderValue>,
    problem: Option<String>,
}

impl Token {
    /// Nothing is read yet.
    pub fn new(file: PathBuf) -> Token {
        Token { file, held: Mutex::default() }
    }

    /// `Bearer ...`; `None` while the file holds no token.
    pub async fn header(&self, read_again: bool) -> Option<HeaderValue> {
        let known = self.held().stamp;
        let read = self.read_if_changed(known.filter(|_| !read_again)).await;
        let mut held = self.held();
        match read {
            Ok(None) => {}
            Ok(Some((stamp, header))) => {
                *held = Held { stamp: Some(stamp), header: Some(header), problem: None };
            }
            // The token that is held may still be good: a file that is being replaced is missing for a moment.
            Err(error) => {
                let problem = format!("the token file {} cannot be used: {error}", self.file.display());
                if held.problem.as_ref() != Some(&problem) {
                    tracing::warn!(problem, "SMD is asked without a new token");
                }
                held.stamp = None;
                held.problem = Some(problem);
            }
        }
        held.header.clone()
    }

    /// What is wrong with the file.
    pub fn problem(&self) -> Option<String> {
        self.held().problem.clone()
    }

    /// Whether a text holds the token, or its beginning: texts are cut.
    pub fn is_in(&self, text: &str) -> bool {
        let held = self.held();
        let token = held.header.as_ref().and_then(|header| header.to_str().ok()?.strip_prefix(SCHEME));
        token.is_some_and(|token| text.contains(&token[..token.len().min(TELLING)]))
    }

    async fn read_if_changed(
        &self,
        known: Option<(SystemTime, u64)>,
    ) -> io::Result<Option<((SystemTime, u64), HeaderValue)>> {
        let metadata = tokio::fs::metadata(&self.file).await?;
        let stamp = (metadata.modified()?, metadata.len());
        if known == Some(stamp) {
            return Ok(None);
        }
        if metadata.len() > MAX_TOKEN {
            return Err(io::Error::other(format!("it is longer than {MAX_TOKEN} bytes")));
        }
        let text = tokio::fs::read_to_string(&self.file).await?;
        let token = text.trim();
        if token.is_empty() {
            return Err(io::Error::other("it is empty"));
        }
        let mut header = HeaderValue::try_from(format!("{SCHEME}{token}"))
            .map_err(|_| io::Error::other("it holds characters that no token has"))?;
        header.set_sensitive(true);
        Ok(Some((stamp, header)))
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.file.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn write(token: &Token, text: &str, seconds: u64) {
        fs::write(&token.file, text).unwrap();
        let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        fs::File::options().write(true).open(&token.file).unwrap().set_modified(at).unwrap();
    }

    #[tokio::test]
    async fn the_file_is_read_again_when_it_changes_and_when_told_to() {
        let directory = tempfile::tempdir().unwrap();
        let token = Token::new(directory.path().join("token"));
        assert_eq!(token.header(false).await, None);
        assert!(token.problem().unwrap().contains("cannot be used"));
        write(&token, "one\n", 1);
        assert_eq!(token.header(false).await.unwrap(), "Bearer one");
        assert_eq!(token.problem(), None);
        write(&token, "two\n", 1);
        assert_eq!(token.header(false).await.unwrap(), "Bearer one", "same time and length: not looked at");
        assert_eq!(token.header(true).await.unwrap(), "Bearer two", "after a 401 it is");
        write(&token, "six\n", 2);
        assert_eq!(token.header(false).await.unwrap(), "Bearer six");
        fs::remove_file(&token.file).unwrap();
        assert_eq!(token.header(false).await.unwrap(), "Bearer six", "the last one may still be good");
        assert!(token.problem().is_some());
    }

    #[tokio::test]
    async fn nothing_prints_a_token() {
        let directory = tempfile::tempdir().unwrap();
        let token = Token::new(directory.path().join("token"));
        write(&token, "secret\n", 1);
        let header = token.header(false).await.unwrap();
        assert!(!format!("{token:?} {header:?}").contains("secret"));
    }
}
