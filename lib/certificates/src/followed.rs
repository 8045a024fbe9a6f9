//! What was made of some files, made anew when they change.

use crate::{Validity, files::Stamp};
use anyhow::Context;
use arc_swap::ArcSwap;
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{MissedTickBehavior, interval};

/// How soon files that were replaced count: a few calls of stat(2) each time.
const CHECK: Duration = Duration::from_secs(1);

type Read<T> = Box<dyn Fn() -> anyhow::Result<(T, Option<Validity>)> + Send + Sync>;

/// What is in use.
pub struct Followed<T> {
    /// The section of the configuration that names the files, for sentences.
    section: &'static str,
    files: Vec<PathBuf>,
    read: Read<T>,
    current: ArcSwap<T>,
    looked_at: Mutex<LookedAt>,
}

#[derive(Debug)]
struct LookedAt {
    stamp: Stamp,
    problem: Option<String>,
    validity: Option<Validity>,
}

impl<T: Send + Sync + 'static> Followed<T> {
    /// Reads the files, or says which of them cannot be used and why. `read` also says how long our certificate is good.
    pub fn load(
        section: &'static str,
        files: Vec<PathBuf>,
        read: impl Fn() -> anyhow::Result<(T, Option<Validity>)> + Send + Sync + 'static,
    ) -> anyhow::Result<Followed<T>> {
        let stamp = stamp(&files);
        let (current, validity) = read().context(section)?;
        let looked_at = Mutex::new(LookedAt { stamp, problem: None, validity });
        Ok(Followed {
            section,
            files,
            read: Box::new(read),
            current: ArcSwap::from_pointee(current),
            looked_at,
        })
    }

    /// For a new connection.
    pub fn current(&self) -> Arc<T> {
        self.current.load_full()
    }

    /// Follows the files. Never ends.
    pub async fn follow(self: Arc<Self>) {
        let mut checks = interval(CHECK);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            checks.tick().await;
            let followed = self.clone();
            // Files may be on a file system that hangs. A panic in it is reported by the runtime, and tried again.
            let _ = tokio::task::spawn_blocking(move || followed.check()).await;
        }
    }

    /// Uses new files when there are any and they are good.
    pub fn check(&self) {
        let mut looked_at = self.looked_at.lock().unwrap_or_else(PoisonError::into_inner);
        // Before they are read: what is written in between is seen the next time.
        let stamp = stamp(&self.files);
        if stamp == looked_at.stamp {
            return;
        }
        looked_at.stamp = stamp;
        match (self.read)() {
            Ok((current, validity)) => {
                self.current.store(Arc::new(current));
                (looked_at.problem, looked_at.validity) = (None, validity);
                let cert = self.files.first().map(|file| file.display().to_string());
                tracing::info!(cert, "new TLS files are in use for new connections");
            }
            Err(error) => {
                let problem = format!("{error:#}");
                if looked_at.problem.as_ref() != Some(&problem) {
                    tracing::warn!(problem, "new TLS files cannot be used; the old ones stay in use");
                }
                looked_at.problem = Some(problem);
            }
        }
    }

    /// A sentence when the files cannot be used as they are now, or the certificate that is in use ends.
    pub fn problem(&self) -> Option<String> {
        let section = self.section;
        let looked_at = self.looked_at.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = looked_at.problem.as_ref().map(|problem| {
            format!("The files of {section} changed and cannot be used, the old ones are: {problem}.")
        });
        changed.or_else(|| looked_at.validity?.warning(section, jiff::Timestamp::now()))
    }
}

impl<T> fmt::Debug for Followed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Followed").field("section", &self.section).field("files", &self.files).finish()
    }
}

fn stamp(files: &[PathBuf]) -> Stamp {
    Stamp::of(files.iter().map(PathBuf::as_path).map(Path::as_ref))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn good_files_are_taken_up_and_bad_ones_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("number");
        fs::write(&file, "1").unwrap();
        let read = file.clone();
        let followed = Followed::load("dnsd.tls", vec![file.clone()], move || {
            Ok((fs::read_to_string(&read)?.parse::<u32>()?, None))
        });
        let followed = followed.unwrap();
        followed.check();
        assert_eq!((*followed.current(), followed.problem()), (1, None));
        fs::write(&file, "two").unwrap();
        followed.check();
        assert_eq!(*followed.current(), 1);
        assert!(followed.problem().unwrap().contains("dnsd.tls changed and cannot be used"));
        fs::write(&file, "3").unwrap();
        followed.check();
        assert_eq!((*followed.current(), followed.problem()), (3, None));
        fs::remove_file(&file).unwrap();
        followed.check();
        assert_eq!(*followed.current(), 3);
        assert!(followed.problem().is_some());
    }

    #[test]
    fn files_that_cannot_be_used_at_the_start_are_an_error() {
        let error = Followed::<()>::load("dnsd.tls", vec![], || anyhow::bail!("x is no y")).unwrap_err();
        assert_eq!(format!("{error:#}"), "dnsd.tls: x is no y");
    }
}
