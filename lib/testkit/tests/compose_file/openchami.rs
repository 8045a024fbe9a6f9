//! The real SMD (profile `openchami`).

use crate::{compose as compose_with, profile};
use serde_json::Value;

const SMD: [&str; 3] = ["smd", "smd-init", "postgres"];

fn compose(name: &str, variables: &[(&str, &str)]) -> Value {
    compose_with(&profile(name), variables)
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
