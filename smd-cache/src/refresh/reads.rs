//! Reading SMD: what to ask, in which order, and whether what came back is what was asked for. Nothing is believed here.
//!
//! Each read is a task of its own, so that a slow one holds up no other. Bodies are decoded off the reactor.

use super::believed::Hashes;
use crate::{
    metrics::Metrics,
    records::{
        ComponentRecord, Decoded, InterfaceKey, InterfaceRecord, Read, decode_components, decode_interfaces,
    },
    smd::{self, Body, Client, Groups, ReadError, Source},
    state::{Moment, State},
};
use arc_swap::ArcSwap;
use jiff::Timestamp;
use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};
use values::{Mac, Xname};

/// Requests for missing components beside one whole read: 10,000 of them, which SMD answers in some 100 ms. A guess.
const MAX_MISSING_REQUESTS: usize = 10;

/// Requests that confirm losses at one time: 100,000 of them. What is left is asked for a second later.
const MAX_CONFIRMING_REQUESTS: usize = 100;

/// Asks SMD and keeps the books about it. Cheap to clone.
#[derive(Clone)]
pub struct Reader {
    /// All clones ask the same one.
    client: Arc<ArcSwap<Client>>,
    state: Arc<State>,
    metrics: Metrics,
}

/// Which source failed, and why.
#[derive(Debug, thiserror::Error)]
#[error("reading {0} failed: {1}")]
pub struct Failed(pub Source, pub ReadError);

/// Some records that were asked for by name.
pub struct Asked<K, R> {
    /// The read.
    pub read: Read,
    /// What was asked for.
    pub asked: Vec<K>,
    /// What there is of it.
    pub answer: Decoded<R>,
}

/// What a whole read of one kind brings.
pub struct News<R> {
    pub read: Read,
    pub hash: u128,
    /// `None`: the body is the last one's.
    pub decoded: Option<Decoded<R>>,
}

/// A whole read.
pub struct Whole {
    pub moment: Moment,
    pub interfaces: News<InterfaceRecord>,
    /// With the hash of their body; `None`: not wanted, or not to be had.
    pub groups: Option<(u128, Groups)>,
    pub components: News<ComponentRecord>,
    /// Components that were in neither.
    pub missing: Vec<Asked<Xname, ComponentRecord>>,
    /// When SMD answered, by its own clock.
    pub date: Option<Timestamp>,
}

/// What changed since.
pub struct Delta {
    pub moment: Moment,
    pub interfaces: Decoded<InterfaceRecord>,
    pub components: Vec<Asked<Xname, ComponentRecord>>,
    pub date: Option<Timestamp>,
}

/// What is said of records that a whole read lacked.
#[derive(Default)]
pub struct Confirmed {
    pub interfaces: Vec<Asked<InterfaceKey, InterfaceRecord>>,
    pub components: Vec<Asked<Xname, ComponentRecord>>,
}

/// Records that a whole read lacked.
#[derive(Debug, Clone, Default)]
pub struct Doubt {
    pub interfaces: Vec<InterfaceKey>,
    pub components: Vec<Xname>,
}

impl Reader {
    /// Asks this SMD.
    pub fn new(client: Client, state: Arc<State>, metrics: Metrics) -> Reader {
        Reader { client: Arc::new(ArcSwap::from_pointee(client)), state, metrics }
    }

    /// Asks another SMD from now on, and so do all clones.
    pub fn ask(&self, client: Client) {
        self.client.store(Arc::new(client));
    }

    /// Whom it asks.
    pub fn client(&self) -> Arc<Client> {
        self.client.load_full()
    }

    /// Everything. `wanted` are components that interfaces named and nobody had so far.
    pub async fn whole(
        self,
        hashes: Hashes,
        wants_groups: bool,
        wanted: BTreeSet<Xname>,
    ) -> Result<Whole, Failed> {
        let moment = self.state.begin_read();
        let last = hashes.interfaces;
        let (interfaces, date) = self.news(Source::Interfaces, moment, last, decode_interfaces).await?;
        // Without groups everything else goes on.
        let groups = if wants_groups { self.groups().await } else { None };
        let same_groups = groups.as_ref().is_none_or(|(hash, _)| hashes.groups == Some(*hash));
        let last = hashes.components.filter(|_| same_groups);
        let begun = self.state.begin_read();
        let (components, _) = self.news(Source::Components, begun, last, decode_components).await?;
        let missing = missing(&interfaces, &components, wanted);
        let missing = self.components(missing, MAX_MISSING_REQUESTS).await.unwrap_or_default();
        Ok(Whole { moment, interfaces, groups, components, missing, date })
    }

