//! dhclient, dhcpcd, udhcpc and dhcrelay, each with a script that touches nothing outside its namespace: it sets the interface's
//! address and route there, and writes down what it was told.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};
use testkit::cluster::{Namespace, Process, tool, within};

/// Longest time for a client to get an address: udhcpc and dhclient ask again after seconds if one answer is lost.
const LEASE: Duration = Duration::from_secs(20);

/// What a script was told: the client's variables.
pub type Told = BTreeMap<String, String>;

/// A client's folder: its script, leases and what the script was told.
pub struct Client {
    pub process: Process,
    folder: PathBuf,
}

impl Client {
    /// Waits until the script has been called so often for this reason; what it was told the last time.
    pub fn told(&self, reason: &str, times: usize) -> Told {
        let what =
            format!("the client is told '{reason}' {times} times, having said:\n{}", self.process.log());
        within(LEASE, &what, || {
            let text = fs::read_to_string(self.folder.join(format!("{reason}.{times}"))).ok()?;
            Some(
                text.lines()
                    .filter_map(|line| line.split_once('='))
                    .map(|(k, v)| (k.into(), v.into()))
                    .collect(),
            )
        })
    }

    /// Whether the script was ever called for this reason.
    pub fn was_told(&self, reason: &str) -> bool {
        self.folder.join(format!("{reason}.1")).exists()
    }
}

/// Writes the script: `reason` is a shell expression, `apply` sets the address.
fn script(folder: &Path, reason: &str, apply: &str) -> PathBuf {
    fs::create_dir_all(folder).expect("a folder for the client");
    let path = folder.join("script");
    let text = format!(
        "#!/bin/sh\ncd {}\nreason={reason}\n{apply}\nn=1; while [ -e \"$reason.$n\" ]; do n=$((n+1)); done\nenv > new; mv new \"$reason.$n\"\n",
        folder.display()
    );
    fs::write(&path, text).expect("a script can be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    path
}

/// Gives a machine its MAC, and takes its address away.
pub fn power_on(machine: &Namespace, mac: &str) {
    machine.ip("link set eth0 down");
    machine.ip("addr flush dev eth0");
    machine.ip(&format!("link set eth0 address {mac}"));
    machine.ip("link set eth0 up");
}

/// What the scripts of dhclient and dhcpcd do, which are told by the same words.
const APPLY: &str = "case $reason in BOUND|RENEW|REBIND|REBOOT)\n\
    ip addr replace $new_ip_address/24 dev eth0\n\
    for r in $new_routers; do ip route replace default via $r; done;;\n\
    esac\nexport reason";

/// ISC dhclient, in the foreground. The same folder again: it remembers its lease.
pub fn dhclient(machine: &Namespace, folder: &Path) -> Client {
    dhclient_asking(machine, folder, "")
}

/// The same, asking for further options: `, ntp-servers, time-offset`.
pub fn dhclient_asking(machine: &Namespace, folder: &Path, further: &str) -> Client {
    let script = script(folder, "$reason", APPLY);
    let settings = folder.join("dhclient.conf");
    let text = format!(
        "timeout 15;\nretry 1;\ninitial-interval 1;\nbackoff-cutoff 2;\nreboot 5;\nselect-timeout 0;\n\
        option rfc3442-routes code 121 = array of unsigned integer 8;\n\
        request subnet-mask, routers, domain-name, domain-name-servers, host-name, tftp-server-name, bootfile-name{further};\n"
    );
    fs::write(&settings, text).expect("a file can be written");
    let mut command = machine.command(tool("dhclient"));
    command.args(["-4", "-d", "-sf"]).arg(script).arg("-cf").arg(settings);
    command.arg("-lf").arg(folder.join("leases")).arg("-pf").arg(folder.join("pid")).arg("eth0");
    Client { process: Process::start("dhclient", command, &folder.join("log")), folder: folder.to_owned() }
}

/// dhcpcd, in the foreground; its files are those of the folder, not the host's.
pub fn dhcpcd(machine: &Namespace, folder: &Path) -> Client {
    let script = script(folder, "$reason", APPLY);
    let settings = folder.join("dhcpcd.conf");
    // Nobody else has the address, and nobody waits for chance.
    fs::write(&settings, "noarp\nnodelay\nipv4only\nnoipv4ll\noption host_name, domain_name, routers\n")
        .expect("a file can be written");
    // `ip netns exec` gives it mounts of its own, which end with it.
    let alone = "mount -t tmpfs none /run && mkdir -p /var/lib/dhcpcd && mount -t tmpfs none /var/lib/dhcpcd && exec \"$@\"";
    let mut command = machine.command("sh");
    command.args(["-c", alone, "sh"]).arg(tool("dhcpcd")).args(["-B", "-4", "-d", "--noconfigure", "-f"]);
    command.arg(settings).arg("-c").arg(script).arg("eth0");
    Client { process: Process::start("dhcpcd", command, &folder.join("log")), folder: folder.to_owned() }
}

/// busybox' udhcpc, in the foreground; SIGUSR1 makes it renew.
pub fn udhcpc(machine: &Namespace, folder: &Path, more: &[&str]) -> Client {
    let apply = "case $reason in bound|renew)\n\
        ip addr replace $ip/$mask dev eth0\n\
        for r in $router; do ip route replace default via $r; done;;\n\
        deconfig) ip addr flush dev eth0;;\nesac";
    let script = script(folder, "$1", apply);
    let mut command = machine.command(tool("udhcpc"));
    command
        .args(["-f", "-i", "eth0", "-t", "5", "-T", "1", "-O", "bootfile", "-O", "tftp", "-s"])
        .arg(script)
        .args(more);
    Client { process: Process::start("udhcpc", command, &folder.join("log")), folder: folder.to_owned() }
}

/// ISC dhcrelay, which adds option 82 as it does in the field.
pub fn dhcrelay(relay: &Namespace, folder: &Path, server: &str) -> Process {
    let mut command = relay.command(tool("dhcrelay"));
    command.args(["-4", "-d", "-a", "--no-pid", "-id", "down0", "-iu", "up0", server]);
    let process = Process::start("dhcrelay", command, &folder.join("dhcrelay.log"));
    within(LEASE, "dhcrelay listens", || process.log().contains("Sending on").then_some(()));
    process
}
