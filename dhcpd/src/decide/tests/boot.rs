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
        (&[], wrapped("ipxe-x86_64.efi")), // of the vendor class
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
    let asks = |list: &[u8]| boots(FILE, client("", &[]).option(55, list), machine.clone());
    assert_eq!(asks(&[1, 3, 66]), "- - - - -", "who boots nothing from the net gets no file");
    assert_eq!(asks(&[1, 3, 67]), "special.efi$ special.efi - - -", "but a switch that asks does");
}

#[test]
fn without_option_93_the_vendor_class_names_the_architecture() {
    let wrapped = "ipxe-x86_64.efi$ ipxe-x86_64.efi PXEClient [6, 1, 8, 255] -";
    for (class, half, expected) in [
        ("PXEClient:Arch:00007:UNDI:003016", &[][..], wrapped),
        ("PXEClient:Arch:00007", &[], wrapped),
        ("PXEClient:Arch:00007", &[11], wrapped), // one byte is no architecture
        ("PXEClient:Arch:00007", &[0, 11], "ipxe-arm64.efi$ ipxe-arm64.efi PXEClient [6, 1, 8, 255] -"),
        ("PXEClient:Arch:04660:UNDI:003016", &[], "- - - - - no loader for architecture 4660"),
        (
            "HTTPClient:Arch:00019:UNDI:003001",
            &[],
            "http://172.16.0.253/loaders/ipxe-arm64.efi$ - HTTPClient - -",
        ),
        ("PXEClient", &[], "- - - - -"),
        ("PXEClient", &[7], "- - - - -"),
        ("PXEClient:Arch:7", &[], "- - - - -"),
        ("PXEClient:Arch:0000x", &[], "- - - - -"),
        ("PXEClient:Arch:+0007", &[], "- - - - -"),
        ("PXEClient:Arch:99999", &[], "- - - - -"),
        ("xPXEClient:Arch:00007", &[], "- - - - -"),
    ] {
        let request = client(class, &[]);
        let request = if half.is_empty() { request } else { request.option(93, half) };
        assert_eq!(boots(FILE, request, node(&["172.16.0.11"])), expected, "{class} {half:?}");
    }
}

#[test]
fn every_architecture_of_http_boot_gets_the_url_of_its_loader() {
    for (arch, loader) in [
        (15, "ipxe-i386.efi"),
        (16, "ipxe-x86_64.efi"),
        (17, "ipxe-x86_64.efi"),
        (18, "ipxe-arm32.efi"),
        (19, "ipxe-arm64.efi"),
        (20, "undionly.kpxe"),
    ] {
        let booted = boots(FILE, client(HTTP, &[arch]), node(&["172.16.0.11"]));
        assert_eq!(booted, format!("http://172.16.0.253/loaders/{loader}$ - HTTPClient - -"));
    }
}

#[test]
fn http_firmware_gets_a_rules_url_whole_and_nothing_that_it_cannot_load() {
    let ruled = |file: &str, of: &str| {
        let mut machine = node(&["172.16.0.11"]);
        machine.addresses[0].policy.boot_file = Some(file.into());
        boots(of, client(HTTP, &[16]), machine)
    };
    let nothing = "- - - - - no loader for architecture 16";
    assert_eq!(ruled("https://boot/{hostname}.efi", NO_URLS), "https://boot/nid0007.efi$ - HTTPClient - -");
    assert_eq!(ruled("grub.efi", FILE), "http://172.16.0.253/loaders/grub.efi$ - HTTPClient - -");
    assert_eq!(ruled("grub.efi", NO_URLS), nothing);
    assert_eq!(ruled("tftp://172.16.0.9/grub.efi", FILE), nothing);
}

/// edk2 HttpBootDhcp4.c: a URL with a name in it is of no use without option 6.
#[test]
fn http_firmware_gets_name_servers_also_unasked() {
    let codes = |class: &str, arch: u16| {
        let request = client(class, &[arch]).option(55, &[1, 3]);
        let decision = ask(FILE, &request, &broadcast(), &found(node(&["172.16.0.11"])));
        reply(&decision).packet.options.value(6u8).is_some()
    };
    assert!(codes(HTTP, 16) && !codes(PXE, 7));
}

