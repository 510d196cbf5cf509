//! The command line arguments that the binaries have in common.

use std::path::PathBuf;

use crate::{config::Config, environment::Environment, error::ConfigError, load::load};

/// The place of the configuration. Each binary flattens this into its own arguments.
#[derive(Debug, Clone, clap::Args)]
pub struct ConfigArgs {
    /// Folder with one folder of configuration files per environment
    #[arg(long, env = "APP_CONFIG_DIR", default_value = "./config", value_name = "DIR", global = true)]
    pub config_dir: PathBuf,

    /// Environment: develop, staging, production or test
    #[arg(long, env = "APP_ENV", default_value_t, value_name = "NAME", global = true)]
    pub env: Environment,
}

impl ConfigArgs {
    /// The path of `config.yaml`, for messages about it.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.config_dir.join(self.env.as_str()).join("config.yaml")
    }

    /// Loads the configuration from this place.
    pub fn load(&self) -> Result<Config, ConfigError> {
        load(self.env, &self.config_dir)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        config: ConfigArgs,
    }

    #[test]
    fn the_arguments_name_the_folder_and_the_environment() {
        let program =
            Program::try_parse_from(["p", "--config-dir", "/etc/atode", "--env", "staging"]).unwrap();
        assert_eq!(program.config.config_dir, PathBuf::from("/etc/atode"));
        assert_eq!(program.config.env, Environment::Staging);
    }

    #[test]
    fn a_wrong_environment_names_the_four_that_exist() {
        let error = Program::try_parse_from(["p", "--env", "prod"]).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("expected develop, staging, production or test"), "{error}");
    }
}
