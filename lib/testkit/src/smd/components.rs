//! `State/Components`: the reads with their filters, and the writes.

use super::{
    answer::Answer,
    interfaces::decode,
    query::Pairs,
    state::State,
    types::{Component, Components},
    xname,
};
use serde::Deserialize;

const STATES: &[&str] = &["Unknown", "Empty", "Populated", "Off", "On", "Standby", "Halt", "Ready"];
const ROLES: &[&str] = &["Compute", "Service", "System", "Application", "Storage", "Management"];
const NO_SUCH_XNAME: &str = "no such xname.";

/// How much of each component is shown.
#[derive(Clone, Copy)]
enum Shown {
    All,
    State,
    Nid,
}

impl Shown {
    fn of(query: &Pairs) -> Shown {
        match (query.is_true("stateonly"), query.is_true("nidonly")) {
            (true, _) => Shown::State,
            (_, true) => Shown::Nid,
            _ => Shown::All,
        }
    }

    fn cut(self, row: &Component) -> Component {
        let key = Component { id: row.id.clone(), kind: row.kind.clone(), ..Component::default() };
        match self {
            Shown::All => row.clone(),
            Shown::State => Component { state: row.state.clone(), flag: row.flag.clone(), ..key },
            Shown::Nid => Component { nid: row.nid, ..key },
        }
    }
}

/// `GET` of the collection.
pub(crate) fn list(state: &State, query: &Pairs) -> Answer {
    let kinds = match query.all("type") {
        None => None,
        Some(kinds) => match kinds.iter().map(|kind| xname::known_kind(kind)).collect::<Option<Vec<_>>>() {
            Some(kinds) => Some(kinds),
            None => return Answer::bad("bad query param: Argument was not a valid HMS Type"),
        },
    };
    let in_groups = group_filter(state, query);
    let ranges = nid_filter(query);
    let fits = |row: &Component| {
        kinds.as_ref().is_none_or(|kinds| kinds.contains(&row.kind.as_str()))
            && ranges
                .as_ref()
                .is_none_or(|ranges| ranges.iter().any(|&(from, to)| (from..=to).contains(&row.nid)))
            && in_groups.as_ref().is_none_or(|fits| fits(&row.id))
            && words(query, row)
    };
    let mut found: Vec<&Component> = candidates(state, query).filter(|row| fits(row)).collect();
    if in_groups.is_some() {
        found.sort_by(|a, b| a.id.cmp(&b.id)); // SMD's join answers in the order of the key
    }
    let shown = Shown::of(query);
    body(found.into_iter().map(|row| shown.cut(row)).collect())
}

fn body(components: Vec<Component>) -> Answer {
    Answer::json(&Components { components })
}

fn candidates<'a>(state: &'a State, query: &Pairs) -> Box<dyn Iterator<Item = &'a Component> + 'a> {
    let Some(ids) = query.all("id") else { return Box::new(state.components.iter()) };
    let mut ids: Vec<String> = ids.iter().filter_map(|id| xname::normal(id)).collect();
    ids.sort_unstable();
    ids.dedup();
    Box::new(ids.into_iter().filter_map(|id| state.components.find(&id)))
}

/// The filters that compare a word, in any case.
fn words(query: &Pairs, row: &Component) -> bool {
    let enabled = if row.enabled.unwrap_or_default() { "true" } else { "false" };
    let fields = [
        ("state", row.state.as_str()),
        ("flag", &row.flag),
        ("role", &row.role),
        ("subrole", &row.sub_role),
        ("arch", &row.arch),
        ("class", &row.class),
        ("enabled", enabled),
    ];
    fields.iter().all(|(key, value)| {
        query.all(key).is_none_or(|wanted| wanted.iter().any(|text| text.eq_ignore_ascii_case(value)))
    })
}

fn nid_filter(query: &Pairs) -> Option<Vec<(i64, i64)>> {
    let number = |key: &str| query.first(key).and_then(|text| text.parse().ok());
    if let Some(nids) = query.all("nid") {
        return Some(nids.iter().filter_map(|text| text.parse().ok()).map(|nid| (nid, nid)).collect());
    }
    match (number("nid_start"), number("nid_end")) {
        (None, None) => None,
        (from, to) => Some(vec![(from.unwrap_or(i64::MIN), to.unwrap_or(i64::MAX))]),
    }
}

type IdFilter<'a> = Box<dyn Fn(&str) -> bool + 'a>;

/// `group` (NULL: in none) and `partition`.
fn group_filter<'a>(state: &'a State, query: &Pairs) -> Option<IdFilter<'a>> {
    if let Some(labels) = query.all("group") {
        let labels: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
        return Some(Box::new(move |id| {
            let mut of =
                state.groups.iter().filter(|g| g.members.ids.iter().any(|member| member == id)).peekable();
            (labels.iter().any(|label| label == "NULL") && of.peek().is_none())
                || of.any(|group| labels.contains(&group.label))
        }));
    }
    let names: Vec<String> = query.all("partition")?.iter().map(|&name| name.to_owned()).collect();
    Some(Box::new(move |id| {
        let named = state.partitions.iter().filter(|p| names.contains(&p.name));
        named.flat_map(|p| &p.members.ids).any(|member| member == id)
    }))
}

