//! TFTP with curl, atftp and tftp-hpa.

use crate::scene;
use std::{fs, path::Path, time::Duration};
use testkit::cluster::{Cluster, finish, need_tools, tool};

/// Longest time for a megabyte in 512-byte blocks with debug builds on a busy machine.
const TRANSFER: Duration = Duration::from_secs(60);

#[test]
fn a_megabyte_arrives_intact_with_every_client_and_nothing_can_be_written() {
    need_tools(&["curl", "atftp", "tftp"]);
    let mut cluster = Cluster::bare();
    let mut random = fastrand::Rng::with_seed(7);
    let bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(1 << 20).collect();
    cluster.tftp_file("loader.efi", &bytes);
    cluster.start_smd(scene::inventory());
    cluster.start_program("smd-cache");
    cluster.start_program("tftpd");
    cluster.wait_ready("tftpd");
    cluster.wire.node1.ip("addr add 172.16.0.77/24 dev eth0");

    let clients: &[(&str, &[&str])] = &[
        ("curl", &["-sS", "-o", "OUT", "tftp://172.16.0.253/loader.efi"]),
        ("curl", &["-sS", "--tftp-no-options", "-o", "OUT", "tftp://172.16.0.253/loader.efi"]),
        ("curl", &["-sS", "--tftp-blksize", "1428", "-o", "OUT", "tftp://172.16.0.253/loader.efi"]),
        (
            "atftp",
            &[
                "--option",
                "windowsize 8",
                "--option",
                "blksize 1428",
                "--option",
                "tsize 0",
                "-g",
                "-r",
                "loader.efi",
                "-l",
                "OUT",
                "172.16.0.253",
            ],
        ),
        ("tftp", &["-m", "binary", "172.16.0.253", "-c", "get", "loader.efi", "OUT"]),
    ];
    for (number, (client, arguments)) in clients.iter().enumerate() {
        let out = cluster.folder().join(format!("got{number}"));
        let mut command = cluster.wire.node1.command(tool(client));
        command.args(
            arguments
                .iter()
                .map(|argument| if *argument == "OUT" { out.to_str().unwrap() } else { argument }),
        );
        let (status, said) = finish(&mut command, TRANSFER);
        let got = fs::read(&out).unwrap_or_default();
        assert!(
            status.success() && got == bytes,
            "{client} {arguments:?}: {status}, {} bytes: {said}",
            got.len()
        );
    }

    let mut command = cluster.wire.node1.command(tool("curl"));
    command.args(["-sS", "tftp://172.16.0.253/no-such-file"]);
    let (status, said) = finish(&mut command, TRANSFER);
    assert_eq!(status.code(), Some(68), "curl's word for 'file not found': {said}");
    let mut command = cluster.wire.node1.command(tool("curl"));
    command.args(["-sS", "-T"]).arg(Path::new("/etc/hostname")).arg("tftp://172.16.0.253/written");
    let (status, said) = finish(&mut command, TRANSFER);
    assert!(!status.success(), "{said}");
    assert!(!cluster.folder().join("tftp/written").exists());
}
