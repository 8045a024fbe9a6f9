use super::*;

mod pools;

use crate::{
    config::Config,
    decide::{Arrival, Facts, OwnAddress, decide},
    hosts::Hosts,
    leases::{Leases, Pool, Taker, Update, store::Row},
    wire::{self, OptionCode},
};
use inventory::Freshness;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

const OURS: [OwnAddress; 3] = [
    OwnAddress { interface: 9, address: Ipv4Addr::LOCALHOST, prefix_length: 8 },
    OwnAddress { interface: 1, address: Ipv4Addr::new(172, 16, 0, 253), prefix_length: 24 },
    OwnAddress { interface: 2, address: Ipv4Addr::new(10, 40, 1, 253), prefix_length: 24 },
];
const MAC: Mac = Mac([2, 0, 0, 0, 1, 1]);

fn interface(name: &str, index: u32) -> Place {
    Place::Interface { name: name.into(), index }
}

/// A machine with these addresses and an owner, or without.
fn machine(addresses: &[&str], owned: bool) -> Interface {
    let component = inventory::Component {
        id: "x1000c0s0b0n0".parse().unwrap(),
        nid: None,
        traits: Arc::new(inventory::Traits { kind: "Node".into(), ..Default::default() }),
        names: [].into(),
    };
    let address = |text: &&str| inventory::Address {
        address: text.parse().unwrap(),
        network: "".into(),
        hostname: "nid0001".into(),
        domain: "c.local".into(),
        fqdn: "nid0001.c.local".into(),
        names: [].into(),
        policy: inventory::Policy::default(),
    };
    Interface {
        mac: MAC,
        description: "".into(),
        component_id: owned.then(|| component.id.clone()),
        component: owned.then(|| Arc::new(component)),
        addresses: addresses.iter().map(address).collect(),
        policy: inventory::Policy::default(),
        contested: false,
    }
}

fn found(interface: Interface) -> Lookup<Interface> {
    Lookup::Found(Arc::new(interface), Freshness::default())
}

fn asked() -> Asked {
    Asked { mac: MAC.to_string(), ..Asked::default() }
}

#[test]
fn where_a_made_up_packet_is_heard() {
    let both = [interface("eth0", 1), interface("eth1", 2), Place::Relays(Ipv4Addr::UNSPECIFIED)];
    let relays = [Place::Relays(Ipv4Addr::LOCALHOST)];
    let device = [interface("eth1", 2)];
    let on = |name: &str| Asked { interface: Some(name.into()), ..asked() };
    let relayed = || Asked { relay: Some([10, 40, 1, 1].into()), ..asked() };
    let here = found(machine(&["10.40.1.5"], true));
    let words = |asked: &Asked, places: &[Place], lookup: &Lookup<Interface>| {
        arrival(asked, places, &OURS, record(lookup)).map(|heard| {
            let Arrival { interface, destination, relay_socket, .. } = heard.arrival;
            format!("{} interface={interface} to={destination} relay_socket={relay_socket}", heard.words)
        })
    };
    let unknown = Lookup::Unknown;
    for (asked, places, lookup, wanted) in [
        (asked(), &both[..], &unknown, Ok("on eth0 interface=1 to=255.255.255.255 relay_socket=false")),
        (asked(), &both, &here, Ok("on eth1 interface=2 to=255.255.255.255 relay_socket=false")),
        (on("eth1"), &both, &unknown, Ok("on eth1 interface=2 to=255.255.255.255 relay_socket=false")),
        (on("eth9"), &both, &unknown, Err("this dhcpd does not listen on 'eth9', but on eth0, eth1")),
        (
            asked(),
            &relays,
            &unknown,
            Err("this dhcpd hears no clients directly, relays alone: say which with --relay ADDRESS"),
        ),
        (
            relayed(),
            &relays,
            &unknown,
            Ok("through the relay 10.40.1.1 interface=9 to=127.0.0.1 relay_socket=true"),
        ),
        (
            relayed(),
            &both,
            &unknown,
            Ok("through the relay 10.40.1.1 interface=1 to=172.16.0.253 relay_socket=false"),
        ),
        (
            relayed(),
            &device,
            &unknown,
            Ok("through the relay 10.40.1.1 interface=2 to=10.40.1.253 relay_socket=false"),
        ),
        (relayed(), &[], &unknown, Err("this dhcpd has no address that a relay could write to")),
    ] {
        let wanted = wanted.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(words(&asked, places, lookup), wanted, "{asked:?}");
    }
}

