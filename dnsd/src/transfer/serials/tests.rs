use super::*;
use crate::fixture::{CONFIG, config, replica};

fn zones(text: &str, configured_at: u32) -> Zones {
    Zones::build(&config(text), &replica(), configured_at)
}

fn serial(zones: &Zones, apex: &str) -> Option<u32> {
    zones.zone(&crate::wire::to_wire(&apex.parse().unwrap())).and_then(Zone::serial)
}

#[test]
fn the_next_serial_is_the_greatest_of_all_that_count() {
    let before = |serial| Some(Served { serial, digest: 1 });
    let of = |told, first, digest| Offered { told, first, digest };
    let table = [
        ("never served", None, of(Some(5), 9, Some(1)), 9),
        ("never served, not complete yet", None, of(Some(5), 9, None), 9),
        ("nothing changed", before(7), of(Some(7), 7, Some(1)), 7),
        ("nothing changed but the start", before(7), of(Some(7), 1000, Some(1)), 7),
        ("smd-cache goes on", before(7), of(Some(8), 8, Some(2)), 8),
        ("smd-cache goes on with what we do not see", before(7), of(Some(8), 8, Some(1)), 8),
        ("smd-cache stays, we differ", before(7), of(Some(7), 7, Some(2)), 8),
        ("another smd-cache, far behind", before(1000), of(Some(7), 7, Some(1)), 1000),
        ("another smd-cache, far behind, and we differ", before(1000), of(Some(7), 7, Some(2)), 1001),
        ("static records changed", before(7), of(Some(7), 1000, Some(2)), 1000),
        ("a zone smd-cache does not know", before(7), of(None, 900, Some(1)), 7),
        ("a zone smd-cache does not know, changed", before(7), of(None, 900, Some(2)), 900),
        ("not complete yet: nothing is compared", before(7), of(Some(7), 1000, None), 7),
        ("not complete yet, and smd-cache went on", before(7), of(Some(9), 1000, None), 9),
        ("around the corner", before(u32::MAX), of(Some(7), 7, Some(1)), 7),
        ("around the corner by one", before(u32::MAX), of(Some(u32::MAX), 0, Some(2)), 0),
        ("half the numbers ahead is not ahead", before(7), of(Some(7 + (1 << 31)), 7, Some(1)), 7),
    ];
    for (what, before, offered, wanted) in table {
        assert_eq!(next(before, offered), wanted, "{what}");
    }
}

#[test]
fn the_same_content_keeps_its_serial_and_other_content_does_not() {
    let mut serials = Serials::default();
    let mut first = zones(CONFIG, 1000);
    assert!(serials.number(&mut first, false));
    assert_eq!(serial(&first, "cluster.local"), Some(1000));
    let mut again = zones(CONFIG, 2000);
    assert!(!serials.number(&mut again, false), "started again: nothing to keep");
    assert_eq!(serial(&again, "cluster.local"), Some(1000));

    let changed = CONFIG.replace("smd A 172.16.0.253", "smd A 172.16.0.252");
    let mut changed = zones(&changed, 3000);
    assert!(serials.number(&mut changed, false));
    assert_eq!(serial(&changed, "cluster.local"), Some(3000));
    assert_eq!(serial(&changed, "lab.test"), Some(1000), "nothing changed there");
    assert_eq!(serial(&changed, "8.9.10.in-addr.arpa"), Some(1000));
    let mut back = zones(CONFIG, 500);
    serials.number(&mut back, false);
    assert_eq!(serial(&back, "cluster.local"), Some(3001), "never lower, whatever the clock says");
}

#[test]
fn what_is_not_complete_is_not_compared() {
    let mut serials = Serials::default();
    serials.number(&mut zones(CONFIG, 1000), false);
    let kept = serials.clone();
    let mut empty = Zones::build(&config(CONFIG), &inventory::Replica::default(), 2000);
    assert!(!serials.number(&mut empty, false));
    assert_eq!(serials, kept);
    assert_eq!(serial(&empty, "cluster.local"), Some(1000), "and not served under a lower one");
}

