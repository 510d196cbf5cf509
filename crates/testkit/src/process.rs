//! A process whose output goes to files, as it does in production: what is not flushed is not seen.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::child::OwnedChild;
use crate::eventually::poll;
use crate::output::{Output, Stream};

/// Ends with this value, by SIGKILL to its own pid. Where the test is failing by then, the ends of both
/// outputs are printed.
pub struct Process {
    name: String,
    child: OwnedChild,
    stdout: Output,
    stderr: Output,
    /// The folder of both outputs.
    _dir: TempDir,
}

impl Process {
    pub fn builder(program: impl AsRef<Path>) -> ProcessBuilder {
        let program = program.as_ref();
        let mut command = Command::new(program);
        // Settings in the developer's own shell must not reach a test.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("APP_") {
                command.env_remove(name);
            }
        }
        let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
        ProcessBuilder { name, command, unread: vec![] }
    }

    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// All that it has written so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// All that it has written so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits until all that it has written so far satisfies the condition, and returns that.
    ///
    /// # Panics
    ///
    /// At the deadline, or at once when it has exited and so will never write it.
    #[track_caller]
    pub fn wait_for_stdout(&self, condition: impl FnMut(&str) -> bool, deadline: Duration) -> String {
        self.wait_for_output("stdout", &self.stdout, condition, deadline)
    }

    /// As [`wait_for_stdout`](Self::wait_for_stdout).
    #[track_caller]
    pub fn wait_for_stderr(&self, condition: impl FnMut(&str) -> bool, deadline: Duration) -> String {
        self.wait_for_output("stderr", &self.stderr, condition, deadline)
    }

    /// Writes into a stream that is [`unread`](ProcessBuilder::unread) until it takes no more: the process
    /// blocks in its next write to it.
    ///
    /// # Panics
    ///
    /// Where the stream is a file.
    pub fn fill(&self, stream: Stream) {
        match stream {
            Stream::Stdout => self.stdout.fill(),
            Stream::Stderr => self.stderr.fill(),
        }
    }

    /// SIGKILL, and waits for its end. Nothing happens to a process that has exited.
    pub fn kill(&self) {
        self.child.kill();
    }

    /// SIGTERM; [`wait`](Self::wait) for the end.
    #[track_caller]
    pub fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// SIGSTOP: the process freezes, its connections and timers stay.
    #[track_caller]
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// SIGCONT
    #[track_caller]
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// # Panics
    ///
    /// When the process has exited already.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        if let Err(exit) = self.child.signal(signal) {
            panic!("{signal} to {}, which has exited ({exit})\n{}", self.name, self.outputs());
        }
    }

    /// # Panics
    ///
    /// When it is still running at the deadline.
    #[track_caller]
    pub fn wait(&self, deadline: Duration) -> ExitStatus {
        let Some(exit) = self.child.wait(deadline) else {
            panic!("{} still runs after {deadline:?}\n{}", self.name, self.outputs())
        };
        exit
    }

    /// `None` while it runs.
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
            // Read after the look at its state: a process that has exited has written all of it.
            let exit = self.try_exit();
            let text = output.read();
            if condition(&text) { Some(Ok(text)) } else { exit.map(Err) }
        });
        let why = match waited {
            Some(Ok(text)) => return text,
            Some(Err(exit)) => format!("it exited ({exit})"),
            None => format!("{deadline:?} passed"),
        };
        panic!("{}: {why} and its {stream} never had what was waited for\n{}", self.name, self.outputs());
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

/// What to run, and how. Of the test's own environment it inherits all but `APP_*`.
#[derive(Debug)]
pub struct ProcessBuilder {
    name: String,
    command: Command,
    unread: Vec<Stream>,
}

impl ProcessBuilder {
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

    /// This stream is a pipe that nobody reads, as under a supervisor that hangs. Only
    /// [`Process::wait_for_stdout`] and [`Process::wait_for_stderr`] read from it, while they wait.
    /// [`Process::fill`] makes it full.
    #[must_use]
    pub fn unread(mut self, stream: Stream) -> Self {
        self.unread.push(stream);
        self
    }

    #[track_caller]
    pub fn start(mut self) -> Process {
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
