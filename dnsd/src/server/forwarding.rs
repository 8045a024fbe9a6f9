//! Decisions to ask a forwarder: what is kept is answered in place, for the rest the client waits.

use super::Service;
use crate::{
    access::Client,
    decide::{Forward, Rcode},
    forward::{self, Asker, For, Question, Resolved},
    metrics::Count,
    networks,
    wire::Message,
    zones::Zones,
};
use config::Config;
use ipnet::IpNet;
use std::net::SocketAddr;

impl Service {
    /// Answers from what is kept; `None`: it takes waiting.
    pub(super) fn forward_kept(
        &self,
        zones: &Zones,
        message: &Message,
        client: Client,
        forward: &Forward,
        out: &mut Vec<u8>,
    ) -> Option<Rcode> {
        let resolved = self.forwarding.peek(&question(message, forward))?;
        Some(self.write_forwarded(zones, message, client, forward, &resolved, out))
    }

    /// Answers with what a forwarder says.
    pub(super) async fn forward(
        &self,
        zones: &Zones,
        message: &Message<'_>,
        client: Client,
        forward: &Forward<'_>,
        out: &mut Vec<u8>,
    ) -> Rcode {
        let spelled = match (&message.question, &forward.aliases[..]) {
            (Some(question), []) => &question.raw[..forward.name.len()],
            _ => forward.name,
        };
        let asker = Asker { address: client.address, spelled };
        let resolved = self.forwarding.resolve(&question(message, forward), asker).await;
        self.write_forwarded(zones, message, client, forward, &resolved, out)
    }

    fn write_forwarded(
        &self,
        zones: &Zones,
        message: &Message,
        client: Client,
        forward: &Forward,
        resolved: &Resolved,
        out: &mut Vec<u8>,
    ) -> Rcode {
        let client_of = For { message, transport: client.transport, aliases: &forward.aliases };
        if forward::write(client_of, &resolved.entry.answer, resolved.age, out) {
            self.metrics.truncated();
        }
        let rcode = Rcode::of(resolved.entry.answer.rcode);
        self.forwarding.count(resolved.source);
        self.count(zones, message, client, rcode);
        rcode
    }
}

/// What is asked for a client.
pub(super) fn question(message: &Message, forward: &Forward) -> Question {
    let dnssec = message.edns.is_some_and(|edns| edns.dnssec);
    Question::new(forward.name, forward.kind, dnssec, message.checking_disabled())
}

/// A forwarder that is we ourselves answers nothing; each such name becomes SERVFAIL (see `forward`).
pub(super) fn warn_of_ourselves(config: &Config) {
    let own = networks::own();
    for forwarder in &config.dnsd.forward {
        if is_ours(forwarder.address, &config.dnsd.listen, &own) {
            tracing::warn!(%forwarder, "dnsd.forward lists this very program: it has nobody to ask");
        }
    }
}

/// Whether what is sent there comes to one of our sockets. Loopback is more than the address its interface has: 127.0.0.11 is
/// the resolver of containers, which Docker puts in front of us.
fn is_ours(address: SocketAddr, listen: &[SocketAddr], own: &[IpNet]) -> bool {
    let is_of_this_host = || own.iter().any(|network| network.addr() == address.ip());
    listen.iter().any(|listen| {
        let is_everywhere = listen.ip().is_unspecified() && listen.is_ipv4() == address.is_ipv4();
        listen.port() == address.port() && (listen.ip() == address.ip() || is_everywhere && is_of_this_host())
    })
}

#[cfg(test)]
mod tests;
