//! The permissions of the connection's user, checked after each connect without running the commands, and whether this
//! build may use the data.

use fred::clients::{Client as FredClient, WithOptions};
use fred::types::{Key, Value};

use crate::error::{Error, RefusalCode, denies_command};
use crate::keys::Keys;
use crate::redis::format;
use crate::scripts::MAY;

/// Commands that storing, claiming and settling need.
pub(crate) const NEEDED: [&str; 24] = [
    "DEL",
    "EXISTS",
    "GET",
    "HDEL",
    "HEXISTS",
    "HGET",
    "HINCRBY",
    "HLEN",
    "HMGET",
    "HSET",
    "MGET",
    "PEXPIRE",
    "SADD",
    "SCARD",
    "SET",
    "SMEMBERS",
    "ZADD",
    "ZCARD",
    "ZRANGE",
    "ZRANGEBYSCORE",
    "ZREM",
    "ZREMRANGEBYRANK",
    "ZREMRANGEBYSCORE",
    "ZSCORE",
];

/// Commands of counts, lists, trims, operations and the audit.
pub(crate) const USEFUL: [&str; 12] = [
    "HGETALL",
    "HKEYS",
    "HSCAN",
    "PTTL",
    "RENAME",
    "SCAN",
    "SISMEMBER",
    "TYPE",
    "ZCOUNT",
    "ZMSCORE",
    "ZRANK",
    "ZSCAN",
];

/// Problems of the Redis of a connection, each with what to do about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// Reported by a script, for users that may not run INFO.
    pub(crate) version: Option<String>,
    /// Why no job can be stored or run.
    pub(crate) obstacle: Option<String>,
    /// Features that work less well.
    pub(crate) warnings: Vec<String>,
    pub(crate) channels: Channels,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Channels {
    #[default]
    Permitted,
    Denied,
}

/// The user that the permissions are for.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) user: String,
    pub(crate) keys: Keys,
}

/// Errors only if Redis did not answer. An answer that is not understood counts as no finding.
pub(crate) async fn look(client: &WithOptions<FredClient>, subject: &Subject) -> Result<Findings, Error> {
    match ask(client, &subject.keys).await {
        Ok(reply) => {
            let mut findings = subject.findings(reply);
            if findings.obstacle.is_none() {
                findings.obstacle = format::obstacle(client, &subject.keys).await?;
            }
            Ok(findings)
        }
        Err(error) if error.is_silence() => Err(error),
        Err(error) => {
            let obstacle = subject.obstacle_of(&error);
            if obstacle.is_none() {
                tracing::debug!(%error, "cannot find out what this Redis permits");
            }
            Ok(Findings { obstacle, ..Findings::default() })
        }
    }
}

async fn ask(client: &WithOptions<FredClient>, keys: &Keys) -> Result<Vec<String>, Error> {
    let commands = NEEDED.into_iter().chain(USEFUL).map(Value::from);
    let args = std::iter::once(keys.echo_channel("").into()).chain(commands).collect();
    let keys = [keys.identity(), keys.queues(), keys.workers()].map(Key::from);
    MAY.run(client, keys.into(), args).await
}

impl Subject {
    fn obstacle_of(&self, error: &Error) -> Option<String> {
        let Error::Refused { code, message } = error else { return None };
        Some(match code {
            RefusalCode::NotPermitted if denies_command(message) => {
                let rule = self.grant("+evalsha +eval");
                format!("the Redis user {} may not run scripts. {rule}", self.user)
            }
            RefusalCode::NotPermitted => {
                let rule = self.grant(&format!("~{}*", self.keys.prefix()));
                format!("the Redis user {} may not use the queue's keys. {rule}", self.user)
            }
            RefusalCode::WrongServer => format!(
                "this Redis is a node of a cluster, and jobs live on one Redis: set the jobqueue's addr to a server \
                 with `cluster-enabled no` (it says: {message})"
            ),
            RefusalCode::Unsupported => format!(
                "this Redis does not run the queue's scripts: they need Redis 7.0 or Valkey, with EVALSHA and EVAL \
                 under their own names (Redis says: {message})"
            ),
            _ => return None,
        })
    }

    fn findings(&self, reply: Vec<String>) -> Findings {
        let mut reply = reply.into_iter();
        let version = reply.next();
        let lacking: Vec<String> = reply.collect();
        let among = |wanted: fn(&str) -> bool| -> Vec<&str> {
            let is_wanted = |lack: &&String| lack.strip_prefix(['+', '?']).is_some_and(wanted);
            lacking.iter().filter(is_wanted).map(String::as_str).collect()
        };
        let is_needed: fn(&str) -> bool = |name| !is_channel(name) && name != "info" && !is_useful(name);
        let obstacle = self.lacks("may not run commands that every job needs", &among(is_needed), None);
        let all_channels = format!("&{}*", self.keys.prefix());
        let warnings = [
            self.lacks(
                "may not use pub/sub channels, so new jobs are not announced: workers and waiting clients poll every \
                 500 ms",
                &among(is_channel),
                Some(all_channels),
            ),
            self.lacks(
                "may not run INFO: whether this Redis keeps jobs safe (AOF, eviction, memory) is not checked",
                &among(|name| name == "info"),
                None,
            ),
            self.lacks(
                "may not run some commands that counts, trims, job operations or the audit need",
                &among(is_useful),
                None,
            ),
        ];
        let channels = if warnings[0].is_some() { Channels::Denied } else { Channels::Permitted };
        Findings { version, obstacle, warnings: warnings.into_iter().flatten().collect(), channels }
    }

