//! Load over HTTP with wrk.

use std::process::Command;

use anyhow::Context;

/// The body of each request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Body {
    /// One job, to `/v1/jobs`.
    Job,
    /// 1,000 jobs, to `/v1/jobs/batch`.
    Batch,
}

impl Body {
    pub(crate) fn jobs(self) -> usize {
        match self {
            Body::Job => 1,
            Body::Batch => 1_000,
        }
    }

    fn path(self) -> &'static str {
        match self {
            Body::Job => "/v1/jobs",
            Body::Batch => "/v1/jobs/batch",
        }
    }

    fn text(self) -> String {
        let job = r#"{"kind":"demo:delay_print","payload":{"message":"hello world 00000001"},"delay":"1h"}"#;
        match self {
            Body::Job => job.to_owned(),
            Body::Batch => format!(r#"{{"jobs":[{}]}}"#, vec![job; self.jobs()].join(",")),
        }
    }
}

/// A run in which every request got 2xx.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Requests {
    pub(crate) per_second: f64,
    /// Requests that were in flight at the end are not counted.
    pub(crate) answered: usize,
}

/// Sends requests as fast as the connections allow.
pub(crate) fn posts(base_url: &str, body: Body, seconds: u64, connections: u64) -> anyhow::Result<Requests> {
    let script = std::env::temp_dir().join(format!("atode-bench-{}.lua", std::process::id()));
    let text = body.text();
    let lua = format!(
        "wrk.method = 'POST'\nwrk.headers['content-type'] = 'application/json'\nwrk.body = [[{text}]]\n"
    );
    std::fs::write(&script, lua)?;
    let run = Command::new("wrk")
        .args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s"), "-s"])
        .arg(&script)
        .arg(format!("{base_url}{}", body.path()))
        .output();
    std::fs::remove_file(&script)?;
    let run = run.context("this needs wrk; install it with the system's package manager")?;
    let report = String::from_utf8_lossy(&run.stdout).into_owned();
    read(&report).with_context(|| format!("no figure in:\n{report}"))
}

pub(crate) fn is_installed() -> bool {
    Command::new("wrk").arg("--version").output().is_ok()
}

/// Reads wrk's report. `None` if a request was refused or got no answer.
fn read(report: &str) -> Option<Requests> {
    if report.contains("Non-2xx") || report.contains("Socket errors") {
        return None;
    }
    let per_second = report.lines().find_map(|line| line.strip_prefix("Requests/sec:"))?;
    let answered = report.lines().find_map(|line| line.split_once(" requests in "))?.0;
    Some(Requests { per_second: per_second.trim().parse().ok()?, answered: answered.trim().parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "\
Running 1s test @ http://127.0.0.1:1/v1/jobs
  1 threads and 4 connections
  12345 requests in 1.00s, 1.9MB read
Requests/sec:  12300.50
Transfer/sec:      1.9MB
";

    #[test]
    fn a_report_is_read() {
        assert_eq!(read(REPORT), Some(Requests { per_second: 12_300.5, answered: 12_345 }));
    }

    #[test]
    fn a_run_with_a_refused_request_has_no_figure() {
        assert_eq!(read(&format!("{REPORT}  Non-2xx or 3xx responses: 1\n")), None);
    }

    #[test]
    fn a_batch_is_json_with_the_declared_number_of_jobs() {
        let batch: serde_json::Value = serde_json::from_str(&Body::Batch.text()).expect("JSON");
        assert_eq!(batch["jobs"].as_array().map(Vec::len), Some(Body::Batch.jobs()));
    }
}
