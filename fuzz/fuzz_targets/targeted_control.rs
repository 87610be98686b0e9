//! `targeted_control`, driven by libFuzzer.

#![no_main]
libfuzzer_sys::fuzz_target!(
    init: fleetfoot_fuzz::plant("targeted_control"),
    |data: &[u8]| fleetfoot_fuzz::targeted_control(data)
);
