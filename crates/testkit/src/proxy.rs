//! A bad network: a TCP proxy in front of a server. It can delay, throttle, swallow, close connections, lose replies, and
//! lead new connections to another server.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::bandwidth::Bandwidth;

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
        let state = Mutex::new(State { target: target_port, ..State::default() });
        let (requests, replies) = (Bandwidth::default(), Bandwidth::default());
        let network = Arc::new(Network { state, requests, replies });
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

    /// Restores the network, and drops no reply any more. Connections with swallowed bytes are closed, because bytes
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

    /// Forgets all connections, as a firewall does: they stay open, but nothing passes on them any more. New ones work.
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

    /// Lets the next request through, and closes the connection instead of passing on the reply.
    pub fn drop_next_reply(&self) {
        self.drop_reply_to("");
    }

    /// [`drop_next_reply`](Self::drop_next_reply) for the next request that contains these bytes. Other requests in
    /// flight on the same connection lose their replies too.
    pub fn drop_reply_to(&self, needle: impl AsRef<[u8]>) {
        let mut state = self.network.lock();
        state.needle = Some(needle.as_ref().to_vec());
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

#[derive(Clone, Copy, Default)]
enum Mode {
    #[default]
    Pass,
    Delay(Duration),
    /// Bytes per second.
    Throttle(u32),
    BlackHole,
    Cut,
    Ended,
}

struct Network {
    state: Mutex<State>,
    requests: Bandwidth,
    replies: Bandwidth,
}

#[derive(Default)]
struct State {
    mode: Mode,
    /// The server's port.
    target: u16,
    links: Vec<Arc<Link>>,
    /// Bytes in the request whose reply will be dropped.
    needle: Option<Vec<u8>>,
    has_dropped: bool,
}

/// A client's connection, and the matching connection to the server.
struct Link {
    client: TcpStream,
    server: TcpStream,
    loss: Mutex<Loss>,
}

#[derive(Default)]
struct Loss {
    /// Bytes are missing, so the link is useless.
    lossy: bool,
    /// Everything is swallowed, whatever the mode.
    stranded: bool,
    /// The server's next answer is not passed on.
    drops_reply: bool,
    /// The end of the client's data, because a needle can span two chunks.
    sent: Vec<u8>,
}

impl Network {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        loop {
            let client = listener.accept();
            if let Mode::Ended = self.lock().mode {
                return;
            }
            if let Ok((client, _)) = client {
                // On another thread, because a server that does not accept must not block the next client.
                let network = self.clone();
                thread::spawn(move || network.serve(client));
            }
        }
    }

    /// Closes the client's connection at once if the server can't be reached.
    fn serve(self: Arc<Self>, client: TcpStream) {
        let target = self.lock().target;
        let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)) else { return };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let link = Arc::new(Link { client, server, loss: Mutex::default() });
        {
            let mut state = self.lock();
            if let Mode::Cut | Mode::Ended = state.mode {
                return;
            }
            state.links.push(link.clone());
        }
        let max_chunk = || self.max_chunk();
        thread::scope(|scope| {
            scope.spawn(|| pump(&link.client, &link.server, max_chunk, |chunk| self.request(&link, chunk)));
            pump(&link.server, &link.client, max_chunk, |chunk| self.reply(&link, chunk));
            if link.lock().drops_reply {
                // The server reads the whole request before it sees the end, and then closes the connection.
                let _ = link.server.shutdown(Shutdown::Write);
                let _ = io::copy(&mut &link.server, &mut io::sink());
                self.lock().has_dropped = true;
            }
            link.close();
        });
        self.lock().links.retain(|other| !Arc::ptr_eq(other, &link));
    }

    fn request(&self, link: &Link, chunk: &[u8]) -> Fate {
        let mut state = self.lock();
        let mut loss = link.lock();
        if loss.stranded || matches!(state.mode, Mode::BlackHole) {
            loss.lossy = true;
            return Fate::Swallowed;
        }
        if let Some(needle) = &state.needle {
            loss.sent.extend_from_slice(chunk);
            if needle.is_empty() || loss.sent.windows(needle.len()).any(|bytes| bytes == needle) {
                loss.drops_reply = true;
                state.needle = None;
            } else {
                let kept = loss.sent.len().saturating_sub(needle.len() - 1);
                loss.sent.drain(..kept);
            }
        }
        let mode = state.mode;
        drop((state, loss));
        if let Mode::Throttle(rate) = mode {
            self.requests.transfer(chunk.len(), rate);
        }
        Fate::Passed
    }

    fn reply(&self, link: &Link, chunk: &[u8]) -> Fate {
        let mode = {
            let state = self.lock();
            let mut loss = link.lock();
            if loss.drops_reply {
                return Fate::Dropped;
            }
            if loss.stranded || matches!(state.mode, Mode::BlackHole) {
                loss.lossy = true;
                return Fate::Swallowed;
            }
            state.mode
        };
        match mode {
            Mode::Delay(delay) => thread::sleep(delay),
            Mode::Throttle(rate) => self.replies.transfer(chunk.len(), rate),
            _ => {}
        }
        Fate::Passed
    }

    /// The most bytes to read at once. Limited bandwidth is used in small chunks, so that connections share it.
    fn max_chunk(&self) -> usize {
        match self.lock().mode {
            Mode::Throttle(rate) => Bandwidth::chunk(rate).min(MAX_CHUNK),
            _ => MAX_CHUNK,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn close_all(&mut self) {
        self.links.drain(..).for_each(|link| link.close());
    }
}

impl Link {
    fn close(&self) {
        // Fails if the other end has already closed it.
        let _ = (self.client.shutdown(Shutdown::Both), self.server.shutdown(Shutdown::Both));
    }

    fn lock(&self) -> MutexGuard<'_, Loss> {
        self.loss.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Fate {
    Passed,
    Swallowed,
    Dropped,
}

/// The most bytes that are read at once.
const MAX_CHUNK: usize = 64 << 10;

/// Returns when either end is closed or a chunk is dropped.
fn pump(
    mut from: &TcpStream,
    mut to: &TcpStream,
    max_chunk: impl Fn() -> usize,
    mut fate: impl FnMut(&[u8]) -> Fate,
) {
    let mut bytes = vec![0; MAX_CHUNK];
    loop {
        let chunk = match from.read(&mut bytes[..max_chunk()]) {
            Ok(0) => break,
            Ok(n) => &bytes[..n],
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        match fate(chunk) {
            Fate::Passed if to.write_all(chunk).is_ok() => {}
            Fate::Swallowed => {}
            Fate::Passed => break,
            // The caller closes the connection, after the server has finished.
            Fate::Dropped => return,
        }
    }
    // The other end can still read everything that was passed on.
    let _ = to.shutdown(Shutdown::Write);
}
