//! `request_head`, driven by libFuzzer.

#![no_main]
libfuzzer_sys::fuzz_target!(
    init: fleetfoot_fuzz::plant("request_head"),
    |data: &[u8]| fleetfoot_fuzz::request_head(data)
);
