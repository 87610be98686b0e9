//! `response_head`, driven by libFuzzer.

#![no_main]
libfuzzer_sys::fuzz_target!(
    init: fleetfoot_fuzz::plant("response_head"),
    |data: &[u8]| fleetfoot_fuzz::response_head(data)
);
