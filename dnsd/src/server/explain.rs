//! The page `/explain`: a made-up question on the way that real ones go, without counting or sending.

use super::{Service, forwarding};
use crate::{
    access::Rights,
    decide::{self, Decision, Forward, Held, Key, Plan},
    explain::{self, Asked, Explained, Forwarded, Known, Question, Sought},
    forward::{self, Asker, For},
    wire::{self, HostText, Message, Transport},
    zones::Zones,
};
use axum::{
    Json, Router,
    extract::{Query, rejection::QueryRejection},
    http::StatusCode,
    routing::get,
};
use inventory::Explanation;
use std::{net::Ipv4Addr, sync::Arc, time::Duration};
use tokio::{sync::Semaphore, time::timeout};

/// Explanations at the same time; people ask for them one by one. Each may wait for smd-cache, as two packets do.
const MAX_EXPLANATIONS: usize = 4;

/// How long forwarders may take: `dnsd explain` waits 3 s.
const FORWARD_WAIT: Duration = Duration::from_millis(2500);

/// The page.
pub fn page(service: Arc<Service>) -> Router {
    let places = Arc::new(Semaphore::new(MAX_EXPLANATIONS));
    let page = async move |asked: Result<Query<Asked>, QueryRejection>| {
        let Ok(_place) = places.try_acquire() else {
            let busy = format!("{MAX_EXPLANATIONS} explanations are being made; try again");
            return Err((StatusCode::SERVICE_UNAVAILABLE, busy));
        };
        let bad = |why: String| (StatusCode::BAD_REQUEST, why);
        let Query(asked) = asked.map_err(|error| bad(error.body_text()))?;
        service.explain(&asked).await.map(Json).map_err(bad)
    };
    Router::new().route("/explain", get(page))
}

impl Service {
    /// What is answered, by the zones and the inventory of this moment; an error is a sentence about what was asked.
    pub(super) async fn explain(&self, asked: &Asked) -> Result<Explained, String> {
        let domain = self.inventory.snapshot().domain().cloned();
        let question = Question::of(asked, domain.as_ref())?;
        let packet = question.packet();
        let message = wire::read(&packet).map_err(|_| "this is no question")?;
        let zones = self.zones.load_full();
        // As whoever has the right to recurse.
        let rights = Rights { recursion: !self.forwarding.list().is_empty(), ..Rights::default() };
        let (decision, asked) = match decide::plan(&zones, &message, rights) {
            Plan::Done(decision) => (decision, None),
            Plan::Ask(key, pending) => {
                let (sought, held) = (sought(&key), self.held(&key).await);
                (decide::decide(pending, held.clone()), Some((sought, held)))
            }
        };
        let reply = match decision {
            Decision::Reply(reply) => reply,
            Decision::Forward(forward) => {
                let held = asked.map(|(_, held)| held);
                return Ok(self.explain_forwarded(&question, &zones, held, &message, &forward).await);
            }
        };
        // smd-cache knows the same name in another zone, too.
        let elsewhere = zones.find(&question.name).is_none().then(|| sought(&Key::Name(&question.name)));
        let explained = asked.as_ref().map(|(sought, _)| sought).or(elsewhere.as_ref());
        let explanation = self.explanation(explained).await;
        let (question, zones, reply, copies) = (&question, &zones, &reply, self.access.load().who_may_copy());
        Ok(explain::explain(Known { question, zones, reply, copies, asked, explanation }))
    }

    async fn explain_forwarded(
        &self,
        question: &Question,
        zones: &Zones,
        held: Option<Held>,
        message: &Message<'_>,
        forward: &Forward<'_>,
    ) -> Explained {
        let asker = Asker { address: Ipv4Addr::LOCALHOST.into(), spelled: forward.name };
        let asked = forwarding::question(message, forward);
        let resolved = timeout(FORWARD_WAIT, self.forwarding.resolve(&asked, asker)).await;
        let resolved = resolved.unwrap_or_else(|_| self.forwarding.unanswered(&asked));
        let client = For { message, transport: Transport::Tcp, aliases: &forward.aliases };
        let mut bytes = Vec::new();
        forward::write(client, &resolved.entry.answer, resolved.age, &mut bytes);
        let forwarders = &self.forwarding.list();
        let (resolved, message) = (&resolved, &bytes[..]);
        explain::explain_forwarded(&Forwarded { question, zones, held, resolved, message, forwarders })
    }

    /// As for a packet.
    async fn held(&self, key: &Key<'_>) -> Held {
        match self.peek(key) {
            Some(held) => held,
            None => self.look_up(key).await,
        }
    }

    async fn explanation(&self, sought: Option<&Sought>) -> Option<Explanation> {
        match sought? {
            Sought::Name(name) => self.inventory.explain(name).await,
            Sought::Address(address) => self.inventory.explain(address).await,
            Sought::Other => None,
        }
    }
}

fn sought(key: &Key<'_>) -> Sought {
    match key {
        Key::Name(name) => {
            let text = HostText::of(name).and_then(|text| text.as_str().parse().ok());
            text.map_or(Sought::Other, Sought::Name)
        }
        Key::Address(address) => Sought::Address(*address),
        Key::Prefix(_) => Sought::Other,
    }
}
