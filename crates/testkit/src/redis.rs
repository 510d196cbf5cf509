//! A real `redis-server` for one test, with its own port and its own data folder.

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
use crate::resp::{Connection, Reply};

const DEADLINE: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_millis(500);

/// A server that keeps its port and its data across [`kill`](Self::kill) or [`stop`](Self::stop) and
/// [`restart`](Self::restart). It is killed when it is dropped.
///
/// It persists to an AOF that is synced every second, and evicts nothing. The executable is `$REDIS_SERVER`, or
/// `redis-server` from the path.
pub struct RedisServer {
    settings: Settings,
    port: ReservedPort,
    dir: TempDir,
    clock: Option<Clock>,
    child: Mutex<Option<OwnedChild>>,
}

/// The settings that a server starts with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// The name of each setting of `redis.conf`, and the words after it.
    pub(crate) words: Vec<(String, Vec<String>)>,
    pub(crate) password: Option<String>,
    pub(crate) clock: bool,
    /// Sentinels only: the first content of the configuration file, which the sentinel then updates.
    pub(crate) sentinel: Option<String>,
}

impl RedisServer {
    /// Creates a server that is not started yet.
    pub(crate) fn prepare(settings: Settings) -> Self {
        let dir = tempfile::Builder::new().prefix("atode-redis-").tempdir().expect("a temporary folder");
        let clock = settings.clock.then(|| Clock::build(dir.path()));
        Self { settings, port: ReservedPort::find(), dir, clock, child: Mutex::new(None) }
    }

    pub fn port(&self) -> u16 {
        self.port.get()
    }

    /// `127.0.0.1:<port>`
    pub fn addr(&self) -> String {
        self.socket_addr().to_string()
    }

    /// The folder of its AOF and its log.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The clock of a server that was built [`with_clock`](crate::RedisBuilder::with_clock).
    pub fn clock(&self) -> &Clock {
        self.clock.as_ref().expect("the server was built with a clock")
    }

    /// Sends SIGKILL and waits for the exit. Does nothing if the server is down.
    pub fn kill(&self) {
        self.lock().take();
    }

    /// Sends SIGTERM, so that the server writes its data, and waits for the exit. Also resumes a paused server.
    #[track_caller]
    pub fn stop(&self) {
        let Some(child) = self.lock().take() else { return };
        // A server that has already exited is stopped too.
        let _ = child.signal(Signal::SIGTERM);
        let _ = child.signal(Signal::SIGCONT);
        let exit = child.wait(DEADLINE);
        assert!(
            exit.is_some(),
            "redis-server ignored SIGTERM for {DEADLINE:?}; its log:\n{}",
            self.log_tail()
        );
    }

    /// Starts the server on its port and its data, for the first time or again, and waits until it answers. A running
    /// server is stopped first.
    #[track_caller]
    pub fn restart(&self) {
        self.launch();
        if let Err(exit) = self.ready_or_exit() {
            panic!("redis-server exited at its start ({exit}); its log:\n{}", self.log_tail());
        }
    }

    /// [`restart`](Self::restart) without waiting, for tests of clients while the server loads its data.
    #[track_caller]
    pub fn launch(&self) {
        self.stop();
        let program = std::env::var_os("REDIS_SERVER").unwrap_or_else(|| OsString::from("redis-server"));
        let mut command = Command::new(&program);
        if let Some(file) = &self.settings.sentinel {
            let path = self.dir().join("sentinel.conf");
            if !path.exists() {
                fs::write(&path, file).expect("a file in the folder");
            }
            command.arg(path).arg("--sentinel");
        }
        command.args(["--port", &self.port().to_string(), "--dir"]).arg(self.dir());
        for (name, words) in &self.settings.words {
            command.arg(format!("--{name}")).args(words);
        }
        if let Some(clock) = &self.clock {
            command.envs(clock.environment());
        }
        // No `logfile`, because errors in the settings go only to stdout and stderr.
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

    /// Sends SIGSTOP. The port still accepts connections, but nothing answers.
    #[track_caller]
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Sends SIGCONT.
    #[track_caller]
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// True if the server answers a PING within half a second. False while it loads its data.
    pub fn answers(&self) -> bool {
        let pong = self.connect(PING_TIMEOUT).and_then(|mut connection| connection.command(&["PING"]));
        pong.is_ok_and(|reply| reply == Reply::Simple("PONG".to_owned()))
    }

    /// Runs one command on a new connection.
    ///
    /// # Panics
    ///
    /// If Redis can't be reached, is silent for 10 s or answers with an error. Tests that expect a failure use
    /// [`try_command`](Self::try_command).
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

    /// [`command`](Self::command) for tests that expect a failure.
    pub fn try_command(&self, words: &[impl AsRef<[u8]>]) -> io::Result<Reply> {
        self.connect(DEADLINE)?.command(words)
    }

    /// A field of a section of INFO. `None` if it is missing, or if Redis does not answer.
    pub fn info(&self, section: &str, field: &str) -> Option<String> {
        let Ok(Reply::Bulk(Some(info))) = self.try_command(&["INFO", section]) else { return None };
        let info = String::from_utf8_lossy(&info);
        info.lines().find_map(|line| Some(line.strip_prefix(field)?.strip_prefix(':')?.to_owned()))
    }

    /// A connection for several commands, for MULTI or SUBSCRIBE, or with another timeout.
    pub fn connect(&self, timeout: Duration) -> io::Result<Connection> {
        let mut connection = Connection::open(self.socket_addr(), timeout)?;
        if let Some(password) = &self.settings.password
            && let Reply::Error(error) = connection.command(&["AUTH", password])?
        {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, error));
        }
        Ok(connection)
    }

    /// The last lines of its log, which continues across restarts.
    pub fn log_tail(&self) -> String {
        tail(&String::from_utf8_lossy(&fs::read(self.log_path()).unwrap_or_default()))
    }

    #[track_caller]
    pub(crate) fn ready_or_exit(&self) -> Result<(), ExitStatus> {
        let ready = poll(DEADLINE, || {
            let exit = self.lock().as_ref().and_then(OwnedChild::try_exit);
            match exit {
                Some(exit) => Some(Err(exit)),
                None => (self.answers() && self.answers_itself()).then_some(Ok(())),
            }
        });
        let Some(ready) = ready else {
            panic!("redis-server not ready within {DEADLINE:?}; its log:\n{}", self.log_tail())
        };
        ready
    }

    /// False if another server answers at the port.
    fn answers_itself(&self) -> bool {
        let pid = self.lock().as_ref().map(|child| child.pid().to_string());
        pid.is_some() && self.info("server", "process_id") == pid
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
