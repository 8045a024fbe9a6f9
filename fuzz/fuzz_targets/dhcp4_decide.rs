#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::dhcp4_decide(bytes));
