//! A real `redis-server` of a test's own: on a port of its own, with data in a folder of its own.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::child::OwnedChild;
use crate::clock::Clock;
use crate::eventually::poll;
use crate::port::ReservedPort;
use crate::process::tail;
use crate::redis_builder::RedisBuilder;
use crate::resp::{Connection, Reply};

const DEADLINE: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_millis(500);

/// A server that keeps its port and its data from [`kill`](Self::kill) or [`stop`](Self::stop) to
/// [`restart`](Self::restart), and ends with this value.
///
/// Persists to an AOF synced every second, evicts nothing. The executable is `$REDIS_SERVER`, or
/// `redis-server` from the path.
pub struct RedisServer {
    builder: RedisBuilder,
    port: ReservedPort,
    dir: TempDir,
    clock: Option<Clock>,
    child: Mutex<Option<OwnedChild>>,
}

impl RedisServer {
    #[track_caller]
    pub fn start() -> Self {
        Self::builder().start()
    }

    pub fn builder() -> RedisBuilder {
        RedisBuilder::new()
    }

    /// A sentinel answers as a server does, but to other commands.
    pub(crate) fn builder_of_a_sentinel(file: &str) -> RedisBuilder {
        RedisBuilder::sentinel(file)
    }

    /// Not started yet.
    pub(crate) fn prepare(builder: RedisBuilder) -> Self {
        let dir = tempfile::Builder::new().prefix("atode-redis-").tempdir().expect("a temporary folder");
        let clock = builder.clock.then(|| Clock::build(dir.path()));
        Self { builder, port: ReservedPort::find(), dir, clock, child: Mutex::new(None) }
    }

    pub fn port(&self) -> u16 {
        self.port.get()
    }

    /// `127.0.0.1:<port>`
    pub fn addr(&self) -> String {
        self.socket_addr().to_string()
    }

    /// Where its AOF and its log are.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Of a server that was built [`with_clock`](RedisBuilder::with_clock).
    pub fn clock(&self) -> &Clock {
        self.clock.as_ref().expect("the server was built with a clock of its own")
    }

    /// SIGKILL, and waits for its end. Nothing happens to a server that is down.
    pub fn kill(&self) {
        self.lock().take();
    }

    /// SIGTERM, which lets it write what it has, and waits for its end. Wakes a paused server.
    #[track_caller]
    pub fn stop(&self) {
        let Some(child) = self.lock().take() else { return };
        // A server that has exited by itself is stopped as well.
        let _ = child.signal(Signal::SIGTERM);
        let _ = child.signal(Signal::SIGCONT);
        let exit = child.wait(DEADLINE);
        assert!(
            exit.is_some(),
            "redis-server ignored SIGTERM for {DEADLINE:?}; its log:\n{}",
            self.log_tail()
        );
    }

    /// Starts it on its port and its data, for the first time or again (stops it first where it runs),
    /// and waits until it answers.
    #[track_caller]
    pub fn restart(&self) {
        self.launch();
        self.wait_until_ready();
    }

    /// [`restart`](Self::restart) without the wait, to see what clients see while it loads.
    #[track_caller]
    pub fn launch(&self) {
        self.stop();
        let program = std::env::var_os("REDIS_SERVER").unwrap_or_else(|| OsString::from("redis-server"));
        let mut command = Command::new(&program);
        if let Some(file) = &self.builder.sentinel {
            let path = self.dir().join("sentinel.conf");
            if !path.exists() {
                fs::write(&path, file).expect("a file in its folder");
            }
            command.arg(path).arg("--sentinel");
        }
        command.args(["--port", &self.port().to_string(), "--dir"]).arg(self.dir());
        for (name, words) in &self.builder.settings {
            command.arg(format!("--{name}")).args(words);
        }
        if let Some(clock) = &self.clock {
            command.envs(clock.environment());
        }
        // No `logfile`: what is wrong with its settings goes to stdout and stderr only.
        let log = File::options().create(true).append(true).open(self.log_path()).expect("a log file");
        let errors = log.try_clone().expect("a second handle of the log file");
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        match OwnedChild::spawn(&mut command) {
            Ok(child) => *self.lock() = Some(child),
            Err(error) => {
                panic!("can't run {} (install Redis, or set REDIS_SERVER): {error}", program.display())
            }
        }
    }

