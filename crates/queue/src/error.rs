//! Errors of calls to Redis, sorted by the reaction of a caller.

use std::borrow::Cow;

use fred::error::{Error as FredError, ErrorKind};

use crate::model::id::JobId;

/// Cheap to clone, because one failed call answers every job of its batch.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Nothing was sent, so nothing happened: safe to repeat.
    #[error("Redis is not reachable: {0}")]
    NotSent(String),
    /// Sent, but no answer came: it may have happened. Repeat only what is safe to repeat.
    #[error("Redis did not answer, the outcome is unknown: {0}")]
    Unknown(String),
    /// Redis answered that it does nothing right now (it is loading, read-only, out of memory, or its disk is full):
    /// safe to repeat later.
    #[error("Redis refuses: {message}")]
    Refused { code: RefusalCode, message: String },
    /// The backlog for Redis is full. Nothing happened: safe to repeat later.
    #[error("too many jobs are waiting to be stored")]
    Overloaded,
    /// The job was not stored, because this Redis cannot promise the requested durability.
    #[error("{0}")]
    NotDurable(String),
    /// Stored, but Redis did not confirm in time that it is on disk. A repetition with the same idempotency key waits
    /// for that.
    #[error("job {0} is stored, not yet on disk")]
    NotYetOnDisk(JobId),
    /// A reply or a key that this version did not write: a person must look.
    #[error("unexpected data in Redis: {0}")]
    Corrupt(String),
}

/// The reason of a refusal, from the first word of a Redis error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalCode {
    OutOfMemory,
    Loading,
    ReadOnly,
    Misconfigured,
    NoReplicas,
    MasterDown,
    ClusterDown,
    Busy,
    /// Not logged in, or with a wrong password.
    Auth,
    /// The user has no permission.
    NotPermitted,
    /// The server is a node of a cluster and has other keys.
    WrongServer,
    /// The server does not know the command or the form of the scripts: it is too old, or commands were renamed.
    Unsupported,
}

impl Error {
    /// False if the call may have taken effect.
    pub fn nothing_happened(&self) -> bool {
        !matches!(self, Error::Unknown(_) | Error::NotYetOnDisk(_) | Error::Corrupt(_))
    }

    /// True if Redis did not answer; the next call would not get an answer either.
    pub(crate) fn is_silence(&self) -> bool {
        matches!(self, Error::NotSent(_) | Error::Unknown(_))
    }

    /// The error of jobs that would have been sent after a call without an answer.
    pub(crate) fn behind_silence() -> Self {
        Error::NotSent("Redis does not answer".to_owned())
    }

    /// The error of jobs that would have been sent after the call that failed with this error.
    pub(crate) fn for_what_was_not_sent(&self) -> Self {
        if self.nothing_happened() {
            self.clone()
        } else {
            Error::NotSent("the call before it failed".to_owned())
        }
    }

    /// The error of a read behind a change that was made: nobody must be told that nothing happened.
    #[must_use]
    pub fn behind_a_change(self) -> Self {
        if self.nothing_happened() { Error::Unknown(self.to_string()) } else { self }
    }

