//! Lines on their way to stderr. Whoever logs never waits for whoever reads: lines wait in a bounded queue for
//! a thread of their own, and are dropped and counted where it is full.

use std::{
    io::{self, Write},
    mem,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// Bytes of lines that wait, or are being written.
const CAPACITY: usize = 1 << 20;

/// A larger buffer is given back once it has been written.
const KEPT_BUFFER: usize = 64 << 10;

/// Between two attempts at a stderr that is set to be non-blocking and is full.
const FULL_RETRY: Duration = Duration::from_millis(10);

pub(super) struct Queue {
    state: Mutex<State>,
    /// Notified when lines come, and when all are written.
    changed: Condvar,
}

struct State {
    /// Whole lines, each with its line break.
    waiting: Vec<u8>,
    /// Bytes that the thread has taken and not yet written.
    writing: usize,
    /// Lines that were refused, or could not be written.
    dropped: u64,
    /// The number of them that a line has reported.
    dropped_said: u64,
    has_thread: bool,
}

/// Callbacks of the thread besides writing.
pub(super) trait Notices: Send + 'static {
    /// Lines that are due by now, each with its line break, and when the next ones are.
    fn due(&mut self, now: Instant) -> (Vec<u8>, Option<Instant>);
    /// The line about lines that were dropped.
    fn dropped(&mut self, lines: u64) -> String;
}

impl Queue {
    pub(super) const fn new() -> Self {
        let state = State { waiting: Vec::new(), writing: 0, dropped: 0, dropped_said: 0, has_thread: false };
        Queue { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Starts the thread, once. Where there can be none, lines are written by whoever logs them.
    pub(super) fn start(&'static self, out: impl Write + Send + 'static, notices: impl Notices) {
        let mut state = self.lock();
        if !state.has_thread {
            let thread = thread::Builder::new().name("log".to_owned());
            state.has_thread = thread.spawn(move || self.run(out, notices)).is_ok();
        }
    }

    /// Lines that nobody will see.
    pub(super) fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// Takes one line, without its line break.
    pub(super) fn push(&self, line: &str) {
        let mut state = self.lock();
        if !state.has_thread {
            // At the very start, or where the system allows no thread.
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

    /// Waits until all lines are written, but no longer than this.
    pub(super) fn flush(&self, patience: Duration) {
        let state = self.lock();
        let unwritten =
            |state: &mut State| state.has_thread && !(state.waiting.is_empty() && state.writing == 0);
        drop(self.changed.wait_timeout_while(state, patience, unwritten));
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

            // One write a line: a pipe that several write to takes each as a whole.
            let lines = batch.split_inclusive(|byte| *byte == b'\n');
            let failed = lines.filter(|line| write(&mut out, line).is_err()).count() as u64;
            batch.clear();
            batch.shrink_to(KEPT_BUFFER);
            self.lock().dropped += failed;
            // Lines are dropped behind those that fill the queue, so this is where they are missing.
            self.say_dropped(missing, &mut out, &mut notices);
            let last = self.lock();
            let (is_last, missing) = (last.waiting.is_empty(), last.dropped);
            drop(last);
            if is_last {
                self.say_dropped(missing, &mut out, &mut notices);
            }
            self.lock().writing = 0;
            self.changed.notify_all();
        }
    }

    /// One line in the place of all that were dropped, up to this count of them.
    fn say_dropped(&self, dropped: u64, out: &mut impl Write, notices: &mut impl Notices) {
        let said = self.lock().dropped_said;
        if dropped > said {
            let line = notices.dropped(dropped - said) + "\n";
            if write(out, line.as_bytes()).is_ok() {
                self.lock().dropped_said = dropped;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As `write_all`, but waits where the other end is non-blocking and full, as a pipe shared with another
/// process may be.
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
    fn what_nobody_reads_is_dropped_and_its_number_stands_where_it_is_missing() {
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
        // The thread may have taken the lines before all of the others were dropped: two notices then.
        let mut missing = 0;
        while missing < 6 {
            let notice = lines.recv_timeout(LONG).unwrap();
            missing += notice.strip_suffix(" dropped").expect(&notice).parse::<u64>().unwrap();
        }
        assert_eq!(missing, 6);
        // Until all of it counts as written there is no room.
        queue.flush(LONG);
        queue.push("again");
        assert_eq!(lines.recv_timeout(LONG).unwrap(), "again");
        queue.flush(LONG);
        assert_eq!(queue.dropped(), 6);
    }

    #[test]
    fn what_cannot_be_written_counts_as_dropped() {
        let (queue, lines) = queue();
        drop(lines);
        queue.push("lost");
        queue.flush(LONG);
        assert_eq!(queue.dropped(), 1);
    }
}
