//! The owner's snapshot file: loaded before anything else, written when [`super::keep`] says so.

use super::{Arrived, Owner, believed::Picture, reads::Failed};
use crate::{
    state::{Moment, View},
    store::Store,
};
use jiff::Timestamp;
use std::io;
use tokio::time::Instant;

impl Owner {
    /// What was believed when the program ended last: to be called before anything is served and SMD is asked.
    pub async fn load(&mut self) {
        let Some(store) = self.store.clone() else { return };
        let file = store.file().display().to_string();
        let started = Instant::now();
        let loaded = self.off_reactor(move |believed| {
            let contents = store.load()?;
            let moments = (contents.read_at, contents.whole_read_at);
            Some((moments, believed.restore(contents, Timestamp::now())))
        });
        let Ok(Some(((read_at, whole_read_at), picture))) = loaded.await else { return };
        let Picture { snapshot, problems, naming, held_back } = picture;
        let interfaces = snapshot.counts().interfaces;
        let whole = whole_read_at.map(Moment::from_disk);
        let age = whole.map_or(0, |whole| whole.age().as_secs());
        let took = started.elapsed().as_millis() as u64;
        tracing::info!(
            file,
            interfaces,
            age,
            took,
            "the inventory of an earlier run is served until SMD was read"
        );
        let read = read_at.map(Moment::from_disk);
        self.state.publish(View {
            snapshot: Some(snapshot),
            problems,
            naming,
            held_back,
            read,
            whole,
            settled: whole,
            ..View::default()
        });
    }

    /// Nothing is kept before SMD was read: the file holds it already.
    pub(super) fn keep_due(&self) -> Option<Instant> {
        self.store.as_ref().filter(|_| self.believed.can_be_kept())?;
        self.keep.due(self.believed.edition(), Instant::now())
    }

    /// Writes the file; its way to the disk holds up nobody.
    pub(super) async fn keep(&mut self) {
        let Some(store) = self.store.clone() else { return };
        let begun = Instant::now();
        self.keep.begin(self.believed.edition(), begun);
        match self.write(&store).await {
            Ok(written) => drop(self.reads.spawn(async move {
                let put = tokio::task::spawn_blocking(move || written.place()).await;
                (begun, Arrived::Kept(put.unwrap_or_else(|error| Err(io::Error::other(error)))))
            })),
            Err(error) => self.kept(Err(error)),
        }
    }

    async fn write(&mut self, store: &Store) -> io::Result<crate::store::Written> {
        let view = self.state.view();
        let at = |moment: Option<Moment>| moment.map(|moment| moment.read.started_at);
        let (read_at, whole_read_at) = (at(view.read), at(view.settled));
        let store = store.clone();
        let written =
            self.off_reactor(move |believed| store.write(&believed.keeping(read_at, whole_read_at)));
        written.await.unwrap_or_else(|Failed(_, error)| Err(io::Error::other(error.to_string())))
    }

    pub(super) fn kept(&mut self, outcome: io::Result<()>) {
        self.metrics.kept(outcome.is_ok());
        let news = self.keep.ended(&outcome);
        let file = self.store.as_ref().map(|store| store.file().display().to_string()).unwrap_or_default();
        match outcome {
            Err(error) if news => {
                tracing::warn!(file, %error, "the snapshot file cannot be written; a restart while SMD is down would serve an older one")
            }
            Err(error) => tracing::debug!(file, %error, "the snapshot file still cannot be written"),
            Ok(()) if news => tracing::info!(file, "the snapshot file is written again"),
            Ok(()) => tracing::debug!(file, "the snapshot file is written"),
        }
        self.remark();
    }

    /// What was learnt since the last time, and how fresh it is.
    pub(super) async fn keep_at_the_end(&mut self) {
        // What is on its way to the disk cannot be broken off, and must not come after what is written below.
        while self.keep.is_under_way()
            && let Some(done) = self.reads.join_next().await
        {
            if let Ok((_, Arrived::Kept(outcome))) = done {
                self.kept(outcome);
            }
        }
        self.reads.abort_all();
        while self.reads.join_next().await.is_some() {}
        let Some(store) = self.store.clone().filter(|_| self.believed.can_be_kept()) else { return };
        let put = match self.write(&store).await {
            Ok(written) => tokio::task::spawn_blocking(move || written.place())
                .await
                .unwrap_or_else(|error| Err(io::Error::other(error))),
            Err(error) => Err(error),
        };
        self.kept(put);
    }
}
