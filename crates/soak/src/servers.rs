//! Two Redis servers behind one name: the primary, and the one that a failover leads to.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use atode_testkit::{AclUser, RedisServer};

/// How long a replica may take to have all that the primary has.
const SYNC: Duration = Duration::from_secs(15);
const LOOK: Duration = Duration::from_millis(20);
/// Nothing listens there: a primary that was replaced, and whose replication is not set up again.
const NOWHERE: [&str; 2] = ["127.0.0.1", "1"];

/// The smallest rules, as operators are told to grant them.
const DOCUMENT: &str = include_str!("../../../docs/redis-acl.md");
/// The rights that a user without channels and INFO lacks.
const BLINDERS: &str = "resetchannels -publish -subscribe -info";

pub(crate) struct Servers {
    both: [RedisServer; 2],
    primary: AtomicUsize,
}

/// As whom gateways and workers connect: all of it runs with the documented rules.
pub(crate) fn user() -> AclUser {
    AclUser::new("soak", rules())
}

/// From the first pattern of keys to the end of the first example.
fn rules() -> &'static str {
    let example = DOCUMENT.split("```").nth(1).expect("the document begins with them");
    &example[example.find('~').expect("a pattern of keys")..]
}

impl Servers {
    /// The second one starts with the first failover.
    pub(crate) fn start(appendfsync: &str) -> Self {
        let builder = || RedisServer::builder().appendfsync(appendfsync).user(&user()).with_clock();
        Servers { both: [builder().start(), builder().prepare()], primary: AtomicUsize::new(0) }
    }

    pub(crate) fn primary(&self) -> &RedisServer {
        &self.both[self.primary.load(Ordering::Acquire)]
    }

    /// The user keeps its keys and loses its channels and INFO.
    pub(crate) fn blind_user(&self) {
        self.primary().set_user(&AclUser::new(user().name(), &format!("{} {BLINDERS}", rules())));
    }

    pub(crate) fn restore_user(&self) {
        self.primary().set_user(&user());
    }

    /// Makes the other server the primary, as a failover does that loses nothing: writes wait until the
    /// replica has all of them, so that none is acknowledged by the old primary only. Then `switch` leads new
    /// connections to the new primary's port; the old one lives on, read-only, with the connections that it has.
    /// Returns whether it happened: a replica that is not in sync in time is not promoted.
    pub(crate) fn fail_over(&self, switch: impl FnOnce(u16)) -> bool {
        let old = self.primary();
        let other = 1 - self.primary.load(Ordering::Acquire);
        let new = &self.both[other];
        if !new.answers() {
            new.restart();
        }
        new.command(&["REPLICAOF", "127.0.0.1", &old.port().to_string()]);
        let is_linked = || field(new, "master_link_status").as_deref() == Some("up");
        if !within(SYNC, is_linked) {
            new.command(&["REPLICAOF", NOWHERE[0], NOWHERE[1]]);
            return false;
        }
        old.command(&["CLIENT", "PAUSE", &(2 * SYNC.as_millis()).to_string(), "WRITE"]);
        let has_all = || field(new, "slave_repl_offset") == field(old, "master_repl_offset");
        let in_sync = within(SYNC, has_all);
        if in_sync {
            new.command(&["REPLICAOF", "NO", "ONE"]);
            old.command(&["REPLICAOF", NOWHERE[0], NOWHERE[1]]);
            self.primary.store(other, Ordering::Release);
            switch(new.port());
        } else {
            new.command(&["REPLICAOF", NOWHERE[0], NOWHERE[1]]);
        }
        old.command(&["CLIENT", "UNPAUSE"]);
        in_sync
    }
}

/// A field of `INFO replication`.
fn field(redis: &RedisServer, name: &str) -> Option<String> {
    let info = redis.try_command(&["INFO", "replication"]).ok()?.text();
    info.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.to_owned()))
}

fn within(deadline: Duration, is_so: impl Fn() -> bool) -> bool {
    let since = Instant::now();
    loop {
        if is_so() {
            return true;
        }
        if since.elapsed() > deadline {
            return false;
        }
        sleep(LOOK);
    }
}
