//! The operations of the API, their commands, and the cases in which these run both ways.

/// The object of a command. Each run gets a new one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Subject {
    None,
    Waiting,
    Dead,
    Worker,
    /// The kind `demo:slow` in the catalogue.
    Published,
    /// The same, with a definition that is held.
    Held,
}

/// Method and path of an operation, and the command for it.
pub(crate) const COMMANDS: &[(&str, &str, &str)] = &[
    ("GET", "/v1/jobs", "jobs"),
    ("POST", "/v1/jobs", "enqueue"),
    ("GET", "/v1/jobs/{id}", "job show"),
    ("DELETE", "/v1/jobs/{id}", "job rm"),
    ("GET", "/v1/jobs/{id}/explain", "job explain"),
    ("POST", "/v1/jobs/{id}/cancel", "job cancel"),
    ("POST", "/v1/jobs/{id}/run-now", "job run-now"),
    ("POST", "/v1/jobs/{id}/reschedule", "job reschedule"),
    ("POST", "/v1/jobs/{id}/redrive", "job redrive"),
    ("GET", "/v1/failures", "failures"),
    ("POST", "/v1/failures/{fingerprint}/redrive", "failures redrive"),
    ("GET", "/v1/kinds", "kinds"),
    ("DELETE", "/v1/kinds/{kind}", "kinds rm"),
    ("POST", "/v1/kinds/{kind}/accept", "kinds accept"),
    ("POST", "/v1/kinds/{kind}/reject", "kinds reject"),
    ("GET", "/v1/queues", "queues"),
    ("POST", "/v1/queues/{queue}/pause", "queue pause"),
    ("POST", "/v1/queues/{queue}/resume", "queue resume"),
    ("POST", "/v1/queues/{queue}/redrive", "queue redrive"),
    ("POST", "/v1/queues/{queue}/purge", "queue purge"),
    ("GET", "/v1/stats", "stats"),
    ("GET", "/v1/workers", "workers"),
    ("POST", "/v1/workers/{id}/quiet", "worker quiet"),
    ("POST", "/v1/workers/{id}/stop", "worker stop"),
];

/// Operations without a command, and why.
pub(crate) const NO_COMMAND: &[(&str, &str, &str)] = &[
    ("POST", "/v1/jobs/batch", "for programs; a shell runs `enqueue` once per job"),
    ("PATCH", "/v1/jobs/{id}", "`job reschedule` changes the due time"),
    ("GET", "/v1/events", "`--watch` draws a table again"),
    ("GET", "/v1/kinds/{kind}", "`kinds` shows all kinds"),
    ("GET", "/v1/queues/{queue}", "`queues` shows all queues"),
    ("GET", "/v1/queues/{queue}/scale", "for autoscalers; `queues` and `workers` have the numbers"),
];

/// Commands that are no operation of the API, and why.
pub(crate) const LOCAL_COMMANDS: &[(&str, &str)] = &[
    ("audit", "reads and repairs Redis directly"),
    ("check", "reads all payloads with this build, directly"),
    ("completions", "prints a script"),
    ("man", "writes files"),
    ("top", "a screen of other operations"),
];

const UNKNOWN: &str = "0190d3c2-7c3a-7b1e-8f00-5a2f6c1d9e4b";
const HELLO: &str = r#"{"message":"hi"}"#;
const WRONG: &str = r#"{"mesage":"hi"}"#;

