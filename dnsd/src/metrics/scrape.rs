//! The sums of all counters as Prometheus wants them.

use super::{
    Dropped, QueryKind, Slot,
    slots::Slots,
    tally::{BOUNDS, Counters},
};
use crate::wire::{Rcode, Transport};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet},
    metrics::MetricType,
};
use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use udp::{Blocking, Drops};

/// Adds up what the workers counted whenever somebody asks.
#[derive(Debug)]
pub(super) struct Sums {
    workers: Arc<Mutex<Vec<Arc<Counters>>>>,
    slots: Arc<Slots>,
}

impl Sums {
    pub(super) fn new(workers: Arc<Mutex<Vec<Arc<Counters>>>>, slots: Arc<Slots>) -> Sums {
        Sums { workers, slots }
    }
}

/// Sockets whose drops are counted.
pub(super) type Sockets = Arc<Mutex<Vec<Arc<Blocking>>>>;

/// Asks the kernel what found no room, whenever somebody asks us.
#[derive(Debug)]
pub(super) struct KernelDrops(pub(super) Sockets);

impl Collector for KernelDrops {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let sockets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let drops =
            Drops::read().map(|drops| sockets.iter().filter_map(|socket| drops.of(&**socket).ok()).sum());
        let help = "Queries dropped by the kernel because a receive buffer was full";
        value(counter(&mut encoder, "kernel_drops", help)?, drops.unwrap_or_default())
    }
}

/// The counters of all at one time.
struct Taken(Vec<Arc<Counters>>);

impl Taken {
    fn sum<'a>(&'a self, one: impl Fn(&'a Counters) -> &'a AtomicU64) -> u64 {
        self.0.iter().map(|counters| one(counters).load(Relaxed)).fold(0, u64::wrapping_add)
    }
}

impl Collector for Sums {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let taken = Taken(self.workers.lock().unwrap_or_else(PoisonError::into_inner).clone());
        let zones = self.slots.labels();
        queries(&taken, counter(&mut encoder, "queries", "Queries read, by transport and type")?)?;
        replies(&taken, counter(&mut encoder, "replies", "Answers made, by response code")?)?;
        let help = "Answers made, by zone and response code; only those that there were";
        zone_replies(&taken, &zones, counter(&mut encoder, "zone_replies", help)?)?;
        let help = "Answers made from our zones while the inventory may have been behind SMD";
        value(counter(&mut encoder, "stale_replies", help)?, taken.sum(|counters| &counters.stale))?;
        let help = "Queries, answers and connections dropped, by reason";
        dropped(&taken, counter(&mut encoder, "dropped", help)?)?;
        let help = "Queries refused because of dnsd.query_from, by transport";
        denied(&taken, counter(&mut encoder, "denied", help)?)?;
        let help = "Answers that did not fit and told the client to use TCP";
        value(counter(&mut encoder, "truncated", help)?, taken.sum(|counters| &counters.truncated))?;
        let help = "Time from reading a query to its answer, of a sample, by transport";
        times(&taken, encoder.encode_descriptor("answer_seconds", help, None, MetricType::Histogram)?)
    }
}

fn counter<'e>(
    encoder: &'e mut DescriptorEncoder,
    name: &'e str,
    help: &'e str,
) -> Result<MetricEncoder<'e>, fmt::Error> {
    encoder.encode_descriptor(name, help, None, MetricType::Counter)
}

fn value(mut series: MetricEncoder, value: u64) -> fmt::Result {
    series.encode_counter::<NoLabelSet, u64, u64>(&value, None)
}

fn queries(taken: &Taken, mut family: MetricEncoder) -> fmt::Result {
    for transport in Transport::ALL {
        for (kind, name) in QueryKind::ALL {
            let sum = taken.sum(|counters| &counters.queries[transport as usize][kind as usize]);
            let labels = [("transport", transport.as_str()), ("type", name)];
            value(family.encode_family(&labels)?, sum)?;
        }
    }
    Ok(())
}

fn replies(taken: &Taken, mut family: MetricEncoder) -> fmt::Result {
    for rcode in Rcode::ALL {
        let of = |zone: usize| taken.sum(|counters| &counters.replies[zone][rcode as usize]);
        let sum = (0..Slot::COUNT).map(of).fold(0, u64::wrapping_add);
        value(family.encode_family(&[("rcode", rcode.as_str())])?, sum)?;
    }
    Ok(())
}

/// Those that are zero are left out: most zones never say most codes.
fn zone_replies(taken: &Taken, zones: &[String], mut family: MetricEncoder) -> fmt::Result {
    for (zone, label) in zones.iter().enumerate() {
        for rcode in Rcode::ALL {
            let sum = taken.sum(|counters| &counters.replies[zone][rcode as usize]);
            if sum > 0 || rcode == Rcode::NoError {
                let labels = [("zone", label.as_str()), ("rcode", rcode.as_str())];
                value(family.encode_family(&labels)?, sum)?;
            }
        }
    }
    Ok(())
}

fn dropped(taken: &Taken, mut family: MetricEncoder) -> fmt::Result {
    for (reason, name) in Dropped::ALL {
        let sum = taken.sum(|counters| &counters.dropped[reason as usize]);
        value(family.encode_family(&[("reason", name)])?, sum)?;
    }
    Ok(())
}

fn denied(taken: &Taken, mut family: MetricEncoder) -> fmt::Result {
    for transport in Transport::ALL {
        let sum = taken.sum(|counters| &counters.denied[transport as usize]);
        value(family.encode_family(&[("transport", transport.as_str())])?, sum)?;
    }
    Ok(())
}

fn times(taken: &Taken, mut family: MetricEncoder) -> fmt::Result {
    let bounds = BOUNDS.map(|bound| bound as f64 / 1e6).into_iter().chain([f64::INFINITY]);
    for transport in Transport::ALL {
        let class = |class: usize| taken.sum(|counters| &counters.times[transport as usize].classes[class]);
        let classes: Vec<(f64, u64)> =
            bounds.clone().enumerate().map(|(number, bound)| (bound, class(number))).collect();
        let count = classes.iter().map(|(_, count)| count).sum();
        let seconds = taken.sum(|counters| &counters.times[transport as usize].nanoseconds) as f64 / 1e9;
        let labels = [("transport", transport.as_str())];
        family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(seconds, count, &classes, None)?;
    }
    Ok(())
}
