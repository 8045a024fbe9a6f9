//! What a machine is given to boot.

use super::*;

const NO_URLS: &str = "dhcpd: {v4: {server_id: 172.16.0.253}}\n";

/// `67`, `file`, and the class, vendor options and iPXE options around them.
fn boots(file: &str, request: Request, machine: Interface) -> String {
    let decision = ask(file, &request, &broadcast(), &found(machine));
    let packet = &reply(&decision).packet;
    let text = |code: u8| match packet.options.value(code) {
        Some(value) => String::from_utf8_lossy(value).replace('\0', "$"),
        None => "-".into(),
    };
    let hex = |code: u8| packet.options.value(code).map_or("-".into(), |value| format!("{value:?}"));
    let field = packet.file.as_deref().unwrap_or("-");
    let notes: Vec<String> = decision.notes.iter().map(Note::to_string).collect();
    format!("{} {field} {} {} {} {}", text(67), text(60), hex(43), hex(175), notes.join(" "))
        .trim_end()
        .to_owned()
}

fn client(class: &str, architectures: &[u16]) -> Request {
    let list: Vec<u8> = architectures.iter().flat_map(|arch| arch.to_be_bytes()).collect();
    let request = if class.is_empty() { new(Discover) } else { new(Discover).option(60, class.as_bytes()) };
    if list.is_empty() { request } else { request.option(93, &list) }
}

const PXE: &str = "PXEClient:Arch:00007:UNDI:003016";
const HTTP: &str = "HTTPClient:Arch:00016:UNDI:003001";

#[test]
fn the_loader_follows_the_architectures() {
    let wrapped = |file: &str| format!("{file}$ {file} PXEClient [6, 1, 8, 255] -");
    let table = [
        (&[0][..], wrapped("undionly.kpxe")),
        (&[6], wrapped("ipxe-i386.efi")),
        (&[7], wrapped("ipxe-x86_64.efi")),
        (&[10], wrapped("ipxe-arm32.efi")),
        (&[11], wrapped("ipxe-arm64.efi")),
        (&[7, 0], wrapped("ipxe-x86_64.efi")),
        (&[0xffff, 7], wrapped("ipxe-x86_64.efi")),
        (&[0x1234], "- - - - - no loader for architecture 4660".into()),
        (&[], "- - - - -".into()),
    ];
    for (architectures, expected) in table {
        let booted = boots(FILE, client(PXE, architectures), node(&["172.16.0.11"]));
        assert_eq!(booted, expected, "{architectures:?}");
    }
}

#[test]
fn each_kind_of_client_gets_its_wrapping() {
    let machine = || node(&["172.16.0.11"]);
    let ipxe = |class| client(class, &[7]).option(77, b"iPXE");
    let script =
        "http://172.16.0.253/script?mac=02:00:00:00:01:01&id=x1000c0s0b0n0&nid=7&host=nid0007&arch=x86_64$";
    assert_eq!(boots(FILE, client("", &[7]), machine()), "ipxe-x86_64.efi$ ipxe-x86_64.efi - - -");
    assert_eq!(boots(FILE, client("udhcp 1.35.0", &[]), machine()), "- - - - -");
    assert_eq!(boots(FILE, ipxe(PXE), machine()), format!("{script} - - - [176, 1, 1]"));
    assert_eq!(
        boots(FILE, client(HTTP, &[16]), machine()),
        "http://172.16.0.253/loaders/ipxe-x86_64.efi$ - HTTPClient - -"
    );
    assert_eq!(
        boots(FILE, client(HTTP, &[19]), machine()),
        "http://172.16.0.253/loaders/ipxe-arm64.efi$ - HTTPClient - -"
    );
    // nothing configured for them: nothing that would only mislead
    assert_eq!(boots(NO_URLS, ipxe(PXE), machine()), "- - - - - no loader for architecture 7");
    assert_eq!(boots(NO_URLS, client(HTTP, &[16]), machine()), "- - - - - no loader for architecture 16");
}

#[test]
fn policy_comes_before_the_table() {
    let mut machine = node(&["172.16.0.11"]);
    let policy = &mut machine.addresses[0].policy;
    policy.boot_file = Some("special.efi".into());
    policy.script_url = Some("http://other/{nid}".into());
    policy.next_server = Some(ip("172.16.0.9"));
    let first = ask(FILE, &client(PXE, &[7]), &broadcast(), &found(machine.clone()));
    let packet = &reply(&first).packet;
    assert_eq!(packet.siaddr, ip("172.16.0.9"));
    assert_eq!(packet.options.value(66u8), Some(&b"172.16.0.9\0"[..]));
    assert!(
        boots(FILE, client(PXE, &[7]), machine.clone()).starts_with("special.efi$ special.efi PXEClient")
    );
    assert!(
        boots(FILE, client(PXE, &[7]).option(77, b"iPXE"), machine.clone()).starts_with("http://other/7$ -")
    );
    assert_eq!(
        boots(FILE, client("", &[]), machine),
        "- - - - -",
        "who boots nothing from the net gets no file"
    );
}

#[test]
fn the_boot_server_is_named_where_asked_for() {
    let asked = |list: &[u8]| {
        let decision =
            ask(FILE, &client(PXE, &[7]).option(55, list), &broadcast(), &found(node(&["172.16.0.11"])));
        reply(&decision).packet.options.value(66u8).is_some()
    };
    assert!(asked(&[66]) && !asked(&[1, 67]));
}

#[test]
fn what_a_machine_has_not_is_empty_in_its_url() {
    let mut machine = node(&["172.16.0.11"]);
    let component = Component { nid: None, ..(**machine.component.as_ref().unwrap()).clone() };
    machine.component = Some(Arc::new(component));
    let booted = boots(FILE, new(Discover).option(77, b"iPXE"), machine);
    assert!(booted.contains("&nid=&host=nid0007&arch=$"), "{booted}");
}
