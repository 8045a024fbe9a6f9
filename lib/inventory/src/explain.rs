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

/// Problems told as sentences; all that smd-cache sent are in [`Explanation::problems`]. A guess: nobody reads more.
const MAX_TOLD: usize = 5;

impl Explanation {
    /// The problems, a sentence each: what stands in the way, to be said first.
    pub fn problem_sentences(&self) -> impl Iterator<Item = String> {
        self.problems.iter().take(MAX_TOLD).map(|(reason, message)| {
            let end = if message.ends_with(['.', '?', '!']) { "" } else { "." };
            format!("Problem ({reason}): {message}{end}")
        })
    }

    /// smd-cache's own sentences below a line that says so, without the problems that were said already.
    pub fn other_sentences(&self) -> impl Iterator<Item = String> {
        let told = |line: &String| {
            self.problems.iter().take(MAX_TOLD).any(|(_, message)| line.contains(message.as_str()))
        };
        let others = self.text.iter().filter(move |line| !told(line)).map(|line| format!("  {line}"));
        std::iter::once("smd-cache says:".to_owned()).chain(others)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_said_once_and_by_themselves() {
        let problem = |reason: &str, message: &str| (reason.to_owned(), message.to_owned());
        let explanation = Explanation {
            text: ["verdict.", "Problem (bad_mac): it is none.", "Rule a matched."]
                .map(String::from)
                .to_vec(),
            problems: vec![problem("bad_mac", "it is none"), problem("duplicate_name", "is it right?")],
        };
        let problems: Vec<String> = explanation.problem_sentences().collect();
        assert_eq!(problems, ["Problem (bad_mac): it is none.", "Problem (duplicate_name): is it right?"]);
        let others: Vec<String> = explanation.other_sentences().collect();
        assert_eq!(others, ["smd-cache says:", "  verdict.", "  Rule a matched."]);
    }
}
