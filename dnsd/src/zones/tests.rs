use super::*;
use crate::fixture::{CONFIG, config, replica};

fn wire(name: &str) -> Box<[u8]> {
    to_wire(&name.parse().unwrap())
}

fn zone_of(zones: &Zones, name: &str) -> Option<Box<[u8]>> {
    zones.find(&wire(name)).map(|zone| zone.apex.clone())
}

fn serial(zones: &Zones, name: &str) -> Option<u32> {
    let data = &zones.find(&wire(name))?.soa.as_ref()?.data[0];
    let at = data.len() - 20;
    Some(u32::from_be_bytes(data[at..at + 4].try_into().unwrap()))
}

#[test]
fn zones_come_from_domain_rules_list_inventory_and_addresses() {
    let zones = Zones::build(
        &config(
            "domain: cluster.local\n\
             rules:\n  \
             - \"type:Node,hostname:a{04d},domain:one.test,subnet:10.0.0.0/8\"\n  \
             - \"type:Node,hostname:b{04d},domain:two.test,domain_append:rule|global\"\n\
             zones:\n  - {name: deep.cluster.local}\n",
        ),
        &replica(),
        1000,
    );
    let table = [
        ("a.cluster.local", Some("cluster.local")),
        ("a.deep.cluster.local", Some("deep.cluster.local")),
        ("deep.cluster.local", Some("deep.cluster.local")),
        ("a.one.test", Some("one.test")),
        ("a.two.test", None),
        ("a.two.test.cluster.local", Some("two.test.cluster.local")),
        ("a.lab.test", Some("lab.test")),
        ("9.0.16.172.in-addr.arpa", Some("16.172.in-addr.arpa")),
        ("9.8.9.10.in-addr.arpa", Some("8.9.10.in-addr.arpa")),
        ("9.7.9.10.in-addr.arpa", None),
        ("0.0.0.0.0.0.0.0.6.1.0.0.0.0.d.f.ip6.arpa", Some("0.0.0.0.0.0.0.0.6.1.0.0.0.0.d.f.ip6.arpa")),
        ("1.0.0.0.0.0.0.0.6.1.0.0.0.0.d.f.ip6.arpa", None),
        ("xcluster.local", None),
        ("local", None),
    ];
    for (name, wanted) in table {
        assert_eq!(zone_of(&zones, name), wanted.map(wire), "{name}");
    }
}

#[test]
fn serials_are_the_greatest_of_what_could_have_changed() {
    let replica = replica();
    let plain = "domain: cluster.local\nzones:\n  - {name: new.test}\n";
    let zones = Zones::build(&config(plain), &replica, 1000);
    assert_eq!(serial(&zones, "cluster.local"), Some(7), "smd-cache's");
    assert_eq!(serial(&zones, "8.9.10.in-addr.arpa"), Some(7), "that of the zones with the same addresses");
    let zones = Zones::build(&config(CONFIG), &replica, 1000);
    assert_eq!(
        serial(&zones, "cluster.local"),
        Some(1000),
        "records may have changed with the configuration"
    );
    let zones = Zones::build(&config(plain), &Replica::default(), 1000);
    assert_eq!(serial(&zones, "cluster.local"), None, "nobody knows yet");
    let off = format!("{plain}inventory: {{replica: false}}\n");
    let zones = Zones::build(&config(&off), &Replica::default(), 1000);
    assert_eq!(serial(&zones, "cluster.local"), Some(1000), "nobody will tell");
    assert!(zones.loaded);
}

#[test]
fn configured_name_servers_are_those_of_every_zone() {
    let text = "domain: cluster.local\n\
                dnsd:\n  records: [\"@ NS smd\", \"@ NS smd2\", \"lab.test. NS there.lab.test.\"]\n";
    let zones = Zones::build(&config(text), &replica(), 1000);
    let servers = |name: &str| zones.find(&wire(name)).unwrap().ns.data.clone();
    assert_eq!(servers("cluster.local"), [wire("smd.cluster.local"), wire("smd2.cluster.local")]);
    assert_eq!(servers("16.172.in-addr.arpa"), servers("cluster.local"));
    assert_eq!(servers("lab.test"), [wire("there.lab.test")]);
}

#[test]
fn a_record_outside_our_zones_is_named() {
    let text =
        "domain: cluster.local\ndnsd:\n  records: [\"www.example.com. A 192.0.2.1\", \"www A 192.0.2.1\"]\n";
    let config = config(text);
    let zones = Zones::build(&config, &replica(), 1000);
    assert_eq!(zones.strays(&config), ["www.example.com. A 192.0.2.1"]);
}

#[test]
fn names_between_two_zones_exist() {
    let text = "domain: cluster.local\nzones:\n  - {name: cluster.local}\n  - {name: a.b.cluster.local}\n";
    let zones = Zones::build(&config(text), &replica(), 1000);
    assert!(zones.records.node(&wire("b.cluster.local")).is_some());
    assert!(zones.records.node(&wire("c.cluster.local")).is_none());
}

#[test]
fn when_numbers_run_out_it_is_zones_of_addresses_that_have_none() {
    let named = Zone::new(&wire("cluster.local"), None, None, &Records::default());
    let automatic = (0..=u16::MAX).map(|number| {
        let [high, low] = number.to_be_bytes();
        let apex = wire(&format!("{low}.{high}.10.in-addr.arpa"));
        Zone { automatic: true, ..Zone::new(&apex, None, None, &Records::default()) }
    });
    let (list, by_apex) = number(automatic.chain([named]), None);
    assert_eq!((list.len(), by_apex.len()), (MAX_ZONES, MAX_ZONES));
    assert!(by_apex.contains_key(&wire("cluster.local")));
}
