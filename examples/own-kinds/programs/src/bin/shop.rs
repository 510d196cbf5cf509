//! The command line for the shop's kinds.

use std::process::ExitCode;

fn main() -> ExitCode {
    let build = atode::Build { name: "shop", version: env!("CARGO_PKG_VERSION") };
    atode::main(build, shop_kinds::registry())
}