    /// Returns nothing if no command is lacking. A command has a sign in front, as in the script's header; `more` is a rule
    /// that is granted along with the commands.
    fn lacks(&self, what: &str, lacking: &[&str], more: Option<String>) -> Option<String> {
        let of = |sign| lacking.iter().filter_map(move |lack| lack.strip_prefix(sign));
        let denied: Vec<String> = of('+').map(|name| format!("+{name}")).collect();
        let unknown: Vec<&str> = of('?').collect();
        let mut cures = Vec::new();
        if !denied.is_empty() {
            let rules: Vec<String> = denied.into_iter().chain(more).collect();
            cures.push(self.grant(&rules.join(" ")));
        }
        if !unknown.is_empty() {
            cures.push(format!("Take the `rename-command` of {} out of Redis' settings", unknown.join(", ")));
        }
        (!cures.is_empty()).then(|| format!("the Redis user {} {what}. {}", self.user, cures.join(". ")))
    }

    fn grant(&self, rules: &str) -> String {
        format!("Grant it: ACL SETUSER {} {rules} (docs/redis-acl.md)", self.user)
    }
}

fn is_channel(command: &str) -> bool {
    matches!(command, "publish" | "subscribe")
}

fn is_useful(command: &str) -> bool {
    USEFUL.iter().any(|name| name.eq_ignore_ascii_case(command))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Subject {
        Subject { user: "worker".to_owned(), keys: Keys::new("atode:") }
    }

    fn findings(lacking: &[&str]) -> Findings {
        let reply = std::iter::once("7.0.15").chain(lacking.iter().copied());
        subject().findings(reply.map(str::to_owned).collect())
    }

    #[test]
    fn each_missing_permission_is_named_with_its_rule() {
        let nothing = findings(&[]);
        assert_eq!(nothing, Findings { version: Some("7.0.15".to_owned()), ..Findings::default() });

        let obstacle = findings(&["+hset", "?zadd"]).obstacle.expect("jobs need both");
        assert!(
            obstacle.contains("ACL SETUSER worker +hset (") && obstacle.contains("of zadd out"),
            "{obstacle}"
        );

        let blind = findings(&["+info", "+publish", "+subscribe", "+hkeys"]);
        assert_eq!((blind.obstacle, blind.channels), (None, Channels::Denied));
        let rules = ["+publish +subscribe &atode:*", "+info", "+hkeys"];
        for (warning, rule) in blind.warnings.iter().zip(rules) {
            assert!(warning.contains(&format!("worker {rule} (")), "{warning}");
        }
        assert_eq!(blind.warnings.len(), 3);
    }

    #[test]
    fn the_document_grants_every_command_that_is_sent() {
        let document = include_str!("../../../../docs/redis-acl.md");
        let rules = document.split("```").nth(1).expect("the rules come first");
        let granted: Vec<&str> = rules.split_whitespace().filter_map(|rule| rule.strip_prefix('+')).collect();
        let options = ["WITHSCORES", "LIMIT"];
        let in_scripts = crate::scripts::all().into_iter().flat_map(|script| {
            let code = script.source.lines().filter(|line| !line.trim_start().starts_with("--"));
            let quoted = code.flat_map(|line| line.split('\'').skip(1).step_by(2));
            quoted.filter(|word| word.len() > 2 && word.bytes().all(|byte| byte.is_ascii_uppercase()))
        });
        for command in NEEDED.into_iter().chain(USEFUL).chain(in_scripts) {
            let command = command.to_lowercase();
            let is_granted = granted.contains(&&*command) || options.contains(&&*command.to_uppercase());
            assert!(is_granted, "{command} is missing in docs/redis-acl.md, or in NEEDED or USEFUL");
        }
    }

    #[test]
    fn a_server_on_which_no_script_runs_is_an_obstacle_and_says_why() {
        let refused = |code, message: &str| Error::Refused { code, message: message.to_owned() };
        let denied = |message| refused(RefusalCode::NotPermitted, message);
        for (error, word) in [
            (denied("NOPERM this user has no permissions to run the 'evalsha' command"), "+evalsha"),
            (
                denied("NOPERM this user has no permissions to access one of the keys used as arguments"),
                "~atode:*",
            ),
            (denied("NOPERM No permissions to access a key"), "~atode:*"),
            (refused(RefusalCode::WrongServer, "MOVED 866 127.0.0.1:7001"), "cluster-enabled no"),
            (refused(RefusalCode::Unsupported, "ERR unknown command 'EVALSHA'"), "Redis 7.0"),
        ] {
            let obstacle = subject().obstacle_of(&error).expect("nothing runs there");
            assert!(obstacle.contains(word), "{obstacle}");
        }
        assert_eq!(subject().obstacle_of(&refused(RefusalCode::Busy, "BUSY")), None);
    }
}
