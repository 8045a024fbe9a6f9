//! What the owner says to people: the log, and the remarks of `GetStatus`.

use super::Owner;
use crate::{records::Reason, smd::Source, state::View};
use std::sync::Arc;

impl Owner {
    pub(super) fn report(&self, old: &View, view: &View) {
        let Some(snapshot) = &view.snapshot else { return };
        let counts = snapshot.counts();
        let (interfaces, components, problems) = (counts.interfaces, counts.components, view.problems.len());
        let generation = snapshot.generation();
        match old.snapshot {
            None => tracing::info!(generation, interfaces, components, problems, "SMD was read: serving"),
            Some(_) if old.generation() != generation => {
                tracing::info!(generation, interfaces, components, problems, "the inventory changed");
            }
            Some(_) => tracing::debug!(generation, interfaces, components, problems, "SMD was read"),
        }
        match (&old.held_back, &view.held_back) {
            (None, Some(held_back)) => {
                tracing::error!(left = held_back.left, of = held_back.of, "{held_back}")
            }
            (Some(_), None) => tracing::warn!(interfaces, "losses are not held back any more"),
            _ => {}
        }
        if !Arc::ptr_eq(&old.problems, &view.problems) {
            report_problems(old, view);
        }
    }

    pub(super) fn remark(&self) {
        let groups_fail =
            self.settings.groups && self.state.sources()[Source::Groups as usize].failures_in_a_row > 0;
        let groups = groups_fail.then(|| match self.believed.has_groups() {
            true => "Rules that match on groups go by the groups that were read last.".to_owned(),
            false => {
                "Rules that match on groups match nothing: SMD's groups cannot be read (they want a token)."
                    .to_owned()
            }
        });
        let trouble = Some(&self.keep.trouble).filter(|trouble| !trouble.is_empty());
        let file = trouble.map(|trouble| {
            format!("The snapshot file cannot be written ({trouble}): a restart while SMD is down would serve an older one, or nothing.")
        });
        let files = self.reader.client().file_problems();
        self.state.set_remarks(groups.into_iter().chain(files).chain(file).collect());
    }
}

fn report_problems(old: &View, view: &View) {
    let known = |reason| old.problems.iter().filter(|problem| problem.reason == reason).count();
    for reason in Reason::ALL.into_iter().filter(|reason| *reason != Reason::HeldBack) {
        let now = view.problems.iter().filter(|problem| problem.reason == reason);
        let (count, before) = (now.clone().count(), known(reason));
        if let Some(example) = now.clone().next().filter(|_| count > before) {
            let reason = reason.label();
            tracing::warn!(reason, count, example = example.message, "SMD has records with a problem");
        }
    }
}
