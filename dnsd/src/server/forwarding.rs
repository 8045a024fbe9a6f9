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
        let (ip, port) = (forwarder.address.ip(), forwarder.address.port());
        let is_own = || ip.is_loopback() || own.iter().any(|network| network.addr() == ip);
        let is_ours = config.dnsd.listen.iter().any(|listen| {
            listen.port() == port
                && (listen.ip() == ip
                    || listen.ip().is_unspecified() && listen.is_ipv4() == ip.is_ipv4() && is_own())
        });
        if is_ours {
            tracing::warn!(%forwarder, "dnsd.forward lists this very program: it has nobody to ask");
        }
    }
}

#[cfg(test)]
mod tests;
