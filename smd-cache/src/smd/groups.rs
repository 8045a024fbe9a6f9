//! `GET groups`: who is a member of what.

use serde::Deserialize;
use std::collections::BTreeMap;
use values::Xname;

/// The groups of each component, sorted.
pub type Groups = BTreeMap<Xname, Vec<String>>;

#[derive(Deserialize)]
struct Group {
    label: String,
    #[serde(default)]
    members: Members,
}

#[derive(Default, Deserialize)]
struct Members {
    #[serde(default)]
    ids: Vec<String>,
}

/// Members that are no xnames are no components, so they are passed over.
pub fn decode(body: &[u8]) -> Result<Groups, serde_json::Error> {
    let mut groups = Groups::new();
    for Group { label, members } in serde_json::from_slice::<Vec<Group>>(body)? {
        for id in members.ids.iter().filter_map(|id| id.parse().ok()) {
            groups.entry(id).or_default().push(label.clone());
        }
    }
    for labels in groups.values_mut() {
        labels.sort_unstable();
        labels.dedup();
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_know_their_groups() {
        let body = br#"[{"label":"rack-a","description":"","tags":["t"],"members":{"ids":["x1000c0s0b0n0","x1000c0s0b0n1"]}},
            {"label":"blue","description":"","exclusiveGroup":"colour","members":{"ids":["X1000C0S0B0N0","?"]}},
            {"label":"empty","description":"","members":{"ids":[]}}, {"label":"none","description":""}]"#;
        let groups = decode(body).unwrap();
        assert_eq!(groups[&"x1000c0s0b0n0".parse::<Xname>().unwrap()], ["blue", "rack-a"]);
        assert_eq!(groups[&"x1000c0s0b0n1".parse::<Xname>().unwrap()], ["rack-a"]);
        assert_eq!(groups.len(), 2);
        assert!(decode(b"{}").is_err() && decode(b"[{}]").is_err());
    }
}
