use super::*;
use std::task::Waker;

const IDLE: Duration = Duration::from_secs(30);

fn client(number: u32) -> IpAddr {
    std::net::Ipv4Addr::from_bits(0x0a00_0000 + number).into()
}

/// One a client.
fn fill(places: &Places) -> Vec<Place> {
    (0..).map_while(|number| places.take(client(number)).ok()).collect()
}

fn told(place: &Place) -> Option<Leave> {
    place.told(&Context::from_waker(Waker::noop()))
}

#[tokio::test(start_paused = true)]
async fn one_client_cannot_take_every_place() {
    let places = Places::new(160, IDLE);
    let mut taken: Vec<_> = (0..160).map_while(|_| places.take(client(1)).ok()).collect();
    assert_eq!(taken.len(), 10);
    assert_eq!(places.take(client(1)).unwrap_err(), Dropped::OfClient);
    assert!(places.take(client(2)).is_ok(), "others are served");
    taken.pop();
    assert!(places.take(client(1)).is_ok(), "what was closed can be opened again");
    drop(taken);
    assert!(places.taken().of_client.is_empty(), "who is gone is forgotten");
}

#[tokio::test(start_paused = true)]
async fn addresses_of_one_ipv6_network_are_one_client() {
    let places = Places::new(160, IDLE);
    let taken: Vec<_> =
        (1..=20).filter_map(|last| places.take(format!("fd00::{last:x}").parse().unwrap()).ok()).collect();
    assert_eq!(taken.len(), 10);
    assert!(places.take("fd00:0:0:1::1".parse().unwrap()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn all_clients_together_are_bounded() {
    let places = Places::new(100, IDLE);
    let taken = fill(&places);
    assert_eq!(taken.len(), 100);
    assert_eq!(places.take(client(1000)).unwrap_err(), Dropped::Connections, "all of them have just come");
}

#[tokio::test(start_paused = true)]
async fn the_idle_make_room_for_who_comes() {
    let places = Places::new(100, IDLE);
    let taken = fill(&places);
    tokio::time::advance(AT_LEAST * 2).await;
    let new = places.take(client(1000)).unwrap();
    let leaving: Vec<_> = taken.iter().filter_map(told).collect();
    assert_eq!(leaving, [Leave::Now]);
    assert_eq!(told(&new), None);
    assert_eq!(places.taken().seats.len(), 100);
    drop(taken);
    assert_eq!(places.taken().seats.len(), 1, "who had left already is not counted twice");
}

#[tokio::test(start_paused = true)]
async fn the_busy_and_those_just_heard_of_stay() {
    let places = Places::new(100, IDLE);
    let taken = fill(&places);
    tokio::time::advance(AT_LEAST * 5).await;
    taken[..50].iter().for_each(Place::busy);
    taken[50..].iter().for_each(Place::heard);
    assert_eq!(places.take(client(1000)).unwrap_err(), Dropped::Connections);
    tokio::time::advance(AT_LEAST).await;
    assert!(places.take(client(1000)).is_ok());
    assert!(taken[..50].iter().all(|place| told(place).is_none()));
}

#[tokio::test(start_paused = true)]
async fn when_it_ends_all_are_told_and_nobody_comes() {
    let places = Places::new(100, IDLE);
    let taken = fill(&places);
    places.finish().await;
    assert!(taken.iter().all(|place| told(place) == Some(Leave::Drain)));
    assert!(places.take(client(7)).is_err());
}

#[tokio::test(start_paused = true)]
async fn the_fuller_it_is_the_sooner_the_idle_go() {
    let places = Places::new(100, IDLE);
    let mut taken = fill(&places);
    assert_eq!(places.idle_allowed(), IDLE_NEARLY_FULL);
    taken.truncate(75);
    assert_eq!(places.idle_allowed(), IDLE_NEARLY_FULL);
    taken.truncate(74);
    assert_eq!(places.idle_allowed(), IDLE);
}

#[test]
fn places_follow_from_the_file_descriptors() {
    for (files, wanted) in [(0, (0, 0)), (1024, (504, 126)), (4096, (2960, 740)), (1 << 20, (4096, 1024))] {
        let (plain, encrypted) = limits(files);
        assert_eq!((plain, encrypted), wanted, "{files}");
        assert!(plain + encrypted + OTHER_FILES <= files.max(OTHER_FILES));
    }
}
