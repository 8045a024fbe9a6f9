use super::*;
use crate::fixtures::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn mac(text: &str) -> Mac {
    text.parse().unwrap()
}

fn two_nodes() -> Replica {
    replica_of(
        7,
        vec![
            interface(
                "02:00:00:00:00:02",
                "x1000c0s0b1n0",
                &[("172.16.0.2", &["nid0002.cluster.local", "x1000c0s0b1n0.cluster.local"])],
            ),
            interface(
                "02:00:00:00:00:01",
                "x1000c0s0b0n0",
                &[("172.16.0.1", &["nid0001.cluster.local"]), ("fd00::1", &["nid0001.cluster.local"])],
            ),
            interface("02:00:00:00:00:09", "", &[("172.16.9.9", &[])]),
        ],
        vec![
            component("x1000c0s0b0n0", &["nid0001.cluster.local", "a.b.mgmt.local"]),
            component("x1000c0s0b1n0", &["nid0002.cluster.local"]),
        ],
    )
}

#[test]
fn everything_is_found_under_each_of_its_keys() {
    let replica = two_nodes();
    let first = replica.mac(&mac("02:00:00:00:00:01")).unwrap();
    assert_eq!(first.component.as_ref().unwrap().id.as_str(), "x1000c0s0b0n0");
    assert_eq!(replica.address(&ip("172.16.0.1")).unwrap().interfaces, std::slice::from_ref(first));
    let named = replica.name("nid0001.cluster.local").unwrap();
    assert_eq!(named.addresses, [ip("172.16.0.1"), ip("fd00::1")]);
    assert_eq!(named.components.len(), 1);
    assert!(!named.empty_non_terminal);
    let machine = replica.machine("x1000c0s0b0n0").unwrap();
    assert_eq!(machine.interfaces, std::slice::from_ref(first));
    let order: Vec<_> = replica.interfaces().map(|held| held.mac.to_string()).collect();
    assert_eq!(order, ["02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:09"]);
    assert!(replica.is_complete());
    assert_eq!(replica.freshness().generation, 7);
    assert_eq!(replica.domain().unwrap().as_str(), "cluster.local");
}

#[test]
fn what_is_not_there_is_not_found() {
    let replica = two_nodes();
    assert!(replica.mac(&mac("02:00:00:00:00:03")).is_none());
    assert!(replica.address(&ip("172.16.0.3")).is_none());
    assert!(replica.name("nid0003.cluster.local").is_none());
    assert!(replica.name("nid0001.cluster").is_none());
    assert!(replica.machine("x1000c0s0b2n0").is_none());
    assert!(!Replica::default().is_complete());
}

#[test]
fn a_component_without_an_address_has_names_and_no_addresses() {
    let replica = two_nodes();
    let named = replica.name("a.b.mgmt.local").unwrap();
    assert_eq!((named.addresses.len(), named.components.len(), named.empty_non_terminal), (0, 1, false));
}

#[test]
fn parents_of_names_exist_until_the_last_child_goes() {
    let mut replica = two_nodes();
    for parent in ["b.mgmt.local", "mgmt.local", "cluster.local", "local"] {
        let found = replica.name(parent).unwrap_or_else(|| panic!("{parent} must exist"));
        assert!(
            found.empty_non_terminal && found.addresses.is_empty() && found.components.is_empty(),
            "{parent}"
        );
    }
    replica.apply(Patch { removed_ids: vec!["x1000c0s0b0n0".into()], ..Patch::default() });
    for parent in ["a.b.mgmt.local", "b.mgmt.local", "mgmt.local"] {
        assert!(replica.name(parent).is_none(), "{parent} must be gone");
    }
    assert!(replica.name("cluster.local").unwrap().empty_non_terminal);
}

#[test]
fn prefixes_with_known_addresses_are_not_empty() {
    let replica = two_nodes();
    for (from, to, held) in [
        ("172.16.0.0", "172.16.0.255", true),
        ("172.16.9.9", "172.16.9.9", true),
        ("172.16.1.0", "172.16.8.255", false),
        ("0.0.0.0", "255.255.255.255", true),
        ("fd00::", "fd00::ffff", true),
        ("fd00::2", "fd00::ffff", false),
        ("172.16.0.255", "172.16.0.0", false),
    ] {
        assert_eq!(replica.has_address_in(ip(from)..=ip(to)), held, "{from} - {to}");
    }
}

