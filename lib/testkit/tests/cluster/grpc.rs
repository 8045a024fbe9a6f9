//! gRPC as a person meets it: grpcurl, without a .proto file.

use crate::scene::{self, NODE1};
use std::time::Duration;
use testkit::cluster::{Cluster, finish, need_tools, tool};

const SERVICE: &str = "smdcache.v1.SmdCache";

fn grpcurl(cluster: &Cluster, arguments: &[&str]) -> (bool, String) {
    let mut command = cluster.wire.server.command(tool("grpcurl"));
    command.arg("-plaintext").args(arguments);
    let (status, said) = finish(&mut command, Duration::from_secs(20));
    (status.success(), said)
}

#[test]
fn grpcurl_lists_describes_and_looks_up() {
    need_tools(&["grpcurl"]);
    let mut cluster = Cluster::bare();
    cluster.start_smd(scene::inventory());
    cluster.start_program("smd-cache");
    cluster.wait_ready("smd-cache");
    let server = "127.0.0.1:27780";
    let call =
        |method: &str, data: &str| grpcurl(&cluster, &["-d", data, server, &format!("{SERVICE}/{method}")]);
    let (_, list) = grpcurl(&cluster, &[server, "list"]);
    assert!(list.contains(SERVICE) && list.contains("grpc.health.v1.Health"), "{list}");
    let (_, methods) = grpcurl(&cluster, &[server, "describe", SERVICE]);
    for method in
        ["LookupMac", "LookupAddress", "LookupName", "LookupComponent", "ListInterfaces", "Watch", "Explain"]
    {
        assert!(methods.contains(method), "{method}: {methods}");
    }
    let id = format!("\"{}\"", NODE1.id);
    let found: &[(&str, &str, &[&str])] = &[
        ("LookupMac", r#"{"mac":"02-77-00-00-00-01"}"#, &["OUTCOME_FOUND", NODE1.address, NODE1.fqdn, &id]),
        ("LookupAddress", r#"{"address":"172.16.0.11"}"#, &["OUTCOME_FOUND", NODE1.mac]),
        ("LookupName", r#"{"name":"NID0001.openchami.cluster."}"#, &["OUTCOME_FOUND", NODE1.mac]),
        ("LookupComponent", r#"{"id":"x1000c0s0b0n0"}"#, &["OUTCOME_FOUND", NODE1.mac, "Compute"]),
        ("LookupMac", r#"{"mac":"02:77:00:00:00:99"}"#, &["OUTCOME_UNKNOWN"]),
        ("LookupName", r#"{"name":"nid9999.openchami.cluster"}"#, &["OUTCOME_UNKNOWN"]),
        ("ListInterfaces", "{}", &[NODE1.mac, "172.16.0.101"]),
        ("ListProblems", "{}", &[]),
        ("GetStatus", "{}", &["\"ready\": true", "\"interfaces\": \"4\""]),
        ("Refresh", r#"{"full":true}"#, &["generation"]),
    ];
    for (method, data, wanted) in found {
        let (good, said) = call(method, data);
        assert!(good, "{method} {data}: {said}");
        for part in *wanted {
            assert!(said.contains(part), "'{part}' is not in the answer to {method} {data}:\n{said}");
        }
    }
    for (method, data) in [
        ("LookupMac", r#"{"mac":"zz"}"#),
        ("LookupAddress", r#"{"address":"172.16.0.256"}"#),
        ("LookupName", r#"{"name":"a..b"}"#),
    ] {
        let (good, said) = call(method, data);
        assert!(!good && said.contains("InvalidArgument"), "{method} {data}: {said}");
    }
    let (_, health) = grpcurl(&cluster, &[server, "grpc.health.v1.Health/Check"]);
    assert!(health.contains("SERVING"), "{health}");
}
