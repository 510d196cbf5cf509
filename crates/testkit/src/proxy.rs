//! A bad network: a TCP proxy in front of a server. It can delay, throttle, swallow, close connections, lose replies, and
//! lead new connections to another server.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::network::{Mode, Network};

/// A proxy that at first forwards all connections to one port of 127.0.0.1. Nothing has to listen there yet. When it is
/// dropped, it stops and closes all connections.
pub struct Proxy {
    port: u16,
    network: Arc<Network>,
    listener: Option<JoinHandle<()>>,
}

impl Proxy {
    #[track_caller]
    pub fn start(target_port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let network = Arc::new(Network::to(target_port));
        let accepting = network.clone();
        let listener = Some(thread::spawn(move || accepting.accept(&listener)));
        Self { port, network, listener }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// `127.0.0.1:<port>`
    pub fn addr(&self) -> String {
        self.socket_addr().to_string()
    }

    /// Restores the network, and drops no reply anymore. Connections with swallowed bytes are closed, because bytes
    /// after a gap would be misread.
    pub fn pass(&self) {
        let mut state = self.network.lock();
        (state.mode, state.needle) = (Mode::Pass, None);
        state.links.retain(|link| {
            let whole = !link.lock().lossy;
            if !whole {
                link.close();
            }
            whole
        });
    }

    /// Delays each chunk of a reply. Chunks of one connection follow one after the other.
    pub fn delay(&self, reply: Duration) {
        self.network.lock().mode = Mode::Delay(reply);
    }

    /// Limits the bandwidth in each direction, for all connections together (100 Mbit/s is 12,500,000). A faster sender
    /// blocks, as on a real network: the proxy stores nothing beyond the sockets' buffers.
    ///
    /// # Panics
    ///
    /// If the bandwidth is 0: use [`black_hole`](Self::black_hole).
    pub fn throttle(&self, bytes_per_second: u32) {
        assert!(bytes_per_second > 0, "a bandwidth of 0 is a black hole");
        self.network.lock().mode = Mode::Throttle(bytes_per_second);
    }

    /// Simulates a failover behind one name: new connections go to this port of 127.0.0.1. Existing connections keep
    /// their server, unless [`close_all`](Self::close_all) closes them.
    pub fn switch_to(&self, target_port: u16) {
        self.network.lock().target = target_port;
    }

    /// Closes all connections once. New ones work as before.
    pub fn close_all(&self) {
        self.network.lock().close_all();
    }

    /// Keeps connections open and accepts new ones, but nothing passes in either direction.
    pub fn black_hole(&self) {
        self.network.lock().mode = Mode::BlackHole;
    }

    /// Forgets all connections, as a firewall does: they stay open, but nothing passes on them anymore. New ones work.
    pub fn strand(&self) {
        let state = self.network.lock();
        state.links.iter().for_each(|link| link.lock().stranded = true);
    }

    /// Closes all connections now, and every new one at once.
    pub fn cut(&self) {
        let mut state = self.network.lock();
        state.mode = Mode::Cut;
        state.close_all();
    }

    /// Lets the next request that contains these bytes through, and closes the connection instead of passing on the
    /// reply. Other requests in flight on the same connection lose their replies too.
    ///
    /// # Panics
    ///
    /// If there are no bytes.
    pub fn drop_reply_to(&self, needle: impl AsRef<[u8]>) {
        let needle = needle.as_ref().to_vec();
        assert!(!needle.is_empty(), "every request contains no bytes");
        let mut state = self.network.lock();
        state.needle = Some(needle);
        state.has_dropped = false;
        state.links.iter().for_each(|link| link.lock().sent.clear());
    }

    /// True once the requested reply has been dropped. The server has then executed the request.
    pub fn has_dropped(&self) -> bool {
        self.network.lock().has_dropped
    }

    fn socket_addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        {
            let mut state = self.network.lock();
            state.mode = Mode::Ended;
            state.close_all();
        }
        // Wakes the listener, so that it notices the end.
        let _ = TcpStream::connect(self.socket_addr());
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}
