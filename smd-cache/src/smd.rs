//! SMD's REST API: asks, checks what comes back, and hands on whole bodies.
//!
//! A body is believed only with status 200, content type JSON and within `max_body`; what is in it is for `records` to
//! say. Nothing is tried twice here (but for a token that was replaced): `refresh` repeats a read that failed, so there is
//! one place that knows how often SMD is asked. No HTTP proxy is used and no redirect followed: SMD is a neighbour.

mod groups;
mod http;
mod resolver;
mod token;

pub use groups::Groups;

use crate::records::BadBody;
use anyhow::Context;
use bytes::{Bytes, BytesMut};
use http::Http;
use jiff::{Timestamp, fmt::rfc2822};
use reqwest::{Response, StatusCode, Url, header};
use std::{error::Error, fmt, path::PathBuf, sync::Arc, time::Duration};
use token::Token;
use values::Xname;
use xxhash_rust::xxh3::Xxh3;

/// One answer, from the request to the last byte: 100,000 interfaces take 0.3 s; a guess that leaves room for 10 Mbit/s.
const WHOLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Groups: 11,000 members take 13 ms. A whole read waits for them, which is not to be old by then (`stale_after`).
const GROUPS_TIMEOUT: Duration = Duration::from_secs(5);

/// One answer about a few records, which SMD gives within milliseconds; with its database gone within 1.5 s.
const SOME_TIMEOUT: Duration = Duration::from_secs(3);

/// How much of an error's body is looked at: SMD's own are below 200 bytes.
const MAX_DETAIL: usize = 512;

/// SMD answers requests of 160 kB and refuses those of 1 MB (431); an xname has at most 63 bytes, mostly 14.
pub const IDS_IN_ONE_REQUEST: usize = 1_000;

/// Below the service; sites write it into their URLs or not.
const BASE_PATH: &str = "hsm/v2";

/// How SMD is reached.
#[derive(Debug, Clone)]
pub struct Settings {
    /// With or without `/hsm/v2`.
    pub url: String,
    /// Trusted besides the system's authorities.
    pub ca_cert: Option<PathBuf>,
    /// Certificate and key, PEM.
    pub client: Option<(PathBuf, PathBuf)>,
    /// Bearer token.
    pub token_file: Option<PathBuf>,
    /// Largest body that is believed, in bytes.
    pub max_body: u64,
}

/// What is read; also a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// `Inventory/EthernetInterfaces`
    Interfaces,
    /// `State/Components`
    Components,
    /// `groups`, only where a rule matches on groups: it is the one that wants a token.
    Groups,
    /// Interfaces, `?NewerThan=`.
    Changes,
    /// Interfaces, `?ID=`: pulled through, or to confirm that they are gone.
    ById,
}

impl Source {
    /// Every source.
    pub const ALL: [Source; 5] =
        [Source::Interfaces, Source::Components, Source::Groups, Source::Changes, Source::ById];

    /// `interfaces`, `components`, `groups`, `changes`, `by_id`.
    pub fn label(self) -> &'static str {
        match self {
            Source::Interfaces => "interfaces",
            Source::Components => "components",
            Source::Groups => "groups",
            Source::Changes => "changes",
            Source::ById => "by_id",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Source::Interfaces | Source::Changes | Source::ById => "Inventory/EthernetInterfaces",
            Source::Components => "State/Components",
            Source::Groups => "groups",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Source::ById => "interfaces by ID",
            _ => self.label(),
        })
    }
}

