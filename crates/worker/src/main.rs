//! The worker for the kinds in the jobs crate.

use std::process::ExitCode;

fn main() -> ExitCode {
    let build = worker::Build { name: "worker", version: env!("ATODE_BUILD") };
    worker::main(build, atode_jobs::registry())
}
