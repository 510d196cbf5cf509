//! A worker in its own process: the running test executable, started again for one "test" only.

use std::ops::Deref;
use std::process::ExitCode;
use std::time::Duration;

use atode_config::{Logging, process};
use atode_queue::Client;
use atode_testkit::Process;
use worker::Settings;

use super::{DEADLINE, redis_settings, registry, settings};

const VARIABLE: &str = "ATODE_TEST_CHILD";

/// Killed when dropped.
pub(crate) struct Child(Process);

impl Child {
    pub(crate) fn start(redis: u16, settings: &Settings) -> Self {
        let spec = format!(
            "{redis} {} {} {}",
            settings.concurrency,
            settings.lease.as_millis(),
            settings.shutdown_timeout.as_millis()
        );
        let test = std::env::current_exe().expect("a running test knows its own path");
        let arguments = ["child_worker", "--exact", "--nocapture", "--test-threads=1"];
        let child = Process::builder(test).args(arguments).env(VARIABLE, spec).start();
        child.wait_for_stderr(|log| log.contains("listening on"), DEADLINE);
        Child(child)
    }
}

impl Deref for Child {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.0
    }
}

/// The body of the test `child_worker` in each file that starts children. With [`VARIABLE`] set it runs a worker.
/// Otherwise it does nothing.
pub(crate) fn child_worker() {
    let Ok(spec) = std::env::var(VARIABLE) else { return };
    let spec: Vec<u64> = spec.split(' ').map(|word| word.parse().expect("a number")).collect();
    let [redis, concurrency, lease, shutdown_timeout] = spec[..] else { panic!("{VARIABLE}: {spec:?}") };
    let settings = Settings {
        concurrency: concurrency as usize,
        lease: Duration::from_millis(lease),
        shutdown_timeout: Duration::from_millis(shutdown_timeout),
        ..settings()
    };
    // The same steps as in the binary.
    let code = process::guard("child", || {
        process::begin(&Logging::default())?;
        process::serve(worker::shutdown_limit(settings.shutdown_timeout), None, async |stop| {
            let client = Client::open(&redis_settings(redis as u16))?;
            worker::run(settings, "test", registry(), client, stop).await
        })
    });
    std::process::exit(i32::from(code != ExitCode::SUCCESS));
}
