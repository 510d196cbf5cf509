//! Lines on their way to stderr. They wait in a bounded queue for a thread that writes them, so logging never waits for the
//! reader of stderr. If the queue is full, lines are dropped and counted.

use std::{
    io::{self, Write},
    mem,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// Bytes of lines that are waiting or being written, at most.
const CAPACITY: usize = 1 << 20;

/// Bytes of a buffer that are kept after it has been written.
const KEPT_BUFFER: usize = 64 << 10;

/// Time between two attempts to write to a stderr that is non-blocking and full.
const FULL_RETRY: Duration = Duration::from_millis(10);

pub(super) struct Queue {
    state: Mutex<State>,
    /// Notified when lines arrive and when all lines are written.
    changed: Condvar,
}

struct State {
    /// Whole lines, each with its line break.
    waiting: Vec<u8>,
    /// Bytes that the thread has taken but not yet written.
    writing: usize,
    /// Lines that were refused, or that could not be written.
    dropped: u64,
    /// Dropped lines that a notice has reported.
    dropped_reported: u64,
    has_thread: bool,
}

/// Lines that the thread adds by itself.
pub(super) trait Notices: Send + 'static {
    /// Lines that are due now, each with its line break, and the time when the next lines are due.
    fn due(&mut self, now: Instant) -> (Vec<u8>, Option<Instant>);
    /// The line that reports dropped lines.
    fn dropped(&mut self, lines: u64) -> String;
}

impl Queue {
    pub(super) const fn new() -> Self {
        let state =
            State { waiting: Vec::new(), writing: 0, dropped: 0, dropped_reported: 0, has_thread: false };
        Queue { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Starts the thread, once. If the system allows no thread, each line is written by the caller that logs it.
    pub(super) fn start(&'static self, out: impl Write + Send + 'static, notices: impl Notices) {
        let mut state = self.lock();
        if !state.has_thread {
            let thread = thread::Builder::new().name("log".to_owned());
            state.has_thread = thread.spawn(move || self.run(out, notices)).is_ok();
        }
    }

    /// Number of lines that were dropped.
    pub(super) fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// Adds one line, without its line break.
    pub(super) fn push(&self, line: &str) {
        let mut state = self.lock();
        if !state.has_thread {
            // The thread has not been started, or the system allows no thread.
            if io::stderr().write_all(format!("{line}\n").as_bytes()).is_err() {
                state.dropped += 1;
            }
        } else if state.waiting.len() + state.writing + line.len() > CAPACITY {
            state.dropped += 1;
        } else {
            state.waiting.extend_from_slice(line.as_bytes());
            state.waiting.push(b'\n');
            self.changed.notify_all();
        }
    }

    /// Waits until all lines are written, or until the timeout.
    pub(super) fn flush(&self, timeout: Duration) {
        let state = self.lock();
        let unwritten =
            |state: &mut State| state.has_thread && !(state.waiting.is_empty() && state.writing == 0);
        drop(self.changed.wait_timeout_while(state, timeout, unwritten));
    }

    fn run(&self, mut out: impl Write, mut notices: impl Notices) {
        let mut batch = Vec::new();
        loop {
            let (due, next) = notices.due(Instant::now());
            let mut state = self.lock();
            if due.is_empty() && state.waiting.is_empty() {
                let wait = next.map_or(Duration::MAX, |next| next.saturating_duration_since(Instant::now()));
                let empty = |state: &mut State| state.waiting.is_empty();
                let waited = self.changed.wait_timeout_while(state, wait, empty);
                drop(waited);
                continue;
            }
            mem::swap(&mut state.waiting, &mut batch);
            batch.extend_from_slice(&due);
            state.writing = batch.len();
            let missing = state.dropped;
            drop(state);

            // One write per line: a pipe that several processes write to keeps each line together.
            let lines = batch.split_inclusive(|byte| *byte == b'\n');
            let failed = lines.filter(|line| write(&mut out, line).is_err()).count() as u64;
            batch.clear();
            batch.shrink_to(KEPT_BUFFER);
            self.lock().dropped += failed;
            // The dropped lines came after the lines that filled the queue, so they are missing here.
            self.report_dropped(missing, &mut out, &mut notices);
            let last = self.lock();
            let (is_last, missing) = (last.waiting.is_empty(), last.dropped);
            drop(last);
            if is_last {
                self.report_dropped(missing, &mut out, &mut notices);
            }
            self.lock().writing = 0;
            self.changed.notify_all();
        }
    }

    /// Writes one line in place of those that were dropped, up to this number.
    fn report_dropped(&self, dropped: u64, out: &mut impl Write, notices: &mut impl Notices) {
        let reported = self.lock().dropped_reported;
        if dropped > reported {
            let line = notices.dropped(dropped - reported) + "\n";
            if write(out, line.as_bytes()).is_ok() {
                self.lock().dropped_reported = dropped;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

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

    struct Plain;

    impl Notices for Plain {
        fn due(&mut self, _: Instant) -> (Vec<u8>, Option<Instant>) {
            (Vec::new(), None)
        }

        fn dropped(&mut self, lines: u64) -> String {
            format!("{lines} dropped")
        }
    }

    fn queue() -> (&'static Queue, Receiver<String>) {
        let queue: &'static Queue = Box::leak(Box::new(Queue::new()));
        let (sender, lines) = sync_channel(0);
        queue.start(Slow(sender), Plain);
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
