//! `service/values`: the words SMD knows. SMD lists them in no particular order; here it is one recorded.

use super::answer::Answer;
use serde_json::{Map, Value, json};

const WORDS: &[(&str, &[&str])] = &[
    ("Arch", &["ARM", "UNKNOWN", "Other", "X86"]),
    ("Class", &["River", "Mountain", "Hill"]),
    ("Flag", &["Locked", "Unknown", "OK", "Warning", "Warning", "Alert"]),
    ("NetType", &["Sling", "Infiniband", "Ethernet", "OEM", "None"]),
    ("Role", &["Management", "Compute", "Service", "System", "Application", "Storage"]),
    ("SubRole", &["Master", "Worker", "Storage"]),
    ("State", &["Standby", "Halt", "Ready", "Unknown", "Empty", "Populated", "Off", "On"]),
];

/// Types that no xname has, which are listed besides.
const ALSO_TYPES: &[&str] = &["All", "AllComp", "AllSvc", "INVALID"];

fn words(name: &str) -> Option<Vec<&'static str>> {
    if name == "Type" {
        return Some(super::xname::kinds().chain(ALSO_TYPES.iter().copied()).collect());
    }
    WORDS.iter().find(|(known, _)| *known == name).map(|(_, words)| words.to_vec())
}

/// All lists.
pub(crate) fn all() -> Answer {
    let names = WORDS.iter().map(|(name, _)| *name).chain(["Type"]);
    let lists: Map<String, Value> =
        names.filter_map(|name| Some((name.to_owned(), json!(words(name)?)))).collect();
    Answer::json(&lists)
}

/// One list, whose name is asked for in lower case.
pub(crate) fn one(asked: &str) -> Option<Answer> {
    let name =
        WORDS.iter().map(|(name, _)| *name).chain(["Type"]).find(|name| name.eq_ignore_ascii_case(asked))?;
    Some(Answer::json(&json!({ name: words(name)? })))
}
