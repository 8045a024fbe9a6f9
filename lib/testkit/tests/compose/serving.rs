//! One `docker compose up`: what runs, with which rights, and that it serves.

use crate::stack::{IMAGES, NODE1, PROGRAMS, SERVER, Stack, gets_its_address, udhcpc};
use std::{fs, time::Duration};
use testkit::cluster::within;

/// Bits of capabilities (linux/capability.h).
const NET_BIND_SERVICE: u64 = 1 << 10;
const NET_RAW: u64 = 1 << 13;

#[test]
fn a_clone_comes_up_serves_machines_and_leaves_nothing() {
    let stack = Stack::up();
    rights_are_as_few_as_can_be(&stack);
    nothing_listens_for_others(&stack);
    grpc_and_names_are_answered(&stack);
    loaders_are_debians(&stack);
    machines_get_addresses(&stack);
    networks_are_apart(&stack);
    a_node_ends_by_ctrl_c(&stack);
    stack.compose("down -v");
    let left = stack.line("docker ps -aq; docker volume ls -q; docker network ls -q --filter type=custom");
    assert_eq!(left, "", "containers, volumes or networks are left");
}

fn rights_are_as_few_as_can_be(stack: &Stack) {
    for (program, rights) in [
        ("smd-cache", 0),
        ("dhcpd", NET_BIND_SERVICE | NET_RAW),
        ("dnsd", NET_BIND_SERVICE),
        ("tftpd", NET_BIND_SERVICE),
    ] {
        let container = stack.container(program);
        let status = stack.proc(&container, "status");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a field of status");
            line.split_whitespace().next().expect("a value").to_owned()
        };
        assert_eq!(field("Uid:"), "65532", "{program} runs as somebody else");
        for set in ["CapEff:", "CapPrm:", "CapBnd:"] {
            assert_eq!(u64::from_str_radix(&field(set), 16).unwrap(), rights, "{program}, {set}");
        }
        assert_eq!(stack.inspect(&container, "{{.HostConfig.ReadonlyRootfs}}"), "true", "{program}");
        assert_eq!(stack.inspect(&container, "{{.State.Health.Status}}"), "healthy", "{program}");
        let mounts = stack.proc(&container, "mounts");
        let root = mounts.lines().find(|line| line.split(' ').nth(1) == Some("/")).expect("a root");
        assert!(root.split(' ').nth(3).unwrap().starts_with("ro,"), "{program}: {root}");
    }
    for image in IMAGES {
        let (found, said) = stack.try_line(&format!("docker run --rm {image} sh -c true"));
        assert!(!found, "{image} has a shell: {said}");
        let labels = stack.inspect(image, "{{json .Config.Labels}}");
        for label in ["title", "description", "version", "licenses", "revision"] {
            assert!(labels.contains(&format!("org.opencontainers.image.{label}")), "{image}: {labels}");
        }
        assert_eq!(stack.inspect(image, "{{.Config.User}}"), "65532:65532", "{image}");
    }
    let commit = stack.inspect("coresmd", r#"{{index .Config.Labels "org.opencontainers.image.revision"}}"#);
    let version = stack.compose("exec dnsd dnsd --version");
    assert!(version.contains(&commit) && commit != "unknown", "label {commit}, but {version}");
}

/// What is published is on loopback; the rest is on Docker's own networks.
fn nothing_listens_for_others(stack: &Stack) {
    let listeners = stack.line("ss -Hlntu | awk '{print $5}'");
    assert!(listeners.lines().count() >= PROGRAMS.len(), "{listeners}");
    for listener in listeners.lines() {
        assert!(listener.starts_with("127.0.0.1:"), "{listener} listens for more than this host");
    }
}

fn grpc_and_names_are_answered(stack: &Stack) {
    let services = stack.line("grpcurl -plaintext 127.0.0.1:27780 list");
    assert!(services.contains("smdcache.v1.SmdCache"), "{services}");
    let asked = format!(r#"{{"mac":"{}"}}"#, NODE1.mac);
    let found = stack
        .line(&format!("grpcurl -plaintext -d '{asked}' 127.0.0.1:27780 smdcache.v1.SmdCache/LookupMac"));
    assert!(found.contains("OUTCOME_FOUND") && found.contains(NODE1.address), "{found}");
    for server in
        ["@127.0.0.1 -p 5300".to_owned(), "@127.0.0.1 -p 5300 +tcp".to_owned(), format!("@{SERVER}")]
    {
        let ask = |rest: &str| stack.line(&format!("dig {server} {rest}")).trim().to_owned();
        assert_eq!(ask(&format!("+short {}", NODE1.fqdn)), NODE1.address);
        assert_eq!(ask(&format!("+short -x {}", NODE1.address)), format!("{}.", NODE1.fqdn));
        let nobody = ask("nid9999.openchami.cluster");
        assert!(nobody.contains("NXDOMAIN"), "{nobody}");
    }
    for (program, port) in PROGRAMS {
        let version = stack.line(&format!("curl -sf 127.0.0.1:{port}/version"));
        assert!(version.contains(&format!(r#""program":"{program}""#)), "port {port}: {version}");
    }
}

/// The names that `boot.loaders` has, with the bytes of Debian's package.
fn loaders_are_debians(stack: &Stack) {
    for (name, begins) in [("undionly.kpxe", &b""[..]), ("ipxe-x86_64.efi", b"MZ"), ("ipxe-arm64.efi", b"MZ")]
    {
        stack.line(&format!("curl -sf tftp://{SERVER}/{name} -o loaded"));
        let loaded = fs::read(stack.folder().join("loaded")).unwrap();
        assert!(loaded.starts_with(begins) && loaded.len() > 50_000, "{name} has {} bytes", loaded.len());
        let kept = stack.container("tftpd");
        stack.line(&format!("docker cp -q {kept}:/usr/share/coresmd/tftpboot/{name} kept || docker cp {kept}:/usr/share/coresmd/tftpboot/{name} kept"));
        assert!(loaded == fs::read(stack.folder().join("kept")).unwrap(), "{name} arrives otherwise");
    }
}

/// A real client on the wire: a machine that SMD knows, and one that it does not.
fn machines_get_addresses(stack: &Stack) {
    let machine = stack.machine("m1");
    machine.ip(&format!("link set eth0 address {}", NODE1.mac));
    gets_its_address(&machine);
    machine.ip("link set eth0 address 02:de:00:00:00:77");
    let said = udhcpc(&machine);
    assert!(
        said.contains("lease of 172.16.0.2") && !said.contains(NODE1.address),
        "none of the pool: {said}"
    );
}

/// `net` has two networks, and passes on nothing between them.
fn networks_are_apart(stack: &Stack) {
    let pid = stack.inspect(&stack.container("net"), "{{.State.Pid}}");
    let forwards = stack.line(&format!("nsenter --target {pid} --net cat /proc/sys/net/ipv4/ip_forward"));
    assert_eq!(forwards.trim(), "0");
}

/// As process 1 of its container, with nobody who answers.
fn a_node_ends_by_ctrl_c(stack: &Stack) {
    stack.compose("stop dhcpd");
    stack.compose("run -d --no-deps --name waiting node --wait 600");
    within(Duration::from_secs(30), "it asks", || {
        stack.line("docker logs waiting").contains("boots on").then_some(())
    });
    stack.line("docker kill -s INT waiting");
    assert_eq!(stack.line("docker wait waiting").trim(), "1");
    stack.line("docker rm waiting");
}
