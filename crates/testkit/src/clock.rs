//! A wall clock that a test can step and stop, for a process under test such as a
//! [`RedisServer`](crate::RedisServer).

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const SOURCE: &str = include_str!("clock.c");

/// A wall clock. The monotonic clock of the process is unchanged. Works on Linux only: the process loads the clock with
/// `LD_PRELOAD`.
pub struct Clock {
    file: PathBuf,
    preload: PathBuf,
    state: Mutex<State>,
}

/// The content of the file that clock.c reads.
#[derive(Debug, Default, Clone, Copy)]
struct State {
    ahead_us: i64,
    frozen_us: i64,
}

impl Clock {
    /// Builds a clock with its files in this folder. Needs `cc`, as any Rust toolchain does.
    #[track_caller]
    pub fn build(dir: &Path) -> Self {
        let source = dir.join("clock.c");
        let clock = Clock { file: dir.join("clock"), preload: dir.join("clock.so"), state: Mutex::default() };
        fs::write(&source, SOURCE).expect("a file in the folder");
        let built = Command::new("cc")
            .args(["-O1", "-shared", "-fPIC", "-o"])
            .args([&clock.preload, &source])
            .status()
            .expect("cc, which Rust links with");
        assert!(built.success(), "cc cannot build the clock of a server under test");
        clock.write(State::default());
        clock
    }

    /// Environment variables of a process that uses this clock.
    pub fn environment(&self) -> [(&'static str, &Path); 2] {
        [("LD_PRELOAD", &self.preload), ("ATODE_TEST_CLOCK", &self.file)]
    }

    /// Sets the clock forward. It continues from there.
    pub fn step_forward(&self, by: Duration) {
        self.change(|state| state.ahead_us += micros(by));
    }

    /// Sets the clock back. It continues from there.
    pub fn step_back(&self, by: Duration) {
        self.change(|state| state.ahead_us -= micros(by));
    }

    /// Stops the clock at this time (Unix ms).
    pub fn freeze_at(&self, unix_ms: i64) {
        self.change(|state| state.frozen_us = unix_ms * 1_000);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        self.write(*state);
    }

    /// Writes in place, because the process has mapped the file.
    fn write(&self, state: State) {
        let bytes = [state.ahead_us.to_ne_bytes(), state.frozen_us.to_ne_bytes()].concat();
        let file = File::options().create(true).write(true).truncate(false).open(&self.file);
        file.and_then(|mut file| file.write_all(&bytes)).expect("the clock's file");
    }
}

fn micros(by: Duration) -> i64 {
    i64::try_from(by.as_micros()).expect("a step that a clock can take")
}
