//! `vary`, driven by libFuzzer.

#![no_main]
libfuzzer_sys::fuzz_target!(
    init: fleetfoot_fuzz::plant("vary"),
    |data: &[u8]| fleetfoot_fuzz::vary(data)
);