/// Why nothing was learnt from a read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No connection, or it ended before the answer began.
    #[error("SMD cannot be reached: {0}")]
    Unreachable(String),
    /// Connected, but too slow.
    #[error("SMD did not answer in time: {0}")]
    TimedOut(String),
    /// Anything but 200.
    #[error("SMD answered {status}: {detail}")]
    Status {
        /// HTTP status.
        status: StatusCode,
        /// What the body says.
        detail: String,
    },
    /// 200, but a login page, a problem report ...
    #[error("SMD answered with content type '{0}' instead of application/json")]
    ContentType(String),
    /// Bigger than `max_body`.
    #[error("SMD's answer is longer than the {0} bytes that max_body allows")]
    TooLarge(u64),
    /// It ended early.
    #[error("SMD's answer broke off: {0}")]
    Interrupted(String),
    /// Not JSON, or not of the shape.
    #[error("SMD's answer cannot be used: {0}")]
    Malformed(#[from] BadBody),
    /// The same of groups.
    #[error("SMD's answer cannot be used: {0}")]
    BadGroups(#[from] serde_json::Error),
    /// A filter was asked for and not obeyed: SMD ignores what it does not know.
    #[error("SMD answered with '{0}', which was not asked for")]
    NotAsked(String),
    /// Ours: decoding or building ended in a panic.
    #[error("this program failed to use the answer (a bug): {0}")]
    Bug(String),
}

impl ReadError {
    /// Every label, and that of success, for metrics that start at zero.
    pub const OUTCOMES: [&str; 10] = [
        "ok",
        "unreachable",
        "timed_out",
        "status",
        "content_type",
        "too_large",
        "interrupted",
        "malformed",
        "not_asked",
        "bug",
    ];

    /// The metric label.
    pub fn label(&self) -> &'static str {
        match self {
            ReadError::Unreachable(_) => "unreachable",
            ReadError::TimedOut(_) => "timed_out",
            ReadError::Status { .. } => "status",
            ReadError::ContentType(_) => "content_type",
            ReadError::TooLarge(_) => "too_large",
            ReadError::Interrupted(_) => "interrupted",
            ReadError::Malformed(_) | ReadError::BadGroups(_) => "malformed",
            ReadError::NotAsked(_) => "not_asked",
            ReadError::Bug(_) => "bug",
        }
    }
}

/// What the body of [`Source::Groups`] says.
pub fn decode_groups(body: &Body) -> Result<Groups, ReadError> {
    Ok(groups::decode(&body.bytes)?)
}

/// A body that arrived whole.
#[derive(Debug, Clone)]
pub struct Body {
    /// As it came.
    pub bytes: Bytes,
    /// Equal bodies have equal ones.
    pub hash: u128,
    /// What SMD's clock said, where it said so.
    pub date: Option<Timestamp>,
}

/// Asks SMD. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    http: Arc<Http>,
    base: Url,
    token: Option<Arc<Token>>,
    max_body: u64,
}

impl Client {
    /// Reads the certificates; says nothing about whether SMD is there.
    pub fn new(settings: &Settings) -> anyhow::Result<Client> {
        Ok(Client {
            http: Arc::new(Http::new(settings)?),
            base: base_url(&settings.url)?,
            token: settings.token_file.clone().map(|file| Arc::new(Token::new(file))),
            max_body: settings.max_body,
        })
    }

    /// Everything of a source.
    pub async fn whole(&self, source: Source) -> Result<Body, ReadError> {
        let within = if source == Source::Groups { GROUPS_TIMEOUT } else { WHOLE_TIMEOUT };
        self.ask(source, &[], within).await
    }

    /// Interfaces whose `LastUpdate` is later. There may be many after a pause, so it may take as long as a whole read.
    pub async fn newer_than(&self, since: Timestamp) -> Result<Body, ReadError> {
        self.ask(Source::Changes, &[("NewerThan", &since.to_string())], WHOLE_TIMEOUT).await
    }

    /// Interfaces with these `ID`s, in lower case.
    pub async fn interfaces(&self, ids: &[String]) -> Result<Body, ReadError> {
        let query: Vec<_> = ids.iter().map(|id| ("ID", id.as_str())).collect();
        self.ask(Source::ById, &query, SOME_TIMEOUT).await
    }

    /// Some components.
    pub async fn components(&self, ids: &[Xname]) -> Result<Body, ReadError> {
        let query: Vec<_> = ids.iter().map(|id| ("id", id.as_str())).collect();
        self.ask(Source::Components, &query, SOME_TIMEOUT).await
    }

    /// What is wrong with the files of token and certificates, if anything: reads go on with what there was before.
    pub fn file_problems(&self) -> Vec<String> {
        let token = self.token.as_ref().and_then(|token| token.problem());
        token.into_iter().chain(self.http.problem()).collect()
    }

    /// Host and port, for people; never what else the URL holds.
    pub fn host(&self) -> String {
        let port = self.base.port_or_known_default().map(|port| format!(":{port}"));
        format!("{}{}", self.base.host_str().unwrap_or_default(), port.unwrap_or_default())
    }

