//! The command line for the kinds of the jobs crate.

use std::process::ExitCode;

fn main() -> ExitCode {
    let build = atode::Build { name: "atode", version: env!("ATODE_BUILD") };
    atode::main(build, atode_jobs::registry())
}
