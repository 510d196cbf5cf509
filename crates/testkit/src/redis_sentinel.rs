//! A master, its replica, and sentinels that put the replica in the master's place.

use std::time::Duration;

use crate::eventually;
use crate::redis::RedisServer;

/// Three sentinels, of which two have to agree, watch a master with one replica. Dropped, all are killed.
///
/// The replica follows asynchronously, as it does by default everywhere: what the master has answered
/// in its last moment may be lost with it.
pub struct RedisSentinel {
    servers: Vec<RedisServer>,
    sentinels: Vec<RedisServer>,
}

const SENTINELS: usize = 3;
/// For what takes a few seconds on a machine with nothing else to do.
const DEADLINE: Duration = Duration::from_secs(40);

impl RedisSentinel {
    /// What the sentinels call the master.
    pub const MASTER: &str = "main";

    #[track_caller]
    pub fn start() -> Self {
        let servers = vec![server(), server()];
        let (host, port) = ("127.0.0.1", servers[0].port().to_string());
        // Before the sentinels look for the first time, or they hear of the replica only after 10 s.
        servers[1].command(&["REPLICAOF", host, &port]);
        until_in_step(&servers[0], &servers[1]);
        let master = Self::MASTER;
        let file = format!(
            "bind {host}\n\
             sentinel monitor {master} {host} {port} 2\n\
             sentinel down-after-milliseconds {master} 1000\n\
             sentinel failover-timeout {master} 3000\n"
        );
        let sentinels = (0..SENTINELS).map(|_| RedisServer::builder_of_a_sentinel(&file).start()).collect();
        let sentinel = Self { servers, sentinels };
        eventually("the sentinels know each other and the replica", DEADLINE, || {
            let ready = sentinel.sentinels.iter().all(|one| {
                let fact = |name| fact(one, name);
                fact("num-other-sentinels").is_some_and(|n| n == (SENTINELS - 1).to_string())
                    && fact("num-slaves").is_some_and(|n| n == "1")
                    && fact("flags").is_some_and(|flags| flags == "master")
            });
            ready.then_some(())
        });
        sentinel
    }

    /// The sentinels', for clients.
    pub fn addrs(&self) -> Vec<String> {
        self.sentinels.iter().map(RedisServer::addr).collect()
    }

    pub fn sentinels(&self) -> &[RedisServer] {
        &self.sentinels
    }

    /// Master and replica, whichever is which now, and whether or not they run.
    pub fn servers(&self) -> &[RedisServer] {
        &self.servers
    }

    /// `127.0.0.1:<port>` of the master as most sentinels that answer tell it.
    #[track_caller]
    pub fn master_address(&self) -> String {
        eventually("the sentinels agree on a master", DEADLINE, || {
            let told = self.sentinels.iter().filter_map(|sentinel| {
                let reply = sentinel.try_command(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", Self::MASTER]);
                reply.ok().map(|reply| reply.texts().join(":"))
            });
            let mut told: Vec<String> = told.collect();
            told.sort();
            let middle = told.get(told.len() / 2)?.clone();
            (told.iter().filter(|addr| **addr == middle).count() * 2 > told.len()).then_some(middle)
        })
    }

    /// The server that the sentinels call the master; it may be down by now.
    #[track_caller]
    pub fn master(&self) -> &RedisServer {
        let address = self.master_address();
        let master = self.servers.iter().find(|server| server.addr() == address);
        master.unwrap_or_else(|| panic!("{address} is neither server's"))
    }

    /// The server that they do not.
    #[track_caller]
    pub fn replica(&self) -> &RedisServer {
        let address = self.master_address();
        let replica = self.servers.iter().find(|server| server.addr() != address);
        replica.expect("the other of two")
    }

    /// SIGKILL, and waits for its end; the sentinels notice it later. [`RedisServer::restart`] brings it
    /// back, and they make a replica of it.
    #[track_caller]
    pub fn kill_master(&self) -> &RedisServer {
        let master = self.master();
        master.kill();
        master
    }

    /// Waits until another server than this one is the master and takes writes.
    #[track_caller]
    pub fn wait_for_another_master(&self, than: &RedisServer) -> &RedisServer {
        let deposed = than.addr();
        eventually("another server is the master", DEADLINE, || {
            let master = Some(self.master()).filter(|master| master.addr() != deposed)?;
            let role = master.try_command(&["ROLE"]).ok()?.array();
            (role.first()?.text() == "master").then_some(master)
        })
    }

    /// Waits until the replica follows the master and has all that it had.
    #[track_caller]
    pub fn wait_until_in_step(&self) {
        until_in_step(self.master(), self.replica());
    }
}

fn server() -> RedisServer {
    // A replica that comes is given the data at once, and not when others might have come too.
    RedisServer::builder().arg("repl-diskless-sync-delay", "0").start()
}

#[track_caller]
fn until_in_step(master: &RedisServer, replica: &RedisServer) {
    eventually("the replica is in step", DEADLINE, || {
        let info =
            |server: &RedisServer| server.try_command(&["INFO", "replication"]).ok().map(|it| it.text());
        let (master, replica) = (info(master)?, info(replica)?);
        let field = |info: &str, name: &str| {
            info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(ToOwned::to_owned))
        };
        let follows = field(&replica, "master_link_status")? == "up";
        let (offset, reached) =
            (field(&master, "master_repl_offset")?, field(&replica, "slave_repl_offset")?);
        (follows && offset == reached).then_some(())
    });
}

/// What a sentinel says of the master.
fn fact(sentinel: &RedisServer, name: &str) -> Option<String> {
    let facts = sentinel.try_command(&["SENTINEL", "MASTER", RedisSentinel::MASTER]).ok()?.texts();
    facts.chunks_exact(2).find(|pair| pair[0] == name).map(|pair| pair[1].clone())
}
