#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| wuwei_sandbox::fuzzing::egress_names(input));
