//! Whole exchanges as text.

use super::*;

/// Each request with what came of it.
fn transcript(arrival: &Arrival, machine: &Interface, requests: &[Request]) -> String {
    let lookup = found(machine.clone());
    let mut text = String::new();
    for request in requests {
        let decision = ask(FILE, request, arrival, &lookup);
        text += &format!("> {}\n< {decision}\n", wire_parse(request));
    }
    text
}

#[test]
fn a_node_boots_from_firmware_to_system() {
    let pxe = |kind| {
        let request = Request { xid: 1, flags: 0x8000, ..new(kind) };
        request.option(93, &[0, 7]).option(60, b"PXEClient:Arch:00007").option(55, &[1, 3, 6, 66, 67])
    };
    let ipxe =
        |kind| Request { xid: 2, ..new(kind) }.option(93, &[0, 7]).option(77, b"iPXE").option(55, &[1, 3, 6]);
    let system = |kind| Request { xid: 3, ..new(kind) }.option(55, &[1, 3, 6, 12]);
    let chosen = |request: Request| request.address(50, "172.16.0.11").address(54, "172.16.0.253");
    let text = transcript(
        &broadcast(),
        &node(&["172.16.0.11"]),
        &[
            pxe(Discover),
            chosen(pxe(Ask)),
            ipxe(Discover),
            chosen(ipxe(Ask)),
            system(Discover),
            chosen(system(Ask)),
            system(Release).client("172.16.0.11").address(54, "172.16.0.253"),
        ],
    );
    assert_eq!(text, include_str!("boot.txt"), "\n{text}");
}

#[test]
fn a_node_moves() {
    let relay = ip("10.40.1.1");
    let behind =
        |kind| Request { xid: 4, ..new(kind) }.relayed(relay).option(55, &[1, 3]).option(82, &[1, 2, 0, 9]);
    let text = transcript(
        &unicast("10.40.1.1:67"),
        &node(&["172.16.0.11", "10.40.1.11"]),
        &[
            behind(Ask).address(50, "172.16.0.11"),
            behind(Discover),
            behind(Ask).address(50, "10.40.1.11").address(54, "172.16.0.253"),
        ],
    );
    assert_eq!(text, include_str!("move.txt"), "\n{text}");
}