#[test]
fn while_it_settles_what_differs_is_neither_numbered_nor_copied() {
    let mut serials = Serials::default();
    serials.number(&mut zones(CONFIG, 1000), false);
    let old = CONFIG.replace("smd A 172.16.0.253", "smd A 172.16.0.252");
    let kept = serials.clone();
    let settled = |zones: &Zones, apex: &str| {
        zones.zone(&crate::wire::to_wire(&apex.parse().unwrap())).unwrap().settled
    };
    let mut from_disk = zones(&old, 2000);
    assert!(!serials.number(&mut from_disk, true));
    assert_eq!((serial(&from_disk, "cluster.local"), &serials), (Some(1000), &kept));
    assert!(!settled(&from_disk, "cluster.local") && settled(&from_disk, "lab.test"));
    let mut current = zones(CONFIG, 2000);
    assert!(!serials.number(&mut current, false), "it was only old");
    assert!(settled(&current, "cluster.local"));
    assert_eq!(serial(&current, "cluster.local"), Some(1000));
    let mut after_all = zones(&old, 2000);
    assert!(serials.number(&mut after_all, false), "nobody had anything newer");
    assert_eq!(serial(&after_all, "cluster.local"), Some(2000));
    assert!(settled(&after_all, "cluster.local"));
}

#[test]
fn a_zone_that_comes_back_goes_on_and_only_so_many_are_remembered() {
    let mut serials = Serials::default();
    let mut all = zones(CONFIG, 1000);
    serials.number(&mut all, false);
    let without = CONFIG.replace("  - {name: 16.172.in-addr.arpa}\n", "");
    serials.number(&mut zones(&without, 1000), false);
    let mut back = zones(CONFIG, 10);
    serials.number(&mut back, false);
    assert_eq!(serial(&back, "16.172.in-addr.arpa"), Some(1000));
    for number in 0..2 * MAX_GONE as u32 {
        let apex = [&[4], &number.to_be_bytes()[..], &[0]].concat();
        serials.held.insert(apex.into(), Served { serial: number, digest: 0 });
    }
    serials.number(&mut zones(CONFIG, 10), false);
    assert_eq!(serials.held.len(), MAX_GONE + back.count());
    assert!(serials.held.values().filter(|served| served.digest == 0).all(|it| it.serial >= MAX_GONE as u32));
}

#[test]
fn the_digest_is_that_of_what_the_zone_holds() {
    let of = |text: &str| {
        let zones = zones(text, 1000);
        let zone = zones.zone(&crate::wire::to_wire(&"cluster.local".parse().unwrap())).unwrap();
        zones.ready.digest(zone)
    };
    let whole = of(CONFIG);
    assert_eq!(whole, of(CONFIG), "whatever the order of a hash table is");
    let edits = [
        ("smd A 172.16.0.253", "smd A 172.16.0.252", "an address"),
        ("smd A 172.16.0.253", "smd 61 A 172.16.0.253", "a TTL"),
        ("smd AAAA", "smb AAAA", "an owner"),
        (r#"TXT \"one two\" three"#, "TXT one two three", "where strings end"),
        ("    - \"mail MX 10 smd\"\n", "", "a record less"),
    ];
    for (from, to, what) in edits {
        assert!(CONFIG.contains(from), "{what}");
        assert_ne!(whole, of(&CONFIG.replace(from, to)), "{what}");
    }
    let moved = CONFIG.replace("    - \"mail MX 10 smd\"\n", "") + "    - \"mail MX 10 smd\"\n";
    assert_eq!(whole, of(&moved), "the order of lines");
}

#[test]
fn serials_outlive_the_program_and_a_damaged_file_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let file = SerialsFile::beside(&folder.path().join("replica-{program}"));
    let mut serials = Serials::default();
    serials.number(&mut zones(CONFIG, 1000), false);
    assert_eq!(file.load().serials, Serials::default(), "there is none yet");
    file.save(&mut serials).unwrap();
    let path = folder.path().join("replica-dnsd.serials");
    assert_eq!(file.load().serials, serials);

    let whole = std::fs::read(&path).unwrap();
    for cut in 0..whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let held = file.load();
        assert_eq!((held.serials, held.aside.len()), (Serials::default(), 1), "cut at {cut}");
        assert!(held.aside[0].contains("replica-dnsd.serials.bad"), "{:?}", held.aside);
    }
    file.save(&mut serials).unwrap();
    assert_eq!(file.load().serials, serials, "and is written anew");
}

#[test]
fn two_who_share_the_file_never_take_each_other_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = SerialsFile::beside(&folder.path().join("replica"));
    let (mut ahead, mut behind) = (Serials::default(), Serials::default());
    ahead.number(&mut zones(CONFIG, 2000), false);
    behind.number(&mut zones(CONFIG, 1000), false);
    file.save(&mut ahead).unwrap();
    file.save(&mut behind).unwrap();
    assert_eq!(file.load().serials, ahead);
}
