//! Keeps what `dnsd.hosts_file` and `dnsd.zone_files` say: reads them at start, on SIGHUP and whenever one changed. A file that
//! vanished, is too large or is refused as a whole leaves what was read of it before in force, and says so in `/ready`, in the
//! log and as a metric. So does a line that is left out.

use crate::{
    files::{BadLine, Files, Hosts, MAX_SIZE, ZoneFile, told, zone_file},
    metrics::{FileGauges, FileKind},
};
use config::Config;
use daemon::{
    State,
    watched::{Found, Stamp, look},
};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Interval, MissedTickBehavior, interval},
};
use values::Name;

/// How often is looked whether a file changed; one call a file. A guess: a person who changed it waits no longer.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The files, and the reading of them, which is done once at a time.
pub struct Keeper {
    domain: Option<Name>,
    sources: Vec<Source>,
    /// Grows with each configuration: what was read for the one before is not put into force.
    round: u64,
    reading: JoinSet<(u64, Vec<Seen>)>,
    ticks: Interval,
    gauges: FileGauges,
    standing: Arc<Mutex<Standing>>,
}

/// A file.
#[derive(Clone)]
struct Source {
    kind: FileKind,
    path: PathBuf,
    stamp: Option<Stamp>,
    content: Content,
    /// Why it could not be read.
    unread: Option<String>,
    bad: Vec<BadLine>,
    /// Understood, and in none of our zones or the like.
    left_out: Vec<BadLine>,
}

/// What is in force of it.
#[derive(Clone, PartialEq)]
enum Content {
    Nothing,
    Hosts(Arc<Hosts>),
    Zone(Arc<ZoneFile>),
}

/// What came of looking at a file; `None`: it is as it was.
struct Seen {
    kind: FileKind,
    path: PathBuf,
    read: Result<Option<Text>, String>,
}

/// A text that was read and understood.
struct Text {
    stamp: Option<Stamp>,
    content: Content,
    bad: Vec<BadLine>,
}

/// What is wrong with the files, for `/ready`: a clause each.
type Standing = Vec<String>;

impl Keeper {
    /// With nothing read yet. Must be called inside a tokio runtime.
    pub fn new(config: &Config, gauges: FileGauges) -> Keeper {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let domain = config.domain.clone();
        let (reading, standing) = (JoinSet::new(), Arc::default());
        Keeper { domain, sources: sources(config), round: 0, reading, ticks, gauges, standing }
    }

    /// Reads the files now: at start, before anybody is served.
    pub fn read(&mut self) -> Files {
        let seen = look_at(&self.sources, self.domain.as_ref());
        self.put(seen);
        self.files()
    }

    /// Follows another configuration. What was read of a file that is in both stays in force until it is read again.
    pub fn change(&mut self, config: &Config) -> Files {
        self.round += 1;
        self.domain = config.domain.clone();
        let before = std::mem::replace(&mut self.sources, sources(config));
        for source in &mut self.sources {
            let same = before.iter().find(|it| it.kind == source.kind && it.path == source.path);
            if let Some(same) = same {
                *source = Source { stamp: None, ..same.clone() };
            }
        }
        self.tell();
        self.look();
        self.files()
    }

    /// Returns when other records are in force. May be dropped and called again at any time.
    pub async fn changed(&mut self) -> Files {
        loop {
            tokio::select! {
                _ = self.ticks.tick() => self.look(),
                Some(seen) = self.reading.join_next() => match seen {
                    Ok((round, seen)) if round == self.round => {
                        if self.put(seen) {
                            return self.files();
                        }
                    }
                    Ok(_) => self.look(),
                    Err(error) => tracing::error!(%error, "reading hosts and zone files panicked: they stay as they were"),
                },
            }
        }
    }

    /// Takes up which records of these files are not served.
    pub fn left_out(&mut self, lines: Vec<(PathBuf, Vec<BadLine>)>) {
        for source in self.sources.iter_mut().filter(|source| source.kind == FileKind::Zone) {
            let found = lines.iter().find(|(path, _)| *path == source.path);
            source.left_out = found.map(|(_, lines)| lines.clone()).unwrap_or_default();
        }
        self.tell();
    }

