//! The page `/explain`: a made-up packet on the way that real ones go, without sending, counting or remembering.

use super::{
    shell::{PACKET_DEADLINE, Shell},
    sockets::{Listener, Place},
};
use crate::{
    decide::{Facts, decide},
    explain::{self, Asked, Explained, Known},
    wire,
};
use axum::{
    Json, Router,
    extract::{Query, rejection::QueryRejection},
    http::StatusCode,
    routing::get,
};
use inventory::{Interface, Lookup};
use std::{sync::Arc, time::Instant};
use tokio::{sync::Semaphore, time::timeout};
use values::Mac;

/// Explanations at the same time; people ask for them one by one. Each may wait for smd-cache, as two packets do.
const MAX_EXPLANATIONS: usize = 4;

/// Why there is no explanation.
type Refused = (StatusCode, String);

/// The page.
pub fn page(shell: Arc<Shell>) -> Router {
    let places = Arc::new(Semaphore::new(MAX_EXPLANATIONS));
    let page = async move |asked: Result<Query<Asked>, QueryRejection>| {
        let Ok(_place) = places.try_acquire() else {
            let busy = format!("{MAX_EXPLANATIONS} explanations are being made; try again");
            return Err((StatusCode::SERVICE_UNAVAILABLE, busy));
        };
        let Query(asked) = asked.map_err(|error| bad(error.body_text()))?;
        shell.explain(&asked).await.map(Json)
    };
    Router::new().route("/explain", get(page))
}

fn bad(why: String) -> Refused {
    (StatusCode::BAD_REQUEST, why)
}

impl Shell {
    /// What would be answered, by the configuration, the interfaces and the inventory of this moment.
    pub(super) async fn explain(&self, asked: &Asked) -> Result<Explained, Refused> {
        let mac: Mac = asked.mac.parse().map_err(|error: values::BadMac| bad(error.to_string()))?;
        let network = self.network.load_full();
        let bytes = explain::packet(mac, asked, &network.ours).map_err(bad)?;
        let message = wire::parse(&bytes).map_err(|refused| bad(refused.label().to_owned()))?;
        let lookup = self.look_up(mac).await;
        let places: Vec<explain::Place> =
            self.sockets.open().iter().map(|listener| place(listener)).collect();
        let hosts = self.hosts.load_full();
        let facts = Facts { lookup: &lookup, ours: &network.ours, hosts: &hosts, leases: None };
        let host = facts.host(&mac);
        let machine = host.or_else(|| explain::record(&lookup));
        let heard = explain::arrival(asked, &places, &network.ours, machine).map_err(bad)?;
        let (decision, lent) = {
            let book = self.lending.as_ref().map(|lending| lending.book());
            let facts = Facts { leases: book.as_ref().map(|book| &book.leases), ..facts };
            let decision = decide(&self.config.load(), &message, &heard.arrival, &facts);
            let wanted = asked.requested;
            let lent =
                facts.leases.map(|leases| explain::lent(leases, mac, wanted, &decision, Instant::now()));
            (decision, lent.unwrap_or_default())
        };
        let explanation = self.inventory.explain(&mac).await;
        let (heard, lookup, decision) = (&heard, &lookup, &decision);
        Ok(explain::explain(Known { mac, asked, heard, lookup, host, decision, lent, explanation }))
    }

    /// As for a packet. One that is given up for its deadline gets no answer either.
    async fn look_up(&self, mac: Mac) -> Lookup<Interface> {
        match self.inventory.peek(&mac) {
            Some(lookup) => lookup,
            None => timeout(PACKET_DEADLINE, self.inventory.lookup(mac)).await.unwrap_or(Lookup::Unavailable),
        }
    }
}

fn place(listener: &Listener) -> explain::Place {
    match &listener.place {
        Place::Device(device) => explain::Place::Interface { name: device.name.clone(), index: device.index },
        Place::Relay(address) => explain::Place::Relays(*address.ip()),
    }
}
