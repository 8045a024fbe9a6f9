//! Questions to a running smd-cache, over its Unix socket or any endpoint: `smd-cache explain | status | problems | refresh`.

mod endpoint;
mod key;
mod page;

#[cfg(test)]
mod tests;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use endpoint::Endpoint;
use proto::v1::{self, Outcome, smd_cache_client::SmdCacheClient};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tonic::{Code, Request, Status, transport::Channel};

/// What is looked up in memory takes milliseconds; a pull-through waits for SMD for 150 ms.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// The server's own deadline for a call, and a little more: it reads three sources for Refresh.
const REFRESH_LIMIT: Duration = Duration::from_secs(105);

/// The answer is no: SMD does not have it, the inventory is stale, there are problems.
const NO: u8 = 3;
/// It cannot be told: smd-cache has not read SMD, or not lately enough.
const CANNOT_TELL: u8 = 4;

/// What people and scripts ask.
#[derive(Debug, Subcommand)]
pub enum Question {
    /// Why a machine boots, or does not: MAC, address, xname or name; exit code 3: SMD does not have it, 4: it cannot be told
    Explain {
        /// 02:00:00:00:00:01 in any spelling, 172.16.0.1, fd00::1, x1000c0s0b0n0, nid0001 or nid0001.openchami.cluster
        key: String,
        /// Whom to ask.
        #[command(flatten)]
        how: How,
    },
    /// Whether smd-cache is well: ages, counts, sources, clients; exit code 3: stale, 4: SMD was never read
    Status {
        /// Whom to ask.
        #[command(flatten)]
        how: How,
    },
    /// Every record of SMD that was refused, held back or is contested, and why; exit code 3: there are some
    Problems {
        /// Whom to ask.
        #[command(flatten)]
        how: How,
    },
    /// Reads SMD now, and answers when that is done
    Refresh {
        /// Everything; without it, what changed
        #[arg(long)]
        full: bool,
        /// Read everything, and believe it even where the wipe guard would hold it back: where SMD is right that machines are gone
        #[arg(long)]
        force: bool,
        /// Whom to ask.
        #[command(flatten)]
        how: How,
    },
}

/// Whom to ask, and in which form to print the answer.
#[derive(Debug, Clone, Default, Args)]
pub struct How {
    /// unix:/PATH, http://HOST:PORT or https://HOST:PORT; default: the Unix socket of this host
    #[arg(long)]
    pub endpoint: Option<String>,
    /// For https: who signed the server's certificate; default: inventory.tls.ca_cert of the configuration
    #[arg(long, value_name = "FILE")]
    pub ca_cert: Option<PathBuf>,
    /// For https: our certificate; default: inventory.tls.client_cert
    #[arg(long, value_name = "FILE", requires = "client_key")]
    pub client_cert: Option<PathBuf>,
    /// For https: its key; default: inventory.tls.client_key
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    pub client_key: Option<PathBuf>,
    /// Print the reply as JSON, as grpcurl does
    #[arg(long)]
    pub json: bool,
}

type Client = SmdCacheClient<Channel>;

/// What is printed, and the exit code.
type Answer = (String, u8);

/// Asks, prints, and says how it went with the exit code: 1 where nobody could be asked.
pub fn main(file: &Path, question: &Question) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let asked = runtime.context("no runtime").and_then(|runtime| runtime.block_on(ask(file, question)));
    match asked {
        Ok((text, code)) => {
            print!("{}", daemon::ask::printable(&text));
            ExitCode::from(code)
        }
        Err(error) => {
            eprintln!("{}", daemon::ask::printable(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

/// The answer as it is printed, and the exit code.
pub async fn ask(file: &Path, question: &Question) -> anyhow::Result<Answer> {
    let how = question.how();
    let endpoint = Endpoint::choose(file, how)?;
    let mut client = Client::new(endpoint.connect().await?);
    match question {
        Question::Explain { key, .. } => explain(&mut client, key, how.json).await,
        Question::Status { .. } => status(&mut client, &endpoint, how.json).await,
        Question::Problems { .. } => problems(&mut client, how.json).await,
        Question::Refresh { full, force, .. } => {
            refresh(&mut client, *full || *force, *force, how.json).await
        }
    }
}

impl Question {
    fn how(&self) -> &How {
        match self {
            Question::Explain { how, .. }
            | Question::Status { how }
            | Question::Problems { how }
            | Question::Refresh { how, .. } => how,
        }
    }
}

async fn explain(client: &mut Client, text: &str, json: bool) -> anyhow::Result<Answer> {
    let key = key::recognise(client, text).await?;
    let reply = client.explain(timed(v1::ExplainRequest { key: Some(key) }, ANSWER_LIMIT)).await;
    let reply = reply.map_err(refused)?.into_inner();
    let code = match reply.found.as_ref().map(v1::LookupReply::outcome) {
        Some(Outcome::Found) => 0,
        Some(Outcome::Unknown) => NO,
        _ => CANNOT_TELL,
    };
    let text = if json { page::json("ExplainReply", &reply)? } else { daemon::ask::indented(&reply.text) };
    Ok((text, code))
}

async fn status(client: &mut Client, endpoint: &Endpoint, json: bool) -> anyhow::Result<Answer> {
    let reply = client.get_status(timed(v1::GetStatusRequest {}, ANSWER_LIMIT)).await;
    let status = reply.map_err(refused)?.into_inner();
    let stale = status.freshness.as_ref().is_none_or(|freshness| freshness.stale);
    let code = match (status.ready, stale) {
        (false, _) => CANNOT_TELL,
        (true, true) => NO,
        (true, false) => 0,
    };
    let text = match json {
        true => page::json("Status", &status)?,
        false => page::status(&status, &endpoint.to_string(), now()),
    };
    Ok((text, code))
}

async fn problems(client: &mut Client, json: bool) -> anyhow::Result<Answer> {
    let stream = client.list_problems(timed(v1::ListProblemsRequest {}, ANSWER_LIMIT)).await;
    let mut stream = stream.map_err(refused)?.into_inner();
    let mut problems = Vec::new();
    while let Some(problem) = stream.message().await.map_err(refused)? {
        problems.push(problem);
    }
    let text = if json { page::json_list("Problem", &problems)? } else { page::problems(&problems) };
    Ok((text, if problems.is_empty() { 0 } else { NO }))
}

async fn refresh(client: &mut Client, full: bool, force: bool, json: bool) -> anyhow::Result<Answer> {
    let reply = client.refresh(timed(v1::RefreshRequest { full, force }, REFRESH_LIMIT)).await;
    let reply = reply.map_err(refused)?.into_inner();
    let text = if json { page::json("RefreshReply", &reply)? } else { page::refreshed(&reply) };
    Ok((text, 0))
}

fn timed<T>(message: T, limit: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(limit);
    request
}

/// smd-cache's own sentence, where it has one; else what became of the connection.
fn refused(status: Status) -> anyhow::Error {
    match status.code() {
        Code::Unimplemented => anyhow!("this smd-cache cannot do that: {}", status.message()),
        Code::Cancelled | Code::DeadlineExceeded => anyhow!("smd-cache does not answer in time"),
        code => match (std::error::Error::source(&status), status.message()) {
            (Some(cause), _) => anyhow!("smd-cache ended the connection: {}", endpoint::root_cause(cause)),
            (None, "") => anyhow!("smd-cache refuses: {}", code.description()),
            (None, message) => anyhow!("{message}"),
        },
    }
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}
