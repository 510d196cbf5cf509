//! Settings for Redis, and the fred clients built from them.
//!
//! By default fred waits without limit. Here every connection, command and reconnect has a timeout, and a client never
//! stops reconnecting. Do not print a [`Builder`]: fred shows the password in it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use fred::{
    rustls::{ClientConfig, RootCertStore, crypto::ring},
    rustls_native_certs::load_native_certs,
    types::{
        Builder,
        config::{
            ClusterDiscoveryPolicy, Config, ConnectionConfig, CredentialProvider, ReconnectError,
            ReconnectPolicy, Server, ServerConfig, TcpConfig, TlsConfig, TlsConnector, TlsHostMapping,
            UnresponsiveConfig,
        },
    },
};
use secrecy::{ExposeSecret, SecretString};
use socket2::TcpKeepalive;

use crate::{
    address::Address,
    error::ConfigError,
    password::{self, PasswordFile},
};

/// Commands that may wait for a connection. Further commands fail immediately.
const MAX_WAITING_COMMANDS: usize = 16_384;
/// Timeout of the commands that fred sends itself, such as `AUTH`, `SELECT` and `CLUSTER SLOTS`.
const INTERNAL_COMMAND_TIMEOUT: Duration = Duration::from_secs(1);
/// Silence after which a server counts as lost, at least. It is never shorter than the command timeout.
const MIN_UNRESPONSIVE: Duration = Duration::from_secs(2);
/// Keeps processes from reconnecting in step, without delaying the first attempt.
const RECONNECT_JITTER_MS: u32 = 20;

/// `cache_server.redis.jobqueue`: the one Redis that holds jobs.
#[derive(Debug, Clone)]
pub struct JobqueueRedis {
    /// Never a cluster in this version.
    pub endpoint: Endpoint,
    pub db: u8,
    /// Start of every key, as in `atode:{default}:jobs`.
    pub key_prefix: String,
    /// Number of connections in a pool, for [`Builder::build_pool`].
    pub pool_size: usize,
    pub connection: Connection,
}

/// `cache_server.redis.default`: a Redis for data that need not persist, such as rate limits.
#[derive(Debug, Clone)]
pub struct DefaultRedis {
    /// Address of a single server, or addresses of nodes of one cluster; only the server can tell which. Empty if there is
    /// no such Redis.
    pub addrs: Vec<Address>,
    /// Start of every key.
    pub key_prefix: String,
    pub connection: Connection,
}

/// The server to talk to, and the way to find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A server at a fixed address. IPv6 addresses have no brackets.
    Server { host: String, port: u16 },
    /// The server that the sentinels at `addrs` currently report as `master`.
    Sentinel { master: String, addrs: Vec<Address> },
    /// All nodes of the cluster that the nodes at `addrs` belong to.
    Cluster { addrs: Vec<Address> },
}

/// Login and timeouts.
#[derive(Debug, Clone)]
pub struct Connection {
    pub username: Option<String>,
    pub password: Option<SecretString>,
    /// The file that `password` was read from. It is read again at each connect, because it may have been replaced.
    pub password_file: Option<PathBuf>,
    /// Encrypt, and verify the server's certificate with the system's roots.
    pub tls: bool,
    /// Limit for TCP and TLS together.
    pub connect_timeout: Duration,
    /// Limit from the call to the reply, including the wait for a connection.
    pub command_timeout: Duration,
    pub reconnect_min_delay: Duration,
    pub reconnect_max_delay: Duration,
}

impl JobqueueRedis {
    /// Builds any number of pools and clients for this server.
    pub fn builder(&self) -> Result<Builder, ConfigError> {
        let mut builder = self.connection.builder(&self.endpoint)?;
        builder.with_config(|config| config.database = (self.db != 0).then_some(self.db));
        Ok(builder)
    }
}

impl Default for JobqueueRedis {
    fn default() -> Self {
        Self {
            endpoint: Endpoint::Server { host: "localhost".to_owned(), port: 6379 },
            db: 0,
            key_prefix: "atode:".to_owned(),
            pool_size: 1,
            connection: Connection::default(),
        }
    }
}

impl Default for DefaultRedis {
    fn default() -> Self {
        Self { addrs: Vec::new(), key_prefix: "atode:".to_owned(), connection: Connection::default() }
    }
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            username: None,
            password: None,
            password_file: None,
            tls: false,
            connect_timeout: Duration::from_secs(1),
            command_timeout: Duration::from_millis(800),
            reconnect_min_delay: Duration::from_millis(50),
            reconnect_max_delay: Duration::from_secs(1),
        }
    }
}

impl From<Address> for Endpoint {
    fn from(Address { host, port }: Address) -> Self {
        Self::Server { host, port }
    }
}

