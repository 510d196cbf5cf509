//! Where a process' output goes: to a file, or into a pipe that nobody reads.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use nix::libc::O_NONBLOCK;
use nix::sys::stat::Mode;

/// Of a process.
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
    /// And what to give to the process.
    pub(crate) fn file(path: PathBuf) -> (Self, File) {
        let written = File::create(&path).expect("a file for its output");
        (Self::File(path), written)
    }

    /// And what to give to the process. A pipe with a name, so that it can be opened without blocking on
    /// this side and still blocks on the other.
    pub(crate) fn pipe(path: PathBuf) -> (Self, File) {
        nix::unistd::mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).expect("a pipe for its output");
        let read = File::options().read(true).custom_flags(O_NONBLOCK).open(&path).expect("its reading end");
        let written = File::options().write(true).open(&path).expect("its writing end: somebody reads");
        (Self::Pipe { fifo: path, read: Mutex::new((read, Vec::new())) }, written)
    }

    /// All that was written so far; of a pipe, all that was read.
    pub(crate) fn text(&self) -> String {
        let bytes = match self {
            Self::File(path) => fs::read(path).expect("a file that was made at the start"),
            Self::Pipe { read, .. } => read.lock().unwrap_or_else(PoisonError::into_inner).1.clone(),
        };
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Reads what there is: a pipe is read here only.
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

    /// Writes into a pipe until it takes no more.
    pub(crate) fn fill(&self) {
        let Self::Pipe { fifo, .. } = self else { panic!("a file is never full: see `unread`") };
        fill(fifo).expect("its writing end");
    }
}

fn fill(fifo: &Path) -> io::Result<()> {
    let mut pipe = File::options().write(true).custom_flags(O_NONBLOCK).open(fifo)?;
    // A pipe takes a short write whole or not at all: the last bytes one by one.
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
