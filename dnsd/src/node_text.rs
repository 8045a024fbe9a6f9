//! TXT about a machine (`dnsd.node_txt`): what SMD knows of it, one `key=value` string a fact and a record each (RFC 1464 §2).
//!
//! What changes while a machine boots (`state`) is left out: the inventory does not follow it.

use crate::{
    decide::POSITIVE_TTL,
    wire::{RrSet, kind},
};
use inventory::Component;
use std::sync::Arc;

/// RFC 1035 §3.3: a length octet.
const MAX_STRING: usize = 255;

/// Strings of one machine: some 16 kB. A guess: one with two thousand groups still has its answer on TCP.
const MAX_STRINGS: usize = 64;

/// The facts of those who bear a name; `None`: nobody does.
pub fn facts(components: &[Arc<Component>]) -> Option<RrSet> {
    let mut data: Vec<Box<[u8]>> = Vec::new();
    for text in components.iter().flat_map(|component| strings(component)).take(MAX_STRINGS) {
        let text: Box<[u8]> = [&[text.len() as u8], text.as_bytes()].concat().into();
        if !data.contains(&text) {
            data.push(text);
        }
    }
    (!data.is_empty()).then_some(RrSet { kind: kind::TXT, ttl: POSITIVE_TTL, data })
}

/// Each at most [`MAX_STRING`] bytes. What SMD does not say is not there.
fn strings(component: &Component) -> Vec<String> {
    let nid = component.nid.map(|nid| nid.to_string()).unwrap_or_default();
    let facts: [(&str, &str); 7] = [
        ("id", component.id.as_str()),
        ("nid", &nid),
        ("type", &component.kind),
        ("role", &component.role),
        ("sub_role", &component.sub_role),
        ("arch", &component.arch),
        ("class", &component.class),
    ];
    let known = facts.into_iter().filter(|(_, value)| !value.is_empty());
    let known = known.map(|(key, value)| cut(&format!("{key}={value}")).to_owned());
    known.chain(groups(component)).collect()
}

/// `groups=a,b,c`; those that do not fit go on in a further one.
fn groups(component: &Component) -> Vec<String> {
    const KEY: &str = "groups=";
    let mut strings: Vec<String> = Vec::new();
    for group in component.groups.iter().filter(|group| !group.is_empty()) {
        match strings.last_mut() {
            Some(last) if last.len() + 1 + group.len() <= MAX_STRING => {
                last.push(',');
                last.push_str(group);
            }
            _ => strings.push(cut(&format!("{KEY}{}", &**group)).to_owned()),
        }
    }
    strings
}

/// As much of it as a string holds, in whole characters.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(MAX_STRING);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(role: &str, groups: Vec<String>) -> Arc<Component> {
        let component = proto::v1::Component {
            id: "x1000c0s0b0n0".into(),
            r#type: "Node".into(),
            nid: Some(7),
            role: role.into(),
            sub_role: "Worker".into(),
            arch: "X86".into(),
            class: "River".into(),
            state: "On".into(),
            groups,
            names: vec!["n.c.local".into()],
            ..Default::default()
        };
        let replica =
            inventory::Replica::from_messages("c.local", vec![], vec![], vec![component], Default::default());
        replica.components().next().unwrap().clone()
    }

    fn texts(component: Arc<Component>) -> Vec<String> {
        let set = facts(&[component]).unwrap();
        assert_eq!((set.kind, set.ttl), (kind::TXT, POSITIVE_TTL));
        let text = |data: &[u8]| {
            assert_eq!(usize::from(data[0]), data.len() - 1, "one string a record");
            String::from_utf8(data[1..].to_vec()).unwrap()
        };
        set.data.iter().map(|data| text(data)).collect()
    }

    #[test]
    fn each_fact_is_a_string_and_what_is_not_known_is_not_there() {
        let all = texts(component("Compute", vec!["blue".into(), "green".into()]));
        let wanted =
            ["id=x1000c0s0b0n0", "nid=7", "type=Node", "role=Compute", "sub_role=Worker", "arch=X86"];
        assert_eq!(all, [&wanted[..], &["class=River", "groups=blue,green"]].concat());
        assert!(
            texts(component("", vec![]))
                .iter()
                .all(|text| !text.starts_with("role") && !text.starts_with("groups"))
        );
        assert_eq!(facts(&[]), None, "a parent of names");
    }

    #[test]
    fn long_values_are_cut_in_whole_characters_and_quotes_are_letters() {
        let all = texts(component(&format!("ab\"c\\{}", "é".repeat(200)), vec![]));
        let role = all.iter().find(|text| text.starts_with("role=")).unwrap();
        assert!(role.starts_with("role=ab\"c\\é") && role.len() == 254, "{} {role}", role.len());
    }

    #[test]
    fn many_groups_go_on_in_further_strings_up_to_a_bound() {
        let names: Vec<String> = (0..100).map(|number| format!("group-{number:03}")).collect();
        let all = texts(component("", names.clone()));
        let told: Vec<&str> = all
            .iter()
            .filter_map(|text| text.strip_prefix("groups="))
            .flat_map(|list| list.split(','))
            .collect();
        assert_eq!(told, names);
        assert!(all.iter().all(|text| text.len() <= MAX_STRING));
        let many = (0..5000).map(|number| format!("a-group-with-a-long-name-{number:04}")).collect();
        assert_eq!(texts(component("", many)).len(), MAX_STRINGS);
        let one = texts(component("", vec!["g".repeat(300)]));
        assert_eq!(one.last().unwrap().len(), MAX_STRING);
    }
}
