//! A bad network: a TCP proxy in front of a server, which delays, throttles, swallows, cuts, loses replies,
//! and can lead new connections to another server.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::proxy_line::Line;

/// Forwards all connections to one port of 127.0.0.1, where nobody need listen yet, until it is told
/// otherwise. Ends, and closes all connections, with this value.
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
        let network = Arc::new(Network { state, requests: Line::default(), replies: Line::default() });
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

    /// All is well again, no reply is to be dropped. Connections that something was swallowed on are closed:
    /// what follows a gap would be taken for something else.
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

    /// Each piece of a reply arrives this much later; pieces of one connection one after the other.
    pub fn delay(&self, reply: Duration) {
        self.network.lock().mode = Mode::Delay(reply);
    }

    /// A thin line: at most this many bytes per second in each direction, shared by all connections
    /// (100 Mbit/s: 12,500,000). A sender that is faster is held up, as by a real line: beyond the sockets'
    /// own buffers nothing is stored in between.
    ///
    /// # Panics
    ///
    /// On 0: that is a [`black_hole`](Self::black_hole).
    pub fn throttle(&self, bytes_per_second: u32) {
        assert!(bytes_per_second > 0, "a line of 0 bytes per second is a black hole");
        self.network.lock().mode = Mode::Throttle(bytes_per_second);
    }

    /// A failover behind one name: connections made from now on go to this port of 127.0.0.1. Those that
    /// exist live on with the server that they have, unless [`close_all`](Self::close_all) is called too.
    pub fn switch_to(&self, target_port: u16) {
        self.network.lock().target = target_port;
    }

    /// Closes all connections once; new ones are made as before.
    pub fn close_all(&self) {
        self.network.lock().close_all();
    }

    /// Connections stand, new ones too, and nothing passes in either direction.
    pub fn black_hole(&self) {
        self.network.lock().mode = Mode::BlackHole;
    }

    /// Forgets all connections, as a firewall does: they stand, and nothing passes on them any more. New
    /// ones do as before.
    pub fn strand(&self) {
        let state = self.network.lock();
        state.links.iter().for_each(|link| link.lock().stranded = true);
    }

    /// Closes all connections now, and new ones as soon as they are made.
    pub fn cut(&self) {
        let mut state = self.network.lock();
        state.mode = Mode::Cut;
        state.close_all();
    }

    /// The next request goes through; in place of its reply the connection is closed.
    pub fn drop_next_reply(&self) {
        self.drop_reply_to("");
    }

    /// [`drop_next_reply`](Self::drop_next_reply) for the next request that contains these bytes. Where others
    /// are under way on the same connection, their replies are lost with it.
    pub fn drop_reply_to(&self, needle: impl AsRef<[u8]>) {
        let mut state = self.network.lock();
        state.needle = Some(needle.as_ref().to_vec());
        state.has_dropped = false;
        state.links.iter().for_each(|link| link.lock().sent.clear());
    }

    /// Whether the last reply that was to be dropped is: the server has done by then what it was asked to do.
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
        // Wakes the listener, to see that it has ended.
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
    requests: Line,
    replies: Line,
}

#[derive(Default)]
struct State {
    mode: Mode,
    /// The server's port.
    target: u16,
    links: Vec<Arc<Link>>,
    /// Of the request whose reply is to be dropped.
    needle: Option<Vec<u8>>,
    has_dropped: bool,
}

/// A client's connection, and the one to the server that belongs to it.
struct Link {
    client: TcpStream,
    server: TcpStream,
    loss: Mutex<Loss>,
}

#[derive(Default)]
struct Loss {
    /// Bytes are missing: it is of no more use.
    lossy: bool,
    /// Everything is taken, whatever happens to others.
    stranded: bool,
    /// What the server answers next is not passed on.
    drops_reply: bool,
    /// The end of what the client has sent: a needle may lie across two pieces.
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
                // Off this thread: a server that does not accept must not hold up the next client.
                let network = self.clone();
                thread::spawn(move || network.serve(client));
            }
        }
    }

    /// A server that can't be reached is a connection that is closed at once.
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
        let room = || self.room();
        thread::scope(|scope| {
            scope.spawn(|| pump(&link.client, &link.server, room, |piece| self.request(&link, piece)));
            pump(&link.server, &link.client, room, |piece| self.reply(&link, piece));
            if link.lock().drops_reply {
                // A server reads what was sent before it hears of the end, and then closes the connection.
                let _ = link.server.shutdown(Shutdown::Write);
                let _ = io::copy(&mut &link.server, &mut io::sink());
                self.lock().has_dropped = true;
            }
            link.close();
        });
        self.lock().links.retain(|other| !Arc::ptr_eq(other, &link));
    }

    fn request(&self, link: &Link, piece: &[u8]) -> Fate {
        let mut state = self.lock();
        let mut loss = link.lock();
        if loss.stranded || matches!(state.mode, Mode::BlackHole) {
            loss.lossy = true;
            return Fate::Swallowed;
        }
        if let Some(needle) = &state.needle {
            loss.sent.extend_from_slice(piece);
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
            self.requests.carry(piece.len(), rate);
        }
        Fate::Passed
    }

    fn reply(&self, link: &Link, piece: &[u8]) -> Fate {
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
            Mode::Throttle(rate) => self.replies.carry(piece.len(), rate),
            _ => {}
        }
        Fate::Passed
    }

    /// How much to read at once: a thin line takes small pieces, so that connections share it.
    fn room(&self) -> usize {
        match self.lock().mode {
            Mode::Throttle(rate) => Line::piece(rate).min(PIECE),
            _ => PIECE,
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
        // Fails where the other end has closed it already.
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

/// The most that is read at once, bytes.
const PIECE: usize = 64 << 10;

/// Returns when either end is closed, or a piece is dropped.
fn pump(
    mut from: &TcpStream,
    mut to: &TcpStream,
    room: impl Fn() -> usize,
    mut fate: impl FnMut(&[u8]) -> Fate,
) {
    let mut bytes = vec![0; PIECE];
    loop {
        let piece = match from.read(&mut bytes[..room()]) {
            Ok(0) => break,
            Ok(n) => &bytes[..n],
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        match fate(piece) {
            Fate::Passed if to.write_all(piece).is_ok() => {}
            Fate::Swallowed => {}
            Fate::Passed => break,
            // The caller has more to do before anybody may notice.
            Fate::Dropped => return,
        }
    }
    // What was passed on is still read at the other end.
    let _ = to.shutdown(Shutdown::Write);
}
