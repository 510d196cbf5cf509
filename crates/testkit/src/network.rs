//! The traffic through a proxy: its connections, and the fate of each chunk of bytes.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::bandwidth::Bandwidth;

#[derive(Clone, Copy, Default)]
pub(crate) enum Mode {
    #[default]
    Pass,
    Delay(Duration),
    /// Bytes per second.
    Throttle(u32),
    BlackHole,
    Cut,
    Ended,
}

/// Everything that passes through a proxy.
pub(crate) struct Network {
    state: Mutex<State>,
    requests: Bandwidth,
    replies: Bandwidth,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) mode: Mode,
    /// The server's port.
    pub(crate) target: u16,
    pub(crate) links: Vec<Arc<Link>>,
    /// Bytes in the request whose reply will be dropped.
    pub(crate) needle: Option<Vec<u8>>,
    pub(crate) has_dropped: bool,
}

/// A client's connection, and the matching connection to the server.
pub(crate) struct Link {
    client: TcpStream,
    server: TcpStream,
    loss: Mutex<Loss>,
}

#[derive(Default)]
pub(crate) struct Loss {
    /// Bytes are missing, so the link is useless.
    pub(crate) lossy: bool,
    /// Everything is swallowed, whatever the mode.
    pub(crate) stranded: bool,
    /// The server's next answer is not passed on.
    drops_reply: bool,
    /// The end of the client's data, because a needle can span two chunks.
    pub(crate) sent: Vec<u8>,
}

impl Network {
    pub(crate) fn to(target_port: u16) -> Self {
        let state = Mutex::new(State { target: target_port, ..State::default() });
        Self { state, requests: Bandwidth::default(), replies: Bandwidth::default() }
    }

    /// Serves clients until the mode is [`Mode::Ended`].
    pub(crate) fn accept(self: &Arc<Self>, listener: &TcpListener) {
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

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
            if loss.sent.windows(needle.len()).any(|bytes| bytes == needle) {
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
}

impl State {
    pub(crate) fn close_all(&mut self) {
        self.links.drain(..).for_each(|link| link.close());
    }
}

impl Link {
    pub(crate) fn close(&self) {
        // Fails if the other end has already closed it.
        let _ = (self.client.shutdown(Shutdown::Both), self.server.shutdown(Shutdown::Both));
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Loss> {
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
