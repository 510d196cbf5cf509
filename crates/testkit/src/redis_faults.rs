//! States in which a `redis-server` answers but refuses commands.

use std::fs;
use std::time::Duration;

use crate::eventually;
use crate::redis::RedisServer;
use crate::redis_builder::RedisBuilder;

const DEADLINE: Duration = Duration::from_secs(20);
/// The number of keys that make a slow load take three seconds.
const BALLAST: usize = 300;

impl RedisBuilder {
    /// Makes the server load its data slowly, for [`RedisServer::launch_slowly`].
    #[must_use]
    pub fn slow_to_load(self) -> Self {
        // Microseconds per key, and the number of bytes after which the server answers requests.
        self.arg("key-load-delay", "10000").arg("loading-process-events-interval-bytes", "1024")
    }
}

impl RedisServer {
    /// Makes saving fail, as on a full disk. The server then refuses writes with `MISCONF`.
    #[track_caller]
    pub fn break_saves(&self) {
        // A saved file can't replace a folder.
        fs::create_dir(self.dir().join("dump.rdb")).expect("a folder in the server's folder");
        self.command(&["CONFIG", "SET", "save", "3600 1"]);
        self.save("err");
    }

    #[track_caller]
    pub fn restore_saves(&self) {
        fs::remove_dir(self.dir().join("dump.rdb")).expect("the folder is empty");
        self.save("ok");
        self.command(&["CONFIG", "SET", "save", ""]);
    }

    /// Restarts the server and returns while it loads its data. For about three more seconds it refuses everything with
    /// `LOADING`. Needs [`RedisBuilder::slow_to_load`].
    #[track_caller]
    pub fn launch_slowly(&self) {
        let ballast = "for n = 1, ARGV[1] do redis.call('SET', 'ballast' .. n, string.rep('x', 2000)) end";
        self.command(&["EVAL", ballast, "0", &BALLAST.to_string()]);
        // Turns the data into one file of keys. From a log of commands the server would load 1,024 between two answers.
        self.command(&["BGREWRITEAOF"]);
        self.wait_for_persistence([("aof_rewrite_scheduled", "0"), ("aof_rewrite_in_progress", "0")]);
        self.launch();
        eventually("the server loads its data", DEADLINE, || self.is_loading().then_some(()));
    }

    pub fn is_loading(&self) -> bool {
        self.info("persistence", "loading").as_deref() == Some("1")
    }

    #[track_caller]
    fn save(&self, outcome: &str) {
        self.command(&["BGSAVE", "SCHEDULE"]);
        self.wait_for_persistence([("rdb_bgsave_in_progress", "0"), ("rdb_last_bgsave_status", outcome)]);
    }

    /// Waits until these fields of `INFO persistence` have these values, in this order.
    #[track_caller]
    fn wait_for_persistence(&self, expected: [(&str, &str); 2]) {
        eventually(&format!("{expected:?}"), DEADLINE, || {
            let is_so = |(field, value)| self.info("persistence", field).as_deref() == Some(value);
            expected.into_iter().all(is_so).then_some(())
        });
    }
}
