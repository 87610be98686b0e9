//! `segment`, driven by libFuzzer.

#![no_main]
libfuzzer_sys::fuzz_target!(
    init: fleetfoot_fuzz::plant("segment"),
    |data: &[u8]| fleetfoot_fuzz::segment(data)
);
