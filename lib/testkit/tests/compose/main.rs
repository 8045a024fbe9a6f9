//! `docker compose up` for real: compose.yaml, the images and what deploy/README.md says of them, in an engine of the test's own.
//!
//! They need root, an engine that has the images (`make images`) and the tools of `tools.txt`; `make test` sees to all of it.

#![allow(clippy::unwrap_used)] // helpers of tests are not recognised as tests

mod load;
mod observability;
mod outage;
mod page;
mod restarts;
mod scale;
mod serving;
mod stack;
