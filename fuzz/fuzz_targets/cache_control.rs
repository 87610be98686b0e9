//! `cache_control`, driven by libFuzzer.

#![no_main]
libfuzzer_sys::fuzz_target!(
    init: fleetfoot_fuzz::plant("cache_control"),
    |data: &[u8]| fleetfoot_fuzz::cache_control(data)
);
