#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| wuwei_store::fuzz_package(input));
