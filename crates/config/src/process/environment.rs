//! Mistakes in the environment of a process that otherwise have no visible effect: variables, the time zone.

use std::{env, ffi::OsString, fs};

use jiff::tz::TimeZone;

use crate::overrides::PREFIX;

/// Start of the names that look like settings.
const SETTING: &str = "APP_";
/// The variables that are read, in addition to `APP__…`.
const READ: [&str; 2] = ["APP_ENV", "APP_CONFIG_DIR"];

/// A warning that names the variables of this process that look like settings but are not, such as `APP_SERVER_PORT`.
#[must_use]
pub fn unread_variables() -> Option<String> {
    unread_among(env::vars_os().map(|(name, _)| name))
}

fn unread_among(names: impl Iterator<Item = OsString>) -> Option<String> {
    let names = names.map(|name| name.to_string_lossy().into_owned());
    let mut unread: Vec<String> = names
        .filter(|name| name.starts_with(SETTING) && !name.starts_with(PREFIX))
        .filter(|name| !READ.contains(&name.as_str()))
        .collect();
    unread.sort();
    (!unread.is_empty()).then(|| {
        format!(
            "these environment variables are ignored: {}; a setting has two underscores before each part, as in APP__SERVER__PORT",
            unread.join(", ")
        )
    })
}

/// A warning if the local time zone cannot be found, so that local times are UTC.
pub(super) fn lost_time_zone() -> Option<String> {
    let error = TimeZone::try_system().err()?;
    match env::var_os("TZ") {
        Some(zone) => Some(format!(
            "the time zone TZ={} cannot be found, so jobs print UTC; is it spelled as in Asia/Tokyo, and is tzdata installed? ({error})",
            zone.to_string_lossy()
        )),
        // A machine without TZ and /etc/localtime has no time zone, so UTC is expected.
        None if fs::symlink_metadata("/etc/localtime").is_err() => None,
        None => Some(format!(
            "the time zone of /etc/localtime cannot be found, so jobs print UTC; is tzdata installed? ({error})"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_variables_with_one_underscore_are_named() {
        let names =
            ["APP_SERVER_PORT", "APP__SERVER__PORT", "APP_ENV", "APP_CONFIG_DIR", "APP_A", "APPLE", "PATH"];
        let warning = unread_among(names.into_iter().map(OsString::from)).expect("a warning");
        assert!(warning.contains(": APP_A, APP_SERVER_PORT; "), "{warning}");
        assert_eq!(unread_among(["APP__SERVER__PORT", "APP_ENV"].into_iter().map(OsString::from)), None);
    }
}
