//! The scripts, each a file of its own whose header says keys, arguments and reply. Nothing else
//! decodes a reply than the typed call that stands beside the script's use.

use std::sync::LazyLock;

use fred::util::sha1_hash;

pub(crate) struct Script {
    pub(crate) name: &'static str,
    pub(crate) source: String,
    pub(crate) sha1: String,
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
    ASK "workers/ask",
    AUDIT "audit/audit",
    BURY "transitions/bury",
    CANCEL "transitions/cancel",
    CLAIM "transitions/claim",
    COMPLETE "transitions/complete",
    COUNTS "view/counts",
    DELETE "transitions/delete",
    ENQUEUE "transitions/enqueue",
    ENROL "audit/enrol",
    EXPIRED "transitions/expired",
    EXTEND "transitions/extend",
    HEARTBEAT "workers/heartbeat",
    INSPECT "view/inspect",
    MAY "redis/may",
    MEND "audit/mend",
    PAUSE "transitions/pause",
    PURGE "transitions/purge",
    PUT_BACK "transitions/put_back",
    REAP "transitions/reap",
    REDRIVE "transitions/redrive",
    REDRIVE_QUEUE "transitions/redrive_queue",
    RELEASE "transitions/release",
    RESCHEDULE "transitions/reschedule",
    RESUME "transitions/resume",
    RETRY "transitions/retry",
    SAMPLE "view/sample",
    SET_ASIDE "audit/set_aside",
    TRIM "transitions/trim",
    UNANSWERED "transitions/unanswered",
    UNREGISTER "workers/unregister",
}

const PREAMBLE: &str = include_str!("transitions/preamble.lua");

impl Script {
    /// The first line says what the script may do (`#!lua flags=…`) and has to stay the first.
    fn new(path: &'static str, file: &str) -> Self {
        let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
        let (shebang, body) = file.split_once('\n').unwrap_or((file, ""));
        let source = format!("{shebang}\n{PREAMBLE}{body}");
        Script { name, sha1: sha1_hash(&source), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_declares_what_it_may_do() {
        for script in all() {
            assert!(script.source.starts_with("#!lua"), "{}", script.name);
            let stores_new_data = script.name == "enqueue";
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
