//! Groups, partitions and memberships.

use super::{
    answer::Answer,
    interfaces::decode,
    query::Pairs,
    state::State,
    types::{Group, Partition},
    xname,
};
use serde::Serialize;

/// `GET groups`, by `group` and `tag`.
pub(crate) fn list(state: &State, query: &Pairs) -> Answer {
    let has = |key: &str, words: &[&str]| {
        query.all(key).is_none_or(|wanted| wanted.iter().any(|w| words.contains(w)))
    };
    let fits = |group: &&Group| {
        let tags: Vec<&str> = group.tags.iter().map(String::as_str).collect();
        has("group", &[&group.label]) && has("tag", &tags)
    };
    Answer::json(&state.groups.iter().filter(fits).collect::<Vec<_>>())
}

/// `GET groups/labels`.
pub(crate) fn labels(state: &State) -> Answer {
    Answer::json(&state.groups.iter().map(|group| &group.label).collect::<Vec<_>>())
}

/// `GET groups/{label}`.
pub(crate) fn one(state: &State, label: &str) -> Answer {
    match find(state, label) {
        Some(group) => Answer::json(group),
        None => no_such(label),
    }
}

/// `GET groups/{label}/members`.
pub(crate) fn members(state: &State, label: &str) -> Answer {
    match find(state, label) {
        Some(group) => Answer::json(&group.members),
        None => no_such(label),
    }
}

fn find<'a>(state: &'a State, label: &str) -> Option<&'a Group> {
    state.groups.iter().find(|group| group.label == label.to_lowercase())
}

fn no_such(label: &str) -> Answer {
    Answer::missing(&format!("No such group: {label}"))
}

/// `POST groups`.
pub(crate) fn create(state: &mut State, text: &[u8]) -> Answer {
    let mut group: Group = match decode(text, "sm.Group") {
        Ok(group) => group,
        Err(answer) => return answer,
    };
    group.label = group.label.to_lowercase();
    if !valid_label(&group.label) {
        return Answer::bad("couldn't validate group: group or partition field has invalid characters");
    }
    if find(state, &group.label).is_some() {
        return Answer::conflict(
            "operation would conflict with an existing group that has the same label or duplicate ids found in request.",
        );
    }
    if let Err(answer) = known_members(state, &mut group.members.ids) {
        return answer;
    }
    if taken(state, &group) {
        return Answer::conflict(
            "operation would conflict with an existing member in another exclusive group.",
        );
    }
    let path = format!("/hsm/v2/groups/{}", group.label);
    state.groups.push(group);
    Answer::created(&path, true)
}

fn valid_label(label: &str) -> bool {
    !label.is_empty() && label.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.:".contains(&c))
}

fn known_members(state: &State, ids: &mut Vec<String>) -> Result<(), Answer> {
    *ids = ids.iter().filter_map(|id| xname::normal(id)).collect();
    match ids.iter().all(|id| state.components.find(id).is_some()) {
        true => Ok(()),
        false => Err(Answer::bad("linked component does not exist")),
    }
}

/// A member is in another group of the same exclusive kind.
fn taken(state: &State, group: &Group) -> bool {
    let others =
        state.groups.iter().filter(|g| !group.exclusive.is_empty() && g.exclusive == group.exclusive);
    others.flat_map(|other| &other.members.ids).any(|id| group.members.ids.contains(id))
}

/// `POST groups/{label}/members` with `{"id": xname}`.
pub(crate) fn add_member(state: &mut State, label: &str, text: &[u8]) -> Answer {
    #[derive(serde::Deserialize)]
    struct Member {
        id: String,
    }
    let member: Member = match decode(text, "sm.MemberAddBody") {
        Ok(member) => member,
        Err(answer) => return answer,
    };
    let mut ids = vec![member.id];
    if let Err(answer) = known_members(state, &mut ids) {
        return answer;
    }
    let label = label.to_lowercase();
    let Some(group) = state.groups.iter_mut().find(|group| group.label == label) else {
        return no_such(&label);
    };
    group.members.ids.retain(|id| !ids.contains(id));
    let path = format!("/hsm/v2/groups/{label}/members/{}", ids.first().map_or("", |id| id));
    group.members.ids.append(&mut ids);
    Answer::created(&path, true)
}

/// `DELETE groups/{label}/members/{xname}`.
pub(crate) fn delete_member(state: &mut State, label: &str, id: &str) -> Answer {
    let id = xname::normal(id).unwrap_or_default();
    let Some(group) = state.groups.iter_mut().find(|group| group.label == label.to_lowercase()) else {
        return no_such(label);
    };
    let before = group.members.ids.len();
    group.members.ids.retain(|member| *member != id);
    if group.members.ids.len() < before {
        Answer::message("deleted 1 entry")
    } else {
        Answer::missing("group has no such member.")
    }
}

/// `DELETE groups/{label}`.
pub(crate) fn delete(state: &mut State, label: &str) -> Answer {
    let before = state.groups.len();
    state.groups.retain(|group| group.label != label.to_lowercase());
    if state.groups.len() < before { Answer::message("deleted 1 entry") } else { no_such(label) }
}

/// `GET partitions`.
pub(crate) fn partitions(state: &State) -> Answer {
    Answer::json(&state.partitions)
}

/// `POST partitions`.
pub(crate) fn create_partition(state: &mut State, text: &[u8]) -> Answer {
    let mut partition: Partition = match decode(text, "sm.Partition") {
        Ok(partition) => partition,
        Err(answer) => return answer,
    };
    if let Err(answer) = known_members(state, &mut partition.members.ids) {
        return answer;
    }
    let path = format!("/hsm/v2/partitions/{}", partition.name);
    state.partitions.push(partition);
    Answer::created(&path, true)
}

#[derive(Serialize)]
struct Membership<'a> {
    id: &'a str,
    #[serde(rename = "groupLabels")]
    groups: Vec<&'a str>,
    #[serde(rename = "partitionName")]
    partition: &'a str,
}

impl<'a> Membership<'a> {
    fn of(state: &'a State, id: &'a str) -> Membership<'a> {
        let has = |ids: &[String]| ids.iter().any(|member| member == id);
        let groups = state.groups.iter().filter(|group| has(&group.members.ids));
        let partition = state.partitions.iter().find(|partition| has(&partition.members.ids));
        Membership {
            id,
            groups: groups.map(|group| group.label.as_str()).collect(),
            partition: partition.map_or("", |partition| &partition.name),
        }
    }
}

/// `GET memberships`: every component. (SMD's order is arbitrary; ours is that of the components.)
pub(crate) fn memberships(state: &State) -> Answer {
    Answer::json(&state.components.iter().map(|row| Membership::of(state, &row.id)).collect::<Vec<_>>())
}

/// `GET memberships/{xname}`.
pub(crate) fn membership(state: &State, id: &str) -> Answer {
    match xname::normal(id).and_then(|id| state.components.find(&id)) {
        Some(row) => Answer::json(&Membership::of(state, &row.id)),
        None => Answer::missing(&format!("No such xname: {id}")),
    }
}
