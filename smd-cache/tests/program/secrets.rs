//! What nobody may read in a log, an error or a status: the token, the keys.

use crate::{
    PATIENCE,
    fake_smd::{Answer, COMPONENTS, FakeSmd, GROUPS, INTERFACES},
    pki::Authority,
};
use proto::v1::{GetStatusRequest, RefreshRequest, smd_cache_client::SmdCacheClient};
use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tokio::time::{sleep, timeout};
use tonic::transport::Endpoint;

const TOKEN: &str = "token-of-which-nobody-may-know";
const NEXT_TOKEN: &str = "its-successor-that-is-as-secret";

/// The real program, which says everything it can say.
fn start(directory: &Path, file: &str) -> Child {
    let config = directory.join("coresmd.yaml");
    fs::write(&config, file).unwrap();
    let log = fs::File::create(directory.join("log")).unwrap();
    Command::new(env!("CARGO_BIN_EXE_smd-cache"))
        .arg("--config")
        .arg(config)
        .env("RUST_LOG", "trace")
        .env("RUNTIME_DIR", directory)
        .env("RUST_BACKTRACE", "1")
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn log(directory: &Path) -> String {
    String::from_utf8_lossy(&fs::read(directory.join("log")).unwrap()).into_owned()
}

#[tokio::test]
async fn no_secret_is_ever_said_whatever_fails_and_however_much_is_logged() {
    let smd = FakeSmd::with(&[1]).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let authority = Authority::new();
    let (server, client) = (authority.server(), authority.client("smd-cache"));
    server.write(path, "server");
    client.write(path, "client");
    fs::write(path.join("token"), TOKEN).unwrap();
    fs::write(path.join("ca.pem"), &authority.pem).unwrap();
    let file = format!(
        "rules: [{{match: {{group: [blue]}}, hostname: 'b{{04d}}'}}]\n\
         smd_cache:\n  listen: ['127.0.0.1:0']\n  admin: 127.0.0.1:0\n  socket: {0}/socket\n  refresh: 100ms\n  \
         snapshot_file: off\n  \
         tls: {{cert: {0}/server.pem, key: {0}/server.key, client_ca: {0}/ca.pem}}\n  \
         smd: {{url: '{1}', ca_cert: {0}/ca.pem, client_cert: {0}/client.pem, client_key: {0}/client.key, \
         token_file: {0}/token}}\n",
        path.display(),
        smd.url()
    );
    let mut program = start(path, &file);
    let socket = format!("unix:{}/socket", path.display());
    let mut grpc = SmdCacheClient::new(Endpoint::from_shared(socket).unwrap().connect_lazy());
    let mut said = String::new();
    let answers = [
        Answer::Json("[]".into()),
        Answer::Token(NEXT_TOKEN, Box::new(Answer::Json("[]".into()))),
        Answer::Http { status: 500, content_type: "text/html", body: "<html>".into() },
        Answer::Half("[{},{}]".into()),
        Answer::Http {
            status: 401,
            content_type: "application/problem+json",
            body: format!("{{\"detail\":\"bad header: Bearer {NEXT_TOKEN}\"}}"),
        },
        Answer::Http {
            status: 403,
            content_type: "text/plain",
            body: format!("{}{NEXT_TOKEN}", "x".repeat(100)),
        },
        Answer::Json("[{\"ID\":".into()),
    ];
    timeout(PATIENCE, async {
        while grpc.get_status(GetStatusRequest {}).await.is_err() {
            assert!(program.try_wait().unwrap().is_none(), "{}", log(path));
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("it starts");
    for (number, answer) in answers.into_iter().enumerate() {
        for source in [INTERFACES, COMPONENTS, GROUPS] {
            smd.answer(source, answer.clone());
        }
        match number {
            1 => fs::write(path.join("token"), NEXT_TOKEN).unwrap(),
            2 => fs::write(path.join("server.key"), server.key.replace("-----END", "----END")).unwrap(),
            3 => fs::write(path.join("client.key"), client.key.replace("-----END", "----END")).unwrap(),
            6 => fs::write(path.join("token"), format!("{TOKEN}\n{NEXT_TOKEN}\u{1}")).unwrap(),
            _ => {}
        }
        let asked = smd.requests().len();
        crate::eventually("SMD is asked", async || smd.requests().len() > asked + 2).await;
        said += &format!("{:?}", grpc.refresh(RefreshRequest { full: true, force: false }).await);
        said += &format!("{:?}", grpc.get_status(GetStatusRequest {}).await);
    }
    crate::eventually("every file's problem is said", async || {
        let status = format!("{:?}", grpc.get_status(GetStatusRequest {}).await);
        said += &status;
        ["the token file", "server.key holds no private key", "client.key are no PEM pair"]
            .iter()
            .all(|problem| status.contains(problem))
    })
    .await;
    let sent = smd.requests();
    assert!(sent.iter().any(|request| request.contains(TOKEN)), "the token was in use: {sent:?}");
    assert!(sent.iter().any(|request| request.contains(NEXT_TOKEN)), "and the next one");
    program.kill().unwrap();
    program.wait().unwrap();
    said += &log(path);
    assert!(said.len() > 10_000, "it was talkative: {} bytes", said.len());
    let lines =
        |key: &str| key.lines().filter(|line| !line.starts_with('-')).map(str::to_owned).collect::<Vec<_>>();
    assert!(said.contains("repeats the token"), "what SMD repeats is left out");
    let keys = [lines(&server.key), lines(&client.key)].concat();
    for secret in keys.iter().map(String::as_str).chain([TOKEN, NEXT_TOKEN]) {
        if let Some(at) = said.find(secret) {
            let from = said[..at].rfind('\n').unwrap_or(0);
            panic!("a secret was said: {}", &said[from..at + secret.len()]);
        }
    }
}
