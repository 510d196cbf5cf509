//! The command line arguments of a server process.

use std::io::{self, Write};

use super::healthcheck::{Unhealthy, healthcheck};
use crate::{args::ConfigArgs, build::Build, config::Config};

/// The arguments that all servers have. Each server flattens this into its own arguments.
#[derive(Debug, Clone, clap::Args)]
pub struct ServerArgs {
    #[command(flatten)]
    pub config: ConfigArgs,

    /// Name or address to listen on
    #[arg(long)]
    pub host: Option<String>,

    /// Port to listen on; 0 means any free port
    #[arg(long)]
    pub port: Option<u16>,

    /// Check the configuration and the kinds, print one line if something is wrong, and exit with 0 or 1
    #[arg(long)]
    pub check_config: bool,

    /// Ask the running process at its configured address whether it is ready, print the answer, and exit with 0 or 1
    #[arg(long, conflicts_with = "check_config")]
    pub healthcheck: bool,
}

impl ServerArgs {
    /// Replaces the configured address by the one of the command line.
    pub fn override_address(&self, host: &mut String, port: &mut u16) {
        if let Some(given) = &self.host {
            host.clone_from(given);
        }
        *port = self.port.unwrap_or(*port);
    }

    /// Whether only a health check was asked for. If so, asks the process that listens at this address.
    pub fn ends_after_health_check(&self, host: &str, port: u16) -> Result<bool, Unhealthy> {
        if self.healthcheck {
            healthcheck(host, port)?;
        }
        Ok(self.healthcheck)
    }

    /// Whether only a check was asked for. If so, prints that the configuration is valid.
    pub fn ends_after_check(&self, build: Build) -> io::Result<bool> {
        if self.check_config {
            writeln!(io::stdout(), "{}: the configuration is valid", build.name)?;
        }
        Ok(self.check_config)
    }

    /// Warns about each kind, given with its queue, if the queue is not configured. Otherwise such a kind would look
    /// usable although gateways refuse its jobs.
    pub fn warn_of_missing_queues<'k>(
        &self,
        config: &Config,
        kinds: impl IntoIterator<Item = (&'k str, &'k str)>,
    ) {
        for (kind, queue) in kinds {
            if !config.queues.contains_key(queue) {
                tracing::warn!(%kind, %queue, file = %self.config.file().display(), "the queue of this kind is not configured, so gateways refuse jobs of this kind unless their request names another queue; add the queue to `queues`");
            }
        }
    }
}
