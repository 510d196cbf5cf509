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
            LazyLock::new(|| Script::new($file, include_str!(concat!("scripts/", $file, ".lua"))));)+

        #[cfg(test)]
        pub(crate) fn all() -> Vec<&'static Script> {
            vec![$(&*$constant),+]
        }
    };
}

scripts! {
    ASK "ask",
    AUDIT "audit",
    BURY "bury",
    CANCEL "cancel",
    CLAIM "claim",
    COMPLETE "complete",
    COUNTS "counts",
    DELETE "delete",
    ENQUEUE "enqueue",
    ENROL "enrol",
    EXPIRED "expired",
    EXTEND "extend",
    HEARTBEAT "heartbeat",
    INSPECT "inspect",
    MAY "may",
    MEND "mend",
    PAUSE "pause",
    PURGE "purge",
    PUT_BACK "put_back",
    REAP "reap",
    REDRIVE "redrive",
    REDRIVE_QUEUE "redrive_queue",
    RELEASE "release",
    RESCHEDULE "reschedule",
    RESUME "resume",
    RETRY "retry",
    SAMPLE "sample",
    SET_ASIDE "set_aside",
    TRIM "trim",
    UNANSWERED "unanswered",
    UNREGISTER "unregister",
}

const PREAMBLE: &str = include_str!("scripts/preamble.lua");

impl Script {
    /// The first line says what the script may do (`#!lua flags=…`) and has to stay the first.
    fn new(name: &'static str, file: &str) -> Self {
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
