use super::*;
use crate::{fixture::config, metrics::FileGauges};
use std::fs;

struct Kept {
    folder: tempfile::TempDir,
    keeper: Keeper,
}

impl Kept {
    fn new(files: &[(&str, &str)]) -> Kept {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let keeper = Keeper::new(&configured(folder.path(), true), FileGauges::default());
        Kept { folder, keeper }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// As `changed` does it, once.
    async fn look(&mut self) -> bool {
        self.keeper.look();
        let (round, seen) = self.keeper.reading.join_next().await.unwrap().unwrap();
        round == self.keeper.round && self.keeper.put(seen)
    }

    fn state(&self) -> String {
        format!("{:?}", self.keeper.readiness()()).replace(&self.folder.path().display().to_string(), "")
    }
}

fn configured(folder: &Path, zones: bool) -> Config {
    let path = |name: &str| folder.join(name).display().to_string();
    let zones = if zones { format!("  zone_files: [{}, {}]\n", path("a"), path("b")) } else { String::new() };
    config(&format!("domain: c.local\ndnsd:\n  hosts_file: {}\n{zones}", path("hosts")))
}

/// How many records each file has in force.
fn counts(files: &Files) -> (Vec<usize>, usize) {
    (files.zones.iter().map(|zone| zone.records.len()).collect(), files.hosts.forward.len())
}

const FILES: [(&str, &str); 3] =
    [("a", "x A 10.0.0.1\ny A 10.0.0.2\n"), ("b", "z A 10.0.0.3\n"), ("hosts", "10.0.0.4 h i\n")];

#[tokio::test]
async fn files_are_in_force_in_the_order_of_the_configuration() {
    let mut kept = Kept::new(&FILES);
    assert_eq!(counts(&kept.keeper.read()), (vec![2, 1], 2));
    assert_eq!(kept.state(), "Ready");
    assert_eq!(kept.keeper.gauges.read(FileKind::Zone), (3, 0));
    assert_eq!(kept.keeper.gauges.read(FileKind::Hosts), (3, 0));
    assert!(!kept.look().await, "nothing changed");
}

#[tokio::test]
async fn what_changes_is_read_again_and_what_cannot_be_read_leaves_what_was() {
    let mut kept = Kept::new(&FILES);
    kept.keeper.read();
    kept.write("b", "z A 10.0.0.3\nzz A 10.0.0.4\n");
    assert!(kept.look().await);
    assert_eq!(counts(&kept.keeper.files()), (vec![2, 2], 2));
    // Refused as a whole; then it vanishes; then it is good.
    kept.write("a", "x A 10.0.0.1\n$INCLUDE more\n");
    assert!(!kept.look().await);
    assert_eq!(
        kept.state(),
        "Degraded(\"/a: line 2: $INCLUDE is not followed: list the other file in `zone_files`, too: what was read before stays in force\")"
    );
    assert_eq!(
        (counts(&kept.keeper.files()), kept.keeper.gauges.read(FileKind::Zone)),
        ((vec![2, 2], 2), (4, 1))
    );
    fs::remove_file(kept.folder.path().join("a")).unwrap();
    assert!(!kept.look().await);
    assert!(kept.state().contains("/a: No such file"), "{}", kept.state());
    assert_eq!(counts(&kept.keeper.files()), (vec![2, 2], 2));
    kept.write("a", "x A 10.0.0.1\n");
    assert!(kept.look().await);
    assert_eq!((counts(&kept.keeper.files()), kept.state()), ((vec![1, 2], 2), "Ready".into()));
}

#[tokio::test]
async fn lines_that_are_left_out_are_told_of() {
    let mut kept = Kept::new(&[
        ("a", "x A 10.0.0\ny A 10.0.0.2\n"),
        ("b", "w.other. A 10.0.0.1\n"),
        ("hosts", "10.0.0.4\n"),
    ]);
    let files = kept.keeper.read();
    let config = configured(kept.folder.path(), true);
    let zones = crate::zones::Zones::with_files(None, &config, &files, &crate::fixture::replica(), 1);
    kept.keeper.left_out(zones.left_out(&files));
    assert_eq!(
        kept.state(),
        "Degraded(\"/a is served without some lines: line 1: '10.0.0' where an IPv4 address is wanted; \
         /b is served without some lines: line 1: w.other. is in no zone of ours; \
         /hosts is served without some lines: line 1: 10.0.0.4 has no name\")"
    );
    assert_eq!(kept.keeper.gauges.read(FileKind::Zone), (1, 2));
    assert_eq!(kept.keeper.gauges.read(FileKind::Hosts), (0, 1));
}

#[tokio::test]
async fn another_configuration_keeps_what_is_in_both_and_drops_the_rest() {
    let mut kept = Kept::new(&FILES);
    kept.keeper.read();
    kept.keeper.look();
    let files = kept.keeper.change(&configured(kept.folder.path(), false));
    assert_eq!(counts(&files), (vec![], 2), "also before it is read again");
    let (round, _) = kept.keeper.reading.join_next().await.unwrap().unwrap();
    assert_ne!(round, kept.keeper.round, "what was read for the one before is not put into force");
    assert!(!kept.look().await);
    let mut other = configured(kept.folder.path(), true);
    other.domain = Some("d.local".parse().unwrap());
    assert_eq!(counts(&kept.keeper.change(&other)), (vec![], 2));
    assert!(kept.look().await, "relative names are below another domain");
    assert_eq!(counts(&kept.keeper.files()), (vec![2, 1], 2));
    assert!(kept.keeper.files().hosts.forward[0].0.ends_with(b"\x01d\x05local\0"));
}

#[tokio::test(start_paused = true)]
async fn a_change_is_noticed_by_itself() {
    let mut kept = Kept::new(&FILES);
    kept.keeper.read();
    kept.write("hosts", "10.0.0.4 h i j\n");
    assert_eq!(counts(&kept.keeper.changed().await), (vec![2, 1], 3));
}
