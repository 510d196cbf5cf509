//! The four environments that the system runs in.

use std::{fmt, str::FromStr};

/// The environment (`APP_ENV`), which names the folder of the configuration files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Environment {
    /// A developer's machine.
    #[default]
    Develop,
    /// A rehearsal of production.
    Staging,
    Production,
    /// Automated tests.
    Test,
}

/// The text is not one of the four environments.
#[derive(Debug, thiserror::Error)]
#[error("expected develop, staging, production or test, found {0:?}")]
pub struct UnknownEnvironment(String);

impl Environment {
    pub const ALL: [Self; 4] = [Self::Develop, Self::Staging, Self::Production, Self::Test];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Develop => "develop",
            Self::Staging => "staging",
            Self::Production => "production",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Environment {
    type Err = UnknownEnvironment;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|environment| environment.as_str() == text);
        known.ok_or_else(|| UnknownEnvironment(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_environment_is_parsed_from_its_name() {
        for environment in Environment::ALL {
            assert_eq!(environment.to_string().parse::<Environment>().unwrap(), environment);
        }
    }

    #[test]
    fn the_error_for_an_unknown_environment_names_the_four_that_exist() {
        let error = "prod".parse::<Environment>().unwrap_err();
        assert_eq!(error.to_string(), r#"expected develop, staging, production or test, found "prod""#);
    }
}
