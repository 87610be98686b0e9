//! `chunked_body`, driven by libFuzzer.

#![no_main]
libfuzzer_sys::fuzz_target!(
    init: fleetfoot_fuzz::plant("chunked_body"),
    |data: &[u8]| fleetfoot_fuzz::chunked_body(data)
);
