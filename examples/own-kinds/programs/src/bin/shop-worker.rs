//! The worker for the shop's kinds, with the state that they need.

use std::process::ExitCode;

use shop_kinds::bank::Bank;
use worker::StateType;

fn main() -> ExitCode {
    let build = worker::Build { name: "shop-worker", version: env!("CARGO_PKG_VERSION") };
    let state = [StateType::of::<Bank>()];
    worker::main_with_state(build, shop_kinds::registry(), &state, async |registry| {
        registry.provide(Bank::connect().await?);
        Ok(())
    })
}
