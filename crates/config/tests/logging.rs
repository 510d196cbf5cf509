//! What arrives at stderr, seen from outside: this program runs itself as the one that logs.

use std::{
    env,
    fs::File,
    process::{Command, Output, Stdio},
};

use atode_config::{LogFormat, Logging, logging};

const FORMAT: &str = "LOGGING_TEST_FORMAT";

/// Does nothing unless another test runs it.
#[test]
fn child() {
    let Ok(format) = env::var(FORMAT) else { return };
    let format = if format == "json" { LogFormat::Json } else { LogFormat::Text };
    let settings = Logging { format, ..Logging::default() };
    tracing::subscriber::set_global_default(logging::subscriber(&settings)).unwrap();
    tracing::info!(queue = "mail", "hello");
    tracing::debug!("not at this level");
    println!("still alive");
}

#[test]
fn a_line_of_text_goes_to_stderr_and_nothing_to_stdout() {
    let output = run("text", Stdio::piped());
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.contains(" INFO logging: hello queue=\"mail\""), "{line}");
    assert!(!String::from_utf8(output.stdout).unwrap().contains("hello"));
}

#[test]
fn a_line_of_json_is_one_flat_object() {
    let output = run("json", Stdio::piped());
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(line.starts_with("{\"timestamp\":"), "{line}");
    assert!(
        line.trim_end().ends_with(r#""level":"INFO","message":"hello","queue":"mail","target":"logging"}"#),
        "{line}"
    );
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_behind_stderr_does_not_end_the_process() {
    for format in ["text", "json"] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = run(format, Stdio::from(full));
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8(output.stdout).unwrap().contains("still alive"));
    }
}

fn run(format: &str, stderr: Stdio) -> Output {
    let program = env::current_exe().expect("this program is a file");
    let arguments = ["--exact", "child", "--nocapture"];
    Command::new(program).args(arguments).env(FORMAT, format).stderr(stderr).output().expect("it runs again")
}
