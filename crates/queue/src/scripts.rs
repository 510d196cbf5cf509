//! The scripts. Each is a file of its own, beside the one function that calls it and decodes its reply; its header
//! lists keys, arguments and reply.

use std::sync::LazyLock;

use fred::clients::{Client as FredClient, WithOptions};
use fred::interfaces::LuaInterface;
use fred::types::{FromValue, Key, Value};
use fred::util::sha1_hash;

use crate::error::{Error, is_noscript};
use crate::metrics::calls::Calls;

pub(crate) struct Script {
    pub(crate) name: &'static str,
    pub(crate) source: String,
    pub(crate) sha1: String,
    pub(crate) calls: Calls,
}

macro_rules! scripts {
    ($($constant:ident $file:literal),+ $(,)?) => {
        $(pub(crate) static $constant: LazyLock<Script> =
            LazyLock::new(|| Script::new($file, include_str!(concat!($file, ".lua"))));)+

        #[cfg(test)]
        pub(crate) fn all() -> Vec<&'static Script> {
            vec![$(&*$constant),+]
        }
    };
}

scripts! {
    ABORT_BULK "bulk/abort_bulk",
    ASK "workers/ask",
    BURY "transitions/bury",
    CANCEL "transitions/cancel",
    CLAIM "transitions/claim",
    COMPLETE "transitions/complete",
    COUNTS "view/counts",
    CREATE_BULK "bulk/create_bulk",
    DEAD_CAUSES "inspect/dead_causes",
    DECIDE_HELD "published/decide_held",
    DELETE "transitions/delete",
    EDIT "transitions/edit",
    ENQUEUE "transitions/enqueue",
    EXPIRED "transitions/expired",
    EXPLAIN "explain/explain",
    EXTEND "transitions/extend",
    FAILURES "view/failures",
    FLUSH "history/flush",
    HEARTBEAT "workers/heartbeat",
    JOB "view/job",
    JOB_FACTS "inspect/job_facts",
    KINDS "history/kinds",
    KINDS_NAMED "published/kinds_named",
    KIND_CHANGES "published/kind_changes",
    KIND_OF "view/kind_of",
    LIST_NAME "inspect/list_name",
    MAY "redis/may",
    NOTE_BUILD "history/note_build",
    NOTE_BULK "bulk/note_bulk",
    PAUSE "transitions/pause",
    PUBLISH_KINDS "published/publish_kinds",
    PURGE "transitions/purge",
    PUT_BACK "transitions/put_back",
    REAP "transitions/reap",
    RECOUNT "inspect/recount",
    REDRIVE "transitions/redrive",
    REDRIVE_FAILURE "transitions/redrive_failure",
    REDRIVE_QUEUE "transitions/redrive_queue",
    RELEASE "transitions/release",
    REMOVE_KIND "published/remove_kind",
    REPAIR_JOB "inspect/repair_job",
    RESCHEDULE "transitions/reschedule",
    RESUME "transitions/resume",
    RETRY "transitions/retry",
    ROLL_CALL "explain/roll_call",
    ROWS "list/rows",
    SET_ASIDE "inspect/set_aside",
    TAKE_BULK "bulk/take_bulk",
    TALLY "list/tally",
    TRIM "transitions/trim",
    UNANSWERED "transitions/unanswered",
    UNREGISTER "workers/unregister",
    WINDOW "list/window",
}

const PREAMBLE: &str = include_str!("transitions/preamble.lua");

/// Only in the scripts below: each run of a script makes the functions that it has.
const FAILURE_GROUPS: &str = include_str!("transitions/failure_groups.lua");
const GROUPING: [&str; 10] = [
    "bury",
    "dead_causes",
    "delete",
    "failures",
    "purge",
    "reap",
    "redrive",
    "redrive_failure",
    "redrive_queue",
    "repair_job",
];

impl Script {
    /// The first line declares what the script may do (`#!lua flags=…`) and must stay the first.
    fn new(path: &'static str, file: &str) -> Self {
        let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
        let (shebang, body) = file.split_once('\n').unwrap_or((file, ""));
        let groups = if GROUPING.contains(&name) { FAILURE_GROUPS } else { "" };
        let source = format!("{shebang}\n{PREAMBLE}{groups}{body}");
        Script { name, sha1: sha1_hash(&source), source, calls: Calls::of(name) }
    }

    /// Runs the script once. It is sent again only if Redis has forgotten it, because then it did not run.
    pub(crate) async fn run<T: FromValue>(
        &self,
        client: &WithOptions<FredClient>,
        keys: Vec<Key>,
        args: Vec<Value>,
    ) -> Result<T, Error> {
        match client.evalsha(self.sha1.as_str(), keys.clone(), args.clone()).await {
            // Not SCRIPT LOAD: Redis could forget the script again before it runs.
            Err(error) if is_noscript(&error) => Ok(client.eval(self.source.as_str(), keys, args).await?),
            other => Ok(other?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_declares_what_it_may_do() {
        for script in all() {
            assert!(script.source.starts_with("#!lua"), "{}", script.name);
            let stores_new_data = ["edit", "enqueue"].contains(&script.name);
            let flags = script.source.lines().next().unwrap_or_default();
            assert_eq!(!flags.contains("flags="), stores_new_data, "{}: {flags}", script.name);
        }
    }

    #[test]
    fn no_script_decodes_json() {
        for script in all() {
            assert!(!script.source.contains("cjson"), "{}", script.name);
        }
    }
}
