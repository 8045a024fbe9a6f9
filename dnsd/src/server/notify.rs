//! Carries NOTIFY to secondaries and their answers back, and keeps the key up to date. What is told is decided in
//! [`crate::transfer::notify`].

use super::{Service, next, transfers::now};
use crate::{
    explain::name_text,
    metrics::NotifyResult,
    transfer::notify::{Book, Told},
};
use certificates::files::Stamp;
use config::Config;
use std::{
    collections::HashSet,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    net::UdpSocket,
    sync::watch,
    time::{MissedTickBehavior, interval, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// How often is looked whether the secret's file has changed. A guess.
const KEY_CHECK: Duration = Duration::from_secs(5);

/// Answers repeat the question; with a signature they are below this.
const LONGEST_ANSWER: usize = 1024;

/// Tells secondaries until told to stop.
pub(super) async fn tell(
    service: Arc<Service>,
    config: Arc<Config>,
    mut reload: watch::Receiver<Arc<Config>>,
    shutdown: CancellationToken,
) {
    let mut renewed = service.copying.renewed();
    let mut teller = Teller::new(service, config);
    teller.take_up_zones();
    let mut check = interval(KEY_CHECK);
    check.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut v4, mut v6) = ([0; LONGEST_ANSWER], [0; LONGEST_ANSWER]);
    loop {
        teller.send().await;
        let due = teller.book.next();
        tokio::select! {
            () = next(&mut renewed) => {
                renewed.mark_unchanged();
                teller.take_up_zones();
            }
            () = next(&mut reload) => {
                let config = reload.borrow_and_update().clone();
                teller.take_up_config(config);
            }
            (length, from) = receive(teller.v4.as_ref(), &mut v4) => teller.take(&v4[..length], from),
            (length, from) = receive(teller.v6.as_ref(), &mut v6) => teller.take(&v6[..length], from),
            () = until(due) => {}
            _ = check.tick() => teller.check_key(),
            () = shutdown.cancelled() => return,
        }
    }
}

struct Teller {
    service: Arc<Service>,
    config: Arc<Config>,
    book: Book,
    v4: Option<UdpSocket>,
    v6: Option<UdpSocket>,
    /// Said once, until they answer again.
    silent: HashSet<SocketAddr>,
    /// Said once, until there is another key.
    unsigned: HashSet<SocketAddr>,
    /// The secret's file as it was read.
    key_stamp: Stamp,
}

impl Teller {
    fn new(service: Arc<Service>, config: Arc<Config>) -> Teller {
        let mut teller = Teller {
            service,
            config,
            book: Book::default(),
            v4: None,
            v6: None,
            silent: HashSet::new(),
            unsigned: HashSet::new(),
            key_stamp: Stamp::of([]),
        };
        teller.key_stamp = teller.stamp();
        teller.open();
        teller
    }

    fn targets(&self) -> &[SocketAddr] {
        self.config.dnsd.transfer.as_ref().map_or(&[], |transfer| &transfer.notify)
    }

    /// Sockets for the families that are needed.
    fn open(&mut self) {
        let open = |v4: bool| {
            self.targets().iter().any(|target| target.is_ipv4() == v4).then(|| {
                let source = source(&self.config.dnsd.listen, v4);
                bind(source).inspect_err(|error| {
                    tracing::error!(%source, %error, "no socket to tell secondaries from: they are not told of changes");
                })
            })
        };
        let (v4, v6) = (open(true), open(false));
        (self.v4, self.v6) = (v4.and_then(Result::ok), v6.and_then(Result::ok));
    }

    fn take_up_zones(&mut self) {
        let targets = self.config.dnsd.transfer.as_ref().map_or(&[][..], |transfer| &transfer.notify);
        self.book.changed(&self.service.zones.load(), targets, Instant::now());
        self.silent.retain(|target| targets.contains(target));
    }

    fn take_up_config(&mut self, config: Arc<Config>) {
        let other_key = self.tsig() != tsig(&config);
        self.config = config;
        self.open();
        self.take_up_zones();
        self.read_key(other_key);
    }

    /// A secret that cannot be read leaves the one before; but the one before of another key is none.
    fn read_key(&mut self, other: bool) {
        self.key_stamp = self.stamp();
        self.unsigned.clear();
        if let Err(error) = self.service.copying.read_key(self.tsig()) {
            if other {
                self.service.copying.forget_key();
            }
            tracing::error!(
                "{error:#}: {}",
                if other { "nobody can sign" } else { "the secret stays the one before" }
            );
        }
    }

    fn check_key(&mut self) {
        let stamp = self.stamp();
        if stamp != self.key_stamp {
            tracing::info!("the secret of dnsd.transfer.tsig has changed");
            self.read_key(false);
        }
    }

    fn tsig(&self) -> Option<&config::Tsig> {
        tsig(&self.config)
    }

    fn stamp(&self) -> Stamp {
        Stamp::of(self.tsig().map(|tsig| tsig.secret_file.as_path()))
    }

    /// Everything that is due.
    async fn send(&mut self) {
        let due = self.book.due(Instant::now(), now(), self.service.copying.key().as_ref());
        for (target, message) in due.messages {
            let socket = if target.is_ipv4() { &self.v4 } else { &self.v6 };
            let Some(socket) = socket else { continue };
            // What is lost is sent again.
            if let Err(error) = socket.send_to(&message, target).await {
                tracing::debug!(%target, %error, "NOTIFY could not be sent");
            }
        }
        due.given_up.into_iter().for_each(|told| self.note(told));
    }

    fn take(&mut self, bytes: &[u8], from: SocketAddr) {
        if let Some(told) = self.book.answered(bytes, from, Instant::now(), now()) {
            self.note(told);
        }
    }

    fn note(&mut self, told: Told) {
        let Told { zone, target, serial, result, rcode } = told;
        self.service.metrics.notifies.inc(result);
        let zone = name_text(&zone);
        match result {
            NotifyResult::Silent => {
                if self.silent.insert(target) {
                    tracing::warn!(%target, zone, serial, "this secondary does not answer NOTIFY: it hears of changes when it asks by itself");
                }
                return;
            }
            NotifyResult::BadSignature => {
                if self.unsigned.insert(target) {
                    tracing::warn!(%target, zone, rcode, "what this secondary answers to NOTIFY is not signed with our key: does it have it?");
                }
                return;
            }
            NotifyResult::Refused => {
                tracing::debug!(%target, zone, rcode, "this secondary does not want to hear of the zone")
            }
            NotifyResult::Done => {
                tracing::debug!(%target, zone, serial, "this secondary knows that the zone has changed")
            }
        }
        if self.silent.remove(&target) {
            tracing::info!(%target, "this secondary answers NOTIFY again");
        }
    }
}

fn tsig(config: &Config) -> Option<&config::Tsig> {
    config.dnsd.transfer.as_ref()?.tsig.as_ref()
}

/// Secondaries know us by the address we serve on, where that is one.
fn source(listen: &[SocketAddr], v4: bool) -> IpAddr {
    let mut own = listen.iter().map(SocketAddr::ip).filter(|ip| ip.is_ipv4() == v4);
    let any: IpAddr = if v4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    own.find(|ip| !ip.is_unspecified() && !ip.is_loopback()).unwrap_or(any)
}

fn bind(source: IpAddr) -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind((source, 0))?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

/// The next datagram; never, where there is no socket.
async fn receive(socket: Option<&UdpSocket>, buffer: &mut [u8]) -> (usize, SocketAddr) {
    let Some(socket) = socket else { return std::future::pending().await };
    loop {
        // An error is of one that was sent (ICMP), or passes.
        match socket.recv_from(buffer).await {
            Ok(received) => return received,
            Err(error) => {
                tracing::debug!(%error, "receiving from a secondary failed");
                super::pause().await;
            }
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
