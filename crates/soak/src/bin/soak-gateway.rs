//! The api-gateway with one more kind, that of the soak.

use std::process::ExitCode;

fn main() -> ExitCode {
    let build = api_gateway::Build { name: "soak-gateway", version: env!("CARGO_PKG_VERSION") };
    api_gateway::main(build, atode_soak::registry())
}
