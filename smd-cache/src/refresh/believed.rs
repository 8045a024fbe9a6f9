//! What the owner holds: records, the guard, the picture made of them, and what the bodies were that they came from.

use super::{
    guard::{Guard, HeldBack, Limits, Occasion},
    reads::{Asked, Confirmed, Delta, Doubt, News, Whole},
};
use crate::{
    naming::Naming,
    records::{ComponentRecord, Decoded, InterfaceRecord, Problem, Read, Reason, Records},
    smd::Groups,
    snapshot::{self, Snapshot, Touched},
    store::{Contents, Keeping},
};
use jiff::{SignedDuration, Timestamp};
use std::{collections::BTreeSet, sync::Arc};
use values::Xname;

/// A transaction of SMD's database appears with the time of its start; a slow one was seen to take 3 s.
const OVERLAP: SignedDuration = SignedDuration::from_secs(10);

/// Components asked for beside a delta, besides those it names: one request.
const WANTED_AT_ONCE: usize = crate::smd::IDS_IN_ONE_REQUEST;

/// Losses that are reported one by one while they are held back. A guess: nobody reads more.
const MAX_HELD_BACK: usize = 1_000;

/// Hashes of the bodies of the last whole read that was believed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hashes {
    pub interfaces: Option<u128>,
    pub groups: Option<u128>,
    pub components: Option<u128>,
}

/// The picture of what is believed now, and what is wrong with it.
#[derive(Clone)]
pub struct Picture {
    pub snapshot: Arc<Snapshot>,
    pub problems: Arc<Vec<Problem>>,
    /// The rules it was built by, which are older than those in force where it was left as it was.
    pub naming: Arc<Naming>,
    pub held_back: Option<HeldBack>,
}

/// Everything of the owner's that is not I/O.
pub struct Believed {
    pub records: Records,
    pub naming: Arc<Naming>,
    pub limits: Limits,
    guard: Guard,
    picture: Option<Picture>,
    groups: Option<(u128, Groups)>,
    hashes: Hashes,
    /// Revision of the records that the picture was made of, by these rules.
    built: Option<u64>,
    /// Components that interfaces name and nobody has.
    wanted: BTreeSet<Xname>,
    /// Of those, up to which the last delta asked for.
    asked_up_to: Option<Xname>,
    /// The greatest `LastUpdate` of all interfaces.
    newest: Option<Timestamp>,
    /// SMD's clock, when it last answered.
    date: Option<Timestamp>,
    whole: bool,
    /// The picture is not that of the records, which the guard does not believe.
    frozen: bool,
}

impl Believed {
    pub fn new(naming: Arc<Naming>, limits: Limits) -> Believed {
        Believed {
            records: Records::new(),
            naming,
            limits,
            guard: Guard::default(),
            picture: None,
            groups: None,
            hashes: Hashes::default(),
            built: None,
            wanted: BTreeSet::new(),
            asked_up_to: None,
            newest: None,
            date: None,
            whole: false,
            frozen: false,
        }
    }

    /// Work on it was broken off: the next bodies are decoded whatever they are, and the next picture is built whole.
    pub fn doubt_everything(&mut self) {
        self.hashes.interfaces = None;
        self.hashes.components = None;
        self.forget_built();
    }

    /// Other rules, for the next picture. Groups that were read stay: they may not be to be had again for a while.
    pub fn rename(&mut self, naming: Arc<Naming>) {
        if self.naming != naming {
            self.naming = naming;
            self.forget_built();
        }
    }

    fn forget_built(&mut self) {
        self.built = None;
        // What was touched for a picture that is not to be continued.
        drop(self.records.take_touched());
    }

    pub fn has_groups(&self) -> bool {
        self.groups.is_some()
    }

    /// SMD was read whole.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// Records that the guard does not believe are not written over those it does: a restart would believe them.
    pub fn can_be_kept(&self) -> bool {
        self.whole && !self.frozen
    }

    /// There is something to make a picture of.
    pub fn can_show(&self) -> bool {
        self.whole || self.picture.is_some()
    }

