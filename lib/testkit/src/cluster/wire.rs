//! The machines of a cluster and the cables between them.

use super::{
    RELAY, SERVER,
    namespace::{Namespace, clear_leftovers},
};

/// Five machines and a switch.
pub struct Wire {
    /// Runs the programs: `srv0` has 172.16.0.253/24.
    pub server: Namespace,
    /// On the server's segment, `eth0`.
    pub node1: Namespace,
    /// On the server's segment, `eth0`.
    pub node2: Namespace,
    /// Behind the relay, `eth0`.
    pub node3: Namespace,
    /// `up0` has 172.16.0.2/24, `down0` has 10.40.1.1/24; it routes.
    pub relay: Namespace,
    _switch: Namespace,
}

impl Wire {
    /// Plugs everything together; no node has an address.
    pub fn build() -> Wire {
        clear_leftovers();
        super::disk::clear_leftovers();
        let wire = Wire {
            server: Namespace::new("srv"),
            node1: Namespace::new("n1"),
            node2: Namespace::new("n2"),
            node3: Namespace::new("n3"),
            relay: Namespace::new("relay"),
            _switch: Namespace::new("sw"),
        };
        let switch = &wire._switch;
        switch.ip("link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0");
        switch.ip("link set br0 up");
        let ports =
            [(&wire.server, "srv0"), (&wire.node1, "eth0"), (&wire.node2, "eth0"), (&wire.relay, "up0")];
        for (number, (machine, device)) in ports.into_iter().enumerate() {
            switch.plug(&format!("port{number}"), machine, device);
            switch.ip(&format!("link set port{number} master br0"));
        }
        wire.relay.plug("down0", &wire.node3, "eth0");
        wire.server.ip(&format!("addr add {SERVER}/24 dev srv0"));
        wire.relay.ip("addr add 172.16.0.2/24 dev up0");
        wire.relay.ip(&format!("addr add {RELAY}/24 dev down0"));
        wire.server.ip("route add 10.40.1.0/24 via 172.16.0.2");
        let route = "echo 1 > /proc/sys/net/ipv4/ip_forward";
        let status = wire.relay.command("sh").args(["-c", route]).status().expect("sh is there");
        assert!(status.success(), "{route}");
        wire
    }
}
