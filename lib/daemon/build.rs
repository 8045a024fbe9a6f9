//! Notes in a release build what `--version` prints. Development builds carry a fixed text: a new commit must not
//! rebuild every program.

use std::{env, path::Path, process::Command};

fn main() {
    println!("cargo:rerun-if-env-changed=CORESMD_COMMIT");
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    if release {
        for path in ["../../.git/HEAD", "../../.git/logs/HEAD"] {
            if Path::new(path).exists() {
                println!("cargo:rerun-if-changed={path}");
            }
        }
    } else {
        println!("cargo:rerun-if-changed=build.rs");
    }
    let fact = |known: Option<String>, command: &[&str]| match (known, release) {
        (Some(known), _) => known,
        (None, true) => output(command).unwrap_or_else(|| "unknown".into()),
        (None, false) => "development".into(),
    };
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let epoch = given("SOURCE_DATE_EPOCH").map_or("now".into(), |seconds| format!("@{seconds}"));
    set("COMMIT", fact(given("CORESMD_COMMIT"), &["git", "describe", "--always", "--dirty", "--abbrev=12"]));
    set("DATE", fact(None, &["date", "-u", "-d", &epoch, "+%Y-%m-%dT%H:%M:%SZ"]));
    set("COMPILER", fact(None, &[&rustc, "--version"]));
    set("HOST", fact(None, &["uname", "-n"]));
    set("USER", fact(given("USER").filter(|_| release), &["id", "-un"]));
}

/// A variable of the environment; an empty one says nothing.
fn given(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn set(name: &str, value: String) {
    println!("cargo:rustc-env=BUILD_{name}={value}");
}

fn output(command: &[&str]) -> Option<String> {
    let (program, arguments) = command.split_first()?;
    let output =
        Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok().map(|text| text.trim().to_string()).filter(|text| !text.is_empty())
}
