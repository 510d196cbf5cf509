//! `$EDITOR` on the parts of a job that can be changed.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use atode_queue::{JobId, JobView};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::spawn_blocking;

use crate::pretty::pretty;

/// The parts of a waiting job that can be changed, as JSON. Numbers of a payload stay as they are written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Draft {
    payload: Box<RawValue>,
    run_at: Option<String>,
    /// `null` stands for the retries of the kind, as in the API.
    #[serde(default, deserialize_with = "present")]
    max_retries: Option<Box<RawValue>>,
}

/// The value of a field that is there, even if it is `null`.
fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Deserialize::deserialize(value).map(Some)
}

impl Draft {
    pub(crate) fn of(job: &JobView) -> anyhow::Result<Self> {
        let max_retries = job.max_retries.map(|n| RawValue::from_string(n.to_string())).transpose()?;
        let run_at = job.due_at.map(|at| format!("{at:.3}"));
        Ok(Draft { payload: job.payload.clone(), run_at, max_retries })
    }

    /// JSON with these fields, each if it is set.
    fn json(payload: Option<&RawValue>, run_at: Option<&str>, max_retries: Option<&RawValue>) -> String {
        let fields = [
            payload.map(|payload| format!("\"payload\":{payload}")),
            run_at.map(|at| format!("\"run_at\":{}", serde_json::Value::from(at))),
            max_retries.map(|retries| format!("\"max_retries\":{retries}")),
        ];
        format!("{{{}}}", fields.into_iter().flatten().collect::<Vec<_>>().join(","))
    }

    fn text(&self) -> String {
        pretty(&Self::json(Some(&self.payload), self.run_at.as_deref(), self.max_retries.as_deref()))
    }

    /// A request for what differs, if anything does.
    fn changes(&self, edited: &Draft) -> Option<String> {
        let is_same = |a: &RawValue, b: &RawValue| pretty(a.get()) == pretty(b.get());
        let payload = (!is_same(&self.payload, &edited.payload)).then_some(&*edited.payload);
        let run_at = edited.run_at.as_deref().filter(|at| self.run_at.as_deref() != Some(*at));
        let own = self.max_retries.as_deref();
        let max_retries =
            edited.max_retries.as_deref().filter(|edited| !own.is_some_and(|own| is_same(own, edited)));
        (payload.is_some() || run_at.is_some() || max_retries.is_some())
            .then(|| Self::json(payload, run_at, max_retries))
    }
}

/// The file that was edited. It stays until the change is made, so that nothing that was typed is lost.
pub(crate) struct DraftFile(PathBuf);

impl DraftFile {
    pub(crate) fn remove(self) {
        let _ = fs::remove_file(self.0);
    }

    /// The context of an error after which the file stays.
    pub(crate) fn place(&self) -> String {
        format!("the edited text is in {}", self.0.display())
    }
}

/// Opens the editor. Returns the request for what was changed, if anything was.
pub(crate) async fn edit(draft: &Draft, id: JobId) -> anyhow::Result<(Option<String>, DraftFile)> {
    // Ctrl-C reaches all processes of the terminal, and is meant for the editor. From now on it does not end this one.
    let _received = [signal(SignalKind::interrupt())?, signal(SignalKind::quit())?];
    let file = DraftFile(std::env::temp_dir().join(format!("atode-{id}-{}.json", std::process::id())));
    let edited = edit_file(draft, &file.0).await;
    if file.0.exists() { Ok((edited.with_context(|| file.place())?, file)) } else { Ok((edited?, file)) }
}

async fn edit_file(draft: &Draft, path: &Path) -> anyhow::Result<Option<String>> {
    // A payload may be nobody else's business.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| writeln!(file, "{}", draft.text()));
    written.with_context(|| format!("cannot write {}", path.display()))?;
    let name = |variable| std::env::var(variable).ok().filter(|editor| !editor.is_empty());
    let editor = name("VISUAL").or_else(|| name("EDITOR")).unwrap_or_else(|| "vi".to_owned());
    // The variable may have arguments, such as `code --wait`. The shell, too, leaves Ctrl-C to the editor.
    let script = format!("trap : INT QUIT; {editor} \"$1\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh"]).arg(path);
    let ended = spawn_blocking(move || command.status()).await.context("the wait for the editor")?;
    let ended = ended.with_context(|| format!("cannot start the editor `{editor}`"))?;
    ensure!(ended.success(), "the editor `{editor}` failed ({ended}); set EDITOR, or use --payload");
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let edited: Draft = serde_json::from_str(&text).context("this is not the JSON of an edit")?;
    Ok(draft.changes(&edited))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_sent_and_numbers_stay_as_written() {
        let draft = |text: &str| serde_json::from_str::<Draft>(text).unwrap();
        let before = draft(r#"{"payload":{"n":1.10},"run_at":"2030-01-31T09:30:00.000Z","max_retries":3}"#);
        assert!(before.changes(&draft(&before.text())).is_none());
        let edited = draft(
            r#"{"payload":{"n":123456789012345678901234567890},"run_at":"2030-01-31T09:30:00.000Z","max_retries":3}"#,
        );
        let changes = before.changes(&edited);
        assert_eq!(changes.as_deref(), Some(r#"{"payload":{"n":123456789012345678901234567890}}"#));
        let edited = draft(r#"{"payload":{"n":1.10},"run_at":"2031-01-31T09:30:00Z","max_retries":4}"#);
        let changes = before.changes(&edited);
        assert_eq!(changes.as_deref(), Some(r#"{"run_at":"2031-01-31T09:30:00Z","max_retries":4}"#));
        let edited = draft(&before.text().replace("\"max_retries\": 3", "\"max_retries\": null"));
        assert_eq!(before.changes(&edited).as_deref(), Some(r#"{"max_retries":null}"#));
        assert!(serde_json::from_str::<Draft>(r#"{"payload":{},"kind":"a:b"}"#).is_err());
    }
}
