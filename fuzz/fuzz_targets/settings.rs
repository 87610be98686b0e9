//! `settings`, driven by libFuzzer.

#![no_main]
libfuzzer_sys::fuzz_target!(
    init: fleetfoot_fuzz::plant("settings"),
    |data: &[u8]| fleetfoot_fuzz::settings(data)
);
