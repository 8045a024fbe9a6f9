use super::*;
use rcgen::{CertificateParams, KeyPair};
use std::fs;

fn pair() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

struct Files {
    settings: Settings,
    _directory: tempfile::TempDir,
}

fn files(certificate: &str, key: &str) -> Files {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings {
        cert: directory.path().join("cert.pem"),
        key: directory.path().join("key.pem"),
        client_ca: None,
        lists: Lists::default(),
    };
    fs::write(&settings.cert, certificate).unwrap();
    fs::write(&settings.key, key).unwrap();
    Files { settings, _directory: directory }
}

#[test]
fn files_that_cannot_be_used_are_named_and_no_key_is_shown() {
    let (certificate, key) = pair();
    let (_, other_key) = pair();
    let secret = key.lines().nth(1).unwrap();
    let broken = key.replace("-----END", "----END");
    for (certificate, key, words) in [
        ("", &*key, "cert.pem holds no certificate"),
        ("hello", &key, "cert.pem holds no certificate"),
        (&certificate[..certificate.len() / 2], &key, "cert.pem"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &key, "are no pair"),
        (&certificate, "", "key.pem holds no private key"),
        (&certificate, &certificate, "key.pem holds no private key"),
        (&certificate, &broken, "key.pem holds no private key"),
        (&certificate, &other_key, "are no pair"),
        (&key, &certificate, "cert.pem holds no certificate"),
    ] {
        let error = format!("{:#}", Tls::load(files(certificate, key).settings).expect_err(words));
        assert!(error.contains(words) && error.contains("smd_cache.tls"), "{words}: {error}");
        assert!(!error.contains(secret), "{error}");
    }
    let files = files(&certificate, &key);
    let settings = Settings { client_ca: Some("/nonexistent/ca.pem".into()), ..files.settings.clone() };
    let error = format!("{:#}", Tls::load(settings).unwrap_err());
    assert!(error.contains("/nonexistent/ca.pem cannot be read"), "{error}");
}

#[test]
fn new_files_are_used_and_bad_ones_are_not() {
    let (certificate, key) = pair();
    let files = files(&certificate, &key);
    let tls = Tls::load(files.settings.clone()).unwrap();
    let first = tls.files.current();
    tls.files.check();
    assert!(Arc::ptr_eq(&first, &tls.files.current()), "nothing changed");

    fs::write(&files.settings.cert, "half a certifi").unwrap();
    tls.files.check();
    assert!(Arc::ptr_eq(&first, &tls.files.current()));
    assert!(tls.problem().unwrap().contains("cert.pem holds no certificate"), "{:?}", tls.problem());

    let (certificate, key) = pair();
    fs::write(&files.settings.cert, &certificate).unwrap();
    tls.files.check();
    assert!(Arc::ptr_eq(&first, &tls.files.current()), "its key is not there yet");
    assert!(tls.problem().unwrap().contains("are no pair"), "{:?}", tls.problem());
    fs::write(&files.settings.key, &key).unwrap();
    tls.files.check();
    assert!(!Arc::ptr_eq(&first, &tls.files.current()));
    assert_eq!(tls.problem(), None);

    fs::remove_file(&files.settings.key).unwrap();
    tls.files.check();
    assert!(tls.problem().unwrap().contains("key.pem cannot be read"), "{:?}", tls.problem());
}

#[test]
fn every_reason_has_a_label_of_its_own() {
    let labels: std::collections::BTreeSet<_> = Refusal::ALL.map(Refusal::label).into();
    assert_eq!(labels.len(), Refusal::ALL.len());
}

#[test]
fn a_certificate_that_is_over_is_served_and_said() {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".into()]).unwrap();
    (params.not_before, params.not_after) =
        (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2021, 1, 1));
    let certificate = params.self_signed(&key).unwrap().pem();
    let files = files(&certificate, &key.serialize_pem());
    let tls = Tls::load(files.settings.clone()).unwrap();
    assert!(tls.problem().unwrap().contains("ended at 2021-01-01"), "{:?}", tls.problem());
    let (certificate, key) = pair();
    fs::write(&files.settings.cert, &certificate).unwrap();
    fs::write(&files.settings.key, &key).unwrap();
    tls.files.check();
    assert_eq!(tls.problem(), None);
}
