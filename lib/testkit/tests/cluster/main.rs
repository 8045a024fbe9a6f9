//! Whole-cluster tests: the real programs in network namespaces, asked by clients of other hands.
//!
//! They need root and the tools of `tools.txt`; `make test` sees to both.

mod change;
mod clients;
mod dhcp;
mod dns;
mod grpc;
mod outage;
mod scene;
mod tftp;
