//! Whole-cluster tests: the real programs in network namespaces, asked by clients of other hands.
//!
//! They need root and the tools of `tools.txt`; `make test` sees to both.

#![allow(clippy::unwrap_used)] // helpers of tests are not recognised as tests

mod believing;
mod bootloop;
mod change;
mod clients;
mod dhcp;
mod dhcp_options;
mod dns;
mod dns_replicas;
mod edns;
mod explain;
mod floods;
mod foreign;
mod forwarding;
mod fresh;
mod grpc;
mod guard;
mod harness;
mod judges;
mod kea;
mod killing;
mod leases;
mod links;
mod names;
mod outage;
mod peers;
mod prober;
mod remembering;
mod replicas;
mod resolvers;
mod scale;
mod scene;
mod secondaries;
mod secure;
mod silence;
mod station;
mod streams;
mod targets;
mod tftp;
mod tftp_replicas;
mod transcripts;
mod watching;
