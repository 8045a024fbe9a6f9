//! In which order the recordings were made, and at which time each write happened: as far as can be told from the answers.

use super::Recording;
use serde_json::Value;
use std::collections::BTreeMap;
use testkit::smd::{Inventory, Timestamp};

/// Stands for the real token, which is not in the recordings.
pub const TOKEN: &str = "a-good-token";

/// Recordings that are answered by one stand-in, in this order.
#[derive(Default)]
pub struct Chapter {
    /// What it starts with.
    pub inventory: Inventory,
    /// Asks for tokens, in which words.
    pub tokensmith: Option<bool>,
    /// Recordings.
    pub names: Vec<String>,
}

/// The whole story.
pub fn chapters(all: &BTreeMap<String, Recording>) -> Vec<Chapter> {
    let like = |prefix: &str| all.keys().filter(|name| name.starts_with(prefix)).cloned().collect::<Vec<_>>();
    let list = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let empty = list(
        "empty-components empty-groups empty-interfaces empty-memberships empty-partitions ready liveness not-found
         old-version root",
    );
    let load = list(
        "write-components write-interface write-interface-02 write-interface-03 write-interface-04 write-interface-05
         write-interface-06 write-interface-07 write-interface-08 write-interface-09 write-interface-10
         write-interface-11 write-group write-group-exclusive write-partition",
    );
    let refused_groups = list(
        "write-group-bad-label write-group-duplicate write-group-exclusive-conflict write-group-unknown-member",
    );
    let changes = list(
        "change-nothing change-component change-component-empty change-component-seen-by-newer-than change-description
         change-missing change-addresses change-addresses-seen-by-newer-than change-add-address
         change-add-address-again change-delete-address change-delete-address-missing delete-interface
         delete-interface-again delete-component delete-component-again change-nid interfaces-after-changes
         components-after-changes",
    );
    let odd = list(
        "write-interface-array write-interface-not-json write-interface-bad-component write-interface-bad-mac
         write-interface-bad-mac-letters write-interface-minus-mac write-interface-empty-mac
         write-interface-empty-address write-interface-infiniband-mac write-interface-duplicate-mac
         write-interface-duplicate-mac-other-spelling write-interface-duplicate-address write-interface-bad-address
         write-interface-same-address-twice write-interface-zero-mac write-interface-broadcast-mac
         write-interface-unknown-component write-components-bad-role write-components-bad-state
         write-components-bad-xname write-components-no-state write-components-not-json
         write-components-duplicate-nid write-components-upper-case-xname write-components-leading-zeros-xname
         write-components-string-nid interfaces-odd components-odd",
    );
    let late = [&changes[..], &odd[..]].concat();
    let reads = [
        "component",
        "group",
        "interface",
        "membership",
        "partitions",
        "head-",
        "method-",
        "options-",
        "values",
    ];
    let reads = reads.iter().flat_map(|prefix| like(prefix)).filter(|name| !late.contains(name)).collect();
    vec![
        Chapter { names: [empty, load, refused_groups, reads, changes, odd].concat(), ..Chapter::default() },
        Chapter {
            names: list("redfish-write-1 redfish-write-2 redfish-components redfish-interfaces redfish-same-mac-other-spelling"),
            ..Chapter::default()
        },
        Chapter { names: like("database-down"), ..Chapter::default() },
        Chapter {
            inventory: of_the_token_tests(all),
            tokensmith: Some(false),
            names: list(
                "auth-legacy-no-token auth-legacy-no-token-component auth-legacy-no-token-groups auth-legacy-garbage
                 auth-legacy-good-token auth-legacy-public-bad-token auth-legacy-public-interfaces",
            ),
        },
        Chapter { inventory: of_the_token_tests(all), tokensmith: Some(true), names: like("auth-tokensmith-") },
    ]
}

/// The tokens were tried on a later state, of which the recordings show these rows.
fn of_the_token_tests(all: &BTreeMap<String, Recording>) -> Inventory {
    Inventory {
        interfaces: serde_json::from_value(all["auth-legacy-public-interfaces"].body.clone()).unwrap(),
        groups: serde_json::from_value(all["auth-legacy-good-token"].body.clone()).unwrap(),
        components: Vec::new(),
    }
}

/// What is sent where the recording has a token.
pub fn token_of(name: &str) -> &'static str {
    if name.ends_with("good-token") { "Bearer a-good-token" } else { "Bearer garbage" }
}

/// The database's clock at a write: what later reads show as `LastUpdate` of the rows it wrote.
pub fn times_of(name: &str, recording: &Recording, all: &BTreeMap<String, Recording>) -> Vec<Timestamp> {
    let time = |row: &Value| row["LastUpdate"].as_str().and_then(|text| text.parse().ok());
    let rows = |read: &str| all[read].body.as_array().cloned().unwrap_or_default();
    let written = |id: &str, read: &str| rows(read).iter().find(|row| row["ID"] == id).and_then(time);
    let redfish = |from: usize| rows("redfish-interfaces")[from..from + 2].iter().filter_map(time).collect();
    match name {
        "redfish-write-1" => redfish(0),
        "redfish-write-2" => redfish(2),
        "change-delete-address" => written("020000003001", "interfaces-after-changes").into_iter().collect(),
        _ if recording.request_body.is_none() => Vec::new(),
        _ => {
            let id =
                recording.body["URI"].as_str().and_then(|uri| uri.rsplit('/').next()).unwrap_or_default();
            let later = ["interfaces", "interfaces-odd"].into_iter().find_map(|read| written(id, read));
            time(&recording.body).or(later).into_iter().collect()
        }
    }
}
