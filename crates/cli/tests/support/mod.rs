//! The command line as a process.

use std::time::Duration;

use atode_testkit::{Process, ProcessBuilder, workspace_root};

pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn atode() -> ProcessBuilder {
    Process::builder(env!("CARGO_BIN_EXE_atode"))
        .env("APP_ENV", "test")
        .env("APP_CONFIG_DIR", workspace_root().join("config"))
        .env_remove("ATODE_URL")
        .env_remove("ATODE_KEY")
}

pub(crate) fn run(process: ProcessBuilder) -> Ended {
    let process = process.start();
    let status = process.wait(Duration::from_secs(60));
    Ended { code: status.code().expect("an exit code"), out: process.stdout(), err: process.stderr() }
}
