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

fn key(number: u8) -> InterfaceKey {
    (Mac([2, 0, 0, 0, 0, number]), format!("0200000000{number:02x}"))
}

fn missing(records: &Records) -> Vec<u8> {
    records.missing_interfaces().map(|(mac, _)| mac.0[5]).collect()
}

#[test]
fn a_removal_is_believed_when_smd_was_asked_for_it_and_somebody_lets_go() {
    let mut records = Records::new();
    records.apply_whole_interfaces(read(1), answer(&[(1, ""), (2, "")]));
    assert_eq!(missing(&records), [0; 0]);
    records.apply_whole_interfaces(read(2), answer(&[(1, "")]));
    records.apply_whole_interfaces(read(3), answer(&[(1, "")]));
    records.let_go();
    assert_eq!(held(&records).len(), 2, "reads without it are weak evidence, however many");
    assert_eq!(missing(&records), [2]);
    assert!(!records.has_losses());
    records.confirm_interfaces(read(4), &[key(2)], answer(&[]));
    assert_eq!((held(&records).len(), records.has_losses()), (2, true), "the guard has a word");
    assert_eq!(missing(&records), [0; 0], "nobody asks twice");
    records.apply_whole_interfaces(read(5), answer(&[(1, "")]));
    assert_eq!((held(&records).len(), missing(&records).len(), records.has_losses()), (2, 0, true));
    records.let_go();
    assert_eq!((held(&records).len(), records.has_losses()), (1, false));
}

#[test]
fn what_is_there_when_asked_for_by_name_stays() {
    let mut records = Records::new();
    records.apply_whole_interfaces(read(1), answer(&[(1, "a")]));
    records.apply_whole_interfaces(read(2), answer(&[]));
    records.confirm_interfaces(read(3), &[key(1)], answer(&[(1, "b")]));
    records.let_go();
    assert_eq!(held(&records), [(1, "b".to_owned())]);
    assert_eq!(missing(&records), [0; 0]);
    records.apply_whole_interfaces(read(4), answer(&[]));
    assert_eq!(missing(&records), [1], "missing anew");
    records.confirm_interfaces(read(5), &[key(1)], answer(&[]));
    records.apply_interfaces(read(6), answer(&[(1, "b")]));
    assert!(!records.has_losses(), "a delta had it later");
    records.let_go();
    assert_eq!(held(&records).len(), 1);
}

#[test]
fn a_slow_read_brings_nothing_back() {
    let mut records = Records::new();
    records.apply_whole_interfaces(read(1), answer(&[(1, "")]));
    records.apply_whole_interfaces(read(3), answer(&[]));
    records.confirm_interfaces(read(4), &[key(1)], answer(&[]));
    records.let_go();
    records.apply_interfaces(read(2), answer(&[(1, "")]));
    records.apply_whole_interfaces(read(4), answer(&[(1, "")]));
    assert_eq!(held(&records), [], "both began before it went");
    records.apply_interfaces(read(5), answer(&[(1, "")]));
    assert_eq!(held(&records).len(), 1, "it was added again");
}

#[test]
fn an_interface_that_can_serve_nobody_any_more_is_a_loss() {
    let row = |owner: &str, address: &str| {
        let body = format!(
            r#"[{{"ID":"020000000001","MACAddress":"02:00:00:00:00:01","ComponentID":"{owner}","IPAddresses":[{{"IPAddress":"{address}"}}]}}]"#
        );
        decode_interfaces(body.as_bytes()).unwrap()
    };
    let addresses = |records: &Records| records.interfaces().next().unwrap().addresses.len();
    let mut records = Records::new();
    records.apply_whole_components(read(1), component("x0c0s0b0n0"));
    records.apply_whole_interfaces(read(2), row("x0c0s0b0n0", "10.0.0.1"));
    assert_eq!(records.servable_without_losses(), 1);
    for (sequence, lost) in [(3, row("x0c0s0b0n0", "")), (4, row("", "10.0.0.1")), (5, row("", ""))] {
        records.apply_interfaces(read(sequence), lost);
        assert_eq!((addresses(&records), records.has_losses()), (1, true), "shown as it was");
        assert_eq!(records.servable_without_losses(), 0);
    }
    records.apply_interfaces(read(6), row("x0c0s0b0n0", "10.0.0.2"));
    assert!(!records.has_losses(), "it is well again");
    records.apply_interfaces(read(7), row("x0c0s0b0n0", ""));
    records.let_go();
    assert_eq!((addresses(&records), records.has_losses()), (0, false));
}

#[test]
fn a_component_that_goes_takes_the_worth_of_its_interfaces() {
    let mut records = Records::new();
    let body = r#"[{"ID":"1","MACAddress":"020000000001","ComponentID":"x0c0s0b0n0","IPAddresses":[{"IPAddress":"10.0.0.1"}]},
        {"ID":"2","MACAddress":"020000000002","ComponentID":"x0c0s0b0n0","IPAddresses":[{"IPAddress":"10.0.0.1"}]}]"#;
    records.apply_whole_interfaces(read(1), decode_interfaces(body.as_bytes()).unwrap());
    records.apply_whole_components(read(2), component("x0c0s0b0n0"));
    assert_eq!(records.servable_without_losses(), 1, "nobody shares an address");
    records.apply_whole_components(read(3), component("x0c0s0b0n1"));
    let asked: Vec<Xname> = records.missing_components().collect();
    assert_eq!(asked, ["x0c0s0b0n0".parse().unwrap()]);
    records.confirm_components(read(4), &asked, Decoded { records: Vec::new(), rejected: Vec::new() });
    assert_eq!((records.has_losses(), records.servable_without_losses()), (true, 0));
    assert_eq!(records.components().count(), 2);
    records.let_go();
    assert_eq!(records.components().count(), 1);
}

