//! The system's limits of open files and threads. If a limit is too low, the start ends with one line instead of a panic
//! in the first library that reaches it.

use std::{io, thread};

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, rlim_t, setrlimit};

/// Open files that a process needs to start.
const FEWEST_FILES: rlim_t = 128;
/// Open files that a process needs under load.
const FEW_FILES: rlim_t = 1024;

/// Threads that a gateway or a worker starts at most: per processor, and in addition to those.
const THREADS_PER_CPU: usize = 2;
const OTHER_THREADS: usize = 8;

/// The least that the limits must allow.
#[derive(Debug, Clone, Copy)]
pub struct Needs {
    pub files: u64,
    /// In addition to the main thread.
    pub threads: usize,
}

impl Needs {
    pub(super) fn of_a_server() -> Self {
        let cpus = thread::available_parallelism().map_or(1, usize::from);
        Needs { files: FEWEST_FILES, threads: THREADS_PER_CPU * cpus + OTHER_THREADS }
    }
}

/// Raises the limit of open files as far as possible. The error says which limit is too low.
pub fn check_limits(needs: Needs) -> Result<(), String> {
    let Needs { files: fewest, threads } = needs;
    let files = raised_files();
    if files < fewest {
        return Err(format!(
            "the limit of open files is {files}, but at least {fewest} are needed; raise it (`ulimit -n`, LimitNOFILE= of systemd)"
        ));
    }
    start_threads(threads).map_err(|error| {
        let limit = shown(getrlimit(Resource::RLIMIT_NPROC).map_or(RLIM_INFINITY, |(soft, _)| soft));
        format!(
            "cannot start {threads} threads: {error}; raise the limit of processes and threads (`ulimit -u`, here {limit}; TasksMax= of systemd, the pids limit of a container)"
        )
    })
}

/// A warning if the process may run out of open files under load.
pub(super) fn few_files() -> Option<String> {
    let (files, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    (files < FEW_FILES).then(|| {
        format!(
            "the limit of open files is {files}, and each connection takes one; raise it to {FEW_FILES} or more (`ulimit -n`, LimitNOFILE= of systemd)"
        )
    })
}

/// Raises the limit of open files to the highest that this process may have, and returns it. (Many systems start
/// processes with a low limit, for programs that use `select`.)
fn raised_files() -> rlim_t {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return RLIM_INFINITY };
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() { hard } else { soft }
}

/// Checks that this many more threads can run at the same time.
fn start_threads(number: usize) -> io::Result<()> {
    let mut threads = Vec::new();
    let started = (0..number).try_for_each(|_| {
        threads.push(thread::Builder::new().spawn(thread::park)?);
        Ok(())
    });
    for thread in threads {
        thread.thread().unpark();
        let _ = thread.join();
    }
    started
}

fn shown(limit: rlim_t) -> String {
    if limit == RLIM_INFINITY { "unlimited".to_owned() } else { limit.to_string() }
}