#[test]
fn an_interface_follows_its_component() {
    let mut replica = two_nodes();
    let before = replica.clone();
    let mut changed = component("x1000c0s0b0n0", &["nid0042.cluster.local"]);
    changed.role = "Management".into();
    replica.apply(Patch { components: vec![changed], ..Patch::default() });
    let role = |replica: &Replica| {
        let held = replica.mac(&mac("02:00:00:00:00:01")).unwrap();
        held.component.as_ref().map(|component| component.role.clone())
    };
    assert_eq!(role(&replica).as_deref(), Some("Management"));
    assert_eq!(role(&before).as_deref(), Some("Compute"), "the one before is immutable");
    let holders = replica.address(&ip("fd00::1")).unwrap();
    assert_eq!(holders.interfaces[0].component.as_ref().unwrap().role, "Management");

    replica.apply(Patch { removed_ids: vec!["x1000c0s0b0n0".into()], ..Patch::default() });
    assert_eq!(role(&replica), None);
    assert!(replica.machine("x1000c0s0b0n0").is_none());
    replica.apply(Patch { components: vec![component("x1000c0s0b0n0", &[])], ..Patch::default() });
    assert_eq!(role(&replica).as_deref(), Some("Compute"), "and it finds it again");
}

#[test]
fn an_address_or_name_that_moves_has_the_new_holder_alone() {
    let mut replica = two_nodes();
    let name = "nid0001.cluster.local";
    replica.apply(Patch {
        interfaces: vec![
            interface("02:00:00:00:00:01", "x1000c0s0b0n0", &[]),
            interface("02:00:00:00:00:02", "x1000c0s0b1n0", &[("172.16.0.1", &[name])]),
        ],
        components: vec![component("x1000c0s0b0n0", &[]), component("x1000c0s0b1n0", &[name])],
        ..Patch::default()
    });
    let holders = replica.address(&ip("172.16.0.1")).unwrap();
    assert_eq!(
        holders.interfaces.iter().map(|held| held.mac).collect::<Vec<_>>(),
        [mac("02:00:00:00:00:02")]
    );
    let bearers = replica.name(name).unwrap();
    assert_eq!(bearers.addresses, [ip("172.16.0.1")]);
    assert_eq!(bearers.components.iter().map(|held| held.id.as_str()).collect::<Vec<_>>(), ["x1000c0s0b1n0"]);
    assert!(replica.address(&ip("172.16.0.2")).is_none());
    assert!(replica.name("nid0002.cluster.local").is_none());
}

#[test]
fn what_cannot_be_read_is_left_out_and_counted() {
    let mut odd = interface(
        "02:00:00:00:00:01",
        "no xname",
        &[("172.16.0.1", &["nid0001.cluster.local", "no name"]), ("172.16.0.300", &[])],
    );
    odd.policy = Some(v1::Policy {
        routers: vec!["172.16.0.254".into(), "fd00::1".into()],
        prefix_length: Some(1000),
        options: vec![
            v1::DhcpOption { code: 300, value: vec![] },
            v1::DhcpOption { code: 42, value: vec![1] },
        ],
        next_server: "nowhere".into(),
        ..Default::default()
    });
    let replica = replica_of(1, vec![odd, interface("not a mac", "", &[])], vec![component("no xname", &[])]);
    let held = replica.mac(&mac("02:00:00:00:00:01")).unwrap();
    assert_eq!((held.addresses.len(), held.addresses[0].names.len(), &held.component_id), (1, 1, &None));
    assert_eq!((held.policy.routers.len(), held.policy.options.len()), (1, 1));
    assert_eq!((held.policy.prefix_length, held.policy.next_server), (None, None));
    // xname, name, address, router, prefix length, option, next server; a MAC; an xname
    assert_eq!(replica.skipped(), 9);
}

#[test]
fn an_interface_may_bring_its_component() {
    let mut alone = interface("02:00:00:00:00:01", "x1000c0s0b0n0", &[]);
    alone.component = Some(component("x1000c0s0b0n0", &["nid0001.cluster.local"]));
    let replica = replica_of(1, vec![alone], vec![]);
    assert!(replica.mac(&mac("02:00:00:00:00:01")).unwrap().component.is_some());
    assert!(replica.machine("x1000c0s0b0n0").is_some());
}
