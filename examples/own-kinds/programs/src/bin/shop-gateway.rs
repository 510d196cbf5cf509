//! The gateway for the shop's kinds.

use std::process::ExitCode;

fn main() -> ExitCode {
    let build = api_gateway::Build { name: "shop-gateway", version: env!("CARGO_PKG_VERSION") };
    api_gateway::main(build, shop_kinds::registry())
}