    /// Interfaces that changed after `since`, with the components they name that are not known, and some more.
    pub async fn delta(self, since: Timestamp, wanted: Vec<Xname>) -> Result<Delta, Failed> {
        let moment = self.state.begin_read();
        let asked = self.client().newer_than(since).await;
        let date = asked.as_ref().ok().and_then(|body| body.date);
        let checked = move |body: &Body| {
            let answer = decode_interfaces(&body.bytes)?;
            // SMD ignores filters it does not understand, and answers with everything.
            let older = |record: &&InterfaceRecord| record.last_update.is_none_or(|update| update <= since);
            match answer.records.iter().find(older) {
                Some(older) => Err(ReadError::NotAsked(older.id.clone())),
                None => Ok(answer),
            }
        };
        let interfaces = self.decoded(Source::Changes, moment, asked, checked).await?;
        let components = self.owners(&interfaces, wanted).await.unwrap_or_default();
        Ok(Delta { moment, interfaces, components, date })
    }

    /// What is there of these MACs, with the components of what there is.
    pub async fn by_mac(
        &self,
        macs: &[Mac],
    ) -> Result<(Read, Decoded<InterfaceRecord>, Vec<Asked<Xname, ComponentRecord>>), Failed> {
        // Discovery keeps the dashes of a MAC in its ID.
        let spellings = |mac: &Mac| [mac.bare(), mac.to_string().replace(':', "-")];
        let ids: Vec<String> = macs.iter().flat_map(spellings).collect();
        let (read, found) = self.by_id(ids).await?;
        let components = self.owners(&found, Vec::new()).await?;
        Ok((read, found, components))
    }

    /// Asks by name for what a whole read lacked. What could not be asked for stays in doubt.
    pub async fn confirm(self, doubt: Doubt) -> Result<Confirmed, Failed> {
        let mut confirmed = Confirmed::default();
        for keys in doubt.interfaces.chunks(smd::IDS_IN_ONE_REQUEST).take(MAX_CONFIRMING_REQUESTS) {
            let ids = keys.iter().map(|(_, id)| id.to_ascii_lowercase()).collect();
            match self.by_id(ids).await {
                Ok((read, answer)) => confirmed.interfaces.push(Asked { read, asked: keys.to_vec(), answer }),
                Err(failed) if confirmed.interfaces.is_empty() => return Err(failed),
                Err(_) => return Ok(confirmed),
            }
        }
        match self.components(doubt.components, MAX_CONFIRMING_REQUESTS).await {
            Ok(components) => confirmed.components = components,
            Err(failed) if confirmed.interfaces.is_empty() => return Err(failed),
            Err(_) => {}
        }
        Ok(confirmed)
    }

    async fn by_id(&self, ids: Vec<String>) -> Result<(Read, Decoded<InterfaceRecord>), Failed> {
        let moment = self.state.begin_read();
        let asked = self.client().interfaces(&ids).await;
        let checked = move |body: &Body| {
            let answer = decode_interfaces(&body.bytes)?;
            let ids: HashSet<&str> = ids.iter().map(String::as_str).collect();
            let other = |record: &&InterfaceRecord| !ids.contains(record.id.to_ascii_lowercase().as_str());
            match answer.records.iter().find(other) {
                Some(other) => Err(ReadError::NotAsked(other.id.clone())),
                None => Ok(answer),
            }
        };
        Ok((moment.read, self.decoded(Source::ById, moment, asked, checked).await?))
    }

    /// The components of these interfaces that are not known yet, and `wanted`: SMD often has an interface first.
    async fn owners(
        &self,
        interfaces: &Decoded<InterfaceRecord>,
        wanted: Vec<Xname>,
    ) -> Result<Vec<Asked<Xname, ComponentRecord>>, Failed> {
        let view = self.state.view();
        let known =
            |id: &Xname| view.snapshot.as_ref().is_some_and(|snapshot| snapshot.component(id).is_some());
        let named = interfaces.records.iter().filter_map(|record| record.component_id.clone());
        let ids: BTreeSet<Xname> = named.filter(|id| !known(id)).chain(wanted).collect();
        self.components(ids.into_iter().collect(), MAX_MISSING_REQUESTS).await
    }

