//! The wall clock of a process under test, such as a [`RedisServer`](crate::RedisServer), to be set, stepped and
//! stopped.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const SOURCE: &str = include_str!("clock.c");

/// The monotonic clock goes on as ever. On Linux only: a process has this clock by `LD_PRELOAD`.
pub struct Clock {
    file: PathBuf,
    preload: PathBuf,
    said: Mutex<Said>,
}

/// What clock.c reads.
#[derive(Debug, Default, Clone, Copy)]
struct Said {
    ahead_us: i64,
    frozen_us: i64,
}

impl Clock {
    /// With its files in this folder. Needs `cc`, as any Rust toolchain does.
    #[track_caller]
    pub fn build(dir: &Path) -> Self {
        let source = dir.join("clock.c");
        let clock = Clock { file: dir.join("clock"), preload: dir.join("clock.so"), said: Mutex::default() };
        fs::write(&source, SOURCE).expect("a file in its folder");
        let built = Command::new("cc")
            .args(["-O1", "-shared", "-fPIC", "-o"])
            .args([&clock.preload, &source])
            .status()
            .expect("cc, which Rust links with");
        assert!(built.success(), "cc cannot build the clock of a server under test");
        clock.write(Said::default());
        clock
    }

    /// What a process that is to have this clock needs in its environment.
    pub fn environment(&self) -> [(&'static str, &Path); 2] {
        [("LD_PRELOAD", &self.preload), ("ATODE_TEST_CLOCK", &self.file)]
    }

    /// Sets the clock forward; it goes on from there.
    pub fn step_forward(&self, by: Duration) {
        self.change(|said| said.ahead_us += micros(by));
    }

    /// Sets the clock back; it goes on from there.
    pub fn step_back(&self, by: Duration) {
        self.change(|said| said.ahead_us -= micros(by));
    }

    /// From now on it stands still at this time (Unix ms).
    pub fn freeze_at(&self, unix_ms: i64) {
        self.change(|said| said.frozen_us = unix_ms * 1_000);
    }

    fn change(&self, change: impl FnOnce(&mut Said)) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut said);
        self.write(*said);
    }

    /// In place: the server has the file mapped.
    fn write(&self, said: Said) {
        let bytes = [said.ahead_us.to_ne_bytes(), said.frozen_us.to_ne_bytes()].concat();
        let file = File::options().create(true).write(true).truncate(false).open(&self.file);
        file.and_then(|mut file| file.write_all(&bytes)).expect("the clock's file");
    }
}

fn micros(by: Duration) -> i64 {
    i64::try_from(by.as_micros()).expect("a step that a clock can take")
}
