//! `cloudevents`, driven by libFuzzer.

#![no_main]
libfuzzer_sys::fuzz_target!(
    init: fleetfoot_fuzz::plant("cloudevents"),
    |data: &[u8]| fleetfoot_fuzz::cloudevents(data)
);