    /// Bodies with these need not be decoded.
    pub fn hashes(&self) -> Hashes {
        let (interfaces, components) = self.records.are_repeatable();
        Hashes {
            interfaces: self.hashes.interfaces.filter(|_| interfaces),
            groups: self.groups.as_ref().map(|(hash, _)| *hash),
            components: self.hashes.components.filter(|_| components),
        }
    }

    /// Components that interfaces name and nobody has.
    pub fn wanted(&self) -> BTreeSet<Xname> {
        self.wanted.clone()
    }

    /// Some of them, others each time.
    pub fn some_wanted(&mut self) -> Vec<Xname> {
        let after = |last: &Xname| (std::ops::Bound::Excluded(last.clone()), std::ops::Bound::Unbounded);
        let ids: Vec<Xname> = match &self.asked_up_to {
            Some(last) => self.wanted.range(after(last)).take(WANTED_AT_ONCE).cloned().collect(),
            None => self.wanted.iter().take(WANTED_AT_ONCE).cloned().collect(),
        };
        self.asked_up_to = ids.last().filter(|_| ids.len() == WANTED_AT_ONCE).cloned();
        ids
    }

    /// From when on changes are to be asked for. By SMD's clocks, never ours: its database's, from `LastUpdate`; but no
    /// later than SMD's own, for one row from the future must not hide all that come before it.
    pub fn changes_since(&self) -> Timestamp {
        let newest = match (self.newest, self.date) {
            (Some(newest), Some(date)) => newest.min(date),
            (Some(newest), None) => newest,
            // No interface is known: all of them are news.
            (None, _) => return Timestamp::UNIX_EPOCH,
        };
        newest.checked_sub(OVERLAP).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// What was missing from the last whole read and nobody asked about since.
    pub fn missing(&self) -> Option<Doubt> {
        let doubt = Doubt {
            interfaces: self.records.missing_interfaces().collect(),
            components: self.records.missing_components().collect(),
        };
        (!doubt.interfaces.is_empty() || !doubt.components.is_empty()).then_some(doubt)
    }

    /// No rule wants groups any more: components are decoded without.
    pub fn forget_groups(&mut self) {
        if self.groups.take().is_some() {
            self.hashes.components = None;
        }
    }

    /// Takes a whole read in. False: something overtook it, and it must be read again.
    pub fn learn(&mut self, whole: Whole) -> bool {
        if let Some((hash, groups)) = whole.groups {
            self.learn_groups(hash, groups);
        }
        self.date = whole.date.or(self.date);
        let news = whole.interfaces.decoded.is_some() || whole.components.decoded.is_some();
        let believed = self.learn_interfaces(whole.interfaces) & self.learn_components(whole.components);
        self.learn_by_name(whole.missing);
        if news {
            self.wanted = self.records.wanted_components();
        } else {
            self.wanted.retain(|id| !self.records.has_component(id));
        }
        self.whole |= believed;
        believed
    }

    /// Takes in what changed.
    pub fn learn_delta(&mut self, delta: Delta) {
        self.date = delta.date.or(self.date);
        self.learn_some(delta.moment.read, delta.interfaces, delta.components);
    }

    /// Takes in some interfaces, and components that were asked for beside them.
    pub fn learn_some(
        &mut self,
        read: Read,
        interfaces: Decoded<InterfaceRecord>,
        components: Vec<Asked<Xname, ComponentRecord>>,
    ) {
        self.newest = self.newest.max(newest(&interfaces.records));
        let named = interfaces.records.iter().filter_map(|record| record.component_id.clone());
        self.wanted.extend(named);
        self.records.apply_interfaces(read, interfaces);
        self.learn_by_name(components);
        self.wanted.retain(|id| !self.records.has_component(id));
    }

    /// Takes in what SMD says of what was missing.
    pub fn confirm(&mut self, confirmed: Confirmed) {
        for Asked { read, asked, answer } in confirmed.interfaces {
            self.records.confirm_interfaces(read, &asked, answer);
        }
        for Asked { read, asked, mut answer } in confirmed.components {
            self.add_groups(&mut answer);
            self.records.confirm_components(read, &asked, answer);
        }
        self.wanted = self.records.wanted_components();
    }

    /// What was believed when the program ended last, and the picture of it.
    pub fn restore(&mut self, contents: Contents, now: Timestamp) -> Picture {
        self.newest = newest(&contents.interfaces);
        // Of no body that SMD will send; without a token they are not to be had again for a while.
        let in_groups = contents.components.iter().filter(|record| !record.groups.is_empty());
        let groups: Groups = in_groups.map(|record| (record.id.clone(), record.groups.to_vec())).collect();
        self.groups = (!groups.is_empty()).then_some((0, groups));
        let interfaces = Decoded { records: contents.interfaces, rejected: contents.rejected_interfaces };
        let components = Decoded { records: contents.components, rejected: contents.rejected_components };
        self.records.restore(interfaces, components);
        self.wanted = self.records.wanted_components();
        self.guard = Guard::new(contents.peaks);
        let snapshot = Arc::new(Snapshot::from_legacy(contents.legacy));
        let naming = self.naming.clone();
        self.picture = Some(Picture { snapshot, problems: Arc::default(), naming, held_back: None });
        self.picture(Occasion::Forced, now)
    }

    /// Grows with everything that a file would have to be written for.
    pub fn edition(&self) -> (u64, u64) {
        (self.records.revision(), self.picture.as_ref().map_or(0, |picture| picture.snapshot.generation()))
    }

    /// What a file holds of it.
    pub fn keeping(&self, read_at: Option<Timestamp>, whole_read_at: Option<Timestamp>) -> Keeping<'_> {
        Keeping {
            read_at,
            whole_read_at,
            records: &self.records,
            legacy: self.picture.as_ref().map(|picture| picture.snapshot.legacy()).unwrap_or_default(),
            peaks: self.guard.peaks().collect(),
        }
    }