    #[track_caller]
    pub fn wait_until_ready(&self) {
        if let Err(exit) = self.ready_or_exit() {
            panic!("redis-server exited at its start ({exit}); its log:\n{}", self.log_tail());
        }
    }

    /// SIGSTOP: a black hole, whose port still accepts connections.
    #[track_caller]
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// SIGCONT
    #[track_caller]
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Whether it answers a PING within half a second; false while it loads its data.
    pub fn answers(&self) -> bool {
        let pong = self.connect(PING_TIMEOUT).and_then(|mut connection| connection.command(&["PING"]));
        pong.is_ok_and(|reply| reply == Reply::Simple("PONG".to_owned()))
    }

    /// Runs one command on a connection of its own.
    ///
    /// # Panics
    ///
    /// When Redis can't be reached, is silent for 10 s or answers with an error:
    /// [`try_command`](Self::try_command) is for tests that expect one.
    #[track_caller]
    pub fn command(&self, words: &[impl AsRef<[u8]>]) -> Reply {
        let failure = match self.try_command(words) {
            Ok(Reply::Error(error)) => error,
            Ok(reply) => return reply,
            Err(error) => error.to_string(),
        };
        let words = words.iter().map(|word| String::from_utf8_lossy(word.as_ref())).collect::<Vec<_>>();
        panic!("redis-server at {}: {}: {failure}", self.addr(), words.join(" "));
    }

    /// [`command`](Self::command) where a failure is an answer too.
    pub fn try_command(&self, words: &[impl AsRef<[u8]>]) -> io::Result<Reply> {
        self.connect(DEADLINE)?.command(words)
    }

    /// A connection to keep: for MULTI, SUBSCRIBE, many commands, or another timeout.
    pub fn connect(&self, timeout: Duration) -> io::Result<Connection> {
        let mut connection = Connection::open(self.socket_addr(), timeout)?;
        if let Some(password) = &self.builder.password
            && let Reply::Error(error) = connection.command(&["AUTH", password])?
        {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, error));
        }
        Ok(connection)
    }

    /// The end of its log, over all restarts.
    pub fn log_tail(&self) -> String {
        tail(&String::from_utf8_lossy(&fs::read(self.log_path()).unwrap_or_default()))
    }

    #[track_caller]
    pub(crate) fn ready_or_exit(&self) -> Result<(), ExitStatus> {
        let ready = poll(DEADLINE, || {
            let exit = self.lock().as_ref().and_then(OwnedChild::try_exit);
            match exit {
                Some(exit) => Some(Err(exit)),
                None => (self.answers() && self.is_own()).then_some(Ok(())),
            }
        });
        let Some(ready) = ready else {
            panic!("redis-server not ready within {DEADLINE:?}; its log:\n{}", self.log_tail())
        };
        ready
    }

    /// Whether it is not somebody else's server that answers at the port.
    fn is_own(&self) -> bool {
        let Ok(Reply::Bulk(Some(info))) = self.try_command(&["INFO", "server"]) else { return false };
        let Some(pid) = self.lock().as_ref().map(OwnedChild::pid) else { return false };
        String::from_utf8_lossy(&info).lines().any(|line| line == format!("process_id:{pid}"))
    }

    #[track_caller]
    fn signal(&self, signal: Signal) {
        let sent = self.lock().as_ref().is_some_and(|child| child.signal(signal).is_ok());
        assert!(sent, "{signal} to a redis-server that does not run; its log:\n{}", self.log_tail());
    }

    fn socket_addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port()).into()
    }

    fn log_path(&self) -> PathBuf {
        self.dir().join("redis.log")
    }

    fn lock(&self) -> MutexGuard<'_, Option<OwnedChild>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