    async fn components(
        &self,
        ids: Vec<Xname>,
        most: usize,
    ) -> Result<Vec<Asked<Xname, ComponentRecord>>, Failed> {
        let mut answers = Vec::new();
        for ids in ids.chunks(smd::IDS_IN_ONE_REQUEST).take(most) {
            let moment = self.state.begin_read();
            let asked = self.client().components(ids).await;
            let wanted = ids.to_vec();
            let checked = move |body: &Body| {
                let answer = decode_components(&body.bytes)?;
                let wanted: HashSet<&Xname> = wanted.iter().collect();
                match answer.records.iter().find(|record| !wanted.contains(&record.id)) {
                    Some(other) => Err(ReadError::NotAsked(other.id.to_string())),
                    None => Ok(answer),
                }
            };
            let answer = self.decoded(Source::Components, moment, asked, checked).await?;
            answers.push(Asked { read: moment.read, asked: ids.to_vec(), answer });
        }
        Ok(answers)
    }

    async fn news<R: Send + 'static>(
        &self,
        source: Source,
        moment: Moment,
        last: Option<u128>,
        decode: fn(&[u8]) -> Result<Decoded<R>, crate::records::BadBody>,
    ) -> Result<(News<R>, Option<Timestamp>), Failed> {
        let asked = self.client().whole(source).await;
        let read = moment.read;
        let news = move |body: &Body| {
            let new = last != Some(body.hash);
            let decoded = new.then(|| decode(&body.bytes)).transpose()?;
            Ok((News { read, hash: body.hash, decoded }, body.date))
        };
        self.decoded(source, moment, asked, news).await
    }

    async fn groups(&self) -> Option<(u128, Groups)> {
        let moment = self.state.begin_read();
        let asked = self.client().whole(Source::Groups).await;
        let decode = |body: &Body| Ok((body.hash, smd::decode_groups(body)?));
        self.decoded(Source::Groups, moment, asked, decode).await.ok()
    }

    /// Makes use of an answer on a thread that may block, and notes how the read ended. A panic there is a failure of this
    /// read alone.
    async fn decoded<T: Send + 'static>(
        &self,
        source: Source,
        moment: Moment,
        asked: Result<Body, ReadError>,
        decode: impl FnOnce(&Body) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, Failed> {
        let took = moment.age();
        let decoded = match asked {
            Ok(body) => tokio::task::spawn_blocking(move || decode(&body))
                .await
                .unwrap_or_else(|error| Err(ReadError::Bug(error.to_string()))),
            Err(error) => Err(error),
        };
        self.note(source, took, decoded.as_ref().map(|_| ()));
        decoded.map_err(|error| Failed(source, error))
    }

    fn note(&self, source: Source, took: Duration, outcome: Result<(), &ReadError>) {
        let failing = self.state.sources()[source as usize].failures_in_a_row;
        match outcome {
            Err(error) => self.log_failure(source, failing + 1, error),
            Ok(()) if failing > 0 => tracing::info!(source = source.label(), "SMD can be read again"),
            Ok(()) => {}
        }
        self.metrics.read(source, outcome, took);
        self.state.note(source, outcome);
    }

    /// Once when it begins, then at each doubling: an outage of a night is a dozen lines.
    fn log_failure(&self, source: Source, in_a_row: u64, error: &ReadError) {
        let (source, smd) = (source.label(), self.client().host());
        if !in_a_row.is_power_of_two() {
            tracing::debug!(source, %error, "SMD cannot be read");
        } else if self.state.view().snapshot.is_some() {
            tracing::warn!(source, in_a_row, smd, %error, "SMD cannot be read; what is known goes on being served");
        } else {
            tracing::warn!(source, in_a_row, smd, %error, "SMD cannot be read: nothing is known yet");
        }
    }
}

/// Components that interfaces name and that are in no answer. An answer that is not decoded is the last one's: what was
/// wanted then still is.
fn missing(
    interfaces: &News<InterfaceRecord>,
    components: &News<ComponentRecord>,
    wanted: BTreeSet<Xname>,
) -> Vec<Xname> {
    let named = interfaces.decoded.iter().flat_map(|answer| &answer.records);
    let named = named.filter_map(|record| record.component_id.as_ref());
    let Some(components) = &components.decoded else { return wanted.into_iter().collect() };
    let there: HashSet<&Xname> = components.records.iter().map(|record| &record.id).collect();
    let missing: BTreeSet<&Xname> = named.chain(&wanted).filter(|id| !there.contains(id)).collect();
    missing.into_iter().cloned().collect()
}
