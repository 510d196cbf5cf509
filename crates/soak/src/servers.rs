//! Two Redis servers behind one name: the primary, and the target of the next failover.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use atode_testkit::{AclUser, RedisServer, poll};

/// Timeout for a replica to get all data of the primary.
const SYNC: Duration = Duration::from_secs(15);
/// An address at which nothing listens, for a replaced primary that should replicate nothing.
const NOWHERE: [&str; 2] = ["127.0.0.1", "1"];

/// The document that tells operators which rights to grant.
const DOCUMENT: &str = include_str!("../../../docs/redis-acl.md");
/// Rules that remove channels and INFO.
const RESTRICTIONS: &str = "resetchannels -publish -subscribe -info";

pub(crate) struct Servers {
    both: [RedisServer; 2],
    primary: AtomicUsize,
}

/// The user of gateways and workers. It has only the documented rights.
pub(crate) fn user() -> AclUser {
    AclUser::new("soak", rules())
}

/// The rules in the document's first example, from the first key pattern on.
fn rules() -> &'static str {
    let example = DOCUMENT.split("```").nth(1).expect("the document has an example");
    &example[example.find('~').expect("a key pattern")..]
}

impl Servers {
    /// Starts the primary. The other server starts with the first failover.
    pub(crate) fn start(appendfsync: &str) -> Self {
        let builder = || RedisServer::builder().appendfsync(appendfsync).user(&user()).with_clock();
        Servers { both: [builder().start(), builder().prepare()], primary: AtomicUsize::new(0) }
    }

    pub(crate) fn primary(&self) -> &RedisServer {
        &self.both[self.primary.load(Ordering::Acquire)]
    }

    /// Takes channels and INFO from the user. It keeps its keys.
    pub(crate) fn restrict_user(&self) {
        self.primary().set_user(&AclUser::new(user().name(), &format!("{} {RESTRICTIONS}", rules())));
    }

    pub(crate) fn restore_user(&self) {
        self.primary().set_user(&user());
    }

    /// Makes the other server the primary without losing data: writes wait until the replica has all of them, so that
    /// the old primary acknowledges nothing alone. Then `switch` leads new connections to the new primary's port. The old
    /// primary keeps its connections and is read-only. Returns false if the replica was not in sync in time; it is not
    /// promoted then.
    pub(crate) fn fail_over(&self, switch: impl FnOnce(u16)) -> bool {
        let old = self.primary();
        let other = 1 - self.primary.load(Ordering::Acquire);
        let new = &self.both[other];
        if !new.answers() {
            new.restart();
        }
        new.command(&["REPLICAOF", "127.0.0.1", &old.port().to_string()]);
        let field = |redis: &RedisServer, name| redis.info("replication", name);
        let is_linked = || (field(new, "master_link_status")? == "up").then_some(());
        if poll(SYNC, is_linked).is_none() {
            new.command(&["REPLICAOF", NOWHERE[0], NOWHERE[1]]);
            return false;
        }
        old.command(&["CLIENT", "PAUSE", &(2 * SYNC.as_millis()).to_string(), "WRITE"]);
        let has_all =
            || (field(new, "slave_repl_offset")? == field(old, "master_repl_offset")?).then_some(());
        let in_sync = poll(SYNC, has_all).is_some();
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