/// The user class is compared whole; what iPXE says of its features (option 175) and odd user classes change nothing.
#[test]
fn ipxe_is_who_says_exactly_so() {
    let script = |request: Request| boots(FILE, request, node(&["172.16.0.11"])).contains("/script?");
    let features = [0xb1, 5, 1, 0x80, 0x86, 0x10, 0x0e, 0x18, 1, 1, 0x22, 1, 1, 0xb0, 200];
    for (class, expected) in [
        (&b"iPXE"[..], true),
        (b"\x04iPXE", true),
        (b"\x03abc\x04iPXE", true),
        (b"iPXE2", false),
        (b"ipxe", false),
        (b"iPX", false),
        (b"\x05iPXE", false),
        (b"\x04iPXE\x09", false),
        (b"", false),
    ] {
        for features in [&[][..], &features, &features[..3], &[0xb0, 1, 0]] {
            let request = client(PXE, &[7]).option(77, class).option(175, features);
            assert_eq!(script(request), expected, "{class:?} {features:?}");
        }
    }
    assert!(!script(client(PXE, &[7]).option(175, &features)), "features alone are no user class");
}

#[test]
fn placeholders_are_filled_in_wherever_a_file_is_named() {
    let file = FILE
        .replace("boot:\n", "boot:\n  loaders: {7: '{arch}/{nid}.efi', 11: 'tftp://172.16.0.8/{id}.efi'}\n");
    let booted = |request: Request, boot_file: Option<&str>| {
        let mut machine = node(&["172.16.0.11"]);
        machine.addresses[0].policy.boot_file = boot_file.map(str::to_owned);
        boots(&file, request, machine).split(' ').next().unwrap().to_owned()
    };
    assert_eq!(booted(client(PXE, &[7]), None), "x86_64/7.efi$");
    assert_eq!(booted(client(PXE, &[11]), None), "/x1000c0s0b0n0.efi$");
    assert_eq!(booted(client(PXE, &[7]), Some("{mac}/{hostname}")), "02:00:00:00:01:01/nid0007$");
    assert_eq!(
        booted(client(HTTP, &[16]), Some("{id}.efi")),
        "http://172.16.0.253/loaders/x1000c0s0b0n0.efi$"
    );
}

/// What a client that asks for these options is told: 66, 67, siaddr and `file`.
fn told(file: &str, request: Request, machine: Interface) -> String {
    let decision = ask(file, &request, &broadcast(), &found(machine));
    let packet = &reply(&decision).packet;
    let text = |code: u8| match packet.options.value(code) {
        Some(value) => String::from_utf8_lossy(value).replace('\0', "$"),
        None => "-".into(),
    };
    format!("{} {} {} {}", text(66), text(67), packet.siaddr, packet.file.as_deref().unwrap_or("-"))
}

fn nbp(url: &str) -> String {
    FILE.replace("boot:\n", &format!("boot:\n  nbp: '{url}'\n"))
}

#[test]
fn one_file_for_everyone_goes_to_who_boots_or_asks_for_it() {
    let tftp = nbp("tftp://172.16.0.7/pxe/{arch}/grub.efi");
    let machine = || node(&["172.16.0.11"]);
    let asks = |request: Request| request.option(55, &[1, 3, 66, 67]);
    assert_eq!(
        told(&tftp, asks(client("", &[])), machine()),
        "172.16.0.7$ /pxe//grub.efi$ 172.16.0.7 /pxe//grub.efi"
    );
    assert_eq!(told(&tftp, client("", &[]).option(55, &[1, 3]), machine()), "- - 172.16.0.253 -");
    assert_eq!(
        told(&tftp, client(PXE, &[7]).option(55, &[1, 3]), machine()),
        "- /pxe/x86_64/grub.efi$ 172.16.0.7 /pxe/x86_64/grub.efi"
    );
    let http = nbp("http://boot.local/x.efi");
    let whole = "http://boot.local/x.efi";
    assert_eq!(
        told(&http, asks(client("", &[])), machine()),
        format!("172.16.0.253$ {whole}$ 172.16.0.253 {whole}")
    );
    assert_eq!(boots(&http, client(HTTP, &[16]), machine()), format!("{whole}$ - HTTPClient - -"));
    assert_eq!(boots(&tftp, client(HTTP, &[16]), machine()), "- - - - - no loader for architecture 16");
    let named = nbp("tftp://boot.local/x.efi");
    assert_eq!(
        told(&named, asks(client(PXE, &[7])), machine()),
        "boot.local$ /x.efi$ 172.16.0.253 /x.efi",
        "siaddr holds no name"
    );
}

