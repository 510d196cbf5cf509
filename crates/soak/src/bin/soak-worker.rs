//! The worker, with the soak's kind in addition.

use std::process::ExitCode;

fn main() -> ExitCode {
    worker::main(atode_soak::registry())
}
