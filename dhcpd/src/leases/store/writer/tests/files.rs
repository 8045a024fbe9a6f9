//! With SQLite and real files: what goes wrong is put right, and it goes on without a restart.

use super::*;
use crate::leases::store::{
    Sqlite,
    testing::{fill, on_a_small_disk, sorted},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A writer whose leases are in this file.
struct Scene {
    path: PathBuf,
    writer: Writer<u32>,
    events: mpsc::Receiver<Event<u32>>,
    health: Health,
}

impl Scene {
    fn start(path: &Path) -> Scene {
        let (path, health) = (path.to_owned(), Health::default());
        let file = path.clone();
        let open = move || Sqlite::open(&file).map(|store| Box::new(store) as Box<dyn Store>);
        let (writer, events) = Writer::start(open, health.clone()).unwrap();
        Scene { path, writer, events, health }
    }

    async fn opened(&mut self) -> Vec<Row> {
        match next(&mut self.events).await {
            Event::Opened(rows) => sorted(rows),
            event => panic!("{event:?}"),
        }
    }

    /// What became of a row of this number.
    async fn put(&mut self, number: u32) -> Event<u32> {
        self.writer.submit(vec![put(number, number, 100)], number).unwrap();
        next(&mut self.events).await
    }

    async fn committed(&mut self, number: u32) {
        assert_eq!(self.put(number).await, Event::Committed(vec![number]));
    }

    async fn failed(&mut self, number: u32, words: &str) {
        match self.put(number).await {
            Event::Failed(tickets, why) => {
                assert_eq!(tickets, [number]);
                assert!(why.0.contains(words), "{why}");
                assert_eq!(self.health.status().state, State::Failing(why));
            }
            event => panic!("{event:?}"),
        }
    }

    async fn close(mut self) {
        let ended = async { while self.events.recv().await.is_some() {} };
        let (closed, ()) = tokio::join!(self.writer.close(SOON), ended);
        assert!(closed);
        assert_eq!(fs::read_dir(self.path.parent().unwrap()).unwrap().filter(is_wal).count(), 0);
    }
}

fn is_wal(entry: &io::Result<fs::DirEntry>) -> bool {
    entry.as_ref().unwrap().file_name().to_str().unwrap().ends_with("-wal")
}

#[tokio::test]
async fn leases_are_kept_from_one_start_to_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("leases.db");
    let mut scene = Scene::start(&path);
    assert_eq!(scene.opened().await, []);
    scene.committed(1).await;
    scene.close().await;
    let mut scene = Scene::start(&path);
    assert_eq!(scene.opened().await, [row(1, 1, 100)]);
    scene.close().await;
}

#[tokio::test]
async fn it_goes_on_when_the_lock_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("leases.db");
    let first = Sqlite::open(&path).unwrap();
    let mut scene = Scene::start(&path);
    until("it is locked", || matches!(scene.health.status().state, State::Failing(_))).await;
    scene.failed(1, "another process uses").await;
    drop(first);
    assert_eq!(scene.opened().await, []);
    scene.committed(2).await;
}

#[tokio::test]
async fn it_goes_on_when_the_damaged_file_was_moved_away_and_when_the_directory_was_made() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("made later/leases.db");
    let mut scene = Scene::start(&path);
    until("there is no directory", || matches!(scene.health.status().state, State::Failing(_))).await;
    scene.failed(1, "does not exist").await;
    fs::write(directory.path().join("damaged"), [7; 8192]).unwrap();
    fs::create_dir(directory.path().join("made")).unwrap();
    fs::rename(directory.path().join("damaged"), directory.path().join("made/leases.db")).unwrap();
    fs::rename(directory.path().join("made"), directory.path().join("made later")).unwrap();
    let is_damaged = |state| matches!(state, State::Failing(why) if why.0.contains("is no SQLite database"));
    until("the file is no database", || is_damaged(scene.health.status().state)).await;
    fs::rename(&path, directory.path().join("away")).unwrap();
    assert_eq!(scene.opened().await, []);
    scene.committed(2).await;
    scene.close().await;
}

#[tokio::test]
async fn it_goes_on_in_a_new_file_when_the_file_was_moved_or_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("leases.db");
    let mut scene = Scene::start(&path);
    scene.opened().await;
    scene.committed(1).await;
    fs::rename(&path, directory.path().join("away.db")).unwrap();
    scene.failed(2, "was moved").await;
    assert_eq!(scene.opened().await, [], "it is for the index to submit what it lacks");
    scene.committed(3).await;
    fs::remove_file(&path).unwrap();
    scene.failed(4, "deleted").await;
    assert_eq!(scene.opened().await, []);
    scene.committed(5).await;
    scene.close().await;
    let mut away = Sqlite::open(&directory.path().join("away.db")).unwrap();
    assert_eq!(sorted(away.load().unwrap()), [row(1, 1, 100), row(2, 2, 100)]);
}

#[test]
fn it_goes_on_when_the_disk_has_room_again() {
    on_a_small_disk(512, |folder| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut scene = Scene::start(&folder.join("leases.db"));
            scene.opened().await;
            let mut committed = vec![row(1, 1, 100)];
            scene.committed(1).await;
            let mut number = 2;
            // As long as anything can be written, it is: there is room in the file, and in the WAL that was put away.
            for filler in 0.. {
                fill(&folder.join(filler.to_string()));
                let event = scene.put(number).await;
                match event {
                    Event::Committed(_) => committed.push(row(number, number, 100)),
                    Event::Opened(rows) => assert!(sorted(rows) == committed),
                    Event::Failed(_, why) => assert!(why.0.contains("is full"), "{why}"),
                }
                number += 1;
                if scene.health.status().state != State::Open && filler > 100 {
                    break;
                }
            }
            while !matches!(scene.events.try_recv(), Err(mpsc::error::TryRecvError::Empty)) {}
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                if !entry.file_name().to_str().unwrap().starts_with("leases") {
                    fs::remove_file(entry.path()).unwrap();
                }
            }
            loop {
                if let Event::Opened(rows) = next(&mut scene.events).await {
                    assert!(sorted(rows) == committed, "what was committed is there");
                    break;
                }
            }
            scene.committed(number).await;
        });
    });
}
