//! `defib-lab`: what was typed, done.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
