//! What dnsd counts of hosts and zone files.

use prometheus_client::{
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

/// Files that are counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// `hosts_file`
    Hosts,
    /// `zone_files`, all of them together.
    Zone,
}

impl FileKind {
    /// Every kind and its label.
    pub const ALL: [(FileKind, &'static str); 2] = [(FileKind::Hosts, "hosts"), (FileKind::Zone, "zone")];
}

/// What is in force of files, and what is wrong with them. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct FileGauges {
    records: [Gauge; FileKind::ALL.len()],
    problems: [Gauge; FileKind::ALL.len()],
}

impl FileGauges {
    /// Under `dnsd_`, whose registry this is.
    pub(super) fn register(registry: &mut Registry) -> FileGauges {
        let family = |registry: &mut Registry, name: &str, help: &str| {
            let family: Family<[(&'static str, &'static str); 1], Gauge> = Family::default();
            registry.register(name, help, family.clone());
            FileKind::ALL.map(|(_, name)| family.get_or_create_owned(&[("file", name)]))
        };
        FileGauges {
            records: family(registry, "file_records", "Records of files in force"),
            problems: family(registry, "file_problems", "Files and lines that are left out"),
        }
    }

    /// All files of a kind together.
    pub fn set(&self, kind: FileKind, records: usize, problems: usize) {
        self.records[kind as usize].set(records as i64);
        self.problems[kind as usize].set(problems as i64);
    }

    /// Records and problems of all of a kind.
    #[cfg(test)]
    pub fn read(&self, kind: FileKind) -> (i64, i64) {
        (self.records[kind as usize].get(), self.problems[kind as usize].get())
    }
}
