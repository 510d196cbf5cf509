//! The two ways to the jobs: over HTTP through a gateway, or directly to Redis. A command is one file with a call for
//! each way; both give the same [`Answer`](crate::answer::Answer), which is printed once.

use std::fmt;
use std::path::PathBuf;

use anyhow::Context;
use atode_config::{Config, ConfigArgs, bare_host, process};
use atode_jobs::Registry;
use clap::Args;

use crate::address::{Address, AddressParser};
use crate::gateway::Gateway;
use crate::key::Key;
use crate::print;
use crate::session::Session;

/// The way of a command.
pub(crate) enum Backend {
    Http(Gateway),
    Direct(Box<Session>),
}

#[derive(Args)]
pub(crate) struct BackendArgs {
    /// Address of a gateway, such as `https://jobs.example.com` [default: the `server` of the configuration].
    #[arg(long, env = "ATODE_URL", hide_env_values = true, value_name = "URL", global = true, value_parser = AddressParser)]
    pub(crate) url: Option<Address>,
    /// File with the API key [default: the key in `ATODE_KEY`, if it is set].
    #[arg(long, value_name = "FILE", global = true)]
    key_file: Option<PathBuf>,
    /// Go straight to the Redis of the configuration, without a gateway. For emergencies: it works while no gateway
    /// does.
    #[arg(long, global = true)]
    pub(crate) direct: bool,
}

impl Backend {
    pub(crate) async fn open(
        args: &BackendArgs,
        config: &ConfigArgs,
        registry: Registry,
    ) -> anyhow::Result<Self> {
        if args.direct {
            return Ok(Backend::Direct(Box::new(Session::open(config, registry).await?)));
        }
        let address = match &args.url {
            Some(address) => address.clone(),
            None => configured(config)?,
        };
        let key = match (&args.key_file, std::env::var("ATODE_KEY")) {
            (Some(file), _) => Some(Key::from_file(file)?),
            (None, Ok(key)) if !key.is_empty() => Some(Key::new(&key).context("ATODE_KEY")?),
            (None, Err(std::env::VarError::NotUnicode(_))) => anyhow::bail!("ATODE_KEY: not text"),
            (None, _) => None,
        };
        Ok(Backend::Http(Gateway::new(address, key)?))
    }
}

/// The address that is asked.
impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Backend::Http(gateway) => gateway.fmt(f),
            Backend::Direct(session) => write!(f, "Redis {}", session.client.connection().address()),
        }
    }
}

impl Backend {
    /// The connection to Redis, for commands that have no other way.
    pub(crate) fn direct(&self) -> anyhow::Result<&Session> {
        match self {
            Backend::Direct(session) => Ok(session),
            Backend::Http(_) => anyhow::bail!("this command works only with --direct"),
        }
    }

    /// Writes what a direct command has counted, if anything. Gateways write their own counts.
    pub(crate) async fn write_history(&self) {
        if let Backend::Direct(session) = self
            && let Err(error) = session.client.flush_history().await
        {
            print::warning(&format!("`atode stats` will not show what this command did: {error}"));
        }
    }
}

/// The address of the configured server. A server that listens on all addresses is reached through loopback.
fn configured(args: &ConfigArgs) -> anyhow::Result<Address> {
    let config: Config =
        args.load().context("without --url or ATODE_URL, the configuration names the gateway")?;
    if let Some(unread) = process::unread_variables() {
        print::warning(&unread);
    }
    let host = match bare_host(&config.server.host) {
        "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        host => host,
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let address = format!("http://{host}:{}", config.server.port);
    anyhow::ensure!(config.server.port != 0, "server.port is 0, any free port: name the gateway with --url");
    address.parse().map_err(anyhow::Error::msg).with_context(|| format!("server.host: {address}"))
}