    /// Lets losses go or holds them back, and gives the picture of what is believed then.
    pub fn picture(&mut self, occasion: Occasion, now: Timestamp) -> Picture {
        if let Some(before) = &self.picture {
            // SMD may have been away for longer than the guard remembers.
            self.guard.note(before.snapshot.counts().servable_interfaces, now);
        }
        let had_losses = self.records.has_losses();
        let held_back = match had_losses {
            true => {
                let left = self.records.servable_without_losses();
                self.guard.judge(left, occasion, self.limits, now)
            }
            false => None,
        };
        if held_back.is_none() {
            self.records.let_go();
        }
        let mut picture = self.built(now);
        // Even where no record went, few machines may be left to serve: all with one address, for example.
        let left = picture.snapshot.counts().servable_interfaces;
        let rejected = match held_back {
            None => self.guard.judge(left, occasion, self.limits, now),
            // Counted already.
            Some(losses) => self.guard.is_too_few(left, self.limits, now).then(|| losses.with(left)),
        };
        if let Some(held_back) = rejected {
            return self.frozen(picture, held_back);
        }
        self.frozen = false;
        self.guard.note(picture.snapshot.counts().servable_interfaces, now);
        if let Some(held_back) = held_back {
            self.report(&mut picture, held_back);
        }
        picture.held_back = held_back;
        self.picture = Some(picture.clone());
        picture
    }

    /// The picture before this one, which is kept whole.
    fn frozen(&mut self, rejected: Picture, held_back: HeldBack) -> Picture {
        let mut picture = self.picture.clone().unwrap_or(rejected);
        self.forget_built();
        self.frozen = true;
        let sentence = format!("The inventory is left as it was. {held_back}");
        let mut problems = (*picture.problems).clone();
        problems.retain(|problem| problem.reason != Reason::HeldBack);
        problems.push(Problem::new(Reason::HeldBack, sentence));
        problems.sort();
        picture.problems = Arc::new(problems);
        picture.held_back = Some(held_back);
        self.picture = Some(picture.clone());
        picture
    }

