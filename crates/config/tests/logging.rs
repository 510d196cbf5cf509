//! The lines that arrive at stderr. This program starts itself as the process that logs.

use std::{
    env,
    fs::File,
    process::{Command, Output, Stdio},
    time::Duration,
};

use atode_config::{LogFormat, Logging, process};

/// The action and the log format of the child.
const ACT: &str = "LOGGING_TEST_ACT";
const FORMAT: &str = "LOGGING_TEST_FORMAT";

const HOSTILE: &str = "a\n2026-11-27T00:00:00Z  INFO forged\r\u{1b}[2J\0\u{7f}\u{85}\u{2028}\u{202e}z";

/// The process that the other tests start. Does nothing by itself.
#[test]
fn child() {
    let (Ok(act), Ok(format)) = (env::var(ACT), env::var(FORMAT)) else { return };
    let format = if format == "json" { LogFormat::Json } else { LogFormat::Text };
    let code = process::guard("child", || {
        process::begin(&Logging { format, ..Logging::default() }).map_err(|error| error.to_string())?;
        match act.as_str() {
            "hello" => {
                tracing::info!(queue = "mail", "hello");
                tracing::debug!("not at this level");
                tracing::info!(target: "actix_server::builder", "starting 2 workers");
            }
            "traced" => {
                let span = tracing::info_span!("job", trace_id = %"4bf9", span_id = %"00f0");
                let _inside = span.enter();
                tracing::info!("hello");
                let _own = tracing::info_span!("of a handler", trace_id = HOSTILE).entered();
                tracing::info!("hello again");
            }
            "hostile" => tracing::info!(debug = ?HOSTILE, text = HOSTILE, display = %HOSTILE, "{HOSTILE}"),
            "repeat" => {
                for n in 0..1_000 {
                    tracing::error!(request_id = n, error = "Redis is away", "not stored");
                    tracing::error!(request_id = n, error = "Redis is full", "not stored");
                    tracing::warn!(target: "job", n, "failed");
                    tracing::info!(n, "connected");
                    tracing::info!(target: "fleet", n, "another worker");
                }
                for n in 0..1_000 {
                    tracing::warn!("always another {n}");
                }
            }
            "panic" => panic!("at the\ndisco"),
            "fail" => return Err(HOSTILE.to_owned()),
            _ => unreachable!("{act}"),
        }
        Ok(())
    });
    println!("ended with {code:?}");
}

#[test]
fn a_line_of_text_goes_to_stderr_and_nothing_to_stdout() {
    let output = run("hello", "text", Stdio::piped());
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.contains(" INFO logging: hello queue=\"mail\""), "{line}");
    assert!(!String::from_utf8(output.stdout).unwrap().contains("hello"));
}

#[test]
fn a_line_of_json_is_one_flat_object() {
    let output = run("hello", "json", Stdio::piped());
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(line.starts_with("{\"timestamp\":"), "{line}");
    assert!(
        line.trim_end().ends_with(r#""level":"INFO","message":"hello","queue":"mail","target":"logging"}"#),
        "{line}"
    );
}

#[test]
fn a_line_of_json_ends_with_the_ids_of_its_trace() {
    let output = run("traced", "json", Stdio::piped());
    let lines = String::from_utf8(output.stderr).unwrap();
    assert_eq!(lines.lines().count(), 2, "{lines}");
    for line in lines.lines() {
        assert!(line.ends_with(r#","trace_id":"4bf9","span_id":"00f0"}"#), "{line}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_behind_stderr_does_not_end_the_process() {
    for act in ["hello", "panic", "fail"] {
        for format in ["text", "json"] {
            let full = File::options().write(true).open("/dev/full").unwrap();
            let output = run(act, format, Stdio::from(full));
            assert!(output.status.success(), "{output:?}");
            assert!(String::from_utf8(output.stdout).unwrap().contains("ended with"));
        }
    }
}

#[test]
fn an_event_is_one_line_whatever_is_in_it() {
    for (act, format) in [("hostile", "text"), ("hostile", "json"), ("fail", "text"), ("fail", "json")] {
        let log = String::from_utf8(run(act, format, Stdio::piped()).stderr).unwrap();
        let text = log.strip_suffix('\n').expect("a whole line");
        let is_harmless = |c: char| !c.is_control() && !"\u{2028}\u{202e}".contains(c);
        assert!(text.chars().all(is_harmless), "{act} {format}: {text:?}");
        assert!(text.contains("forged") && text.contains('z'), "{text}");
    }
}

#[test]
fn the_same_line_is_written_once_with_the_number_of_its_repeats() {
    for format in ["text", "json"] {
        let log = String::from_utf8(run("repeat", format, Stdio::piped()).stderr).unwrap();
        let lines = |words: &str| log.lines().filter(|line| line.contains(words)).collect::<Vec<_>>();
        let repeats = if format == "text" { "repeats=999" } else { "\"repeats\":999}" };
        for error in ["Redis is away", "Redis is full"] {
            let lines = lines(error);
            assert_eq!(lines.len(), 2, "{lines:?}");
            assert!(lines[1].contains(repeats) && lines[1].contains("999"), "{lines:?}");
        }
        // Each line is about another job or worker.
        assert_eq!(lines("failed").len(), 1_000);
        assert_eq!(lines("another worker").len(), 1_000);
        assert_eq!(lines("connected").len(), 2);
        // The messages differ, but people would still see a flood: some lines, then the number of the rest.
        let others = lines("always another");
        assert!((2..20).contains(&others.len()), "{others:?}");
    }
}

#[test]
fn a_panic_is_one_line_too() {
    let output = run("panic", "text", Stdio::piped());
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(log.contains(r"panicked: at the\ndisco") && log.contains("tests/logging.rs"), "{log}");
}

#[test]
fn a_process_ends_although_nobody_reads_its_log() {
    // The log is much larger than a pipe.
    let mut child = command("repeat", "text", Stdio::piped()).spawn().expect("this program starts again");
    let stderr = child.stderr.take();
    let ended = (0..3_000).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        child.try_wait().expect("a child of this process").is_some()
    });
    let _ = child.kill();
    assert!(ended, "the process does not end");
    drop(stderr);
}

fn run(act: &str, format: &str, stderr: Stdio) -> Output {
    command(act, format, stderr).output().expect("this program starts again")
}

fn command(act: &str, format: &str, stderr: Stdio) -> Command {
    let mut command = Command::new(env::current_exe().expect("this program is a file"));
    command.args(["--exact", "child", "--nocapture"]).env(ACT, act).env(FORMAT, format);
    command.env_remove("TZ").stdout(Stdio::piped()).stderr(stderr);
    for name in env::vars_os().map(|(name, _)| name).filter(|name| name.to_string_lossy().starts_with("APP_"))
    {
        command.env_remove(name);
    }
    command
}
