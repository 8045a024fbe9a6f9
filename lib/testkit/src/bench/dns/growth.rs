//! dnsd alone as the cluster grows, all sizes in turns; then what an answer feels while names change.

use super::{
    AT_ONCE, Amount,
    load::{Load, Outcome, Pace},
    made_up::{self, MadeUp},
    questions::Questions,
};
use crate::{
    bench::{
        cable::{CLIENT, Cable, SERVER},
        lab::{Lab, Ports, Server, median, table},
    },
    packets::dns,
};
use anyhow::{Context, ensure};
use hickory_proto::rr::RecordType;
use std::{
    net::SocketAddrV4,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// Names, two of each node.
const SIZES: [(usize, &str); 4] = [(1_000, "1k"), (10_000, "10k"), (100_000, "100k"), (1_000_000, "1M")];
/// Questions of a mix: what a site asks of a million names in a second or two.
const QUESTIONS: usize = 200_000;
/// First of the ports that dnsd listens on, one a size.
const PORT: u16 = 5400;
/// Between two looks at the CPU of a dnsd that has just started: it writes what it received to its replica file, which at a million
/// names takes longer than a turn.
const LOOK: Duration = Duration::from_secs(3);
/// It has settled when it used no more between two looks.
const SETTLED: Duration = Duration::from_millis(20);
/// It must have settled by then.
const SETTLED_BY: Duration = Duration::from_secs(120);

/// Names when they change, and how many change at once.
const CHANGING: usize = 100_000;
const CHANGED: usize = 1_000;
/// Part of the measured saturation that is asked meanwhile.
const BUSY: f64 = 0.7;
/// Between two changes.
const PAUSE: Duration = Duration::from_secs(1);
/// A change is answered by then, or never.
const LIMIT: Duration = Duration::from_secs(10);

/// A dnsd and the made-up smd-cache behind it.
struct Sized {
    names: usize,
    text: &'static str,
    cache: MadeUp,
    dnsd: Server,
    load: Load,
    questions: Questions,
    address: SocketAddrV4,
    /// Microseconds of each turn.
    cpu: Vec<f64>,
    per_second: Vec<f64>,
    memory: (f64, f64),
}

impl Sized {
    async fn start(lab: &Lab, cable: &Cable, number: usize) -> anyhow::Result<Sized> {
        let (names, text) = SIZES[number];
        let cache = MadeUp::start(names / 2)?;
        let address = SocketAddrV4::new(SERVER, PORT + number as u16);
        let ports = Ports { smd_cache: cache.address, dnsd: address.into(), ..lab.ports()? };
        let config = lab.configure(&format!("dns-{text}"), "http://127.0.0.1:1", ports, "")?;
        let mut dnsd = lab.start("dnsd", &config)?;
        dnsd.ready().await?;
        settle(&dnsd).await?;
        let memory = dnsd.memory();
        let load = cable.at_client(|| Load::new(CLIENT, address))?;
        let mut random = fastrand::Rng::with_seed(names as u64);
        let some = (0..QUESTIONS).map(|_| made_up::name(random.usize(..names / 2), random.bool()));
        let questions = Questions::known(some)?;
        let (cpu, per_second) = (Vec::new(), Vec::new());
        Ok(Sized { names, text, cache, dnsd, load, questions, address, cpu, per_second, memory })
    }

    fn turn(&mut self, time: Duration) -> anyhow::Result<()> {
        let before = self.dnsd.cpu();
        let outcome = self.load.run(&mut self.questions, Pace::AtOnce(AT_ONCE), time)?;
        let used = self.dnsd.cpu() - before;
        ensure!(outcome.wrong == 0, "{} of {} names: not the right answer", outcome.wrong, self.text);
        ensure!(outcome.answers > 0, "dnsd with {} names answers nothing", self.text);
        self.cpu.push(used.as_secs_f64() * 1e6 / outcome.answers as f64);
        self.per_second.push(outcome.per_second());
        Ok(())
    }
}

async fn settle(dnsd: &Server) -> anyhow::Result<()> {
    let end = Instant::now() + SETTLED_BY;
    let mut before = Duration::ZERO;
    loop {
        sleep(LOOK).await;
        let used = dnsd.cpu();
        if used.saturating_sub(before) <= SETTLED {
            return Ok(());
        }
        ensure!(Instant::now() < end, "dnsd works on and on after its start");
        before = used;
    }
}

/// Prints both tables.
pub async fn measure(lab: &Lab, cable: &Cable, amount: Amount) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for number in 0..SIZES.len() {
        all.push(Sized::start(lab, cable, number).await?);
    }
    for _ in 0..amount.rounds {
        for size in &mut all {
            size.turn(amount.turn)?;
        }
    }
    print(&all);
    let size = all.iter_mut().find(|size| size.names == CHANGING).context("a size that changes")?;
    let rows = change(cable, size, amount.changes).await?;
    let head = ["", "queries", "lost", "wrong", "99.9 % within", "slowest answer", "CPU of dnsd"];
    let title = format!(
        "dnsd, {CHANGED} of {CHANGING} names change, {} times, under {:.0} % of saturation",
        amount.changes,
        BUSY * 100.0
    );
    table(&title, &head, &rows);
    println!("Aims: none lost, none slower than 5 ms.\n");
    Ok(())
}

