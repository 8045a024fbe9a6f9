use super::*;
use daemon::watched::UNSETTLED;
use prometheus_client::registry::Registry;
use std::{
    fs::{self, File},
    path::Path,
    time::SystemTime,
};

struct Kept {
    _folder: tempfile::TempDir,
    path: PathBuf,
    keeper: Keeper,
}

fn kept(text: &str) -> Kept {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("hosts.txt");
    fs::write(&path, text).expect("a file");
    let metrics = Metrics::register(&mut Registry::default());
    let mut keeper = Keeper::new(Some(path.clone()), Arc::default(), smd(&[]), metrics);
    keeper.read();
    Kept { _folder: folder, path, keeper }
}

/// An inventory in which these MACs have these addresses.
fn smd(machines: &[(&str, &str, &str)]) -> Inventory {
    let interface = |(mac, id, address): &(&str, &str, &str)| proto::v1::Interface {
        mac: mac.to_string(),
        component_id: id.to_string(),
        component: Some(proto::v1::Component { id: id.to_string(), ..Default::default() })
            .filter(|_| !id.is_empty()),
        addresses: vec![proto::v1::Address { address: address.to_string(), ..Default::default() }],
        ..Default::default()
    };
    let interfaces = machines.iter().map(interface).collect();
    Inventory::fixed(Replica::from_messages("", vec![], interfaces, vec![], Default::default()))
}

impl Kept {
    async fn look(&mut self) {
        self.keeper.look();
        let seen = self.keeper.seen().await.expect("it looks").expect("no panic");
        self.keeper.take(seen);
    }

    fn addresses(&self) -> Vec<String> {
        let hosts = self.keeper.hosts.load();
        let mut all: Vec<String> = hosts.addresses().map(|(address, _)| address.to_string()).collect();
        all.sort();
        all
    }

    fn state(&self) -> State {
        self.keeper.readiness()()
    }

    fn problems(&self) -> (i64, i64) {
        (self.keeper.metrics.hosts.get(), self.keeper.metrics.hosts_problems.get())
    }
}

const ONE: &str = "02:00:00:00:07:01 172.16.0.61\n";
const TWO: &str = "02:00:00:00:07:01 172.16.0.61\n02:00:00:00:07:02 172.16.0.62\n";

#[tokio::test]
async fn a_file_that_changes_is_read_again() {
    let mut kept = kept(ONE);
    assert_eq!((kept.addresses(), kept.state()), (vec!["172.16.0.61".into()], State::Ready));
    fs::write(&kept.path, TWO).expect("a file");
    kept.look().await;
    assert_eq!(kept.addresses(), ["172.16.0.61", "172.16.0.62"]);
    assert_eq!(kept.problems(), (2, 0));
    fs::write(&kept.path, "").expect("a file");
    kept.look().await;
    assert_eq!((kept.addresses().len(), kept.state()), (0, State::Ready));
}

#[tokio::test]
async fn a_file_that_is_old_is_read_once() {
    let mut kept = kept(ONE);
    let long_ago = SystemTime::now() - UNSETTLED * 10;
    File::options().write(true).open(&kept.path).unwrap().set_modified(long_ago).expect("a time");
    kept.look().await;
    assert!(kept.keeper.stamp.is_some());
    assert!(matches!(look(&kept.path, kept.keeper.stamp, MAX_SIZE), Ok(Found::Same)));
}

/// Editors write a file beside and rename it; its time and size may be those of the one before.
#[tokio::test]
async fn a_file_that_is_replaced_is_read_again() {
    let mut kept = kept(ONE);
    let long_ago = SystemTime::now() - UNSETTLED * 10;
    let age = |path: &Path| File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
    age(&kept.path);
    kept.look().await;
    let beside = kept.path.with_extension("new");
    fs::write(&beside, ONE.replace(".61", ".77")).expect("a file");
    age(&beside);
    fs::rename(&beside, &kept.path).expect("renamed");
    kept.look().await;
    assert_eq!(kept.addresses(), ["172.16.0.77"]);
}

