//! The api-gateway, with the soak's kind in addition.

use std::process::ExitCode;

fn main() -> ExitCode {
    api_gateway::main(atode_soak::registry())
}
