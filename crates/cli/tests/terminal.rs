//! The parts of the command line that are for people: colors, `--watch`, completions, man pages.

mod support;

use std::time::Duration;

use atode_testkit::{Gateway, Process, RedisServer, Worker, eventually};
use serde_json::json;
use support::{Ended, atode, run};

const DEADLINE: Duration = Duration::from_secs(30);

/// A command on a terminal of 80 columns, with its variables. `script` gives it the terminal.
fn on_a_terminal(gateway: &Gateway, variables: &str, command: &str) -> String {
    let ended = ends_on_a_terminal(gateway, variables, command);
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    ended.out
}

fn ends_on_a_terminal(gateway: &Gateway, variables: &str, command: &str) -> Ended {
    let line = format!(
        "stty cols 80 rows 24; exec env {variables} ATODE_URL={} {} {command}",
        gateway.base_url(),
        env!("CARGO_BIN_EXE_atode")
    );
    // Ctrl-C ends a `sh` that waits, so `atode` takes its place. Without `SHELL`, `script` starts `/bin/sh`.
    // The library takes every terminal for one with colors if `CI` is set, whatever `TERM` says.
    let script = Process::builder("/usr/bin/script")
        .env("TERM", "xterm")
        .env_remove("NO_COLOR")
        .env_remove("CI")
        .env_remove("SHELL");
    run(script.args(["--quiet", "--return", "--command", &line, "/dev/null"]))
}

#[test]
fn colors_are_for_terminals_only() {
    let redis = RedisServer::start();
    let gateway = Gateway::start(&redis);
    let _worker = Worker::start(&redis);
    eventually("the worker is registered", DEADLINE, || {
        (gateway.get("/v1/workers").json()["items"].as_array()?.len() == 1).then_some(())
    });
    let piped = run(atode().env("ATODE_URL", gateway.base_url()).arg("workers"));
    assert!(piped.out.contains("running") && !piped.out.contains('\u{1b}'), "{}", piped.out);
    if !std::path::Path::new("/usr/bin/script").exists() {
        return;
    }
    let colored = on_a_terminal(&gateway, "", "workers");
    assert!(colored.contains("\u{1b}[32mrunning\u{1b}[0m"), "{colored:?}");
    for variables in ["NO_COLOR=1", "TERM=dumb"] {
        let plain = on_a_terminal(&gateway, variables, "workers");
        assert!(plain.contains("running") && !plain.contains('\u{1b}'), "{variables}: {plain:?}");
        assert!(plain.lines().all(|line| line.trim_end().chars().count() <= 80), "{plain}");
    }
}

#[test]
fn watch_draws_until_the_job_has_finished() {
    let redis = RedisServer::start();
    let gateway = Gateway::start(&redis);
    let id =
        gateway.post("/v1/jobs", &json!({"kind": "demo:delay_print", "delay": "0s"})).json()["id"].clone();
    let id = id.as_str().expect("an id");
    let watch =
        atode().env("ATODE_URL", gateway.base_url()).args(["job", "show", id, "--watch=100ms"]).start();
    watch.wait_for_stdout(|out| out.matches("ready").count() >= 2, DEADLINE);
    let _worker = Worker::start(&redis);
    assert!(watch.wait(DEADLINE).success());
    assert!(watch.stdout().contains("completed"), "{}", watch.stdout());

    for wrong in ["--watch=1ms", "--watch=soon"] {
        assert_eq!(run(atode().args(["queues", wrong])).code, 2);
    }
}

#[test]
fn watch_outlasts_a_gateway_that_restarts() {
    let redis = RedisServer::start();
    let gateway = Gateway::start(&redis);
    let (port, url) = (gateway.port(), gateway.base_url().to_owned());
    let watch = atode().env("ATODE_URL", url).args(["queues", "--watch=100ms"]).start();
    watch.wait_for_stdout(|out| out.contains("default"), DEADLINE);
    drop(gateway);
    watch.wait_for_stderr(|err| err.contains("no gateway can be reached"), DEADLINE);
    let seen = watch.stdout().len();
    let _gateway = Gateway::builder(&redis.addr()).port(port).start();
    watch.wait_for_stdout(|out| out[seen..].matches("default").count() > 2, DEADLINE);
    assert!(watch.try_exit().is_none());
}

#[test]
fn long_work_shows_its_progress_on_a_terminal_only() {
    let redis = RedisServer::start();
    let gateway = Gateway::start(&redis);
    let fill = || {
        let jobs = json!({"jobs": vec![json!({"kind": "demo:delay_print", "delay": "1h"}); 1_000]});
        for _ in 0..3 {
            assert_eq!(gateway.post("/v1/jobs/batch", &jobs).status, 200);
        }
    };
    let purge = "queue purge default --state scheduled";
    fill();
    let piped = run(atode().env("ATODE_URL", gateway.base_url()).args(purge.split(' ')));
    assert_eq!((piped.out.as_str(), piped.err.as_str()), ("3000 jobs are removed\n", ""));
    if !std::path::Path::new("/usr/bin/script").exists() {
        return;
    }
    for (variables, is_shown) in [("", true), ("TERM=dumb", false)] {
        fill();
        let shown = on_a_terminal(&gateway, variables, purge);
        assert_eq!(shown.contains("1,000 of 3,000 jobs removed ["), is_shown, "{shown:?}");
        assert!(shown.trim_end().ends_with("3000 jobs are removed"), "{shown:?}");
    }
}

