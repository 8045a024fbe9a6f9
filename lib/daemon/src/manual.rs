//! What a program's README says of its metrics and what the program exposes, for the test that compares the two.

use prometheus_client::registry::Registry;
use std::collections::BTreeSet;

/// The metrics of a registry, named as scraped.
///
/// # Panics
/// Where the registry cannot be written as text.
pub fn registered(registry: &Registry) -> BTreeSet<String> {
    let mut page = String::new();
    prometheus_client::encoding::text::encode(&mut page, registry).expect("a String takes everything");
    exposed(&page)
}

/// The metrics on a page of `/metrics`: counters end in `_total`, facts in `_info`.
pub fn exposed(page: &str) -> BTreeSet<String> {
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types
        .map(|(name, kind)| match kind {
            "counter" => format!("{name}_total"),
            "info" => format!("{name}_info"),
            _ => name.to_owned(),
        })
        .collect()
}

/// The metrics that rows of a README's table, or items of its list, begin with.
pub fn listed(readme: &str, prefix: &str) -> BTreeSet<String> {
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `").or(line.strip_prefix("* `")));
    let names = rows.filter_map(|row| row.split(['`', '{']).next());
    names.filter(|name| name.starts_with(prefix)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_off_pages_and_manuals() {
        let page =
            "# HELP a_x x.\n# TYPE a_x counter\na_x_total{k=\"v\"} 1\n# TYPE a_y gauge\na_y 2\n# EOF\n";
        let names = BTreeSet::from(["a_x_total".to_owned(), "a_y".to_owned()]);
        assert_eq!(exposed(page), names);
        assert_eq!(listed("| `a_x_total{k}` | x |\n* `a_y`: y\n| `b_z` | other |\ntext `a_w`", "a_"), names);
    }
}
