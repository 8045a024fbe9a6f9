//! What comes between a decision and the disk: other decisions, and a file that cannot be written.

use super::*;

/// Ended, as it is written where a lease is given up.
fn ended(row: &Row, wall: i64) -> Change {
    Change::Put(Row { expiry: wall, ..row.clone() })
}

#[test]
fn an_address_whose_row_is_on_its_way_is_given_to_nobody_the_inventory_has_with_it() {
    let mut scene = Scene::of(2);
    let address = scene.offer(1);
    assert_eq!(scene.leases.leased_to_another(mac(2), address), None, "offered: it is refused when it asks");
    let row = scene.grant(1, address, HOUR);
    assert_eq!(scene.leases.leased_to_another(mac(2), address), Some(mac(1)));
    assert!(scene.leases.committed(&row, scene.now() + Duration::from_secs(HOUR.into())));
    assert_eq!(scene.leases.leased_to_another(mac(2), address), Some(mac(1)));
}

#[test]
fn a_lease_that_was_given_up_while_nothing_could_be_written_does_not_come_back_with_the_file() {
    for give_up in [|address| Update::Free { mac: mac(1), address }, |_| Update::Forget(mac(1))]
        as [fn(Ipv4Addr) -> Update; 2]
    {
        let mut scene = Scene::of(1);
        let row = scene.lease(1, HOUR);
        scene.apply(give_up(row.address));
        scene.leases.close(); // it was not written
        let missing = scene.leases.merge(vec![row.clone()], scene.now(), scene.wall());
        assert_eq!(scene.hold(1, "10.0.0.1"), None);
        assert_eq!(scene.leases.leased_to_another(mac(2), row.address), None, "its owner in SMD is served");
        assert_eq!(missing, [ended(&row, scene.wall())], "and the file is put right");
    }
}

#[test]
fn a_lease_that_only_the_file_knows_counts_more_than_an_offer() {
    let mut scene = Scene::of(1);
    let address = scene.offer(1);
    let row = |expiry| Row { mac: mac(2), address, expiry, hostname: String::new() };
    scene.leases.merge(vec![row(WALL)], scene.now(), scene.wall());
    assert_eq!(scene.hold(1, "10.0.0.1"), Some(Hold::Offered), "one that ended does not");
    scene.leases.merge(vec![row(WALL + 60)], scene.now(), scene.wall());
    assert_eq!((scene.hold(1, "10.0.0.1"), scene.hold(2, "10.0.0.1")), (None, Some(Hold::Leased)));
    let mut scene = Scene::of(1);
    scene.offer(1);
    scene.grant(1, address, HOUR);
    scene.leases.merge(vec![row(WALL + 60)], scene.now(), scene.wall());
    assert_eq!(scene.hold(1, "10.0.0.1"), Some(Hold::Offered), "but not more than a grant");
}

#[test]
fn the_order_of_use_outlives_a_file_that_was_away() {
    let mut scene = Scene::of(3);
    let rows = [1, 2, 3].map(|number| scene.lease(number, HOUR));
    let ended = |row: &Row| Row { expiry: WALL, ..row.clone() };
    for number in [3, 1, 2] {
        let address = rows[usize::from(number) - 1].address;
        scene.apply(Update::Free { mac: mac(number), address });
    }
    scene.leases.close();
    let missing = scene.leases.merge(rows.iter().map(ended).collect(), scene.now(), scene.wall());
    assert_eq!(missing, []);
    assert_eq!([4, 5, 6].map(|number| scene.offer(number)), [2, 0, 1].map(|at: usize| rows[at].address));
}
