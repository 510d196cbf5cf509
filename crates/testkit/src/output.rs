//! The output of a process: a file, or a pipe that nobody reads.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use nix::libc::O_NONBLOCK;
use nix::sys::stat::Mode;

/// An output stream of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

pub(crate) enum Output {
    File(PathBuf),
    Pipe { fifo: PathBuf, read: Mutex<(File, Vec<u8>)> },
}

impl Output {
    /// Creates a file. Returns it with the handle for the process.
    pub(crate) fn file(path: PathBuf) -> (Self, File) {
        let written = File::create(&path).expect("a file for its output");
        (Self::File(path), written)
    }

    /// Creates a pipe. Returns it with the handle for the process. The pipe has a name, so that it can be opened without
    /// blocking on this side while it still blocks on the other side.
    pub(crate) fn pipe(path: PathBuf) -> (Self, File) {
        nix::unistd::mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).expect("a pipe for its output");
        let read = File::options().read(true).custom_flags(O_NONBLOCK).open(&path).expect("its reading end");
        let written = File::options().write(true).open(&path).expect("its writing end: somebody reads");
        (Self::Pipe { fifo: path, read: Mutex::new((read, Vec::new())) }, written)
    }

    /// Everything that was written to a file so far, or was read from a pipe so far.
    pub(crate) fn text(&self) -> String {
        let bytes = match self {
            Self::File(path) => fs::read(path).expect("a file that was made at the start"),
            Self::Pipe { read, .. } => read.lock().unwrap_or_else(PoisonError::into_inner).1.clone(),
        };
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Reads everything that is available, and returns [`text`](Self::text). Nothing else reads a pipe.
    pub(crate) fn read(&self) -> String {
        if let Self::Pipe { read, .. } = self {
            let mut read = read.lock().unwrap_or_else(PoisonError::into_inner);
            let (pipe, bytes) = &mut *read;
            let mut piece = [0; 4096];
            while let Ok(n @ 1..) = pipe.read(&mut piece) {
                bytes.extend_from_slice(&piece[..n]);
            }
        }
        self.text()
    }

    /// Fills a pipe, so that the next write to it blocks.
    pub(crate) fn fill(&self) {
        let Self::Pipe { fifo, .. } = self else { panic!("a file is never full: see `unread`") };
        fill(fifo).expect("its writing end");
    }
}

fn fill(fifo: &Path) -> io::Result<()> {
    let mut pipe = File::options().write(true).custom_flags(O_NONBLOCK).open(fifo)?;
    // A pipe accepts a short write entirely or not at all, so the last bytes are written one by one.
    for piece in [&[b'.'; 4096][..], b"."] {
        loop {
            match pipe.write(piece) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
