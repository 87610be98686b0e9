//! `timing`, driven by libFuzzer.

#![no_main]
libfuzzer_sys::fuzz_target!(
    init: fleetfoot_fuzz::plant("timing"),
    |data: &[u8]| fleetfoot_fuzz::timing(data)
);
