//! Memory and CPU of a process on Linux (proc(5)).

use std::time::Duration;

use anyhow::Context;

/// `USER_HZ`, the unit of CPU times: 100 on every Linux that Rust supports (proc(5), time(7)).
const TICKS_PER_SECOND: f64 = 100.0;

/// Peak physical memory, bytes.
pub(crate) fn peak_memory(pid: u32) -> anyhow::Result<u64> {
    memory_of(pid, "VmHWM:")
}

/// Current physical memory, bytes.
pub(crate) fn memory(pid: u32) -> anyhow::Result<u64> {
    memory_of(pid, "VmRSS:")
}

/// CPU time that all of its threads have used so far.
pub(crate) fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let stat = read(pid, "stat")?;
    let ticks = ticks(&stat).with_context(|| format!("no CPU time of process {pid}"))?;
    Ok(Duration::from_secs_f64(ticks / TICKS_PER_SECOND))
}

fn memory_of(pid: u32, field: &str) -> anyhow::Result<u64> {
    let status = read(pid, "status")?;
    status_bytes(&status, field).with_context(|| format!("no {field} of process {pid}"))
}

fn read(pid: u32, file: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(format!("/proc/{pid}/{file}")).context("this needs the /proc of Linux")
}

fn status_bytes(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

/// User and system time. The name of the process is in parentheses and may contain spaces.
fn ticks(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    Some(fields.next()?.parse::<f64>().ok()? + fields.next()?.parse::<f64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_kib() {
        assert_eq!(status_bytes("Name:\tworker\nVmHWM:\t   12345 kB\n", "VmHWM:"), Some(12_345 << 10));
        assert_eq!(status_bytes("Name:\tworker\n", "VmHWM:"), None);
    }

    #[test]
    fn cpu_is_user_and_system_time() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194304 100 0 0 0 12 30 0 0 20 0 5 0 100 1000 200";
        assert_eq!(ticks(stat), Some(42.0));
    }
}