    /// The check behind `/ready`.
    pub fn readiness(&self) -> impl Fn() -> State + Send + Sync + 'static {
        let standing = self.standing.clone();
        move || match &standing.lock().unwrap_or_else(PoisonError::into_inner)[..] {
            [] => State::Ready,
            wrong => State::Degraded(wrong.join("; ")),
        }
    }

    /// A file system that hangs holds up nothing but this.
    fn look(&mut self) {
        if self.sources.is_empty() || !self.reading.is_empty() {
            return;
        }
        let (round, sources, domain) = (self.round, self.sources.clone(), self.domain.clone());
        self.reading.spawn_blocking(move || (round, look_at(&sources, domain.as_ref())));
    }

    /// True where other records are in force now.
    fn put(&mut self, seen: Vec<Seen>) -> bool {
        let mut changed = false;
        for Seen { kind, path, read } in seen {
            let source = self.sources.iter_mut().find(|it| it.kind == kind && it.path == path);
            let Some(source) = source else { continue };
            match read {
                Ok(None) => {}
                Ok(Some(Text { stamp, content, bad })) => {
                    changed |= source.content != content;
                    let left_out = source.left_out.clone();
                    *source = Source { kind, path, stamp, content, unread: None, bad, left_out };
                }
                Err(why) => (source.stamp, source.unread) = (None, Some(why)),
            }
        }
        self.tell();
        changed
    }

    /// Counts, and says what is wrong where that is news.
    fn tell(&mut self) {
        for (kind, _) in FileKind::ALL {
            let sources = || self.sources.iter().filter(|source| source.kind == kind);
            let records = sources().map(Source::records).sum();
            self.gauges.set(kind, records, sources().map(Source::problems).sum());
        }
        let standing: Standing = self.sources.iter().filter_map(Source::wrong).collect();
        let mut held = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        for news in standing.iter().filter(|wrong| !held.contains(wrong)) {
            tracing::warn!("{news}");
        }
        *held = standing;
    }

    fn files(&self) -> Files {
        let mut files = Files::default();
        for source in &self.sources {
            match &source.content {
                Content::Nothing => {}
                Content::Hosts(hosts) => files.hosts = hosts.clone(),
                Content::Zone(zone) => files.zones.push(zone.clone()),
            }
        }
        files
    }
}

impl Source {
    fn records(&self) -> usize {
        match &self.content {
            Content::Nothing => 0,
            Content::Hosts(hosts) => hosts.forward.len() + hosts.back.len(),
            Content::Zone(zone) => zone.records.len() - self.left_out.len().min(zone.records.len()),
        }
    }

    fn problems(&self) -> usize {
        self.bad.len() + self.left_out.len() + usize::from(self.unread.is_some())
    }

    /// A clause.
    fn wrong(&self) -> Option<String> {
        let path = self.path.display();
        if let Some(why) = &self.unread {
            return Some(format!("{path}: {why}: what was read before stays in force"));
        }
        let left_out: Vec<&BadLine> = self.bad.iter().chain(&self.left_out).collect();
        (!left_out.is_empty()).then(|| format!("{path} is served without some lines: {}", told(&left_out)))
    }
}

fn sources(config: &Config) -> Vec<Source> {
    let source = |kind, path: &PathBuf| Source {
        kind,
        path: path.clone(),
        stamp: None,
        content: Content::Nothing,
        unread: None,
        bad: Vec::new(),
        left_out: Vec::new(),
    };
    let zones = config.dnsd.zone_files.iter().map(|path| source(FileKind::Zone, path));
    zones.chain(config.dnsd.hosts_file.iter().map(|path| source(FileKind::Hosts, path))).collect()
}

fn look_at(sources: &[Source], domain: Option<&Name>) -> Vec<Seen> {
    let seen = |source: &Source| {
        let (kind, path) = (source.kind, source.path.clone());
        let read = match look(&path, source.stamp, MAX_SIZE) {
            Ok(Found::Same) => Ok(None),
            Ok(Found::Text(stamp, text)) => {
                read(kind, &path, &text, domain).map(|(content, bad)| Some(Text { stamp, content, bad }))
            }
            Err(error) => Err(error.to_string()),
        };
        Seen { kind, path, read }
    };
    sources.iter().map(seen).collect()
}

fn read(
    kind: FileKind,
    path: &Path,
    text: &str,
    domain: Option<&Name>,
) -> Result<(Content, Vec<BadLine>), String> {
    match kind {
        FileKind::Hosts => {
            let (hosts, bad) = Hosts::parse(text, domain);
            Ok((Content::Hosts(Arc::new(hosts)), bad))
        }
        FileKind::Zone => {
            let parsed = zone_file::parse(text, domain).map_err(|bad| bad.to_string())?;
            if parsed.soas > 0 {
                tracing::info!(path = %path.display(), "its SOA is left aside: serial and timers are ours");
            }
            let zone = ZoneFile { path: path.into(), records: parsed.records };
            Ok((Content::Zone(Arc::new(zone)), parsed.bad))
        }
    }
}

#[cfg(test)]
mod tests;
