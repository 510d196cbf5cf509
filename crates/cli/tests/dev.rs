//! `./dev` from a developer's point of view, in a copy of the project's scripts. Nothing is built: `cargo` is a stand-in
//! that succeeds, and the binaries are those of this test run.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use atode_testkit::{Process, ProcessBuilder, RedisServer, binary, workspace_root};

/// Long enough for processes to start and to drain.
const DEADLINE: Duration = Duration::from_secs(180);

const CONFIG: &str = "api: { rate_limit: { enabled: false } }\n";

/// A copy of `dev`, `scripts` and `config`. `./dev down` ends whatever it has started.
struct Project {
    dir: tempfile::TempDir,
}

impl Project {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let root = workspace_root();
        copy(&root.join("dev"), &dir.path().join("dev"));
        copy(&root.join("scripts"), &dir.path().join("scripts"));
        let project = Project { dir };
        fs::create_dir_all(project.path("config/test")).expect("a folder");
        fs::write(project.path("config/test/cacheserver.yaml"), "").expect("a file");
        project.configure(CONFIG);
        fs::create_dir_all(project.path("bin")).expect("a folder");
        fs::write(project.path("bin/cargo"), "#!/bin/sh\nexit 0\n").expect("a file");
        fs::set_permissions(project.path("bin/cargo"), fs::Permissions::from_mode(0o755))
            .expect("it may run");
        fs::create_dir_all(project.path("target")).expect("a folder");
        let built = binary("worker");
        symlink(built.parent().expect("its folder"), project.path("target/debug")).expect("a link");
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn configure(&self, config: &str) {
        fs::write(self.path("config/test/config.yaml"), config).expect("a file");
    }

    fn dev(&self, args: &[&str]) -> ProcessBuilder {
        let path = format!("{}:{}", self.path("bin").display(), env::var("PATH").unwrap_or_default());
        Process::builder(self.path("dev"))
            .args(args)
            .current_dir(self.dir.path())
            .env("PATH", path)
            .env("CARGO_TARGET_DIR", self.path("target"))
            .env("APP_ENV", "test")
    }

    /// Exit code, stdout and stderr.
    fn run(&self, args: &[&str]) -> (i32, String, String) {
        let process = self.dev(args).start();
        let status = process.wait(DEADLINE);
        (status.code().expect("an exit code"), process.stdout(), process.stderr())
    }

    /// The pid of a process that `./dev` has recorded.
    fn pid(&self, name: &str) -> Option<u32> {
        let record = fs::read_to_string(self.path(&format!("logs/run/{name}.pid"))).ok()?;
        record.lines().next()?.parse().ok()
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let _ = Command::new(self.path("dev")).arg("down").output();
    }
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-R").arg(from).arg(to).status();
    assert!(status.is_ok_and(|status| status.success()), "cp {}", from.display());
}

#[test]
fn dev_uses_the_settings_of_up_and_restarts_every_worker() {
    let redis = RedisServer::start();
    let project = Project::new();
    let up = project
        .dev(&["up"])
        .env("APP__SERVER__PORT", "0")
        .env("APP__WORKER__PORT", "0")
        .env("APP__CACHE_SERVER__REDIS__JOBQUEUE__ADDR", redis.addr())
        .start();
    up.wait_for_stdout(|out| out.contains("Ctrl-C   stops everything"), DEADLINE);

    // This shell knows neither port nor Redis.
    let (code, status, err) = project.run(&["status"]);
    assert_eq!(code, 0, "{status}{err}");
    assert!(
        status.contains("/ answers") && status.contains(&redis.addr().replace("127.0.0.1", "")),
        "{status}"
    );

    let second = project.dev(&["worker"]).start();
    second.wait_for_stdout(|out| out.contains("worker-2 is running"), DEADLINE);
    let names = ["api-gateway", "worker", "worker-2"];
    let before = names.map(|name| project.pid(name));
    let (code, out, err) = project.run(&["restart"]);
    assert_eq!(code, 0, "{out}{err}");
    let after = names.map(|name| project.pid(name));
    for ((name, before), after) in names.iter().zip(before).zip(after) {
        assert!(after.is_some() && after != before, "{name}: {before:?}, then {after:?}\n{out}{err}");
        assert!(out.contains(&format!("{name} (pid {})", after.unwrap_or_default())), "{name}: {out}");
    }

    project.configure("server: { prot: 8080 }\n");
    let (code, out, err) = project.run(&["restart"]);
    assert_eq!(code, 1, "{out}");
    assert!(err.contains("server.prot: unknown key") && err.contains("keep running as they were"), "{err}");
    assert_eq!(names.map(|name| project.pid(name)), after);
    assert_eq!(project.run(&["status"]).0, 0, "the processes keep running");
    project.configure(CONFIG);

    let (code, out, err) = project.run(&["down", "worker-2"]);
    assert_eq!(code, 0, "{out}{err}");
    second.wait(DEADLINE);
    let (code, status, _) = project.run(&["status"]);
    assert!(code == 0 && !status.contains("worker-2"), "{status}");
    assert_eq!(project.run(&["down", "worker-2"]).0, 1, "it is gone");

    assert_eq!(project.run(&["down"]).0, 0);
    up.wait(DEADLINE);
    assert_eq!(project.run(&["status"]).0, 1, "nothing runs");
}

#[test]
fn a_command_that_does_not_answer_is_cut_off() {
    let script = format!(". {}/scripts/dev/lib/project.sh; within 1 sleep 100", workspace_root().display());
    let hanging = Process::builder("/bin/bash").args(["-c", &script]).start();
    assert_eq!(hanging.wait(Duration::from_secs(30)).code(), Some(1));
    let script = script.replace("sleep 100", "true");
    let quick = Process::builder("/bin/bash").args(["-c", &script]).start();
    assert_eq!(quick.wait(Duration::from_secs(30)).code(), Some(0));
}
