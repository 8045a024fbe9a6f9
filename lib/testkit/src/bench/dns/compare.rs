//! All servers, in turns: each mix under our own load and under dnsperf, then TCP.

use super::{
    AT_ONCE, Amount,
    data::Data,
    dnsperf::{Transport, dnsperf},
    load::{Load, Pace},
    peers::{self, Kind, Ours},
    questions::{Mix, Questions},
};
use crate::bench::{
    cable::{CLIENT, Cable},
    lab::{Lab, Server, median, table},
};
use anyhow::ensure;
use std::{
    path::Path,
    time::{Duration, Instant},
};

const NODES: usize = 10_000;
/// A server has read its zones by then.
const START: Duration = Duration::from_secs(20);
/// How long it is asked whether it has.
const ASK: Duration = Duration::from_millis(10);

/// A server that runs, and who asks it.
struct One {
    kind: Kind,
    server: Server,
    load: Load,
}

/// Figures of one server and one mix under one load, a turn each.
#[derive(Default)]
struct Turns {
    /// Microseconds an answer.
    cpu: Vec<f64>,
    per_second: Vec<f64>,
    /// Part of the time in which the server had work, in percent.
    busy: Vec<f64>,
    /// Microseconds that an answer took: of our load the longest of 99 %, of dnsperf the average.
    time: Vec<f64>,
    lost: u64,
}

/// Prints a table for each mix, and one for TCP.
pub async fn measure(lab: &Lab, cable: &Cable, amount: Amount) -> anyhow::Result<()> {
    let Ours { dnsd, data, behind } = Ours::start(lab, NODES).await?;
    let (resident, most) = dnsd.memory();
    println!(
        "{NODES} nodes, {} names: dnsd holds them in {resident:.1} MB ({most:.1} MB at its highest); aim: 40 MB.\n",
        data.len()
    );
    let mut all = vec![One::new(cable, Kind::Dnsd, dnsd, &data)?];
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Dnsd) {
        let started = peers::start(lab, kind, &data);
        match started.and_then(|server| One::new(cable, kind, server, &data)) {
            Ok(one) => all.push(one),
            Err(error) => println!("{} is left out: {error:#}\n", kind.name()),
        }
    }
    all.sort_by_key(|one| one.kind as u8);
    let room = lab.room("questions")?;
    for mix in amount.mixes {
        let file = room.join(format!("{mix:?}"));
        mix.write(&data, &file)?;
        udp(cable, &mut all, *mix, mix.questions(&data)?, &file, amount)?;
    }
    tcp(cable, &all, &room.join(format!("{:?}", Mix::KnownA)), amount)?;
    drop(behind);
    Ok(())
}

impl One {
    /// Once it answers as it should.
    fn new(cable: &Cable, kind: Kind, server: Server, data: &Data) -> anyhow::Result<One> {
        let load = cable.at_client(|| Load::new(CLIENT, kind.address()))?;
        let mut one = One { kind, server, load };
        for mix in Mix::ALL {
            let mut questions = one.questions(&mix.questions(data)?);
            let began = Instant::now();
            loop {
                let outcome = one.load.run(&mut questions, Pace::AtOnce(1), ASK)?;
                if outcome.answers > 0 && outcome.wrong == 0 {
                    break;
                }
                ensure!(
                    began.elapsed() < START,
                    "{}: {} wrong, {} lost: {}",
                    mix.name(),
                    outcome.wrong,
                    outcome.lost,
                    one.server.log()
                );
            }
        }
        Ok(one)
    }

    /// The echo has no right answers.
    fn questions(&self, questions: &Questions) -> Questions {
        let mut questions = questions.again();
        if self.kind == Kind::Echo {
            questions.expected = None;
        }
        questions
    }

    fn turn(&mut self, questions: &Questions, time: Duration, turns: &mut Turns) -> anyhow::Result<()> {
        let mut questions = self.questions(questions);
        let (before, began) = (self.server.cpu(), Instant::now());
        let mut outcome = self.load.run(&mut questions, Pace::AtOnce(AT_ONCE), time)?;
        let used = self.server.cpu() - before;
        ensure!(outcome.wrong == 0, "{} gave {} wrong answers", self.kind.name(), outcome.wrong);
        turns.add(used, began.elapsed(), outcome.answers, outcome.lost);
        turns.per_second.push(outcome.per_second());
        turns.time.push(outcome.within(0.99).as_secs_f64() * 1e6);
        Ok(())
    }

