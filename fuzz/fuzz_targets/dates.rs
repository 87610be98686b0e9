//! `dates`, driven by libFuzzer.

#![no_main]
libfuzzer_sys::fuzz_target!(
    init: fleetfoot_fuzz::plant("dates"),
    |data: &[u8]| fleetfoot_fuzz::dates(data)
);
