//! Zones copied by others: AXFR, IXFR and NOTIFY, who may have them, and the serials by which they are compared.

pub mod tsig;
