//! The worker with one more kind, that of the soak.

use std::process::ExitCode;

fn main() -> ExitCode {
    let build = worker::Build { name: "soak-worker", version: env!("CARGO_PKG_VERSION") };
    worker::main(build, atode_soak::registry())
}