fn print(all: &[Sized]) {
    let least = all.first().map_or(f64::NAN, |size| median(size.cpu.clone()));
    let rows = all.iter().map(|size| {
        let cpu = median(size.cpu.clone());
        let (resident, most) = size.memory;
        vec![
            size.names.to_string(),
            format!("{cpu:.2} us"),
            format!("{:.2}", cpu / least),
            format!("{:.0}", median(size.per_second.clone())),
            format!("{resident:.1} MB"),
            format!("{most:.1} MB"),
            format!("{:.0}", resident * 1024.0 * 1024.0 / size.names as f64),
        ]
    });
    let head = [
        "names",
        "CPU per answer",
        "of the one at 1k",
        "answers/s",
        "resident",
        "at its highest",
        "bytes a name",
    ];
    table("dnsd as names grow, known A of random names", &head, &rows.collect::<Vec<_>>());
    println!("Aims: 1.3 at 1M, 40 MB at 10k, 600 bytes a name at 1M.\n");
}

/// The same load twice: while nothing changes, which says what the machine adds, and while names do.
async fn change(cable: &Cable, size: &mut Sized, changes: usize) -> anyhow::Result<Vec<Vec<String>>> {
    let rate = median(size.per_second.clone()) * BUSY;
    let time = PAUSE * (changes as u32 + 1);
    let mut rows = Vec::new();
    for changing in [false, true] {
        let mut load = cable.at_client(|| Load::new(CLIENT, size.address))?;
        // The same names: moved ones still have an address.
        let mut questions = size.questions.again();
        let before = size.dnsd.cpu();
        let asking = std::thread::spawn(move || load.run(&mut questions, Pace::PerSecond(rate), time));
        for number in (0..changes).filter(|_| changing) {
            sleep(PAUSE).await;
            size.cache.move_nodes(0..CHANGED / 2, number % 2 == 1);
            answered(size.address, number % 2 == 0).await?;
        }
        let outcome = asking.join().map_err(|_| anyhow::anyhow!("the load panicked"))??;
        let used = size.dnsd.cpu() - before;
        rows.push(row(if changing { "while names change" } else { "while nothing changes" }, outcome, used));
    }
    Ok(rows)
}

fn row(what: &str, mut outcome: Outcome, used: Duration) -> Vec<String> {
    let milliseconds = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1e3);
    vec![
        what.to_owned(),
        (outcome.answers + outcome.wrong + outcome.lost).to_string(),
        outcome.lost.to_string(),
        outcome.wrong.to_string(),
        milliseconds(outcome.within(0.999)),
        milliseconds(outcome.within(1.0)),
        format!("{:.2} us an answer", used.as_secs_f64() * 1e6 / outcome.answers as f64),
    ]
}

/// Until the last of those that moved is answered where it is.
async fn answered(dnsd: SocketAddrV4, moved: bool) -> anyhow::Result<()> {
    let last = CHANGED / 2 - 1;
    let began = Instant::now();
    loop {
        let answer =
            dns::ask(dnsd.into(), &made_up::name(last, false), RecordType::A, Duration::from_secs(1)).await?;
        let mut records = answer.iter().flat_map(|answer| &answer.answers);
        if records.any(|record| record.data.ip_addr() == Some(made_up::address(last, moved).into())) {
            return Ok(());
        }
        ensure!(began.elapsed() < LIMIT, "a change is never answered");
        sleep(Duration::from_millis(20)).await;
    }
}
