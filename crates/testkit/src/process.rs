//! A process whose output goes to files, as in production, so that a test sees only what the process has flushed.

use std::ffi::OsStr;
use std::marker::PhantomData;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::child::OwnedChild;
use crate::eventually::poll;
use crate::output::{Output, Stream};

/// A running process. When it is dropped, it is killed by its pid, and if the test is failing then, the last lines of
/// both outputs are printed.
pub struct Process {
    name: String,
    child: OwnedChild,
    stdout: Output,
    stderr: Output,
    /// The folder that contains both outputs.
    _dir: TempDir,
}

impl Process {
    pub fn builder(program: impl AsRef<Path>) -> ProcessBuilder {
        ProcessBuilder::new(program, None)
    }

    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// The output so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// The output so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits until the output so far satisfies the condition, and returns it.
    ///
    /// # Panics
    ///
    /// At the deadline, or as soon as the process has exited without such output.
    #[track_caller]
    pub fn wait_for_stdout(&self, condition: impl FnMut(&str) -> bool, deadline: Duration) -> String {
        self.wait_for_output("stdout", &self.stdout, condition, deadline)
    }

    /// See [`wait_for_stdout`](Self::wait_for_stdout).
    #[track_caller]
    pub fn wait_for_stderr(&self, condition: impl FnMut(&str) -> bool, deadline: Duration) -> String {
        self.wait_for_output("stderr", &self.stderr, condition, deadline)
    }

    /// Fills a stream that is [`unread`](ProcessBuilder::unread), so that the process blocks in its next write to it.
    ///
    /// # Panics
    ///
    /// If the stream is a file.
    pub fn fill(&self, stream: Stream) {
        match stream {
            Stream::Stdout => self.stdout.fill(),
            Stream::Stderr => self.stderr.fill(),
        }
    }

    /// Sends SIGKILL and waits for the exit. Does nothing if the process has exited.
    pub fn kill(&self) {
        self.child.kill();
    }

    /// Sends SIGTERM. [`wait`](Self::wait) waits for the exit.
    #[track_caller]
    pub fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Sends SIGSTOP: the process freezes, and keeps its connections and timers.
    #[track_caller]
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Sends SIGCONT.
    #[track_caller]
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// # Panics
    ///
    /// If the process has already exited.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        if let Err(exit) = self.child.signal(signal) {
            panic!("{signal} to {}, which has exited ({exit})\n{}", self.name, self.outputs());
        }
    }

    /// # Panics
    ///
    /// If the process is still running at the deadline.
    #[track_caller]
    pub fn wait(&self, deadline: Duration) -> ExitStatus {
        let Some(exit) = self.child.wait(deadline) else {
            panic!("{} still runs after {deadline:?}\n{}", self.name, self.outputs())
        };
        exit
    }

    /// The exit status. `None` while the process runs.
    pub fn try_exit(&self) -> Option<ExitStatus> {
        self.child.try_exit()
    }

    #[track_caller]
    fn wait_for_output(
        &self,
        stream: &str,
        output: &Output,
        mut condition: impl FnMut(&str) -> bool,
        deadline: Duration,
    ) -> String {
        let waited = poll(deadline, || {
            // The output is read after the exit status, because a process that has exited has written everything.
            let exit = self.try_exit();
            let text = output.read();
            if condition(&text) { Some(Ok(text)) } else { exit.map(Err) }
        });
        let why = match waited {
            Some(Ok(text)) => return text,
            Some(Err(exit)) => format!("it exited ({exit})"),
            None => format!("{deadline:?} passed"),
        };
        panic!("{}: {why} before its {stream} had the expected output\n{}", self.name, self.outputs());
    }

    fn outputs(&self) -> String {
        let name = &self.name;
        let (stdout, stderr) = (tail(&self.stdout.read()), tail(&self.stderr.read()));
        format!("--- stdout of {name}:\n{stdout}\n--- stderr of {name}:\n{stderr}\n---")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill();
        if thread::panicking() {
            eprintln!("{}", self.outputs());
        }
    }
}

/// A process as the thing that a test works with.
pub trait Started {
    /// Waits until the process is ready.
    fn started(process: Process) -> Self;
}

impl Started for Process {
    fn started(process: Process) -> Self {
        process
    }
}

/// A process to start. It inherits the environment of the test, except for `APP_*`.
#[derive(Debug)]
pub struct ProcessBuilder<T = Process> {
    name: String,
    command: Command,
    unread: Vec<Stream>,
    /// The last argument is `--port` with this port.
    pub(crate) port: Option<u16>,
    started: PhantomData<fn() -> T>,
}

impl<T: Started> ProcessBuilder<T> {
    pub(crate) fn new(program: impl AsRef<Path>, port: Option<u16>) -> Self {
        let program = program.as_ref();
        let mut command = Command::new(program);
        // Settings in the developer's shell must not affect a test.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("APP_") {
                command.env_remove(name);
            }
        }
        let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
        ProcessBuilder { name, command, unread: vec![], port, started: PhantomData }
    }

    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item: AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    #[must_use]
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.command.env_remove(name);
        self
    }

    #[must_use]
    pub fn current_dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Makes this stream a pipe that nobody reads, as under a supervisor that hangs. [`Process::wait_for_stdout`] and
    /// [`Process::wait_for_stderr`] read from it while they wait, and [`Process::fill`] fills it.
    #[must_use]
    pub fn unread(mut self, stream: Stream) -> Self {
        self.unread.push(stream);
        self
    }

    /// Starts the process and waits until it is ready.
    #[track_caller]
    pub fn start(self) -> T {
        T::started(self.spawn())
    }

    /// Starts the process without waiting, for starts that are expected to fail.
    #[track_caller]
    pub fn spawn(mut self) -> Process {
        if let Some(port) = self.port {
            self.command.args(["--port", &port.to_string()]);
        }
        let dir = tempfile::Builder::new().prefix("atode-process-").tempdir().expect("a temporary folder");
        let output = |stream: Stream| {
            let path = dir.path().join(stream.name());
            if self.unread.contains(&stream) { Output::pipe(path) } else { Output::file(path) }
        };
        let ((stdout, to_stdout), (stderr, to_stderr)) = (output(Stream::Stdout), output(Stream::Stderr));
        self.command.stdin(Stdio::null()).stdout(to_stdout).stderr(to_stderr);
        match OwnedChild::spawn(&mut self.command) {
            Ok(child) => Process { name: self.name, child, stdout, stderr, _dir: dir },
            Err(error) => panic!("can't run {}: {error}", self.name),
        }
    }
}

/// The last 100 lines.
pub(crate) fn tail(text: &str) -> String {
    let mut lines = text.lines().rev().take(100).collect::<Vec<_>>();
    lines.reverse();
    lines.join("\n")
}
