//! `ranges`, driven by libFuzzer.

#![no_main]
libfuzzer_sys::fuzz_target!(
    init: fleetfoot_fuzz::plant("ranges"),
    |data: &[u8]| fleetfoot_fuzz::ranges(data)
);
