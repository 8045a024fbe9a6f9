//! What compose.yaml, .env, the Dockerfile and the configuration beside them say of each other. `docker compose config` reads them and
//! nothing is started, so that neither an engine nor images are needed.

#![allow(clippy::unwrap_used)] // helpers of tests are not recognised as tests

mod openchami;
mod rights;
mod site;

use serde_json::Value;
use std::{collections::BTreeMap, fs, path::Path, process::Command};

/// What `docker compose ARGUMENTS config` makes of the files with these variables, and nothing that a developer has set. It must have
/// nothing to complain of.
fn compose(arguments: &[&str], variables: &[(&str, &str)]) -> Value {
    let output = Command::new("docker")
        .env_clear()
        .envs(std::env::vars().filter(|(name, _)| ["PATH", "HOME", "DOCKER_CONFIG"].contains(&name.as_str())))
        .envs(variables.iter().copied())
        .current_dir(root())
        .arg("compose")
        .args(arguments)
        .args(["config", "--format", "json"])
        .output()
        .expect("docker compose, which `make tools` installs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{arguments:?}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// compose.yaml with one profile.
fn profile(name: &str) -> [&str; 4] {
    ["--file", "compose.yaml", "--profile", name]
}

/// What a site has on its host's network.
const ON_HOST: [&str; 6] =
    ["--file", "compose.yaml", "--file", "deploy/compose.host.yaml", "--profile", "metrics"];

fn services(compose: &Value) -> BTreeMap<&str, &Value> {
    compose["services"].as_object().unwrap().iter().map(|(name, service)| (name.as_str(), service)).collect()
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
