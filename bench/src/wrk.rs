//! Load over HTTP, by wrk.

use std::process::Command;

use anyhow::Context;

/// What it sends.
const SCRIPT: &str = r#"
wrk.method = 'POST'
wrk.headers['content-type'] = 'application/json'
wrk.body = '{"kind":"demo:delay_print","payload":{"message":"hello world 00000001"},"delay":"1h"}'
"#;

/// `POST /v1/jobs` as fast as the connections allow; requests a second, all of them answered with 2xx.
pub(crate) fn posts(base_url: &str, seconds: u64, connections: u64) -> anyhow::Result<f64> {
    let script = std::env::temp_dir().join(format!("atode-bench-{}.lua", std::process::id()));
    std::fs::write(&script, SCRIPT)?;
    let run = Command::new("wrk")
        .args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s"), "-s"])
        .arg(&script)
        .arg(format!("{base_url}/v1/jobs"))
        .output()
        .context("wrk makes the load; install it with the system's package manager")?;
    let report = String::from_utf8_lossy(&run.stdout).into_owned();
    anyhow::ensure!(!report.contains("Non-2xx"), "requests were refused:\n{report}");
    let line = report.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
    Ok(line.with_context(|| format!("no figure in:\n{report}"))?.trim().parse()?)
}