    /// A description for API clients, without addresses, scripts or replies of Redis. Those are in the
    /// [`Display`](std::fmt::Display) text, which is for logs and operators.
    pub fn outline(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Error::NotSent(_) => "the queue cannot be reached at the moment",
            Error::Unknown(_) => "the queue did not answer in time",
            Error::Refused { code, .. } => match code {
                RefusalCode::OutOfMemory => {
                    "the queue's memory is full; its operator can purge finished and dead jobs (POST \
                     /v1/queues/{queue}/purge?state=completed), or raise maxmemory"
                }
                RefusalCode::Loading => "the queue is still loading its data",
                RefusalCode::ReadOnly => "the queue takes no changes at the moment: its server is a replica",
                RefusalCode::Misconfigured => "the queue cannot save its data to its disk",
                RefusalCode::NoReplicas => "the queue has fewer replicas than it has to have",
                RefusalCode::MasterDown | RefusalCode::ClusterDown => "a part of the queue is down",
                RefusalCode::Busy => "the queue is busy with something that takes long",
                RefusalCode::Auth | RefusalCode::NotPermitted => {
                    "this service has no permission to do that in the queue"
                }
                RefusalCode::WrongServer | RefusalCode::Unsupported => {
                    "the queue's server cannot hold jobs as it is set up"
                }
            },
            Error::Overloaded => "too much is waiting to be stored",
            Error::Corrupt(_) => "the queue's data is not as this version writes it",
            Error::NotDurable(why) => return Cow::Owned(why.clone()),
            Error::NotYetOnDisk(id) => return Cow::Owned(format!("job {id} is stored, not yet on disk")),
        })
    }

    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Error::Corrupt(what.into())
    }
}

/// Reads the text behind NOPERM, `…run the 'evalsha' command` or `…access one of the keys…`: true for a command.
pub(crate) fn denies_command(message: &str) -> bool {
    message.contains(" command")
}

/// True if Redis has forgotten the script (restart, `SCRIPT FLUSH`), so that it did not run.
pub(crate) fn is_noscript(error: &FredError) -> bool {
    code(error) == "NOSCRIPT"
}

impl From<FredError> for Error {
    fn from(error: FredError) -> Self {
        let refused = |code| Error::Refused { code, message: error.details().to_owned() };
        match code(&error) {
            "OOM" => return refused(RefusalCode::OutOfMemory),
            "LOADING" => return refused(RefusalCode::Loading),
            "READONLY" => return refused(RefusalCode::ReadOnly),
            "MISCONF" => return refused(RefusalCode::Misconfigured),
            "NOREPLICAS" => return refused(RefusalCode::NoReplicas),
            "MASTERDOWN" => return refused(RefusalCode::MasterDown),
            "CLUSTERDOWN" => return refused(RefusalCode::ClusterDown),
            "BUSY" => return refused(RefusalCode::Busy),
            "NOAUTH" | "WRONGPASS" => return refused(RefusalCode::Auth),
            "NOPERM" => return refused(RefusalCode::NotPermitted),
            "MOVED" | "ASK" | "CROSSSLOT" | "TRYAGAIN" => return refused(RefusalCode::WrongServer),
            "ERR" if is_unsupported(error.details()) => return refused(RefusalCode::Unsupported),
            // The permission was removed since the last look. The script may have written before.
            "ERR" if error.details().contains("The user executing the script can't") => {
                return Error::Unknown(error.details().to_owned());
            }
            _ => {}
        }
        match error.kind() {
            ErrorKind::Backpressure | ErrorKind::Routing => Error::NotSent(error.to_string()),
            ErrorKind::IO | ErrorKind::Canceled | ErrorKind::Timeout => Error::Unknown(error.to_string()),
            ErrorKind::Auth => refused(RefusalCode::Auth),
            // An error of fred, not of Redis, for a connection that was just lost.
            ErrorKind::Unknown if code(&error).contains(|c: char| c.is_ascii_lowercase()) => {
                Error::Unknown(error.to_string())
            }
            _ => Error::Corrupt(error.to_string()),
        }
    }
}

/// Redis 6 reads the first line of a script, `#!lua`, as Lua.
fn is_unsupported(details: &str) -> bool {
    details.starts_with("ERR unknown command")
        || (details.contains("rror compiling script") && details.contains("near '#'"))
}

