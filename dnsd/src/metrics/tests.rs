use super::*;
use crate::wire::{Rcode, Transport, to_wire};
use prometheus_client::encoding::text::encode;
use std::time::Duration;

fn page(registry: &Registry) -> String {
    let mut page = String::new();
    encode(&mut page, registry).unwrap();
    page
}

fn has(page: &str, lines: &[&str]) {
    for line in lines {
        assert!(page.lines().any(|found| found == *line), "{line} is not in\n{page}");
    }
}

#[test]
fn what_workers_and_others_count_is_one_sum() {
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let zone = metrics.slot(&to_wire(&"cluster.local".parse().unwrap()));
    let workers = [metrics.worker(), metrics.worker()];
    for worker in &workers {
        worker.query(Transport::Udp, kind::A);
        worker.reply(zone, Rcode::NoError);
        worker.dropped(Dropped::Busy);
    }
    metrics.query(Transport::Udp, kind::A);
    metrics.reply(zone, Rcode::NxDomain);
    metrics.reply(Slot::NONE, Rcode::NxDomain);
    metrics.stale();
    metrics.truncated();
    metrics.denied(Transport::Tls);
    drop(workers);
    has(
        &page(&registry),
        &[
            "dnsd_queries_total{transport=\"udp\",type=\"a\"} 3",
            "dnsd_queries_total{transport=\"https\",type=\"a\"} 0",
            "dnsd_replies_total{rcode=\"noerror\"} 2",
            "dnsd_replies_total{rcode=\"nxdomain\"} 2",
            "dnsd_zone_replies_total{zone=\"cluster.local\",rcode=\"noerror\"} 2",
            "dnsd_zone_replies_total{zone=\"cluster.local\",rcode=\"nxdomain\"} 1",
            "dnsd_zone_replies_total{zone=\"none\",rcode=\"nxdomain\"} 1",
            "dnsd_stale_replies_total 1",
            "dnsd_dropped_total{reason=\"busy\"} 2",
            "dnsd_truncated_total 1",
            "dnsd_denied_total{transport=\"tls\"} 1",
        ],
    );
}

#[test]
fn times_fall_into_classes_with_their_upper_bound() {
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    for microseconds in [1, 2, 3, 4_000, 60_000_000] {
        metrics.worker().took(Transport::Udp, Duration::from_micros(microseconds));
    }
    has(
        &page(&registry),
        &[
            "dnsd_answer_seconds_bucket{le=\"0.000002\",transport=\"udp\"} 2",
            "dnsd_answer_seconds_bucket{le=\"0.000005\",transport=\"udp\"} 3",
            "dnsd_answer_seconds_bucket{le=\"0.005\",transport=\"udp\"} 4",
            "dnsd_answer_seconds_bucket{le=\"5.0\",transport=\"udp\"} 4",
            "dnsd_answer_seconds_bucket{le=\"+Inf\",transport=\"udp\"} 5",
            "dnsd_answer_seconds_count{transport=\"udp\"} 5",
            "dnsd_answer_seconds_count{transport=\"tcp\"} 0",
        ],
    );
}

#[test]
fn labels_stand_where_their_numbers_say() {
    assert!(QueryKind::ALL.iter().enumerate().all(|(place, (kind, _))| *kind as usize == place));
    assert!(Dropped::ALL.iter().enumerate().all(|(place, (reason, _))| *reason as usize == place));
    assert!(Rcode::ALL.iter().enumerate().all(|(place, rcode)| *rcode as usize == place));
    assert!(Transport::ALL.iter().enumerate().all(|(place, transport)| *transport as usize == place));
}

#[test]
fn what_the_kernel_had_no_room_for_is_counted_when_somebody_asks() {
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let options = udp::Options { receive_buffer: 1, ..Default::default() };
    let beat = Duration::from_millis(1);
    let socket = Arc::new(udp::Blocking::bind("127.0.0.1:0".parse().unwrap(), &options, beat).unwrap());
    metrics.socket(socket.clone());
    let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..100 {
        client.send_to(&[0; 1000], socket.local_address().unwrap()).unwrap();
    }
    let mut page = String::new();
    encode(&mut page, &registry).unwrap();
    let line = page.lines().find_map(|line| line.strip_prefix("dnsd_kernel_drops_total ")).unwrap();
    assert!((50..100).contains(&line.parse::<u64>().unwrap()), "{line}");
}
