//! The blocks of docs/guide.md, put together to one program per language, with a real gateway and a real worker.
//!
//! A language that is not installed is skipped with a line on stderr. scripts/check-guide.sh installs TypeScript's
//! compiler and sets `ATODE_TEST_GUIDE=all`, which lets nothing be skipped.

#![expect(clippy::print_stderr, reason = "a language that was skipped must not look like one that passed")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use atode_testkit::{Gateway, RedisServer, Worker, workspace_root};
use support::gateway;

const GUIDE: &str = include_str!("../../../docs/guide.md");

/// All blocks of a language, one behind the other.
fn program(language: &str) -> String {
    let (fence, mut program) = (format!("```{language}"), String::new());
    let mut is_inside = false;
    for line in GUIDE.lines() {
        match line {
            "```" => is_inside = false,
            line if line == fence => is_inside = true,
            line if is_inside => program.extend([line, "\n"]),
            _ => {}
        }
    }
    program
}

struct System {
    _redis: RedisServer,
    gateway: Gateway,
    _worker: Worker,
    folder: tempfile::TempDir,
}

impl System {
    fn start() -> Self {
        let redis = RedisServer::start();
        let (gateway, worker) = (gateway(&redis), Worker::start(&redis));
        System { gateway, _worker: worker, _redis: redis, folder: tempfile::tempdir().expect("a folder") }
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).expect("a file");
        path
    }

    /// Runs a step of the program. Its output has to contain these words.
    #[track_caller]
    fn run(&self, command: &mut Command, words: &[&str]) {
        let command = command.current_dir(self.folder.path()).env("ATODE_URL", self.gateway.base_url());
        let Output { status, stdout, stderr } = command.output().expect("it is installed");
        let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        assert!(status.success(), "{command:?}: {status}\n{out}{err}");
        for word in words {
            assert!(out.contains(word), "{word} is missing in: {out}{err}");
        }
    }
}

fn is_installed(program: &str, version: &str) -> bool {
    Command::new(program).arg(version).output().is_ok_and(|output| output.status.success())
}

fn skipped(language: &str, missing: &str) {
    let needs_all = std::env::var("ATODE_TEST_GUIDE").is_ok_and(|wanted| wanted == "all");
    assert!(!needs_all, "the guide's {language} cannot run: {missing} is missing");
    eprintln!("skipped: the guide's {language}, because {missing} is missing");
}

#[test]
fn the_guides_curl_commands_run() {
    if !is_installed("jq", "--version") {
        return skipped("curl", "jq");
    }
    let system = System::start();
    let script = system.write("guide.sh", &format!("set -euo pipefail\n{}", program("sh")));
    let words =
        ["scheduled", "\"completed\"", "completed: It completed", "corrected", "faster", "/payload/mesage"];
    system.run(Command::new("bash").arg(script), &words);
}

#[test]
fn the_guides_python_runs() {
    if !is_installed("python3", "--version") {
        return skipped("Python", "python3");
    }
    let system = System::start();
    let script = system.write("guide.py", &program("python"));
    system.run(Command::new("python3").arg(script), &["scheduled", "failed on purpose", "/kind", "snapshot"]);
}

#[test]
fn the_guides_typescript_compiles_and_runs() {
    let modules = workspace_root().join("target/guide/node_modules");
    let compiler = modules.join(".bin/tsc");
    if !compiler.is_file() || !is_installed("node", "--version") {
        return skipped("TypeScript", "the compiler that scripts/check-guide.sh installs");
    }
    let system = System::start();
    system.write("package.json", r#"{"type": "module"}"#);
    let source = system.write("guide.ts", &format!("{}\nexport {{}};\n", program("ts")));
    let options =
        ["--strict", "--skipLibCheck", "--target", "es2022", "--module", "nodenext", "--types", "node"];
    let types = modules.join("@types");
    let compile = &mut Command::new(compiler);
    system.run(compile.args(options).arg("--typeRoots").arg(types).arg(source), &[]);
    let words = ["200 true true", "scheduled", "not_due", "failed on purpose", "/kind", "snapshot"];
    system.run(Command::new("node").arg("guide.js"), &words);
}

#[test]
fn the_guides_go_runs() {
    if !is_installed("go", "version") {
        return skipped("Go", "go");
    }
    let system = System::start();
    system.write("go.mod", "module guide\n\ngo 1.24\n");
    let source = system.write("main.go", &program("go"));
    let go = |arguments: &[&str], source: &Path| {
        let mut command = Command::new("go");
        command.args(arguments).arg(source).env("GOFLAGS", "-mod=mod").env("GOTOOLCHAIN", "local");
        command
    };
    system.run(&mut go(&["vet"], &source), &[]);
    let words =
        ["true", "scheduled", "completed", "failed on purpose", "corrected", "/kind", "snapshot true"];
    system.run(&mut go(&["run"], &source), &words);
}