impl Connection {
    /// Start the clients of this builder with `connect()`. `init()` would wait for the first connection.
    ///
    /// A client that treats a single server as a cluster never connects. If you do not know whether the server is a
    /// cluster, ask one address with `INFO cluster`, as an [`Endpoint::Server`].
    pub fn builder(&self, endpoint: &Endpoint) -> Result<Builder, ConfigError> {
        let mut builder = Builder::from_config(Config {
            // Otherwise fred does not reconnect before the first connection, and a start would have to wait for Redis.
            fail_fast: false,
            server: server_config(endpoint),
            username: self.username.clone(),
            password: self.newest_password().map(|password| password.expose_secret().to_owned()),
            credential_provider: self.password_file(endpoint),
            tls: if self.tls { Some(tls()?) } else { None },
            ..Config::default()
        });
        builder
            .set_policy(self.reconnect_policy())
            .set_connection_config(self.connection_config(endpoint))
            .with_performance_config(|performance| {
                performance.default_command_timeout = self.command_timeout;
            });
        Ok(builder)
    }

    /// `None` under Sentinel, where fred would send the password to the sentinels too. There a client that stays
    /// disconnected is replaced by a new one, which reads the file again.
    fn password_file(&self, endpoint: &Endpoint) -> Option<Arc<dyn CredentialProvider>> {
        let path = self.password_file.clone().filter(|_| !matches!(endpoint, Endpoint::Sentinel { .. }))?;
        Some(Arc::new(PasswordFile { username: self.username.clone(), path }))
    }

    fn newest_password(&self) -> Option<SecretString> {
        let read = self.password_file.as_ref().and_then(|path| password::read(&path.to_string_lossy()).ok());
        read.or_else(|| self.password.clone())
    }

    fn reconnect_policy(&self) -> ReconnectPolicy {
        let endless = 0;
        let milliseconds = |delay: Duration| u32::try_from(delay.as_millis()).unwrap_or(u32::MAX);
        let (min, max) = (milliseconds(self.reconnect_min_delay), milliseconds(self.reconnect_max_delay));
        let mut policy = ReconnectPolicy::new_exponential(endless, min, max, 2);
        policy.set_jitter(RECONNECT_JITTER_MS);
        policy
    }

    fn connection_config(&self, endpoint: &Endpoint) -> ConnectionConfig {
        let unresponsive = MIN_UNRESPONSIVE.max(self.command_timeout + Duration::from_secs(1));
        ConnectionConfig {
            connection_timeout: self.connect_timeout,
            internal_command_timeout: INTERNAL_COMMAND_TIMEOUT,
            // A command whose reply was lost may have been executed, so only its caller may send it again. In a cluster, fred
            // counts each redirection as an attempt.
            max_command_attempts: if matches!(endpoint, Endpoint::Cluster { .. }) { 3 } else { 1 },
            max_command_buffer_len: MAX_WAITING_COMMANDS,
            unresponsive: UnresponsiveConfig {
                max_timeout: Some(unresponsive),
                interval: Duration::from_millis(250),
            },
            reconnect_on_auth_error: true,
            reconnect_errors: vec![
                ReconnectError::Loading,
                ReconnectError::ReadOnly,
                ReconnectError::MasterDown,
                ReconnectError::ClusterDown,
            ],
            tcp: TcpConfig {
                nodelay: Some(true),
                // A subscriber only listens, so only keepalive tells it that the other end is gone.
                keepalive: Some(
                    TcpKeepalive::new()
                        .with_time(Duration::from_secs(5))
                        .with_interval(Duration::from_secs(1)),
                ),
                // Under steady traffic `unresponsive` never ends a connection: each write restarts its timer.
                #[cfg(target_os = "linux")]
                user_timeout: Some(unresponsive),
                ..TcpConfig::default()
            },
            ..ConnectionConfig::default()
        }
    }
}

fn server_config(endpoint: &Endpoint) -> ServerConfig {
    match endpoint {
        Endpoint::Server { host, port } => ServerConfig::Centralized { server: server(host, *port) },
        Endpoint::Sentinel { master, addrs } => ServerConfig::Sentinel {
            hosts: servers(addrs),
            service_name: master.clone(),
            username: None,
            password: None,
        },
        Endpoint::Cluster { addrs } => {
            ServerConfig::Clustered { hosts: servers(addrs), policy: ClusterDiscoveryPolicy::ConfigEndpoint }
        }
    }
}

fn servers(addrs: &[Address]) -> Vec<Server> {
    addrs.iter().map(|Address { host, port }| server(host, *port)).collect()
}

/// fred resolves `{host}:{port}`, which needs brackets for IPv6. The names in certificates have no brackets.
fn server(host: &str, port: u16) -> Server {
    if host.contains(':') {
        Server::new_with_tls(format!("[{host}]"), port, Some(host.to_owned()))
    } else {
        Server::new(host, port)
    }
}

/// fred's default uses the crypto provider of the process, and panics if there are two.
fn tls() -> Result<TlsConfig, ConfigError> {
    let found = load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let reason = found.errors.first().map_or_else(String::new, |error| format!(": {error}"));
        let problem =
            format!("this system has no root certificates{reason}; SSL_CERT_FILE may name a file of them");
        return Err(ConfigError::Tls(problem));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| ConfigError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConfig { connector: TlsConnector::from(config), hostnames: TlsHostMapping::None })
}
