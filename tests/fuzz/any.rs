//! One kind of bad input, named by `TARGET`: what must hold is said in `tests/bad_input/targets.rs`.

#![no_main]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a fuzz target says what it found by panicking")]

#[path = "../scenarios/play.rs"]
mod scenarios;
#[path = "../bad_input/targets.rs"]
mod targets;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("TARGET").unwrap_or_default();
    let names: Vec<&str> = targets::TARGETS.iter().map(|(name, _)| *name).collect();
    let found = targets::TARGETS.iter().find(|(one, _)| *one == name);
    found.unwrap_or_else(|| panic!("TARGET={name} is not one of {}", names.join(", "))).1
});

fuzz_target!(|bytes: &[u8]| TARGET(bytes));
