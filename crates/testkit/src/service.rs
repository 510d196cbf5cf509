//! The workspace's servers as running processes. They are started as an operator would start them, and their port is
//! read from their log.

use std::marker::PhantomData;
use std::ops::Deref;
use std::time::Duration;

use serde_json::Value;

use crate::binaries::{binary, workspace_root};
use crate::http::{Http, Request, Response};
use crate::process::{Process, ProcessBuilder, Started};
use crate::redis::RedisServer;
use crate::redis_acl::AclUser;
use crate::redis_sentinel::RedisSentinel;

/// Generous: many tests start many processes on few cores.
const START_DEADLINE: Duration = Duration::from_secs(20);

/// A running gateway.
pub type Gateway = Service<GatewayBinary>;
/// A running worker. Its HTTP port is the probe port.
pub type Worker = Service<WorkerBinary>;

/// A binary that logs `listening on http://<host>:<port>` to stderr once it listens.
pub trait Binary {
    const NAME: &'static str;
}

pub enum GatewayBinary {}
impl Binary for GatewayBinary {
    const NAME: &'static str = "api-gateway";
}

pub enum WorkerBinary {}
impl Binary for WorkerBinary {
    const NAME: &'static str = "worker";
}

/// A running server: a [`Process`] that also answers HTTP.
pub struct Service<B> {
    process: Process,
    http: Http,
    port: u16,
    binary: PhantomData<fn() -> B>,
}

impl<B: Binary> Service<B> {
    #[track_caller]
    pub fn start(redis: &RedisServer) -> Self {
        Self::builder(&redis.addr()).start()
    }

    /// A service with the configuration `config/test`, any free port, and the job queue's Redis at this address. Redis may
    /// be down.
    #[track_caller]
    pub fn builder(redis_addr: &str) -> ServiceBuilder<B> {
        ServiceBuilder::new(binary(B::NAME), Some(0))
            .env("APP_ENV", "test")
            .env("APP_CONFIG_DIR", workspace_root().join("config"))
            .env("APP__CACHE_SERVER__REDIS__JOBQUEUE__ADDR", redis_addr)
    }

    /// [`builder`](Self::builder) with the job queue on the master that these sentinels watch.
    #[track_caller]
    pub fn builder_under(sentinel: &RedisSentinel) -> ServiceBuilder<B> {
        let sentinels = serde_json::json!(sentinel.addrs()).to_string();
        let variable = |key: &str| format!("APP__CACHE_SERVER__REDIS__JOBQUEUE__{key}");
        // An empty address removes that of the file: only one of both settings is allowed.
        Self::builder("")
            .env(variable("SENTINEL__MASTER"), RedisSentinel::MASTER)
            .env(variable("SENTINEL__ADDRS"), sentinels)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// `http://127.0.0.1:<port>`
    pub fn base_url(&self) -> &str {
        self.http.base_url()
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.http.get(path)
    }

    #[track_caller]
    pub fn post(&self, path: &str, json: &Value) -> Response {
        self.http.post(path, json)
    }

    /// The value of a series in `GET /metrics`, which writes it as `name{label="value"}`. 0 if it is missing.
    ///
    /// # Panics
    ///
    /// If the status is not 200.
    #[track_caller]
    pub fn metric(&self, series: &str) -> u64 {
        let reply = self.get("/metrics");
        assert_eq!(reply.status, 200, "{}", reply.text());
        let text = reply.text();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().expect("a whole number"))
    }

    #[track_caller]
    pub fn request(&self, method: &str, path: &str) -> Request {
        self.http.request(method, path)
    }
}

impl<B> Deref for Service<B> {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

/// A [`Service`] to start. Settings made here override the initial ones. [`start`](Self::start) reads stderr up to the
/// line that it waits for, even if the stream is [`unread`](Self::unread).
pub type ServiceBuilder<B> = ProcessBuilder<Service<B>>;

impl<B> ServiceBuilder<B> {
    /// Lets the service connect to the job queue's Redis as this user.
    #[must_use]
    pub fn redis_user(self, user: &AclUser) -> Self {
        let variable = |key: &str| format!("APP__CACHE_SERVER__REDIS__JOBQUEUE__{key}");
        self.env(variable("USERNAME"), user.name()).env(variable("PASSWORD"), AclUser::PASSWORD)
    }

    /// Sets the port, instead of any free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }
}

/// A service has started once it listens.
impl<B> Started for Service<B> {
    #[track_caller]
    fn started(process: Process) -> Self {
        let log = process.wait_for_stderr(|log| listening_port(log).is_some(), START_DEADLINE);
        let port = listening_port(&log).expect("just waited for");
        Service { process, http: Http::new(format!("http://127.0.0.1:{port}")), port, binary: PhantomData }
    }
}

/// The port of the first `listening on http://<host>:<port>`. The digits must be followed by another character, because
/// a line that is still being written may lack the last digits.
fn listening_port(log: &str) -> Option<u16> {
    let (_, url) = log.split_once("listening on http://")?;
    let (_, port) = url.split_once(':')?;
    let end = port.find(|c: char| !c.is_ascii_digit())?;
    port[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_read_only_from_a_complete_line() {
        assert_eq!(listening_port("INFO listening on http://127.0.0.1:4"), None);
        assert_eq!(listening_port("INFO listening on http://127.0.0.1:42\nmore"), Some(42));
        assert_eq!(listening_port(r#"{"message":"listening on http://127.0.0.1:42","x":1}"#), Some(42));
        assert_eq!(listening_port("INFO starting\n"), None);
    }

    fn script(text: &str) -> ServiceBuilder<WorkerBinary> {
        ServiceBuilder::new("/bin/sh", Some(0)).args(["-c", text, "script"])
    }

    #[test]
    fn a_service_has_started_once_it_logs_its_address() {
        let service =
            script("echo \"$@\"; echo listening on http://127.0.0.1:4242 >&2; exec sleep 60").start();
        assert_eq!((service.port(), service.base_url()), (4242, "http://127.0.0.1:4242"));
        assert_eq!(service.stdout(), "--port 0\n");
        assert_eq!(service.try_exit(), None);
    }

    #[test]
    #[should_panic(expected = "exited (exit status: 2)")]
    fn a_service_that_exits_at_its_start_fails_at_once() {
        script("echo config.yaml: no such file >&2; exit 2").start();
    }
}
