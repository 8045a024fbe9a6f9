//! `GetStatus`: is it well, and if not, why.

use crate::{
    records::Problem,
    smd::Source,
    snapshot::{Counts, contract::timestamp},
    state::{SourceStatus, State, View},
};
use jiff::{SignedDuration, Timestamp};
use proto::v1;
use std::collections::HashMap;

/// The contract: ListProblems has all of them.
const PROBLEMS: usize = 100;

/// What failed and was not tried again while all interfaces could be read is no trouble any more. A guess.
const FORGIVEN_AFTER: SignedDuration = SignedDuration::from_secs(60);

/// The whole answer.
pub fn status(state: &State) -> v1::Status {
    let view = state.view();
    let counts = view.snapshot.as_ref().map(|snapshot| snapshot.counts()).unwrap_or_default();
    let Counts { interfaces, components, addresses, names, servable_interfaces } = counts;
    let zones = view.snapshot.as_ref().map(|snapshot| snapshot.zones().iter().map(v1::Zone::from).collect());
    v1::Status {
        freshness: Some(state.freshness(&view)),
        version: daemon::SHORT_VERSION.to_owned(),
        started_at: Some(timestamp(state.started_at)),
        ready: view.snapshot.is_some(),
        warnings: warnings(state, &view),
        interfaces: interfaces as u64,
        components: components as u64,
        addresses: addresses as u64,
        names: names as u64,
        servable_interfaces: servable_interfaces as u64,
        sources: sources(state),
        problems_by_reason: problems_by_reason(&view.problems),
        problems: view.problems.iter().take(PROBLEMS).map(v1::Problem::from).collect(),
        clients: state.clients.messages(),
        zones: zones.unwrap_or_default(),
    }
}

/// What `/ready` says.
pub fn readiness(state: &State) -> daemon::State {
    let view = state.view();
    let why = warnings_about_reading(state, &view).join(" ");
    match &view.snapshot {
        None => daemon::State::Missing(why),
        Some(_) if state.is_stale(&view) => daemon::State::Degraded(why),
        Some(_) => daemon::State::Ready,
    }
}

fn warnings(state: &State, view: &View) -> Vec<String> {
    let mut warnings = warnings_about_reading(state, view);
    warnings.extend(view.held_back.map(|held_back| held_back.to_string()));
    warnings.extend(state.remarks());
    match view.problems.len() {
        0 => {}
        1 => warnings.push("One record of SMD has a problem: see problems.".into()),
        many => warnings
            .push(format!("{many} things are wrong with SMD's records: see problems and ListProblems.")),
    }
    warnings
}

fn warnings_about_reading(state: &State, view: &View) -> Vec<String> {
    let mut warnings = Vec::new();
    match &view.whole {
        None => warnings.push("SMD was not read yet: look-ups answer UNAVAILABLE.".to_owned()),
        Some(whole) if state.is_stale(view) => warnings.push(format!(
            "The inventory is stale: the last whole read of SMD began {} s ago, and stale_after is {} s.",
            whole.age().as_secs(),
            state.configured().stale_after.as_secs()
        )),
        Some(_) => {}
    }
    let sources = state.sources();
    let read_at = sources[Source::Interfaces as usize].last_success;
    for (source, status) in Source::ALL.iter().zip(sources) {
        if status.failures_in_a_row > 0 && !is_forgiven(status.last_failure, read_at) {
            let times = status.failures_in_a_row;
            warnings.push(format!("Reading {source} failed {times} times in a row: {}.", status.last_error));
        }
    }
    warnings
}

/// Some sources are asked only on occasion: a failure there would be warned of until the next one.
fn is_forgiven(failed_at: Option<Timestamp>, read_at: Option<Timestamp>) -> bool {
    failed_at.zip(read_at).is_some_and(|(failed, read)| read.duration_since(failed) > FORGIVEN_AFTER)
}

/// Sources that were never asked are left out.
fn sources(state: &State) -> Vec<v1::Source> {
    let asked = |status: &SourceStatus| status.successes + status.failures > 0;
    let all = Source::ALL.into_iter().zip(state.sources());
    all.filter(|(_, status)| asked(status)).map(|(source, status)| message(source, status)).collect()
}

fn message(source: Source, status: SourceStatus) -> v1::Source {
    v1::Source {
        name: source.label().to_owned(),
        last_success: status.last_success.map(timestamp),
        last_failure: status.last_failure.map(timestamp),
        last_error: status.last_error,
        successes: status.successes,
        failures: status.failures,
    }
}

fn problems_by_reason(problems: &[Problem]) -> HashMap<String, u64> {
    let mut counts = HashMap::new();
    for problem in problems {
        *counts.entry(problem.reason.label().to_owned()).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_on_occasion_is_not_warned_of_for_ever() {
        let at = |second| Some(Timestamp::from_second(second).unwrap());
        assert!(!is_forgiven(at(100), None), "nothing was ever read");
        assert!(!is_forgiven(at(100), at(10)), "it is the latest");
        assert!(!is_forgiven(at(100), at(110)), "a moment ago");
        assert!(is_forgiven(at(100), at(200)));
    }
}
