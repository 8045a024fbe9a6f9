//! The real SMD in compose.yaml (profile `openchami`): what `docker compose` makes of the file. Nothing is started, so that neither an
//! engine nor the images are needed; what a running one takes is in `peers/images`.

#![allow(clippy::unwrap_used)] // helpers of tests are not recognised as tests

use serde_json::Value;
use std::{path::Path, process::Command};

const SMD: [&str; 3] = ["smd", "smd-init", "postgres"];

/// What compose.yaml says with this profile and these variables, and nothing that a developer has set.
fn compose(profile: &str, variables: &[(&str, &str)]) -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = Command::new("docker")
        .env_clear()
        .envs(std::env::vars().filter(|(name, _)| ["PATH", "HOME", "DOCKER_CONFIG"].contains(&name.as_str())))
        .envs(variables.iter().copied())
        .current_dir(root)
        .args(["compose", "--file", "compose.yaml", "--profile", profile, "config", "--format", "json"])
        .output()
        .expect("docker compose, which `make tools` installs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn has(compose: &Value, service: &str) -> bool {
    compose["services"].get(service).is_some()
}

#[test]
fn one_smd_at_a_time() {
    let (real, pretended) = (compose("openchami", &[]), compose("sim", &[]));
    for service in SMD {
        assert!(has(&real, service), "openchami has no {service}");
        assert!(!has(&pretended, service), "sim has {service}");
    }
    assert!(has(&pretended, "smd-sim"));
    assert!(!has(&real, "smd-sim"), "two answer to the name smd");
}

#[test]
fn smd_is_found_where_smd_sim_is() {
    let (real, pretended) = (compose("openchami", &[]), compose("sim", &[]));
    let (smd, sim) = (&real["services"]["smd"], &pretended["services"]["smd-sim"]);
    assert_eq!(smd["ports"], sim["ports"]);
    assert_eq!(sim["networks"]["default"]["aliases"], serde_json::json!(["smd"]));
    assert!(smd["networks"].get("default").is_some(), "smd-cache does not find it by its name");
}

/// smd-init tries for ever to enter a database that refuses it, and SMD without its tables fails at every request.
#[test]
fn smd_waits_for_its_tables_and_nobody_waits_for_smd() {
    let compose = compose("openchami", &[]);
    let services = compose["services"].as_object().unwrap();
    let waits = |service: &str, other: &str| services[service]["depends_on"][other]["condition"].clone();
    assert_eq!(waits("smd-init", "postgres"), "service_healthy");
    assert_eq!(waits("smd", "postgres"), "service_healthy");
    assert_eq!(waits("smd", "smd-init"), "service_completed_successfully");
    assert_eq!(services["smd-init"]["restart"], "no");
    for (name, service) in services.iter().filter(|(name, _)| !SMD.contains(&name.as_str())) {
        for waited_for in SMD {
            assert!(
                service["depends_on"].get(waited_for).is_none(),
                "{name} does not start without {waited_for}"
            );
        }
    }
}

#[test]
fn only_smd_reaches_the_database() {
    let compose = compose("openchami", &[]);
    assert_eq!(compose["networks"]["database"]["internal"], true);
    for (name, service) in compose["services"].as_object().unwrap() {
        let joined = service["networks"].get("database").is_some();
        assert_eq!(joined, SMD.contains(&name.as_str()), "{name}");
    }
    let postgres = &compose["services"]["postgres"];
    assert!(postgres.get("ports").is_none());
    assert_eq!(postgres["networks"].as_object().unwrap().len(), 1);
}

#[test]
fn one_password_for_all_three() {
    for (variables, password) in [(&[][..], "smd"), (&[("SMD_DB_PASSWORD", "other")][..], "other")] {
        let services = &compose("openchami", variables)["services"];
        assert_eq!(services["postgres"]["environment"]["POSTGRES_PASSWORD"], password);
        for service in ["smd", "smd-init"] {
            let environment = &services[service]["environment"];
            assert_eq!(environment["SMD_DBPASS"], password, "{service}");
            assert_eq!(
                environment["SMD_DBUSER"], services["postgres"]["environment"]["POSTGRES_USER"],
                "{service}"
            );
            assert_eq!(
                environment["SMD_DBNAME"], services["postgres"]["environment"]["POSTGRES_DB"],
                "{service}"
            );
        }
    }
}

#[test]
fn images_come_from_a_mirror_when_told() {
    let told = [("SMD_IMAGE", "mirror.site/smd:1"), ("POSTGRES_IMAGE", "mirror.site/postgres:1")];
    let (usual, mirrored) = (compose("openchami", &[]), compose("openchami", &told));
    let image =
        |compose: &Value, service: &str| compose["services"][service]["image"].as_str().unwrap().to_owned();
    assert!(image(&usual, "smd").starts_with("ghcr.io/openchami/smd:v"));
    assert_eq!(image(&usual, "postgres"), "postgres:17"); // 18 keeps its data in another folder
    for service in SMD {
        assert_eq!(image(&mirrored, service), if service == "postgres" { told[1].1 } else { told[0].1 });
    }
    assert_eq!(
        image(&usual, "smd"),
        image(&usual, "smd-init"),
        "the tables of one version, the program of another"
    );
}
