//! The example file is the manual: it equals the defaults, and explains every key there is.

use crate::{
    Config, parse,
    reader::{Book, Field},
    rules, schema,
    yaml::{self, Data, Node},
};
use std::collections::BTreeSet;

const MANUAL: &str = include_str!("../../../coresmd.example.yaml");

/// A line that is off: `#` right before a key or a list's dash. Prose has a blank after it.
fn off(line: &str) -> Option<String> {
    let rest = line
        .trim_start()
        .strip_prefix('#')
        .filter(|rest| !rest.is_empty() && !rest.starts_with([' ', '#']))?;
    Some(format!("{}{rest}", &line[..line.len() - line.trim_start().len()]))
}

fn everything_on() -> String {
    MANUAL.lines().map(|line| off(line).unwrap_or(line.to_owned()) + "\n").collect()
}

fn present(node: &Node, path: &str, keys: &mut BTreeSet<String>) {
    match &node.data {
        Data::List(items) => items.iter().for_each(|item| present(item, &format!("{path}[]"), keys)),
        Data::Map(entries) => {
            for (key, value) in entries {
                let path = if path.is_empty() { key.text.clone() } else { format!("{path}.{}", key.text) };
                present(value, &path, keys);
                keys.insert(path);
            }
        }
        _ => {}
    }
}

#[test]
fn the_manual_equals_the_defaults() {
    assert_eq!(
        parse(MANUAL).unwrap_or_else(|mistakes| panic!("{}", mistakes.report("manual"))),
        Config::default()
    );
    assert_eq!(Config::default().not_served, []);
}

#[test]
fn the_manual_without_comment_signs_is_good() {
    parse(&everything_on()).unwrap_or_else(|mistakes| panic!("{}", mistakes.report("manual")));
}

#[test]
fn the_manual_explains_every_key() {
    let book = Book::default();
    let text = everything_on();
    let node = yaml::read(&text, &book).unwrap();
    Field { node: &node, path: String::new(), book: &book }.section(schema::read).unwrap();

    let mut explained = BTreeSet::new();
    present(&node, "", &mut explained);
    // The text form of rules has the match keys among the others.
    let text_form: BTreeSet<String> = rules::MATCH_KEYS.iter().map(|key| format!("rules[].{key}")).collect();
    let missing: Vec<_> = book.asked().into_iter().filter(|key| !explained.contains(key)).collect();
    let missing: Vec<_> = missing.into_iter().filter(|key| !text_form.contains(key)).collect();
    assert_eq!(missing, [""; 0], "keys that coresmd.example.yaml says nothing about");
}

/// The commented keys right below `header` that are marked as defaults.
fn marked_defaults(header: &str) -> String {
    let mut lines = MANUAL.lines().skip_while(|line| !line.starts_with(header)).skip(1);
    let indent = header.find('#').unwrap() + 2;
    let mut marked = String::new();
    for line in lines.by_ref() {
        let depth = line.len() - line.trim_start().len();
        if !line.trim().is_empty() && depth < indent {
            break;
        }
        if let Some(key) = off(line).filter(|key| depth == indent && key.contains(" # default")) {
            marked += &(key + "\n");
        }
    }
    assert!(!marked.is_empty(), "{header}");
    marked
}

#[test]
fn sections_that_are_off_show_their_own_defaults() {
    for (header, before, needed) in [
        ("  #v4:", "dhcpd:\n  v4:\n", "    dns: []\n"),
        ("  #v6:", "dhcpd:\n  v6:\n", "    server_id: LL 02:00:00:00:00:01\n"),
        (
            "    #unknown:",
            "dhcpd:\n  v4:\n    unknown:\n",
            "      pools: [{subnet: 10.0.0.0/24, start: 10.0.0.5, end: 10.0.0.6}]\n",
        ),
        ("    #tsig:", "dnsd:\n  transfer:\n    tsig:\n", "      name: k\n      secret_file: /s\n"),
    ] {
        let marked = marked_defaults(header);
        let plain = parse(&format!("{before}{needed}")).unwrap();
        let mut shown = parse(&format!("{before}{needed}{marked}")).unwrap();
        assert_eq!(plain.dhcpd, shown.dhcpd, "{marked}");
        shown.not_served = plain.not_served.clone();
        assert_eq!(plain, shown, "{marked}");
    }
}