#[test]
fn an_edit_without_arguments_opens_the_editor_and_keeps_the_change_of_another() {
    if !std::path::Path::new("/usr/bin/script").exists() {
        return;
    }
    let redis = RedisServer::start();
    let gateway = Gateway::start(&redis);
    let job = json!({"kind": "demo:delay_print", "delay": "1h", "payload": {"message": "one"}});
    let id = gateway.post("/v1/jobs", &job).json()["id"].as_str().expect("an id").to_owned();
    let message = || gateway.get(&format!("/v1/jobs/{id}")).json()["payload"]["message"].clone();
    let edit = |editor: &str, command: &str| {
        ends_on_a_terminal(&gateway, &format!("EDITOR=\"{editor}\""), &format!("job edit {command}"))
    };
    let edited = edit("sed -i s/one/two/", &id);
    assert_eq!((edited.code, message()), (0, json!("two")), "{}", edited.out);
    let same = edit("true", &id);
    assert!(same.code == 0 && same.out.contains("is not changed"), "{}", same.out);

    let folder = tempfile::tempdir().expect("a folder");
    let editor = folder.path().join("editor");
    let (atode, url) = (env!("CARGO_BIN_EXE_atode"), gateway.base_url());
    let script = format!("{atode} --url {url} job reschedule {id} --delay 2h\nsed -i s/two/three/ $1\n");
    std::fs::write(&editor, script).expect("an editor");
    let refused = edit(&format!("sh {}", editor.display()), &id);
    assert_eq!((refused.code, message()), (1, json!("two")), "{}", refused.out);
    for text in ["was changed since it was read", "with its present ETag", "the edited text is in"] {
        assert!(refused.out.contains(text), "{text}: {}", refused.out);
    }
    let broken = edit("sed -i s/}/]/", &id);
    assert!(broken.code == 1 && broken.out.contains("not the JSON of an edit"), "{}", broken.out);

    // Ctrl-C reaches the editor and `atode`.
    std::fs::write(&editor, "trap '' INT\nkill -INT 0\nsed -i s/two/four/ $1\n").expect("an editor");
    let edited = edit(&format!("sh {}", editor.display()), &id);
    assert_eq!((edited.code, message()), (0, json!("four")), "{}", edited.out);
}

#[test]
fn completions_and_man_pages_name_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let ended = run(atode().env("APP_CONFIG_DIR", "/nowhere").args(["completions", shell]));
        assert_eq!(ended.code, 0, "{}", ended.err);
        for word in ["reschedule", "key-file", "purge", "once", "if-match", "in-production"] {
            assert!(ended.out.contains(word), "{shell}: {word}");
        }
    }
    assert_eq!(run(atode().args(["completions", "csh"])).code, 2);
    let folder = tempfile::tempdir().expect("a folder");
    let pages = folder.path().join("man1");
    assert_eq!(run(atode().arg("man").arg(&pages)).code, 0);
    for page in [
        "atode.1",
        "atode-job-reschedule.1",
        "atode-queue-purge.1",
        "atode-top.1",
        "atode-job-edit.1",
        "atode-demo.1",
    ] {
        let text = std::fs::read_to_string(pages.join(page)).expect(page);
        assert!(text.contains(".TH"), "{page}");
    }
}

#[test]
fn a_man_page_has_a_dated_footer_the_usage_and_the_variables_of_options() {
    let folder = tempfile::tempdir().expect("a folder");
    let man = atode().env("SOURCE_DATE_EPOCH", "1800000000").arg("man").arg(folder.path());
    assert_eq!(run(man).code, 0);
    let page = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect(name);
    let enqueue = page("atode-enqueue.1");
    assert!(enqueue.contains(".TH atode-enqueue 1 2027-01-15 \"atode "), "{enqueue}");
    for text in ["\\fBatode enqueue\\fR [OPTIONS] <KIND>", "\\fBATODE_URL\\fR", "\\fBAPP_ENV\\fR"] {
        assert!(enqueue.contains(text), "{text}\n{enqueue}");
    }
    for entry in folder.path().read_dir().expect("the pages") {
        let path = entry.expect("a page").path();
        let text = std::fs::read_to_string(&path).expect("text");
        assert!(!text.contains('`'), "{}", path.display());
    }
}

#[test]
fn commands_that_always_go_to_redis_do_not_list_the_options_of_a_gateway() {
    for command in ["audit", "check"] {
        for args in [[command, "--help"], ["help", command]] {
            let help = run(atode().args(args)).out;
            assert!(help.contains("--queue") && help.contains("--config-dir"), "{help}");
            assert!(!help.contains("--url") && !help.contains("--key-file"), "{help}");
        }
    }
    let help = run(atode().args(["queues", "--help"])).out;
    assert!(help.contains("--url") && help.contains("--key-file"), "{help}");
}
