//! A master, its replica, and sentinels that promote the replica when the master is down.

use std::time::Duration;

use crate::eventually;
use crate::redis::RedisServer;

/// Three sentinels, of which two have to agree, watch a master with one replica. All are killed when this is dropped.
///
/// Replication is asynchronous, as it is by default: writes that the master acknowledged in its last moment may be lost.
pub struct RedisSentinel {
    servers: Vec<RedisServer>,
    sentinels: Vec<RedisServer>,
}

const SENTINELS: usize = 3;
/// Generous for operations that take a few seconds on an idle machine.
const DEADLINE: Duration = Duration::from_secs(40);

impl RedisSentinel {
    /// The master's name in the configuration of the sentinels.
    pub const MASTER: &str = "main";

    #[track_caller]
    pub fn start() -> Self {
        let servers = vec![server(), server()];
        let (host, port) = ("127.0.0.1", servers[0].port().to_string());
        // Before the sentinels' first look; otherwise they would find the replica only after 10 s.
        servers[1].command(&["REPLICAOF", host, &port]);
        eventually("the replica is in sync", DEADLINE, || in_sync(&servers[0], &servers[1]));
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

    /// The addresses of the sentinels, for clients.
    pub fn addrs(&self) -> Vec<String> {
        self.sentinels.iter().map(RedisServer::addr).collect()
    }

    pub fn sentinels(&self) -> &[RedisServer] {
        &self.sentinels
    }

    /// Both servers, whichever is the master now, and whether or not they run.
    pub fn servers(&self) -> &[RedisServer] {
        &self.servers
    }

    /// The address of the master (`127.0.0.1:<port>`) according to most of the sentinels that answer.
    #[track_caller]
    pub fn master_address(&self) -> String {
        eventually("the sentinels agree on a master", DEADLINE, || {
            let answers = self.sentinels.iter().filter_map(|sentinel| {
                let reply = sentinel.try_command(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", Self::MASTER]);
                reply.ok().map(|reply| reply.texts().join(":"))
            });
            let mut answers: Vec<String> = answers.collect();
            answers.sort();
            let middle = answers.get(answers.len() / 2)?.clone();
            (answers.iter().filter(|addr| **addr == middle).count() * 2 > answers.len()).then_some(middle)
        })
    }

    /// The server that the sentinels consider the master. It may be down.
    #[track_caller]
    pub fn master(&self) -> &RedisServer {
        let address = self.master_address();
        let master = self.servers.iter().find(|server| server.addr() == address);
        master.unwrap_or_else(|| panic!("{address} is neither server's"))
    }

    /// The other server.
    #[track_caller]
    pub fn replica(&self) -> &RedisServer {
        let address = self.master_address();
        let replica = self.servers.iter().find(|server| server.addr() != address);
        replica.expect("the other of two")
    }

    /// Kills the master and waits for its exit. The sentinels notice later.
    #[track_caller]
    pub fn kill_master(&self) -> &RedisServer {
        let master = self.master();
        master.kill();
        master
    }

    /// Waits until another server is the master and accepts writes.
    #[track_caller]
    pub fn wait_for_another_master(&self, than: &RedisServer) -> &RedisServer {
        let deposed = than.addr();
        eventually("another server is the master", DEADLINE, || {
            let master = Some(self.master()).filter(|master| master.addr() != deposed)?;
            let role = master.try_command(&["ROLE"]).ok()?.array();
            (role.first()?.text() == "master").then_some(master)
        })
    }

    /// Makes a deposed master, which runs again, a replica. Sentinels do that only after ten seconds, in which they
    /// would promote it, without the newer data, as soon as the new master does not answer for a second.
    #[track_caller]
    pub fn make_replica(&self, deposed: &RedisServer) {
        let master = self.master();
        assert_ne!(master.addr(), deposed.addr(), "it is the master");
        deposed.command(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]);
        self.wait_until_in_step();
    }

    /// Waits until the replica, whichever it is by then, follows the master and has all its data.
    #[track_caller]
    pub fn wait_until_in_step(&self) {
        eventually("the replica is in sync", DEADLINE, || in_sync(self.master(), self.replica()));
    }
}

fn server() -> RedisServer {
    // A new replica gets the data at once, instead of after a wait for further replicas.
    RedisServer::builder().arg("repl-diskless-sync-delay", "0").start()
}

fn in_sync(master: &RedisServer, replica: &RedisServer) -> Option<()> {
    let of = |server: &RedisServer, field| server.info("replication", field);
    let follows = of(replica, "master_link_status")? == "up";
    let (offset, reached) = (of(master, "master_repl_offset")?, of(replica, "slave_repl_offset")?);
    (follows && offset == reached).then_some(())
}

/// A field of a sentinel's view of the master.
fn fact(sentinel: &RedisServer, name: &str) -> Option<String> {
    let facts = sentinel.try_command(&["SENTINEL", "MASTER", RedisSentinel::MASTER]).ok()?.texts();
    facts.chunks_exact(2).find(|pair| pair[0] == name).map(|pair| pair[1].clone())
}