#[test]
fn the_packet_says_what_was_asked() {
    let message = |asked: Asked| wire::parse(&packet(MAC, &asked, &OURS).unwrap()).unwrap();
    let line = |asked: Asked| message(asked).to_string();
    assert_eq!(line(asked()), "DISCOVER xid=00000000 flags=0000 chaddr=02:00:00:00:01:01 | | len=244");
    let booting = message(Asked { arch: Some(7), user_class: Some("iPXE".into()), ..asked() });
    assert_eq!(booting.architectures().collect::<Vec<_>>(), [7]);
    assert_eq!(booting.vendor_class().as_deref(), Some("PXEClient:Arch:00007:UNDI:003016"));
    assert!(booting.has_user_class(b"iPXE"));
    let http = message(Asked { arch: Some(16), ..asked() });
    assert_eq!(http.vendor_class().as_deref(), Some("HTTPClient:Arch:00016:UNDI:003016"));
    let address = Some(Ipv4Addr::new(10, 0, 0, 1));
    let request = message(Asked { message: Kind::Request, requested: address, ..asked() });
    assert_eq!(request.address(OptionCode::RequestedIpAddress), address);
    let inform = message(Asked { message: Kind::Inform, requested: address, ..asked() });
    assert_eq!(Some(inform.ciaddr), address);
    assert_eq!(Some(message(Asked { relay: address, ..asked() }).giaddr), address);
    let discover = message(Asked { requested: address, ..asked() });
    assert_eq!(discover.address(OptionCode::RequestedIpAddress), address);
    let select = message(Asked { message: Kind::Select, requested: address, ..asked() });
    assert_eq!(select.address(OptionCode::RequestedIpAddress), address);
    assert_eq!(select.address(OptionCode::ServerIdentifier), Some(OURS[1].address));
    for kind in [Kind::Renew, Kind::Rebind] {
        let keeps = message(Asked { message: kind, requested: address, ..asked() });
        assert_eq!((Some(keeps.ciaddr), keeps.address(OptionCode::RequestedIpAddress)), (address, None));
    }
    let ipv6_only = message(Asked { options: Some("1, 3,108".into()), ..asked() });
    assert_eq!(ipv6_only.option(OptionCode::ParameterRequestList), Some(&[1, 3, 108][..]));
    for bad in [
        Asked { message: Kind::Renew, ..asked() },
        Asked { options: Some("1,256".into()), ..asked() },
        Asked { options: Some(String::new()), ..asked() },
        Asked { user_class: Some("x".repeat(256)), ..asked() },
        Asked { user_class: Some(String::new()), ..asked() },
    ] {
        assert!(packet(MAC, &bad, &OURS).is_err(), "{bad:?}");
    }
}

const FILE: &str = "dhcpd: {v4: {server_id: 172.16.0.253, lease_time: 90s, subnets: [{cidr: 10.50.0.0/16}]}}";

/// Decided as a real packet is, and put into words.
fn explained(asked: &Asked, lookup: &Lookup<Interface>, explanation: Option<Explanation>) -> Explained {
    with_hosts("", asked, lookup, explanation)
}

fn with_hosts(
    hosts: &str,
    asked: &Asked,
    lookup: &Lookup<Interface>,
    explanation: Option<Explanation>,
) -> Explained {
    let (hosts, _) = Hosts::parse(hosts);
    with_facts(FILE, &Facts { lookup, ours: &OURS, hosts: &hosts, leases: None }, asked, explanation)
}

fn with_facts(file: &str, facts: &Facts<'_>, asked: &Asked, explanation: Option<Explanation>) -> Explained {
    let (host, lookup) = (facts.host(&MAC), facts.lookup);
    let config = Config::new(&::config::parse(file).unwrap()).unwrap();
    let places = [interface("eth0", 1), interface("eth1", 2), Place::Relays(Ipv4Addr::UNSPECIFIED)];
    let heard = arrival(asked, &places, &OURS, host.or_else(|| record(lookup))).unwrap();
    let message = wire::parse(&packet(MAC, asked, &OURS).unwrap()).unwrap();
    let decision = decide(&config, &message, &heard.arrival, facts);
    let lent = facts.leases.map(|leases| lent(leases, MAC, asked.requested, &decision, Instant::now()));
    let lent = lent.unwrap_or_default();
    explain(Known { mac: MAC, asked, heard: &heard, lookup, host, decision: &decision, lent, explanation })
}

