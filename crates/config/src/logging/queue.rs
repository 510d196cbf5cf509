//! Lines on their way to stderr. They wait in a bounded queue for a thread that writes them, so logging never waits for the
//! reader of stderr. If the queue is full, lines are dropped and counted.

use std::{
    io::{self, Write},
    sync::{
        OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

/// Bytes of lines that are waiting or being written, at most.
const CAPACITY: usize = 1 << 20;

/// Time between two attempts to write to a stderr that is non-blocking and full.
const FULL_RETRY: Duration = Duration::from_millis(10);

pub(super) struct Queue {
    /// Unset while there is no thread.
    thread: OnceLock<Sender<Message>>,
    /// Bytes of lines that are waiting or being written.
    waiting: AtomicUsize,
    /// Lines that were refused, or that could not be written.
    dropped: AtomicU64,
}

enum Message {
    Line {
        /// With its line break.
        line: String,
        /// Lines that were dropped before this one.
        dropped: u64,
    },
    /// Answered when all lines before it are written.
    Flush(Sender<()>),
}

/// Lines that the thread adds by itself.
pub(super) struct Notices {
    /// Pushes the lines that are due at this time, and returns the time when the next ones are due.
    pub(super) push_due: fn(Instant) -> Option<Instant>,
    /// The line that reports this number of dropped lines.
    pub(super) dropped: fn(u64) -> String,
}

impl Queue {
    pub(super) const fn new() -> Self {
        Queue { thread: OnceLock::new(), waiting: AtomicUsize::new(0), dropped: AtomicU64::new(0) }
    }

    /// Starts the thread, once. If the system allows no thread, each line is written by the caller that logs it.
    pub(super) fn start(&'static self, out: impl Write + Send + 'static, notices: Notices) {
        if self.thread.get().is_none() {
            let (sender, messages) = channel();
            let thread = thread::Builder::new().name("log".to_owned());
            if thread.spawn(move || self.run(&messages, out, &notices)).is_ok() {
                let _ = self.thread.set(sender);
            }
        }
    }

    /// Number of lines that were dropped.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Adds one line, without its line break.
    pub(super) fn push(&self, line: &str) {
        if self.waiting.load(Ordering::Relaxed) + line.len() < CAPACITY {
            self.push_anyway(line);
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Adds one line even if the queue is full, for the few lines that stand for many.
    pub(super) fn push_anyway(&self, line: &str) {
        let line = format!("{line}\n");
        if let Some(thread) = self.thread.get() {
            self.waiting.fetch_add(line.len(), Ordering::Relaxed);
            // The thread never ends.
            let _ = thread.send(Message::Line { line, dropped: self.dropped() });
        } else if io::stderr().write_all(line.as_bytes()).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until all lines are written, or until the timeout.
    pub(super) fn flush(&self, timeout: Duration) {
        let (done, flushed) = channel();
        if self.thread.get().is_some_and(|thread| thread.send(Message::Flush(done)).is_ok()) {
            let _ = flushed.recv_timeout(timeout);
        }
    }

    fn run(&self, messages: &Receiver<Message>, mut out: impl Write, notices: &Notices) {
        let (mut next, mut reported) = (None, 0);
        // Writes one line in place of those that were dropped, up to this number.
        let mut report = |out: &mut _, dropped: u64| {
            if dropped > reported {
                let notice = (notices.dropped)(dropped - reported) + "\n";
                if write(out, notice.as_bytes()).is_ok() {
                    reported = dropped;
                }
            }
        };
        loop {
            let now = Instant::now();
            if next.is_none_or(|next| next <= now) {
                next = (notices.push_due)(now);
            }
            let wait = next.map_or(Duration::MAX, |next| next.saturating_duration_since(now));
            match messages.recv_timeout(wait) {
                Ok(Message::Line { line, dropped }) => {
                    report(&mut out, dropped);
                    self.write(&mut out, &line);
                    if self.waiting.fetch_sub(line.len(), Ordering::Relaxed) == line.len() {
                        report(&mut out, self.dropped());
                    }
                }
                Ok(Message::Flush(done)) => {
                    report(&mut out, self.dropped());
                    let _ = done.send(());
                }
                Err(RecvTimeoutError::Timeout) => {}
                // Another thread was started at the same time.
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Writes one line in one call: a pipe that several processes write to keeps each line together.
    fn write(&self, out: &mut impl Write, line: &str) {
        if write(out, line.as_bytes()).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Like `write_all`, but waits if the other end is non-blocking and full. A pipe that is shared with another process may
/// be both.
fn write(out: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(FULL_RETRY),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{SyncSender, sync_channel};

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    /// Takes a line only when somebody receives it.
    struct Slow(SyncSender<String>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let line = String::from_utf8_lossy(bytes).trim_end().to_owned();
            self.0.send(line).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn queue() -> (&'static Queue, Receiver<String>) {
        let queue: &'static Queue = Box::leak(Box::new(Queue::new()));
        let (sender, lines) = sync_channel(0);
        queue
            .start(Slow(sender), Notices { push_due: |_| None, dropped: |lines| format!("{lines} dropped") });
        (queue, lines)
    }

    #[test]
    fn lines_that_nobody_reads_are_dropped_and_a_notice_in_their_place_counts_them() {
        let (queue, lines) = queue();
        let line = "x".repeat(CAPACITY / 4 - 2);
        for _ in 0..10 {
            queue.push(&line);
        }
        assert_eq!(queue.dropped(), 6);
        queue.flush(Duration::from_millis(10));
        for _ in 0..4 {
            assert_eq!(lines.recv_timeout(LONG).unwrap(), line);
        }
        // If the thread took the lines before all of the others were dropped, there are two notices.
        let mut missing = 0;
        while missing < 6 {
            let notice = lines.recv_timeout(LONG).unwrap();
            missing += notice.strip_suffix(" dropped").expect(&notice).parse::<u64>().unwrap();
        }
        assert_eq!(missing, 6);
        // There is no room until all lines count as written.
        queue.flush(LONG);
        queue.push("again");
        assert_eq!(lines.recv_timeout(LONG).unwrap(), "again");
        queue.flush(LONG);
        assert_eq!(queue.dropped(), 6);
    }

    #[test]
    fn lines_that_cannot_be_written_count_as_dropped() {
        let (queue, lines) = queue();
        drop(lines);
        queue.push("lost");
        queue.flush(LONG);
        assert_eq!(queue.dropped(), 1);
    }
}