    /// Says of each loss, within a bound, that it is held back.
    fn report(&self, picture: &mut Picture, held_back: HeldBack) {
        let (interfaces, components) = self.records.losses();
        let interfaces = interfaces.map(|record| {
            let message = format!("interface {} would be lost and is held back", record.mac);
            Problem::new(Reason::HeldBack, message)
                .of_mac(record.mac)
                .of_component(record.component_id.as_ref())
        });
        let components = components.map(|record| {
            let message = format!("SMD does not have {} any more; its loss is held back", record.id);
            Problem::new(Reason::HeldBack, message).of_component(Some(&record.id))
        });
        let mut problems: Vec<Problem> = picture.problems.iter().cloned().collect();
        problems.push(Problem::new(Reason::HeldBack, held_back.to_string()));
        problems.extend(interfaces.chain(components).take(MAX_HELD_BACK));
        problems.sort();
        picture.problems = Arc::new(problems);
    }

    /// In steps where little changed.
    fn built(&mut self, now: Timestamp) -> Picture {
        let revision = self.records.revision();
        let touched = self.records.take_touched();
        let before = self.picture.as_ref();
        if self.built == Some(revision)
            && let Some(before) = before
        {
            let mut picture = before.clone();
            without_reports(&mut picture);
            return picture;
        }
        // Of a picture by other rules, or one that was broken off, nothing can be said of what changed since.
        let goes_on = before.filter(|before| self.built.is_some() && before.naming == self.naming);
        let patched = goes_on.zip(touched).and_then(|(before, (macs, ids))| {
            let touched = Touched { macs, ids };
            snapshot::patch(&self.records, &self.naming, &before.snapshot, &before.problems, &touched, now)
        });
        let (snapshot, problems) = patched.unwrap_or_else(|| {
            let previous = before.map(|before| &*before.snapshot);
            snapshot::build(&self.records, &self.naming, previous, now)
        });
        self.built = Some(revision);
        let (snapshot, problems, naming) = (Arc::new(snapshot), Arc::new(problems), self.naming.clone());
        Picture { snapshot, problems, naming, held_back: None }
    }

    /// For the components that are decoded from here on, because groups are part of their records.
    fn learn_groups(&mut self, hash: u128, groups: Groups) {
        if self.groups.as_ref().is_none_or(|(held, _)| *held != hash) {
            self.groups = Some((hash, groups));
            self.hashes.components = None;
        }
    }

    fn learn_interfaces(&mut self, news: News<InterfaceRecord>) -> bool {
        let believed = match news.decoded {
            None => self.records.repeat_whole_interfaces(news.read),
            Some(decoded) => {
                self.newest = newest(&decoded.records);
                self.records.apply_whole_interfaces(news.read, decoded);
                true
            }
        };
        self.hashes.interfaces = believed.then_some(news.hash);
        believed
    }

    fn learn_components(&mut self, news: News<ComponentRecord>) -> bool {
        let believed = match news.decoded {
            None => self.records.repeat_whole_components(news.read),
            Some(mut decoded) => {
                self.add_groups(&mut decoded);
                self.records.apply_whole_components(news.read, decoded);
                true
            }
        };
        self.hashes.components = believed.then_some(news.hash);
        believed
    }

    fn learn_by_name(&mut self, answers: Vec<Asked<Xname, ComponentRecord>>) {
        for Asked { read, mut answer, .. } in answers {
            self.add_groups(&mut answer);
            self.records.apply_components(read, answer);
        }
    }

    fn add_groups(&self, decoded: &mut Decoded<ComponentRecord>) {
        let Some((_, groups)) = &self.groups else { return };
        for record in &mut decoded.records {
            record.groups = groups.get(&record.id).cloned().unwrap_or_default();
        }
    }
}

fn newest(records: &[InterfaceRecord]) -> Option<Timestamp> {
    records.iter().filter_map(|record| record.last_update).max()
}

/// What a picture said of losses is no longer so.
fn without_reports(picture: &mut Picture) {
    if picture.held_back.take().is_some() {
        let others = picture.problems.iter().filter(|problem| problem.reason != Reason::HeldBack);
        picture.problems = Arc::new(others.cloned().collect());
    }
}