/// Subject, exit code and arguments. `ID` stands for the id of the subject.
pub(crate) const CASES: &[(Subject, i32, &[&str])] = &[
    // First, while no other case has left dead jobs.
    (Subject::None, 0, &["queue", "purge", "default", "--state", "dead"]),
    (Subject::None, 0, &["kinds"]),
    // While no worker has registered.
    (Subject::Held, 0, &["kinds", "accept", "demo:slow"]),
    (Subject::Held, 0, &["kinds", "reject", "demo:slow"]),
    (Subject::Published, 1, &["kinds", "accept", "demo:slow"]),
    (Subject::Published, 0, &["kinds", "rm", "demo:slow"]),
    (Subject::None, 1, &["kinds", "rm", "no:such"]),
    (Subject::None, 0, &["queues"]),
    (Subject::None, 0, &["workers"]),
    (Subject::None, 0, &["stats", "--window", "24h", "--kind", "none:such"]),
    (Subject::None, 1, &["stats", "--queue", "nowhere"]),
    (Subject::None, 2, &["stats", "--window", "73h"]),
    (Subject::None, 0, &["enqueue", "demo:delay_print", "--payload", HELLO, "--delay", "1h"]),
    (
        Subject::None,
        0,
        &["enqueue", "demo:delay_print", "--run-at", "2027-01-31T09:30:00Z", "--queue", "default"],
    ),
    (Subject::None, 1, &["enqueue", "nope"]),
    (Subject::None, 1, &["enqueue", "demo:delay_print", "--payload", "[1]"]),
    (Subject::None, 1, &["enqueue", "demo:delay_print", "--payload", WRONG, "--max-retries", "1001"]),
    (Subject::None, 1, &["enqueue", "demo:delay_print", "--queue", "nowhere"]),
    (Subject::None, 1, &["enqueue", "demo:delay_print", "--run-at", "soon"]),
    (Subject::None, 2, &["enqueue", "demo:delay_print", "--delay", "soon"]),
    (Subject::None, 2, &["enqueue", "demo:delay_print", "--idempotency-key", ""]),
    (Subject::Waiting, 0, &["job", "show", "ID"]),
    (Subject::Dead, 0, &["job", "show", "ID"]),
    (Subject::None, 1, &["job", "show", UNKNOWN]),
    (Subject::Dead, 0, &["job", "explain", "ID"]),
    (Subject::None, 1, &["job", "explain", UNKNOWN]),
    (Subject::None, 2, &["job", "show", "123"]),
    (Subject::Waiting, 0, &["job", "cancel", "ID"]),
    (Subject::Dead, 1, &["job", "cancel", "ID"]),
    (Subject::None, 1, &["job", "cancel", UNKNOWN]),
    (Subject::Waiting, 0, &["job", "run-now", "ID"]),
    (Subject::Dead, 1, &["job", "run-now", "ID"]),
    (Subject::Waiting, 0, &["job", "reschedule", "ID", "--delay", "2h"]),
    (Subject::Waiting, 0, &["job", "reschedule", "ID", "--run-at", "2027-01-31T09:30:00Z"]),
    (Subject::Waiting, 1, &["job", "reschedule", "ID", "--run-at", "soon"]),
    (Subject::Waiting, 2, &["job", "reschedule", "ID"]),
    (Subject::Dead, 0, &["job", "redrive", "ID"]),
    (Subject::Waiting, 1, &["job", "redrive", "ID"]),
    (Subject::Waiting, 0, &["job", "rm", "ID"]),
    (Subject::None, 1, &["job", "rm", UNKNOWN]),
    (Subject::None, 0, &["jobs", "--state", "dead", "--kind", "demo:slow"]),
    (Subject::None, 0, &["jobs", "--search", "no such text & more", "--order", "asc", "--state", "ready"]),
    (Subject::None, 1, &["jobs", "--state", "gone", "--after", "soon"]),
    (Subject::None, 1, &["jobs", "--cursor", "x"]),
    (Subject::None, 1, &["jobs", "--queue", "nowhere"]),
    (Subject::None, 0, &["queue", "pause", "default"]),
    (Subject::None, 0, &["queue", "resume", "default"]),
    (Subject::None, 1, &["queue", "pause", "no where?"]),
    (Subject::Dead, 0, &["queue", "redrive", "default"]),
    (Subject::Dead, 0, &["queue", "purge", "default", "--state", "dead", "--kind", "demo:flaky"]),
    (Subject::None, 0, &["queue", "redrive", "default", "--kind", "demo:delay_print"]),
    (Subject::None, 1, &["queue", "redrive", "nowhere"]),
    (Subject::None, 2, &["queue", "purge", "default"]),
    (Subject::None, 2, &["queue", "purge", "default", "--state", "active"]),
    (Subject::None, 0, &["failures", "--kind", "demo:delay_print"]),
    (Subject::None, 1, &["failures", "--queue", "nowhere"]),
    (Subject::None, 0, &["failures", "redrive", "0123456789abcdef"]),
    (Subject::None, 1, &["failures", "redrive", "0123456789abcdef", "--queue", "nowhere"]),
    (Subject::None, 2, &["failures", "redrive", "123"]),
    (Subject::None, 0, &["bulk", "list"]),
    (Subject::None, 2, &["bulk", "list", "--limit", "0"]),
    (Subject::Dead, 0, &["bulk", "redrive", "--all", "--dry-run"]),
    (Subject::None, 0, &["bulk", "cancel", "--kind", "demo:slow", "--dry-run"]),
    (Subject::None, 1, &["bulk", "redrive", "--yes"]),
    (Subject::None, 1, &["bulk", "delete", "--kind", "demo:slow", "--yes"]),
    (Subject::None, 1, &["bulk", "run-now", "--queue", "nowhere", "--state", "ready", "--after", "soon"]),
    (Subject::None, 1, &["bulk", "redrive", "--queue", "nowhere", "--yes"]),
    (Subject::None, 1, &["bulk", "show", UNKNOWN]),
    (Subject::None, 1, &["bulk", "abort", UNKNOWN]),
    (Subject::None, 2, &["bulk", "abort", "123"]),
    (Subject::Worker, 0, &["worker", "quiet", "ID"]),
    (Subject::Worker, 0, &["worker", "stop", "ID"]),
    (Subject::None, 1, &["worker", "quiet", UNKNOWN]),
];
