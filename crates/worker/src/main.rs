//! The worker for the kinds of the jobs crate.

use std::process::ExitCode;

fn main() -> ExitCode {
    worker::main(atode_jobs::registry())
}
