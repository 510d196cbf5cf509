//! The gateway for the kinds of the jobs crate.

use std::process::ExitCode;

fn main() -> ExitCode {
    api_gateway::main(atode_jobs::registry())
}
