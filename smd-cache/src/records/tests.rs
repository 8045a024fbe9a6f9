use super::*;
use proptest::prelude::*;

fn read(sequence: u64) -> Read {
    Read { sequence, started_at: Timestamp::from_second(sequence as i64).unwrap() }
}

/// Interfaces by their number, with a description.
fn answer(rows: &[(u8, &str)]) -> Decoded<InterfaceRecord> {
    let json = |(number, description): &(u8, &str)| {
        serde_json::json!({
            "ID": format!("0200000000{number:02x}"),
            "MACAddress": format!("02:00:00:00:00:{number:02x}"),
            "Description": description,
        })
    };
    let body = serde_json::Value::from(rows.iter().map(json).collect::<Vec<_>>());
    decode_interfaces(body.to_string().as_bytes()).unwrap()
}

fn held(records: &Records) -> Vec<(u8, String)> {
    records.interfaces().map(|record| (record.mac.0[5], record.description.to_string())).collect()
}

fn reasons(records: &Records) -> Vec<&'static str> {
    records.problems().map(|problem| problem.reason.label()).collect()
}

fn component(id: &str) -> Decoded<ComponentRecord> {
    decode_components(format!(r#"{{"Components":[{{"ID":"{id}"}}]}}"#).as_bytes()).unwrap()
}

#[test]
fn a_removal_is_believed_from_two_whole_reads_in_a_row() {
    let mut records = Records::new();
    records.apply_whole_interfaces(read(1), answer(&[(1, ""), (2, "")]));
    records.apply_whole_interfaces(read(2), answer(&[(1, "")]));
    assert_eq!(held(&records).len(), 2, "one read without it is weak evidence");
    records.apply_whole_interfaces(read(3), answer(&[(1, "")]));
    assert_eq!(held(&records).len(), 1);
}

#[test]
fn what_is_back_in_between_is_not_removed() {
    let mut records = Records::new();
    records.apply_whole_interfaces(read(1), answer(&[(1, "")]));
    records.apply_whole_interfaces(read(2), answer(&[]));
    records.apply_interfaces(read(3), answer(&[(1, "")]));
    records.apply_whole_interfaces(read(4), answer(&[]));
    assert_eq!(held(&records).len(), 1, "a delta had it between the two");
    records.apply_whole_interfaces(read(5), answer(&[]));
    assert_eq!(held(&records).len(), 0);
}

#[test]
fn an_older_read_replaces_and_removes_nothing() {
    let mut records = Records::new();
    records.apply_whole_interfaces(read(1), answer(&[(1, "first")]));
    records.apply_interfaces(read(5), answer(&[(1, "newest"), (2, "")]));
    records.apply_whole_interfaces(read(3), answer(&[(1, "older")]));
    records.apply_whole_interfaces(read(4), answer(&[(1, "older")]));
    assert_eq!(held(&records), [(1, "newest".to_owned()), (2, String::new())]);
}

#[test]
fn a_repeated_body_counts_as_a_read() {
    let mut records = Records::new();
    assert!(!records.repeat_whole_interfaces(read(1)), "nothing to repeat");
    records.apply_whole_interfaces(read(1), answer(&[(1, ""), (2, "")]));
    records.apply_whole_interfaces(read(2), answer(&[(1, "")]));
    assert!(records.repeat_whole_interfaces(read(3)));
    assert_eq!(held(&records).len(), 1, "missing twice");
    records.apply_interfaces(read(4), answer(&[(1, "changed")]));
    assert!(!records.repeat_whole_interfaces(read(5)), "the body says otherwise than the delta");
}

#[test]
fn rejected_records_are_reported_until_a_whole_read_does_not_have_them() {
    let bad = || decode_interfaces(br#"[{"ID":"bad","MACAddress":"bad"}]"#).unwrap();
    let mut records = Records::new();
    records.apply_whole_interfaces(read(1), bad());
    assert_eq!(reasons(&records), ["bad_mac"]);
    records.apply_interfaces(read(2), bad());
    assert_eq!(reasons(&records), ["bad_mac"]);
    records.apply_whole_interfaces(read(3), answer(&[]));
    assert_eq!(reasons(&records), [""; 0]);
}

#[test]
fn a_record_that_became_bad_stays_until_two_reads_had_it_so() {
    let bad = || decode_interfaces(br#"[{"ID":"020000000001","MACAddress":"bad"}]"#).unwrap();
    let mut records = Records::new();
    records.apply_whole_interfaces(read(1), answer(&[(1, "")]));
    records.apply_whole_interfaces(read(2), bad());
    assert_eq!((held(&records).len(), reasons(&records)), (1, vec!["bad_mac"]));
    records.apply_whole_interfaces(read(3), bad());
    assert_eq!((held(&records).len(), reasons(&records)), (0, vec!["bad_mac"]));
    records.apply_interfaces(read(4), answer(&[(1, "")]));
    assert_eq!((held(&records).len(), reasons(&records)), (1, vec![]));
}

#[test]
fn two_rows_with_one_id_are_both_held_and_reported() {
    let mut records = Records::new();
    records.apply_whole_interfaces(read(1), answer(&[(1, "a"), (1, "b"), (1, "a")]));
    assert_eq!(held(&records).len(), 2);
    assert_eq!(reasons(&records), ["duplicate_id"]);
}

#[test]
fn the_revision_moves_only_with_content() {
    let mut records = Records::new();
    let mut before = records.revision();
    let mut moved =
        |records: &Records| std::mem::replace(&mut before, records.revision()) != records.revision();
    records.apply_whole_interfaces(read(1), answer(&[(1, "a"), (2, "")]));
    assert!(moved(&records), "new rows");
    records.apply_whole_interfaces(read(2), answer(&[(2, ""), (1, "a")]));
    assert!(!moved(&records), "the same in another order");
    assert!(records.repeat_whole_interfaces(read(3)) && !moved(&records));
    records.apply_interfaces(read(4), answer(&[(1, "b")]));
    assert!(moved(&records), "another description");
    records.apply_interfaces(read(2), answer(&[(1, "a")]));
    assert!(!moved(&records), "an older read");
    records.apply_whole_interfaces(read(5), answer(&[(1, "b")]));
    assert!(!moved(&records), "missing once");
    assert!(records.repeat_whole_interfaces(read(6)) && moved(&records), "missing twice");
    records.apply_interfaces(read(7), decode_interfaces(br#"[{"ID":"bad"}]"#).unwrap());
    assert!(moved(&records), "a problem");
    records.apply_whole_interfaces(read(8), answer(&[(1, "b")]));
    assert!(moved(&records), "no problem any more");
}

#[test]
fn both_kinds_must_be_whole_and_the_older_one_says_since_when() {
    let mut records = Records::new();
    records.apply_whole_interfaces(read(3), answer(&[]));
    assert!(!records.is_whole());
    assert_eq!(records.whole_read_at(), None);
    records.apply_whole_components(read(4), component("x0c0s0b0n0"));
    assert!(records.is_whole());
    assert_eq!(records.whole_read_at(), Some(read(3).started_at));
}

#[test]
fn components_that_interfaces_name_but_nobody_has_are_asked_for() {
    let body = r#"[{"ID":"1","MACAddress":"020000000001","ComponentID":"x0c0s0b0n1"},
        {"ID":"2","MACAddress":"020000000002","ComponentID":"x0c0s0b0n0"},
        {"ID":"3","MACAddress":"020000000003","ComponentID":"x0c0s0b0n1"}]"#;
    let mut records = Records::new();
    records.apply_whole_interfaces(read(1), decode_interfaces(body.as_bytes()).unwrap());
    records.apply_whole_components(read(2), component("x0c0s0b0n0"));
    let missing: Vec<String> = records.missing_components().iter().map(ToString::to_string).collect();
    assert_eq!(missing, ["x0c0s0b0n1"]);
    records.apply_components(read(3), component("x0c0s0b0n1"));
    assert_eq!(records.missing_components(), []);
}

#[derive(Debug, Clone)]
struct Step {
    whole: bool,
    rows: Vec<(u8, &'static str)>,
}

fn step() -> impl Strategy<Value = Step> {
    let row = (1..6u8, prop::sample::select(vec!["a", "b", "c"]));
    (any::<bool>(), prop::collection::vec(row, 0..6)).prop_map(|(whole, mut rows)| {
        rows.sort();
        rows.dedup_by_key(|row| row.0);
        Step { whole, rows }
    })
}

/// Naively: for each row look through all reads, the latest first, and count whole ones without it.
fn reference(steps: &[Step]) -> Vec<(u8, String)> {
    let believed = |number: u8| {
        let mut missing = 0;
        for step in steps.iter().rev() {
            if let Some((_, description)) = step.rows.iter().find(|row| row.0 == number) {
                return Some((number, description.to_string()));
            }
            missing += usize::from(step.whole);
            if missing == 2 {
                return None;
            }
        }
        None
    };
    (0..6).filter_map(believed).collect()
}

proptest! {
    #[test]
    fn any_order_of_arrival_gives_what_the_order_of_beginning_gives(
        steps in prop::collection::vec(step(), 0..12),
        seed: u64,
    ) {
        let mut arrivals: Vec<(u64, Step)> = (1..).zip(steps.iter().cloned()).collect();
        let mut random = fastrand::Rng::with_seed(seed);
        random.shuffle(&mut arrivals);
        let mut records = Records::new();
        for (sequence, mut step) in arrivals {
            random.shuffle(&mut step.rows);
            match step.whole {
                true => records.apply_whole_interfaces(read(sequence), answer(&step.rows)),
                false => records.apply_interfaces(read(sequence), answer(&step.rows)),
            }
        }
        prop_assert_eq!(held(&records), reference(&steps));
    }
}
