//! `services`, driven by libFuzzer.

#![no_main]
libfuzzer_sys::fuzz_target!(
    init: fleetfoot_fuzz::plant("services"),
    |data: &[u8]| fleetfoot_fuzz::services(data)
);
