//! The gateway for the kinds of the jobs crate.

use std::process::ExitCode;

fn main() -> ExitCode {
    let build = api_gateway::Build { name: "api-gateway", version: env!("ATODE_BUILD") };
    api_gateway::main(build, atode_jobs::registry())
}
