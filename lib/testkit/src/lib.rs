//! PROVING (never shipped): a stand-in for SMD, golden data, and whole clusters of the real programs in network namespaces.

pub mod bench;
pub mod cluster;
pub mod demo;
pub mod engine;
pub mod packets;
pub mod pcap;
pub mod prober;
pub mod smd;

/// An HTTP client for loopback: no proxy, and its idle connections are not kept.
pub fn http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default(); // an error says: it is there already
    let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build();
    client.expect("nothing in it can fail once there is a crypto provider")
}

/// Bytes written as hexadecimal digits.
///
/// # Panics
/// On anything else: test data is good.
pub fn hex(text: &str) -> Vec<u8> {
    let digit = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal digits");
    (0..text.len()).step_by(2).map(digit).collect()
}