#[test]
fn every_verdict_and_its_exit_code() {
    let mut ignored = machine(&["172.16.0.1"], true);
    ignored.policy.ignore = true;
    ignored.policy.rules = vec!["quiet".into()];
    let request =
        |address: [u8; 4]| Asked { message: Kind::Request, requested: Some(address.into()), ..asked() };
    let relayed = Asked { relay: Some([10, 50, 0, 1].into()), ..asked() };
    let mut orphan = machine(&["172.16.0.1"], false);
    orphan.component_id = Some("x9c0s0b0n0".parse().unwrap());
    let known = || found(machine(&["172.16.0.1"], true));
    for (asked, lookup, verdict, code) in [
        (
            asked(),
            known(),
            "dhcpd answers a DISCOVER of 02:00:00:00:01:01 heard on eth0 with an OFFER of 172.16.0.1 for 90 s.",
            0,
        ),
        (
            request([172, 16, 0, 1]),
            known(),
            "dhcpd answers a REQUEST of 02:00:00:00:01:01 heard on eth0 with an ACK: 172.16.0.1 for 90 s.",
            0,
        ),
        (
            request([172, 16, 0, 2]),
            known(),
            "dhcpd answers a REQUEST of 02:00:00:00:01:01 heard on eth0 with a NAK: it has to start anew.",
            0,
        ),
        (
            relayed,
            known(),
            "dhcpd stays silent to a DISCOVER of 02:00:00:00:01:01 heard through the relay 10.50.0.1: none of its addresses (172.16.0.1) is of the subnet it asks from.",
            3,
        ),
        (
            asked(),
            found(ignored),
            "dhcpd stays silent to a DISCOVER of 02:00:00:00:01:01 heard on eth0: rule quiet says ignore.",
            3,
        ),
        (
            asked(),
            found(orphan),
            "dhcpd stays silent to a DISCOVER of 02:00:00:00:01:01 heard on eth0: SMD ties it to x9c0s0b0n0, which SMD does not have: it counts as unknown.",
            3,
        ),
        (
            asked(),
            found(machine(&["172.16.0.1"], false)),
            "dhcpd stays silent to a DISCOVER of 02:00:00:00:01:01 heard on eth0: SMD ties it to no component: it counts as unknown.",
            3,
        ),
        (
            asked(),
            found(machine(&["fd00::1"], true)),
            "dhcpd stays silent to a DISCOVER of 02:00:00:00:01:01 heard on eth0: SMD has no IPv4 address for it: it counts as unknown.",
            3,
        ),
        (
            asked(),
            Lookup::Unknown,
            "dhcpd stays silent to a DISCOVER of 02:00:00:00:01:01 heard on eth0: SMD does not have it.",
            3,
        ),
        (
            asked(),
            Lookup::Unavailable,
            "dhcpd stays silent to a DISCOVER of 02:00:00:00:01:01 heard on eth0: it cannot be told whether SMD has it, and who cannot tell says nothing.",
            4,
        ),
    ] {
        let explained = explained(&asked, &lookup, None);
        assert_eq!(explained.text[0], verdict);
        assert_eq!(explained.exit_code(), code, "{verdict}");
        assert_eq!(explained.answer.is_none(), explained.silent.is_some(), "{verdict}");
        assert_eq!(
            explained.text.last().unwrap(),
            "smd-cache cannot be asked for more: this is what dhcpd holds itself."
        );
    }
}

#[test]
fn the_hosts_file_is_named_where_it_counts() {
    let hosts = "02:00:00:00:01:01 10.40.1.61";
    for (lookup, why) in [
        (Lookup::Unknown, "SMD does not have it"),
        (Lookup::Unavailable, "it cannot be told whether SMD has it"),
        (found(machine(&[], true)), "SMD has no usable record of it"),
    ] {
        let explained = with_hosts(hosts, &asked(), &lookup, None);
        assert_eq!(
            explained.text[0],
            "dhcpd answers a DISCOVER of 02:00:00:00:01:01 heard on eth1 with an OFFER of 10.40.1.61 for 90 s."
        );
        let sentence = format!("The hosts file (`dhcpd.v4.hosts_file`) has 10.40.1.61 for it, and {why}.");
        assert!(explained.text.contains(&sentence), "{:#?}", explained.text);
    }
    let relayed = Asked { relay: Some([10, 50, 0, 1].into()), ..asked() };
    let explained = with_hosts(hosts, &relayed, &Lookup::Unknown, None);
    assert!(explained.text[0].ends_with("none of its addresses (10.40.1.61) is of the subnet it asks from."));
    let explained = with_hosts(hosts, &asked(), &found(machine(&["172.16.0.1"], true)), None);
    assert!(!explained.text.iter().any(|sentence| sentence.contains("hosts file")), "the inventory counts");
}

#[test]
fn the_problem_that_stands_in_the_way_is_said_before_anything_else() {
    let explanation = Explanation {
        text: vec![
            "DHCP treats it as unknown.".into(),
            "Problem (duplicate_address): x is claimed by y.".into(),
        ],
        problems: vec![("duplicate_address".into(), "x is claimed by y".into())],
    };
    let explained = explained(&asked(), &Lookup::Unknown, Some(explanation));
    assert_eq!(
        explained.text[1..],
        [
            "Problem (duplicate_address): x is claimed by y.",
            "smd-cache says:",
            "  DHCP treats it as unknown."
        ]
    );
    assert_eq!(explained.problems[0].reason, "duplicate_address");
    let json = serde_json::to_string(&explained).unwrap();
    assert_eq!(
        serde_json::from_str::<Explained>(&json).unwrap(),
        explained,
        "the command reads what the page says"
    );
}
