//! The worker for the shop's kinds, with the state that they need.

use std::process::ExitCode;

use shop_kinds::bank::Bank;

fn main() -> ExitCode {
    let build = worker::Build { name: "shop-worker", version: env!("CARGO_PKG_VERSION") };
    worker::main_with_state(build, shop_kinds::registry(), async |registry| {
        registry.provide(Bank::connect().await?);
        Ok(())
    })
}