#[tokio::test]
async fn a_file_that_vanished_or_cannot_be_read_leaves_what_was_and_says_so() {
    let mut kept = kept(ONE);
    fs::remove_file(&kept.path).expect("it was there");
    kept.look().await;
    assert_eq!((kept.addresses(), kept.problems()), (vec!["172.16.0.61".into()], (1, 1)));
    let State::Degraded(why) = kept.state() else { panic!("{:?}", kept.state()) };
    assert!(why.contains("hosts.txt: No such file") && why.ends_with("stays in force"), "{why}");
    fs::create_dir(&kept.path).expect("a folder");
    kept.look().await;
    assert_eq!(kept.addresses(), ["172.16.0.61"]);
    fs::remove_dir(&kept.path).expect("it was there");
    fs::write(&kept.path, "#".repeat(MAX_SIZE as usize + 1)).expect("a file");
    kept.look().await;
    let State::Degraded(why) = kept.state() else { panic!("{:?}", kept.state()) };
    assert!(why.contains("larger than 4 MiB"), "{why}");
    fs::write(&kept.path, TWO).expect("a file");
    kept.look().await;
    assert_eq!((kept.addresses().len(), kept.state(), kept.problems()), (2, State::Ready, (2, 0)));
}

#[tokio::test]
async fn bad_lines_are_told_of_and_the_others_are_in_force() {
    let mut kept = kept(ONE);
    fs::write(&kept.path, b"02:00:00:00:07:03 \xff\n02:00:00:00:07:02 172.16.0.62\nx\n").expect("a file");
    kept.look().await;
    assert_eq!((kept.addresses(), kept.problems()), (vec!["172.16.0.62".into()], (1, 2)));
    let State::Degraded(why) = kept.state() else { panic!("{:?}", kept.state()) };
    assert!(why.contains("line 1: ") && why.contains("line 3: 'x' is not MAC ADDRESS"), "{why}");
}

#[tokio::test]
async fn another_file_or_none_is_put_into_force_by_a_new_configuration() {
    let mut kept = kept(ONE);
    let other = kept.path.with_extension("other");
    fs::write(&other, TWO).expect("a file");
    kept.keeper.change(Some(other));
    let seen = kept.keeper.seen().await.expect("it looks").expect("no panic");
    kept.keeper.take(seen);
    assert_eq!(kept.addresses().len(), 2);
    kept.keeper.change(None);
    assert_eq!((kept.addresses().len(), kept.problems(), kept.state()), (0, (0, 0), State::Ready));
    kept.keeper.look();
    assert!(kept.keeper.seen().await.is_none(), "nobody looks at nothing");
}

#[tokio::test]
async fn an_address_that_smd_gives_to_another_machine_is_not_the_files_any_more() {
    let mut kept = kept(TWO);
    assert_eq!(kept.problems(), (2, 0));
    kept.keeper.inventory = smd(&[
        ("02:00:00:00:01:01", "x0c0s0b0n0", "172.16.0.61"),
        ("02:00:00:00:07:02", "x0c0s0b0n1", "172.16.0.62"), // itself
        ("02:00:00:00:01:03", "", "172.16.0.62"),           // nobody's: not served
    ]);
    kept.keeper.look();
    assert_eq!((kept.addresses(), kept.problems()), (vec!["172.16.0.62".into()], (1, 1)));
    let State::Degraded(why) = kept.state() else { panic!("{:?}", kept.state()) };
    let taken = "172.16.0.61 is not 02:00:00:00:07:01's: SMD gives it to 02:00:00:00:01:01";
    assert!(why.ends_with(taken), "{why}");
    kept.keeper.inventory = smd(&[]);
    kept.keeper.look();
    assert_eq!((kept.addresses().len(), kept.state()), (2, State::Ready));
}

/// A reading of the file before that is still under way when the configuration names another one.
#[tokio::test]
async fn what_was_read_of_a_file_before_is_not_put_into_force() {
    let mut kept = kept(ONE);
    fs::write(&kept.path, TWO).expect("a file");
    kept.keeper.look();
    kept.keeper.change(Some(kept.path.with_extension("other")));
    let seen = kept.keeper.seen().await.expect("it looks").expect("no panic");
    kept.keeper.take(seen);
    assert_eq!(kept.addresses().len(), 1);
    let seen = kept.keeper.seen().await.expect("it looks again").expect("no panic");
    kept.keeper.take(seen);
    assert!(matches!(kept.state(), State::Degraded(_)), "that one does not exist");
}
