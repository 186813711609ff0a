//! defib: parse, call, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    // One provider of cryptography for the whole process, chosen before anything can ask for one.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        return defib::cli::Exit::Misuse.into();
    }
    defib::cli::main().into()
}
