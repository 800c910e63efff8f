#![no_main]

mod memory;

libfuzzer_sys::fuzz_target!(|data: &[u8]| memory::bounded(|| fuzz_targets::metadata(data)));