#[test]
fn what_was_touched_is_told_once() {
    let mut records = Records::new();
    records.apply_whole_interfaces(read(1), answer(&[(1, ""), (2, "")]));
    records.apply_whole_components(read(2), component("x0c0s0b0n0"));
    let touched = |records: &mut Records| {
        let (macs, ids) = records.take_touched().unwrap();
        (macs.iter().map(|mac| mac.0[5]).collect::<Vec<_>>(), ids.len())
    };
    assert_eq!(touched(&mut records), (vec![1, 2], 1));
    records.apply_interfaces(read(3), answer(&[(1, ""), (2, "b"), (3, "")]));
    records.apply_whole_components(read(4), component("x0c0s0b0n0"));
    assert_eq!(touched(&mut records), (vec![2, 3], 0));
    records.apply_whole_interfaces(read(5), answer(&[(2, "b"), (3, "")]));
    records.confirm_interfaces(read(6), &[key(1)], answer(&[]));
    assert_eq!(touched(&mut records), (vec![], 0));
    records.let_go();
    assert_eq!(touched(&mut records), (vec![1], 0));
    records.restore(answer(&[]), decode_components(br#"{"Components":[]}"#).unwrap());
    assert_eq!(records.take_touched(), None, "everything");
    assert_eq!(touched(&mut records), (vec![], 0));
}

#[test]
fn what_was_restored_yields_to_the_first_read() {
    let mut records = Records::new();
    records.restore(answer(&[(1, "old"), (2, "old")]), component("x0c0s0b0n0"));
    assert_eq!((held(&records).len(), records.is_whole()), (2, false));
    records.apply_whole_interfaces(read(1), answer(&[(1, "new")]));
    assert_eq!(held(&records), [(1, "new".to_owned()), (2, "old".to_owned())]);
    assert_eq!(missing(&records), [2]);
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
    records.apply_interfaces(read(3), answer(&[(1, ""), (3, "")]));
    assert!(records.repeat_whole_interfaces(read(4)), "a delta said the same, and something more");
    assert_eq!(missing(&records), [2, 3]);
    records.apply_interfaces(read(5), answer(&[(1, "changed")]));
    assert!(!records.are_repeatable().0);
    assert!(!records.repeat_whole_interfaces(read(6)), "the body says otherwise than the delta");
    records.apply_whole_interfaces(read(7), answer(&[(1, "")]));
    assert!(records.repeat_whole_interfaces(read(8)));
    records.confirm_interfaces(read(9), &[key(1)], answer(&[]));
    records.let_go();
    assert!(!records.repeat_whole_interfaces(read(10)), "it went, and the body has it");
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
fn a_record_that_became_bad_stays_until_it_was_asked_for() {
    let bad = || decode_interfaces(br#"[{"ID":"020000000001","MACAddress":"bad"}]"#).unwrap();
    let mut records = Records::new();
    records.apply_whole_interfaces(read(1), answer(&[(1, "")]));
    records.apply_whole_interfaces(read(2), bad());
    assert_eq!((held(&records).len(), reasons(&records)), (1, vec!["bad_mac"]));
    assert_eq!(missing(&records), [1]);
    records.confirm_interfaces(read(3), &[key(1)], bad());
    records.let_go();
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
    assert!(!moved(&records), "missing");
    records.confirm_interfaces(read(6), &[key(2)], answer(&[]));
    assert!(!moved(&records), "gone");
    records.let_go();
    assert!(moved(&records), "let go");
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
    let wanted =
        |records: &Records| records.wanted_components().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(wanted(&records), ["x0c0s0b0n1"]);
    records.apply_components(read(3), component("x0c0s0b0n1"));
    assert_eq!(wanted(&records), [""; 0]);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Whole,
    Some,
    /// All were asked for by name.
    ByName,
}

#[derive(Debug, Clone)]
struct Step {
    how: How,
    rows: Vec<(u8, &'static str)>,
}

fn step() -> impl Strategy<Value = Step> {
    let row = (1..6u8, prop::sample::select(vec!["a", "b", "c"]));
    let how = prop::sample::select(vec![How::Whole, How::Some, How::ByName]);
    (how, prop::collection::vec(row, 0..6)).prop_map(|(how, mut rows)| {
        rows.sort();
        rows.dedup_by_key(|row| row.0);
        Step { how, rows }
    })
}

/// Naively: for each row look through all reads, the latest first, for one that has it or says that it is gone.
fn reference(steps: &[Step]) -> Vec<(u8, String)> {
    let believed = |number: u8| {
        let says = |step: &Step| {
            let row = step.rows.iter().find(|row| row.0 == number);
            match (row, step.how) {
                (Some((_, description)), _) => Some(Some((number, description.to_string()))),
                (None, How::ByName) => Some(None),
                (None, _) => None,
            }
        };
        steps.iter().rev().find_map(says).flatten()
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
            let keys: Vec<InterfaceKey> = (0..6).map(key).collect();
            match step.how {
                How::Whole => records.apply_whole_interfaces(read(sequence), answer(&step.rows)),
                How::Some => records.apply_interfaces(read(sequence), answer(&step.rows)),
                How::ByName => records.confirm_interfaces(read(sequence), &keys, answer(&step.rows)),
            }
            if random.bool() {
                records.let_go();
            }
        }
        records.let_go();
        prop_assert!(!records.has_losses());
        prop_assert_eq!(held(&records), reference(&steps));
    }
}