#[test]
fn ipxe_gets_the_script_before_the_file_for_everyone() {
    let tftp = nbp("tftp://172.16.0.7/x.efi");
    let ipxe = || client(PXE, &[7]).option(77, b"iPXE");
    assert!(boots(&tftp, ipxe(), node(&["172.16.0.11"])).starts_with("http://172.16.0.253/script?"));
    let scriptless = format!("boot: {{nbp: 'tftp://172.16.0.7/x.efi'}}\n{NO_URLS}");
    assert_eq!(boots(&scriptless, ipxe(), node(&["172.16.0.11"])), "/x.efi$ /x.efi - - [176, 1, 1]");
}

#[test]
fn a_rule_comes_before_the_file_for_everyone_and_its_server_before_that_ones() {
    let tftp = nbp("tftp://172.16.0.7/x.efi");
    let ruled = |boot_file: Option<&str>, next_server: Option<&str>| {
        let mut machine = node(&["172.16.0.11"]);
        machine.addresses[0].policy.boot_file = boot_file.map(str::to_owned);
        machine.addresses[0].policy.next_server = next_server.map(ip);
        told(&tftp, client(PXE, &[7]), machine)
    };
    assert_eq!(ruled(None, Some("172.16.0.9")), "172.16.0.9$ /x.efi$ 172.16.0.9 /x.efi");
    assert_eq!(ruled(Some("y.efi"), None), "172.16.0.253$ y.efi$ 172.16.0.253 y.efi");
    assert_eq!(ruled(Some("y.efi"), Some("172.16.0.9")), "172.16.0.9$ y.efi$ 172.16.0.9 y.efi");
    assert_eq!(ruled(Some("tftp://172.16.0.8/y"), Some("172.16.0.9")), "172.16.0.8$ /y$ 172.16.0.8 /y");
}

/// What protocols.md §A3 has of firmware, for every kind of client at once.
#[test]
fn no_answer_traps_the_firmware_it_is_for() {
    let classes = ["", PXE, HTTP, "PXEClient", "HTTPClient", "udhcp"];
    let architectures = [&[][..], &[0], &[7], &[11], &[16], &[19], &[0xffff, 7], &[0x1234]];
    let files = [FILE.to_owned(), NO_URLS.to_owned(), nbp("tftp://172.16.0.7/x"), nbp("http://172.16.0.7/x")];
    let rules = [None, Some("a.efi"), Some("http://h/a.efi"), Some("tftp://172.16.0.8/a.efi")];
    for file in &files {
        for rule in rules {
            for class in classes {
                for list in architectures {
                    for user_class in [None, Some(&b"iPXE"[..])] {
                        let request = client(class, list).option(97, &[0; 17]);
                        let request = match user_class {
                            Some(user) => request.option(77, user),
                            None => request,
                        };
                        let mut machine = node(&["172.16.0.11"]);
                        machine.addresses[0].policy.boot_file = rule.map(str::to_owned);
                        let decision = ask(file, &request, &broadcast(), &found(machine));
                        is_safe(&reply(&decision).packet, class, user_class.is_some());
                    }
                }
            }
        }
    }
}

fn is_safe(packet: &Packet, class: &str, is_ipxe: bool) {
    let value = |code: u8| packet.options.value(code);
    let answered = value(60).unwrap_or_default();
    // PxeBcDhcp4.c: without discovery control it asks port 4011, and fails when nobody answers
    assert_eq!(answered == b"PXEClient", value(43) == Some(&[6, 1, 8, 255]), "{class}");
    // HttpBootDhcp4.c: both or it is ignored; and never to others
    if answered == b"HTTPClient" {
        assert!(class.starts_with("HTTPClient") && value(67).unwrap().starts_with(b"http"), "{class}");
    }
    // iPXE takes PXEClient for its own proxy offer, and waits 2 s without 175.176
    assert_eq!(value(175).is_some(), is_ipxe && value(67).is_some());
    assert!(!is_ipxe || answered.is_empty());
    // edk2 writes a NUL one past a name that has none, and looks for the server in siaddr alone
    for code in [66, 67] {
        assert!(value(code).is_none_or(|text| text.ends_with(b"\0")), "{class} {code}");
    }
    assert!(!packet.siaddr.is_unspecified());
    assert_eq!(value(97), Some(&[0; 17][..]), "echoed");
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