/// `GET` of one.
pub(crate) fn one(state: &State, id: &str) -> Answer {
    match xname::normal(id).and_then(|id| state.components.find(&id)) {
        Some(row) => Answer::json(row),
        None => Answer::missing(NO_SUCH_XNAME),
    }
}

/// `GET ByNID/{nid}`: the first of that NID.
pub(crate) fn by_nid(state: &State, nid: &str) -> Answer {
    let Ok(nid) = nid.parse::<i64>() else { return Answer::missing("no such NID.") };
    match state.components.iter().find(|row| row.nid == nid) {
        Some(row) => Answer::json(row),
        None => Answer::missing("no such NID."),
    }
}

/// The bodies of `Query` and `ByNID/Query`.
#[derive(Deserialize)]
struct Asked {
    #[serde(rename = "ComponentIDs", default)]
    ids: Vec<String>,
    #[serde(rename = "NIDRanges", default)]
    ranges: Vec<String>,
    #[serde(default)]
    nidonly: bool,
    #[serde(default)]
    stateonly: bool,
}

/// `POST Query` and `POST ByNID/Query`.
pub(crate) fn ask(state: &State, body_text: &[u8]) -> Answer {
    let asked: Asked = match decode(body_text, "sm.CompQuery") {
        Ok(asked) => asked,
        Err(answer) => return answer,
    };
    let ids: Vec<String> = asked.ids.iter().filter_map(|id| xname::normal(id)).collect();
    let in_range = |nid: i64| {
        asked.ranges.iter().any(|range| {
            let (from, to) = range.split_once('-').unwrap_or((range, range));
            from.parse().is_ok_and(|from: i64| nid >= from) && to.parse().is_ok_and(|to: i64| nid <= to)
        })
    };
    let shown = match (asked.stateonly, asked.nidonly) {
        (true, _) => Shown::State,
        (_, true) => Shown::Nid,
        _ => Shown::All,
    };
    let found = state.components.iter().filter(|row| ids.contains(&row.id) || in_range(row.nid));
    body(found.map(|row| shown.cut(row)).collect())
}

/// `POST` of the collection. One that exists is left alone.
pub(crate) fn create(state: &mut State, text: &[u8]) -> Answer {
    let mut given: Components = match decode(text, "sm.CompsPost") {
        Ok(given) => given,
        Err(answer) => return answer,
    };
    for component in &mut given.components {
        if let Err(what) = complete(component) {
            return Answer::bad(&format!("couldn't validate components: {what}"));
        }
    }
    for component in given.components {
        if state.components.find(&component.id).is_none() {
            state.put_component(component);
        }
    }
    Answer::done()
}

/// Checks a posted component and fills in what SMD fills in.
fn complete(component: &mut Component) -> Result<(), String> {
    let Some(id) = xname::normal(&component.id) else {
        return Err(format!("xname ID '{}' is invalid", component.id));
    };
    let known = |list: &[&str], text: &str| list.iter().any(|word| word.eq_ignore_ascii_case(text));
    if !known(STATES, &component.state) {
        return Err(format!("state '{}' is invalid", component.state));
    }
    if !component.role.is_empty() && !known(ROLES, &component.role) {
        return Err(format!("role '{}' is invalid", component.role));
    }
    component.kind = xname::kind(&id).unwrap_or_default().to_owned();
    component.id = id;
    component.enabled = component.enabled.or(Some(true));
    if component.flag.is_empty() {
        component.flag = "OK".to_owned();
    }
    if component.kind == "Node" {
        if component.nid == 0 {
            component.nid = xname::made_nid(&component.id);
        }
        if component.role.is_empty() {
            component.role = "Compute".to_owned();
        }
    }
    Ok(())
}

/// `PATCH {xname}/FIELD`: the fields that matter to us.
pub(crate) fn patch(state: &mut State, id: &str, field: &str, text: &[u8]) -> Answer {
    let given: Component = match decode(text, "sm.CompPatch") {
        Ok(given) => given,
        Err(answer) => return answer,
    };
    let Some(mut row) = xname::normal(id).and_then(|id| state.components.find(&id).cloned()) else {
        return Answer::missing(NO_SUCH_XNAME);
    };
    match field {
        "NID" => row.nid = given.nid,
        "Role" => (row.role, row.sub_role) = (given.role, given.sub_role),
        "Enabled" => row.enabled = given.enabled.or(row.enabled),
        "StateData" => {
            row.state = given.state;
            if !given.flag.is_empty() {
                row.flag = given.flag;
            }
        }
        _ => row.flag = given.flag,
    }
    state.put_component(row);
    Answer::done()
}

/// `DELETE` of one.
pub(crate) fn delete(state: &mut State, id: &str) -> Answer {
    match xname::normal(id) {
        Some(id) if state.remove_component(&id) => Answer::message("deleted 1 entry"),
        _ => Answer::missing(NO_SUCH_XNAME),
    }
}

/// `DELETE` of the collection.
pub(crate) fn delete_all(state: &mut State) -> Answer {
    let ids: Vec<String> = state.components.iter().map(|row| row.id.clone()).collect();
    for id in &ids {
        state.remove_component(id);
    }
    Answer::message(&format!("deleted {} entries", ids.len()))
}