    fn judged(
        &self,
        cable: &Cable,
        file: &Path,
        transport: Transport,
        time: Duration,
        turns: &mut Turns,
    ) -> anyhow::Result<()> {
        let (before, began) = (self.server.cpu(), Instant::now());
        let judgement = dnsperf(cable, self.kind.address(), file, transport, AT_ONCE, time)?;
        let used = self.server.cpu() - before;
        turns.add(used, began.elapsed(), judgement.answers, judgement.lost);
        turns.per_second.push(judgement.per_second);
        turns.time.push(judgement.latency.as_secs_f64() * 1e6);
        Ok(())
    }
}

impl Turns {
    fn add(&mut self, used: Duration, took: Duration, answers: u64, lost: u64) {
        self.cpu.push(used.as_secs_f64() * 1e6 / answers as f64);
        self.busy.push(used.as_secs_f64() * 100.0 / took.as_secs_f64());
        self.lost += lost;
    }

    fn cpu(&self) -> f64 {
        median(self.cpu.clone())
    }

    /// CPU, over this, answers a second, time of an answer, lost.
    fn cells(&self, over: f64) -> Vec<String> {
        vec![
            format!("{:.2} us", self.cpu()),
            format!("{:.2}", self.cpu() / over),
            format!("{:.0}", median(self.per_second.clone())),
            format!("{:.0} %", median(self.busy.clone())),
            format!("{:.0} us", median(self.time.clone())),
            self.lost.to_string(),
        ]
    }
}

fn udp(
    cable: &Cable,
    all: &mut [One],
    mix: Mix,
    questions: Questions,
    file: &Path,
    amount: Amount,
) -> anyhow::Result<()> {
    let mut turns: Vec<[Turns; 2]> = all.iter().map(|_| <[Turns; 2]>::default()).collect();
    for _ in 0..amount.rounds {
        for (one, [own, judged]) in all.iter_mut().zip(&mut turns) {
            one.turn(&questions, amount.turn, own)?;
            one.judged(cable, file, Transport::Udp, amount.judged, judged)?;
        }
    }
    // The first is the echo.
    let echo = turns.first().map_or([f64::NAN; 2], |[own, judged]| [own.cpu(), judged.cpu()]);
    let rows = all.iter().zip(&turns).map(|(one, [own, judged])| {
        [vec![one.kind.name().to_owned()], own.cells(echo[0]), judged.cells(echo[1])].concat()
    });
    let head = [
        "server",
        "our load: CPU per answer",
        "of the echo's",
        "answers/s",
        "busy",
        "99 % within",
        "lost",
        "dnsperf: CPU per answer",
        "of the echo's",
        "answers/s",
        "busy",
        "average",
        "lost",
    ];
    table(&format!("DNS over UDP, {NODES} nodes: {}", mix.name()), &head, &rows.collect::<Vec<_>>());
    if let Some(aim) = mix.aim() {
        println!("Aim: {aim} of the echo's.\n");
    }
    Ok(())
}

fn tcp(cable: &Cable, all: &[One], file: &Path, amount: Amount) -> anyhow::Result<()> {
    // dnsmasq ends a connection after a hundred queries, and dnsperf then ends, too.
    let left_out = |kind: Kind| matches!(kind, Kind::Echo | Kind::Dnsmasq);
    let servers: Vec<&One> = all.iter().filter(|one| !left_out(one.kind)).collect();
    let mut turns: Vec<Turns> = servers.iter().map(|_| Turns::default()).collect();
    for _ in 0..amount.rounds {
        for (one, turns) in servers.iter().zip(&mut turns) {
            one.judged(cable, file, Transport::Tcp, amount.judged, turns)?;
        }
    }
    let peers = servers.iter().zip(&turns).filter(|(one, _)| one.kind != Kind::Dnsd);
    let best = peers.map(|(_, turns)| turns.cpu()).fold(f64::NAN, f64::min);
    let rows = servers
        .iter()
        .zip(&turns)
        .map(|(one, turns)| [vec![one.kind.name().to_owned()], turns.cells(best)].concat());
    let head = ["server", "CPU per answer", "of the best peer's", "answers/s", "busy", "average", "lost"];
    table(
        &format!("DNS over TCP, dnsperf, {NODES} nodes: {}", Mix::KnownA.name()),
        &head,
        &rows.collect::<Vec<_>>(),
    );
    println!("Aim: 1.5 of the best peer's.\n");
    Ok(())
}
