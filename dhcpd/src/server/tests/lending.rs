//! Leases of a running server: what is told is on disk, and what is only asked about changes nothing.

use super::*;
use crate::leases::store::{Sqlite, Store};
use std::path::{Path, PathBuf};

const FIRST: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 160);

/// A pool of one address.
fn pooled(store: &Path) -> config::Config {
    let text = format!(
        "domain: cluster.local\ndhcpd:\n  v4:\n    listen: [\"127.0.0.1:0\"]\n    server_id: 172.16.0.253\n    \
         unknown:\n      lease_store: \"sqlite:{}\"\n      lease_time: 10m\n      \
         pools: [{{subnet: 172.16.0.0/24, start: 172.16.0.160, end: 172.16.0.160}}]\n",
        store.display()
    );
    config::parse(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

/// A server whose leases are read.
async fn started() -> (Exchange, PathBuf, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("leases.db");
    let exchange = Exchange::of(pooled(&path), inventory()).await;
    let lending = exchange.shell.lending.clone().unwrap();
    let serves = async {
        while !(lending.book().leases.is_open() && lending.book().leases.is_complete()) {
            sleep(Duration::from_millis(1)).await; // a thread of its own opens the file
        }
    };
    timeout(PATIENCE, serves).await.expect("the file is opened");
    (exchange, path, folder)
}

fn select(mac: Mac) -> Request {
    let request = Request::new(MessageType::Request, mac);
    request.option(50, &FIRST.octets()).option(54, &[172, 16, 0, 253])
}

#[tokio::test]
async fn who_is_told_of_a_lease_has_its_row_on_disk() {
    let (exchange, path, _folder) = started().await;
    let offer = exchange.ask(Request::new(MessageType::Discover, UNKNOWN)).await;
    assert_eq!((offer.message_type(), offer.yiaddr), (Some(MessageType::Offer), FIRST));
    let ack = exchange.ask(select(UNKNOWN)).await;
    assert_eq!((ack.message_type(), ack.yiaddr), (Some(MessageType::Ack), FIRST));
    let other = Mac([2, 0, 0, 0, 0, 8]);
    exchange.send(Request::new(MessageType::Discover, other)).await;
    exchange.counted("dhcpd_silent_total{reason=\"pool_exhausted\"} 1").await;
    let known = exchange.ask(Request::new(MessageType::Discover, KNOWN)).await;
    assert_eq!(known.yiaddr, Ipv4Addr::new(172, 16, 0, 1), "known machines are served beside it");
    exchange.stop().await.unwrap();
    let rows = Sqlite::open(&path).unwrap().load().unwrap();
    assert_eq!(rows.iter().map(|row| (row.mac, row.address)).collect::<Vec<_>>(), [(UNKNOWN, FIRST)]);
}

#[tokio::test]
async fn a_lease_that_an_operator_frees_is_somebody_elses_at_once() {
    let (exchange, path, _folder) = started().await;
    exchange.ask(Request::new(MessageType::Discover, UNKNOWN)).await;
    exchange.ask(select(UNKNOWN)).await;
    let lending = exchange.shell.lending.clone().unwrap();
    assert_eq!(lending.release(UNKNOWN), Some(vec![FIRST]));
    assert_eq!(lending.release(UNKNOWN), Some(vec![]), "it holds nothing any more");
    let other = Mac([2, 0, 0, 0, 0, 8]);
    assert_eq!(exchange.ask(Request::new(MessageType::Discover, other)).await.yiaddr, FIRST);
    assert_eq!(exchange.ask(select(UNKNOWN)).await.message_type(), Some(MessageType::Nak));
    assert_eq!(exchange.ask(select(other)).await.message_type(), Some(MessageType::Ack));
    exchange.stop().await.unwrap();
    let rows = Sqlite::open(&path).unwrap().load().unwrap();
    assert_eq!(rows.iter().map(|row| (row.mac, row.address)).collect::<Vec<_>>(), [(other, FIRST)]);
}

#[tokio::test]
async fn an_explanation_lends_nothing() {
    let (exchange, _, _folder) = started().await;
    let asked = |message| crate::explain::Asked {
        mac: UNKNOWN.to_string(),
        relay: Some(Ipv4Addr::new(172, 16, 0, 9)),
        message,
        requested: Some(FIRST),
        ..Default::default()
    };
    let explained = exchange.shell.explain(&asked(crate::explain::Kind::Discover)).await.unwrap();
    assert_eq!(explained.answer.unwrap().address, Some(FIRST));
    assert_eq!(explained.leases.last().unwrap(), "Nobody had 172.16.0.160 yet.");
    let explained = exchange.shell.explain(&asked(crate::explain::Kind::Select)).await.unwrap();
    assert_eq!(explained.answer.unwrap().kind, "nak", "it was offered nothing");
    assert_eq!(exchange.shell.lending.as_ref().unwrap().list(), []);
    exchange.stop().await.unwrap();
}
