//! A real Redis Cluster on free ports.

use std::time::Duration;

use crate::eventually;
use crate::port::ReservedPort;
use crate::redis::RedisServer;

/// Three masters, each with a third of the slots, without replicas. All are killed when this is dropped.
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
    _buses: Vec<ReservedPort>,
}

const MASTERS: usize = 3;
const SLOTS: usize = 16_384;

impl RedisCluster {
    #[track_caller]
    pub fn start() -> Self {
        let buses: Vec<ReservedPort> = (0..MASTERS).map(|_| ReservedPort::find()).collect();
        let nodes: Vec<RedisServer> = buses.iter().map(node).collect();
        for (n, node) in nodes.iter().enumerate() {
            let (first, last) = (n * SLOTS / MASTERS, (n + 1) * SLOTS / MASTERS - 1);
            node.command(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]);
            let (port, bus) = (nodes[0].port().to_string(), buses[0].get().to_string());
            if n > 0 {
                node.command(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
            }
        }
        eventually("the nodes agree on the cluster", Duration::from_secs(20), || {
            let agreed = nodes.iter().all(|node| {
                let info = node.command(&["CLUSTER", "INFO"]).text();
                info.contains("cluster_state:ok") && info.contains(&format!("cluster_known_nodes:{MASTERS}"))
            });
            agreed.then_some(())
        });
        RedisCluster { nodes, _buses: buses }
    }

    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// The addresses of all nodes.
    pub fn addrs(&self) -> Vec<String> {
        self.nodes.iter().map(RedisServer::addr).collect()
    }
}

fn node(bus: &ReservedPort) -> RedisServer {
    RedisServer::builder()
        .no_aof()
        .arg("cluster-enabled", "yes")
        .arg("cluster-port", &bus.get().to_string())
        .arg("cluster-node-timeout", "1000")
        // If a node is away, the slots of the others keep working, as the rate limiter expects.
        .arg("cluster-require-full-coverage", "no")
        .start()
}
