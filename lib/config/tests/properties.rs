//! No text makes the parsers panic, and an id set never expanded equals the one that is.

use config::parse;
use proptest::prelude::*;
use std::collections::BTreeSet;
use values::Xname;

const MANUAL: &str = include_str!("../../../coresmd.example.yaml");

/// The manual with every key on.
fn everything() -> String {
    let on = |line: &str| {
        let indent = line.len() - line.trim_start().len();
        match line[indent..].strip_prefix('#') {
            Some(rest) if !rest.starts_with([' ', '#']) => format!("{}{rest}\n", &line[..indent]),
            _ => format!("{line}\n"),
        }
    };
    MANUAL.lines().map(on).collect()
}

/// Mistakes point into the text.
fn is_sound(text: &str) {
    if let Err(mistakes) = parse(text) {
        assert!(!mistakes.0.is_empty());
        // At the latest the line after the last, where something is missing. A carriage return alone ends a line in YAML,
        // and the parser counts some of those twice.
        let lines = 2 + text.matches('\n').count() + 2 * text.matches('\r').count();
        for mistake in mistakes.0 {
            assert!(
                mistake.line >= 1 && mistake.line <= lines && mistake.column >= 1,
                "{mistake} in {text:?}"
            );
        }
    }
}

fn piece() -> impl Strategy<Value = String> {
    let words = [
        "type",
        "Node",
        ":",
        ",",
        "|",
        "hostname",
        "nid{04d}",
        "{id}",
        "'",
        "\"",
        "[",
        "]",
        "{",
        "}",
        "0-3",
        "x1000c0s",
        "id_set",
        "subnet",
        "10.0.0.0/8",
        "continue",
        "true",
        " ",
        "\\",
        "ü",
        "-",
        "\n",
        "\n  ",
        "- ",
        "#",
        "&a",
        "*a",
        "!t",
        "|\n",
        ">\n",
        "? ",
        ": ",
        "\t",
        "~",
        "%",
        "---\n",
        "...",
    ];
    prop_oneof![proptest::sample::select(words.to_vec()).prop_map(str::to_owned), ".{0,3}"]
}

fn pieces() -> impl Strategy<Value = String> {
    proptest::collection::vec(piece(), 0..40).prop_map(|pieces| pieces.concat())
}

/// Numbers, as single ones and ranges.
fn numbers() -> impl Strategy<Value = Vec<(u64, u64)>> {
    proptest::collection::vec((0u64..12, 0u64..5).prop_map(|(first, more)| (first, first + more)), 1..4)
}

fn bracket(ranges: &[(u64, u64)]) -> String {
    let range = |(first, last): &(u64, u64)| match first == last {
        true => format!("{first}"),
        false => format!("{first}-{last:02}"),
    };
    format!("[{}]", ranges.iter().map(range).collect::<Vec<_>>().join(","))
}

fn expand(chassis: &[(u64, u64)], slots: &[(u64, u64)]) -> BTreeSet<String> {
    let all = |ranges: &[(u64, u64)]| ranges.iter().flat_map(|(a, b)| *a..=*b).collect::<Vec<_>>();
    all(chassis).iter().flat_map(|c| all(slots).into_iter().map(move |s| format!("x1c{c}s{s}"))).collect()
}

proptest! {
    // No file of past failures: a failing input becomes a line in a table.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_without_panic(text in ".{0,200}") {
        is_sound(&text);
    }

    #[test]
    fn any_pieces_are_read_without_panic(text in pieces()) {
        is_sound(&text);
    }

    #[test]
    fn any_rule_is_read_without_panic(text in pieces()) {
        is_sound(&format!("rules:\n  - '{}'\n", text.replace('\'', "''").replace('\n', " ")));
        is_sound(&format!("rules:\n  - {text}\n"));
    }

    #[test]
    fn any_record_is_read_without_panic(text in "[a-z@.;\" 0-9\\\\ATXCNMES]{0,30}") {
        is_sound(&format!("domain: d\ndnsd:\n  records:\n    - '{text}'\n"));
    }

    #[test]
    fn the_manual_with_a_hole_is_read_without_panic(start in 0usize..20_000, length in 0usize..40, filling in piece()) {
        let text: Vec<char> = everything().chars().collect();
        let start = start % text.len();
        let end = (start + length).min(text.len());
        let holed: String = text[..start].iter().copied().chain(filling.chars()).chain(text[end..].iter().copied()).collect();
        is_sound(&holed);
    }

    #[test]
    fn an_id_set_equals_its_expansion(chassis in numbers(), slots in numbers()) {
        let text = format!("rules:\n  - 'id_set:x1c{}s{}|x7,hostname:a'", bracket(&chassis), bracket(&slots));
        let set = parse(&text).unwrap().rules.remove(0).matches.ids.unwrap();
        let expanded = expand(&chassis, &slots);
        for c in 0..20 {
            for s in 0..20 {
                let id = format!("x1c{c}s{s}");
                let xname: Xname = id.parse().unwrap();
                prop_assert_eq!(set.contains(&xname), expanded.contains(&id), "{} in {}", id, text);
            }
        }
        prop_assert!(set.contains(&"x7".parse().unwrap()));
    }
}
