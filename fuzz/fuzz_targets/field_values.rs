//! `field_values`, driven by libFuzzer.

#![no_main]
libfuzzer_sys::fuzz_target!(
    init: fleetfoot_fuzz::plant("field_values"),
    |data: &[u8]| fleetfoot_fuzz::field_values(data)
);
