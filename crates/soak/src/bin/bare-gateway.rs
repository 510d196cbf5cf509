//! The api-gateway without any kind: it knows only those that workers publish.

use std::process::ExitCode;

fn main() -> ExitCode {
    let build = api_gateway::Build { name: "bare-gateway", version: env!("CARGO_PKG_VERSION") };
    api_gateway::main(build, Ok(atode_jobs::Registry::default()))
}