/// The reason why there is no connection, in the words of Redis or of the system, with a remedy if one is known.
pub(crate) fn trouble(error: &FredError) -> String {
    let details = error.details();
    // fred prints a socket error as `Debug` does: `Os { …, message: "…" }`, `Custom { …, error: … }`.
    let message = details.split_once("message: \"").and_then(|(_, rest)| Some(rest.split_once('"')?.0));
    let wrapped = details.split_once("error: ").map(|(_, rest)| rest.trim_end_matches([' ', '}']));
    let wrapped = wrapped.map(|error| error.trim_matches('"'));
    let said = message.or(wrapped).unwrap_or(details).trim_end_matches('.');
    let is_tls = matches!(error.kind(), ErrorKind::Tls)
        || ["InvalidCertificate", "InvalidMessage", "AlertReceived"].iter().any(|tls| said.contains(tls));
    let advice = match code(error) {
        "WRONGPASS" | "NOAUTH" => "check the jobqueue's username, and password or password_file",
        "ERR" if said.contains("AUTH") => "check the jobqueue's username, and password or password_file",
        "ERR" if said.contains("max number of clients") => {
            "raise Redis' maxclients, or stop what connects to it"
        }
        "ERR" if said.contains("DB index") => "check the jobqueue's db",
        "NOPERM" => "docs/redis-acl.md has the rules that the user needs",
        _ if is_tls => "check the jobqueue's tls, and the certificate of Redis",
        _ => return said.to_owned(),
    };
    if is_tls { format!("TLS: {said}; {advice}") } else { format!("{said}; {advice}") }
}

/// Redis' error code: the first word of the text. It is read here and nowhere else.
fn code(error: &FredError) -> &str {
    error.details().split_ascii_whitespace().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_redis(details: &'static str) -> Error {
        Error::from(FredError::new(ErrorKind::Unknown, details))
    }

    #[test]
    fn trouble_is_described_in_plain_words() {
        let io = |details| trouble(&FredError::new(ErrorKind::IO, details));
        assert_eq!(
            io(r#"Os { code: 111, kind: ConnectionRefused, message: "Connection refused" }"#),
            "Connection refused"
        );
        let tls = io("Custom { kind: InvalidData, error: InvalidCertificate(UnknownIssuer) }");
        assert!(tls.starts_with("TLS: InvalidCertificate(UnknownIssuer); check"), "{tls}");
        assert_eq!(io("Connection closed."), "Connection closed");
    }

    #[test]
    fn a_refusal_of_redis_is_told_from_an_unknown_outcome() {
        assert!(matches!(
            from_redis("OOM command not allowed when used memory > 'maxmemory'."),
            Error::Refused { code: RefusalCode::OutOfMemory, .. }
        ));
        assert!(from_redis("READONLY You can't write against a read only replica.").nothing_happened());
        assert!(!Error::from(FredError::new(ErrorKind::Timeout, "Request timed out.")).nothing_happened());
        assert!(matches!(from_redis("WRONGTYPE Operation against a key"), Error::Corrupt(_)));
        assert!(matches!(from_redis("ERR user_script:9: attempt to index a nil value"), Error::Corrupt(_)));
        let refused = |details| match from_redis(details) {
            Error::Refused { code, .. } => Some(code),
            _ => None,
        };
        for (details, code) in [
            ("NOPERM this user has no permissions to run the 'info' command", RefusalCode::NotPermitted),
            ("MOVED 866 127.0.0.1:7001", RefusalCode::WrongServer),
            ("CROSSSLOT Keys in request don't hash to the same slot", RefusalCode::WrongServer),
            ("ERR unknown command 'EVALSHA', with args beginning with: '1'", RefusalCode::Unsupported),
            (
                "ERR Error compiling script (new function): user_script:1: unexpected symbol near '#'",
                RefusalCode::Unsupported,
            ),
        ] {
            assert_eq!(refused(details), Some(code), "{details}");
        }
        // Earlier writes of the script stay.
        let half =
            from_redis("ERR The user executing the script can't run this command or subcommand script: e7");
        assert!(matches!(half, Error::Unknown(_)), "{half}");
        // By fred itself, with the same kind.
        assert!(matches!(from_redis("Failed to route command."), Error::Unknown(_)));
    }
}