    async fn ask(&self, source: Source, query: &[(&str, &str)], within: Duration) -> Result<Body, ReadError> {
        let mut answer = self.send(source, query, within, false).await?;
        if answer.status() == StatusCode::UNAUTHORIZED && self.token.is_some() {
            answer = self.send(source, query, within, true).await?;
        }
        if answer.status() != StatusCode::OK {
            let status = answer.status();
            let detail = detail(answer).await;
            let repeated = self.token.as_ref().is_some_and(|token| token.is_in(&detail));
            let detail = if repeated { "(what it says repeats the token)".to_owned() } else { detail };
            return Err(ReadError::Status { status, detail });
        }
        check_content_type(&answer)?;
        self.body(answer).await
    }

    async fn send(
        &self,
        source: Source,
        query: &[(&str, &str)],
        within: Duration,
        token_again: bool,
    ) -> Result<Response, ReadError> {
        let url = self.base.join(source.path()).expect("the paths of sources are relative URLs");
        let mut request = self
            .http
            .client()
            .await
            .get(url)
            .query(query)
            .timeout(within)
            .header(header::ACCEPT, "application/json");
        if let Some(token) = &self.token
            && let Some(value) = token.header(token_again).await
        {
            request = request.header(header::AUTHORIZATION, value);
        }
        request.send().await.map_err(not_answered)
    }

    async fn body(&self, mut answer: Response) -> Result<Body, ReadError> {
        let announced = answer.content_length().unwrap_or(0);
        if announced > self.max_body {
            return Err(ReadError::TooLarge(self.max_body));
        }
        let date = date(&answer);
        let mut bytes = BytesMut::with_capacity(announced as usize);
        let mut hash = Xxh3::new();
        while let Some(chunk) = answer.chunk().await.map_err(broken_off)? {
            if (bytes.len() + chunk.len()) as u64 > self.max_body {
                return Err(ReadError::TooLarge(self.max_body));
            }
            // Piece by piece: a whole body at once would hold up who is served meanwhile.
            hash.update(&chunk);
            bytes.extend_from_slice(&chunk);
        }
        Ok(Body { hash: hash.digest128(), bytes: bytes.freeze(), date })
    }
}

/// The URL below which sources are, with a final slash.
fn base_url(text: &str) -> anyhow::Result<Url> {
    let site = text.trim_end_matches('/').trim_end_matches(BASE_PATH).trim_end_matches('/');
    Url::parse(&format!("{site}/{BASE_PATH}/")).context("smd_cache.smd.url is no URL")
}

/// `Date`, which is RFC 2822's form in GMT (RFC 9110 §5.6.7).
fn date(answer: &Response) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_timestamp(answer.headers().get(header::DATE)?.as_bytes()).ok()
}

fn check_content_type(answer: &Response) -> Result<(), ReadError> {
    let given = answer.headers().get(header::CONTENT_TYPE).map(|value| value.as_bytes()).unwrap_or_default();
    let given = String::from_utf8_lossy(given);
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(ReadError::ContentType(printable(&given, MAX_DETAIL)))
}

/// What an error's body says, on one line.
async fn detail(mut answer: Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < MAX_DETAIL
        && let Ok(Some(chunk)) = answer.chunk().await
    {
        bytes.extend_from_slice(&chunk[..chunk.len().min(MAX_DETAIL - bytes.len())]);
    }
    let problem: Option<serde_json::Value> = serde_json::from_slice(&bytes).ok();
    match problem.as_ref().and_then(|problem| problem["detail"].as_str()) {
        Some(detail) => printable(detail, MAX_DETAIL),
        None => printable(&String::from_utf8_lossy(&bytes), 120),
    }
}

fn printable(text: &str, most: usize) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().filter(|c| !c.is_control()).take(most).collect()
}

fn not_answered(error: reqwest::Error) -> ReadError {
    match error.is_timeout() {
        true => ReadError::TimedOut(causes(error)),
        false => ReadError::Unreachable(causes(error)),
    }
}

fn broken_off(error: reqwest::Error) -> ReadError {
    match error.is_timeout() {
        true => ReadError::TimedOut(causes(error)),
        false => ReadError::Interrupted(causes(error)),
    }
}

/// The error and what lies below it; the URL, which may hold a password, is left out.
fn causes(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(below) = cause {
        let below_text = below.to_string();
        if !text.contains(&below_text) {
            text = format!("{text}: {below_text}");
        }
        cause = below.source();
    }
    text
}
