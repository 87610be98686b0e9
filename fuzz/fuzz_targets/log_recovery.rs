//! `log_recovery`, driven by libFuzzer.

#![no_main]
libfuzzer_sys::fuzz_target!(
    init: fleetfoot_fuzz::plant("log_recovery"),
    |data: &[u8]| fleetfoot_fuzz::log_recovery(data)
);
