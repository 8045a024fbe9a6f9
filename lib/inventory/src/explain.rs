//! What smd-cache says of a key, for people: daemons add it to what they say of their own decision.

use crate::{Inventory, Key, keys::AnyKey};
use proto::v1::{self, explain_request};
use std::time::Duration;
use tokio::time::timeout;
use tonic::Request;

/// For people, who wait longer than packets; a daemon's page must be there within the 3 s of `daemon::health`.
const EXPLAIN_DEADLINE: Duration = Duration::from_secs(1);

/// What leads to an answer, in smd-cache's words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Explanation {
    /// The verdict, then why, then how old all that is.
    pub text: Vec<String>,
    /// What is wrong with SMD's records and concerns the key: reason (as in metrics) and sentence.
    pub problems: Vec<(String, String)>,
}

impl Inventory {
    /// Asks the smd-cache that is connected. `None`: there is none, it does not answer in time, or it is of a release that
    /// explains nothing.
    pub async fn explain<K: Key>(&self, key: &K) -> Option<Explanation> {
        let mut client = (*self.layers.calls.client()?).clone();
        let mut request = Request::new(v1::ExplainRequest { key: Some(asked(&key.any())) });
        request.set_timeout(EXPLAIN_DEADLINE);
        let reply = timeout(EXPLAIN_DEADLINE, client.explain(request)).await.ok()?;
        let reply =
            reply.inspect_err(|status| tracing::debug!(%status, "smd-cache explains nothing")).ok()?;
        let v1::ExplainReply { text, problems, .. } = reply.into_inner();
        let problems = problems.into_iter().map(|problem| (problem.reason, problem.message)).collect();
        Some(Explanation { text, problems })
    }
}

fn asked(key: &AnyKey) -> explain_request::Key {
    match key {
        AnyKey::Mac(mac) => explain_request::Key::Mac(mac.to_string()),
        AnyKey::Address(address) => explain_request::Key::Address(address.to_string()),
        AnyKey::Name(name) => explain_request::Key::Name(name.to_string()),
        AnyKey::Id(id) => explain_request::Key::Id(id.to_string()),
    }
}
