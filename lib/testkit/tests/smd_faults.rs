//! smd-sim fails when told to, and is well again when told so.

#![allow(clippy::unwrap_used)] // helpers of tests are not recognised as tests

use std::time::Duration;
use testkit::smd::{Failure, Fault, Sim, generate};

const INTERFACES: &str = "/hsm/v2/Inventory/EthernetInterfaces";
const COMPONENTS: &str = "/hsm/v2/State/Components";

/// Status, content type and text; or how the connection failed.
async fn ask(sim: &Sim, path: &str) -> Result<(u16, String, String), String> {
    let get = testkit::http().get(format!("{}{path}", sim.url())).timeout(Duration::from_millis(300));
    let response =
        get.send().await.map_err(|error| if error.is_timeout() { "timeout" } else { "broken" }.to_owned())?;
    let status = response.status().as_u16();
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    let text = response.text().await.map_err(|_| "cut".to_owned())?;
    Ok((status, kind, text))
}

#[tokio::test]
async fn each_fault_is_what_it_says() {
    let sim = Sim::start(generate(50, 1)).await;
    let whole = ask(&sim, INTERFACES).await.unwrap().2;
    for fault in [
        Fault::Close,
        Fault::Hang,
        Fault::Error500,
        Fault::Html,
        Fault::HalfBody,
        Fault::CutJson,
        Fault::Empty,
        Fault::DatabaseDown,
    ] {
        sim.fail(Failure::next(fault, 1));
        let got = ask(&sim, INTERFACES).await;
        let fits = match (fault, &got) {
            (Fault::Close, Err(how)) => how == "broken",
            (Fault::Hang, Err(how)) => how == "timeout",
            (Fault::HalfBody, Err(how)) => how == "cut",
            (Fault::Error500 | Fault::DatabaseDown, Ok((500, kind, _))) => kind == "application/problem+json",
            (Fault::Html, Ok((200, kind, text))) => kind.starts_with("text/html") && text.contains("Sign in"),
            (Fault::CutJson, Ok((200, kind, text))) => {
                kind == "application/json" && whole.starts_with(text.as_str())
            }
            (Fault::Empty, Ok((200, kind, text))) => kind == "application/json" && text == "[]\n",
            _ => false,
        };
        assert!(fits, "{fault:?}: {got:?}");
        assert_eq!(ask(&sim, INTERFACES).await.unwrap().2, whole, "well again after {fault:?}");
    }
}

#[tokio::test]
async fn a_fault_meets_only_the_paths_it_names() {
    let sim = Sim::start(generate(4, 1)).await;
    sim.fail(Failure::all(Fault::Empty).on("Components"));
    assert_eq!(ask(&sim, COMPONENTS).await.unwrap().2, "{\"Components\":[]}\n");
    assert_ne!(ask(&sim, INTERFACES).await.unwrap().2, "[]\n");
    sim.heal();
    assert_ne!(ask(&sim, COMPONENTS).await.unwrap().2, "{\"Components\":[]}\n");
}

#[tokio::test]
async fn a_closed_port_refuses_and_opens_again() {
    let sim = Sim::start(generate(4, 1)).await;
    sim.refuse(true);
    let mut tries = 0;
    while ask(&sim, INTERFACES).await.is_ok() {
        tries += 1;
        assert!(tries < 100, "the listener is closed as soon as its task runs");
        tokio::task::yield_now().await;
    }
    assert!(ask(&sim, INTERFACES).await.is_err());
    sim.heal();
    let mut tries = 0;
    while ask(&sim, INTERFACES).await.is_err() {
        tries += 1;
        assert!(tries < 100, "the listener is open again as soon as its task runs");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn machines_come_change_and_go_over_http_and_requests_are_counted() {
    let sim = Sim::start(Default::default()).await;
    let http = testkit::http();
    let control = |order: &str| format!("{}/control/{order}", sim.url());
    let node = r#"{"id":"x9c0s0b0n0","mac":"02:00:00:00:09:01","address":"172.16.9.1","nid":9}"#;
    assert_eq!(http.post(control("node")).body(node).send().await.unwrap().status(), 204);
    let by_id = format!("{INTERFACES}?ID=020000000901");
    assert!(ask(&sim, &by_id).await.unwrap().2.contains("172.16.9.1"));
    assert!(sim.set_addresses("02-00-00-00-09-01", &["172.16.9.2"]));
    assert!(ask(&sim, &by_id).await.unwrap().2.contains("172.16.9.2"));
    assert_eq!(http.delete(control("machines/x9c0s0b0n0")).send().await.unwrap().status(), 204);
    assert_eq!(http.delete(control("machines/x9c0s0b0n0")).send().await.unwrap().status(), 404);
    assert_eq!(ask(&sim, &by_id).await.unwrap().2, "[]\n");
    assert_eq!(http.post(control("fail")).body(r#"{"kind":"sulk"}"#).send().await.unwrap().status(), 400);
    assert_eq!(sim.requests()[&format!("GET {INTERFACES}?id")], 3);
}
