//! dnsperf, a foreign judge.

use crate::bench::cable::Cable;
use anyhow::{Context, ensure};
use std::{net::SocketAddrV4, path::Path, time::Duration};

/// Ports that ask: as our own load has.
const CLIENTS: usize = 8;

/// How it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
}

/// What it said.
#[derive(Debug, Clone, Copy)]
pub struct Judgement {
    pub answers: u64,
    pub lost: u64,
    pub per_second: f64,
    /// The average; it says no percentiles.
    pub latency: Duration,
}

/// Asks the questions of a file again and again for so long, so many at once.
pub fn dnsperf(
    cable: &Cable,
    server: SocketAddrV4,
    file: &Path,
    transport: Transport,
    at_once: usize,
    time: Duration,
) -> anyhow::Result<Judgement> {
    let mut command = cable.client.command("dnsperf");
    command.args(["-s", &server.ip().to_string(), "-p", &server.port().to_string(), "-d"]).arg(file);
    command.args(["-m", if transport == Transport::Tcp { "tcp" } else { "udp" }]);
    command.args(["-c", &CLIENTS.to_string(), "-T", "1", "-q", &at_once.to_string()]);
    command.args(["-l", &time.as_secs().to_string()]);
    let output = command.output().context("dnsperf cannot be started")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let judgement = read(&text);
    ensure!(
        output.status.success() && judgement.is_some(),
        "dnsperf failed:\n{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    judgement.context("dnsperf says how many answers there were")
}

fn read(text: &str) -> Option<Judgement> {
    let number = |name: &str| -> Option<f64> {
        let line = text.lines().find_map(|line| line.trim_start().strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some(Judgement {
        answers: number("Queries completed:")? as u64,
        lost: number("Queries lost:")? as u64,
        per_second: number("Queries per second:")?,
        latency: Duration::from_secs_f64(number("Average Latency (s):")?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_statistics_are_read() {
        let text = "
  Queries sent:         219302
  Queries completed:    219300 (100.00%)
  Queries lost:         2 (0.00%)

  Response codes:       NOERROR 219300 (100.00%)
  Average packet size:  request 40, response 56
  Run time (s):         1.000571
  Queries per second:   219174.851160

  Average Latency (s):  0.000321 (min 0.000034, max 0.011377)
  Latency StdDev (s):   0.000245
";
        let read = read(text).expect("all of it is there");
        assert_eq!((read.answers, read.lost, read.per_second as u64), (219_300, 2, 219_174));
        assert_eq!(read.latency, Duration::from_micros(321));
    }
}
