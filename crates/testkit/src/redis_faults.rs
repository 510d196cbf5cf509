//! States in which a `redis-server` answers, but takes nothing.

use std::fs;
use std::time::Duration;

use crate::eventually;
use crate::redis::RedisServer;
use crate::redis_builder::RedisBuilder;

const DEADLINE: Duration = Duration::from_secs(20);
/// Of as many keys: a slow load takes three seconds.
const BALLAST: usize = 300;

impl RedisBuilder {
    /// For [`RedisServer::launch_slowly`].
    #[must_use]
    pub fn slow_to_load(self) -> Self {
        // Microseconds a key. It answers in between, after as many bytes.
        self.arg("key-load-delay", "10000").arg("loading-process-events-interval-bytes", "1024")
    }
}

impl RedisServer {
    /// Lets it fail to save its data, as on a full disk: it refuses writes with `MISCONF` from now on.
    #[track_caller]
    pub fn break_saves(&self) {
        // What it has saved can't take a folder's place.
        fs::create_dir(self.dir().join("dump.rdb")).expect("a folder in its folder");
        self.command(&["CONFIG", "SET", "save", "3600 1"]);
        self.save("err");
    }

    #[track_caller]
    pub fn mend_saves(&self) {
        fs::remove_dir(self.dir().join("dump.rdb")).expect("the folder is empty");
        self.save("ok");
        self.command(&["CONFIG", "SET", "save", ""]);
    }

    /// Starts it again, and returns while it loads its data, which takes it about three seconds more:
    /// it refuses everything with `LOADING`. Needs [`RedisBuilder::slow_to_load`].
    #[track_caller]
    pub fn launch_slowly(&self) {
        let ballast = "for n = 1, ARGV[1] do redis.call('SET', 'ballast' .. n, string.rep('x', 2000)) end";
        self.command(&["EVAL", ballast, "0", &BALLAST.to_string()]);
        // Into one file of keys: of a log of commands it would load 1,024 between two answers.
        self.command(&["BGREWRITEAOF"]);
        self.until_persistence_says("aof_rewrite_in_progress:0", "aof_rewrite_scheduled:0");
        self.launch();
        eventually("it loads", DEADLINE, || self.is_loading().then_some(()));
    }

    pub fn is_loading(&self) -> bool {
        let info = self.try_command(&["INFO", "persistence"]);
        info.is_ok_and(|info| info.text().lines().any(|line| line == "loading:1"))
    }

    #[track_caller]
    fn save(&self, outcome: &str) {
        self.command(&["BGSAVE", "SCHEDULE"]);
        let outcome = format!("rdb_last_bgsave_status:{outcome}");
        self.until_persistence_says("rdb_bgsave_in_progress:0", &outcome);
    }

    #[track_caller]
    fn until_persistence_says(&self, fact: &str, other: &str) {
        eventually(other, DEADLINE, || {
            let info = self.command(&["INFO", "persistence"]).text();
            let says = |fact: &str| info.lines().any(|line| line == fact);
            (says(fact) && says(other)).then_some(())
        });
    }
}
