//! The reference in `docs/configuration.md` lists every key. Defaults and meanings come from `config/develop`, allowed
//! values from the errors that the code prints.

use super::*;

const START: &str = "<!-- Generated from config/develop/*.yaml by the tests of crates/config. Edit those files instead. -->\n";

#[test]
fn the_reference_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut tables = String::new();
    for file in ["config.yaml", "cacheserver.yaml"] {
        let text = fs::read_to_string(root.join("config/develop").join(file)).unwrap();
        tables.extend(["\n## ", file, "\n"]);
        tables.extend(entries(&text).iter().map(|entry| entry.markdown(file)));
    }
    let path = root.join("docs/configuration.md");
    let document = fs::read_to_string(&path).unwrap();
    let (introduction, reference) = document.split_once(START).expect("the line before the reference");
    if env::var_os("WRITE_REFERENCE").is_some() {
        fs::write(&path, [introduction, START, &tables].concat()).unwrap();
    } else {
        let hint = "the reference is out of date: run WRITE_REFERENCE=1 cargo test -p atode-config reference";
        assert!(reference == tables, "{hint}");
    }
}

/// A line of YAML: a section, or a key with its value.
struct Entry {
    /// `server.port`
    path: String,
    /// Empty for a section.
    value: String,
    /// Whether the line is commented out, so that its value is an example and not the default.
    is_example: bool,
    comment: String,
}

fn entries(yaml: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut parents: Vec<(usize, &str)> = Vec::new();
    for line in yaml.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let content = line.trim_start();
        let indent = line.len() - content.len();
        let is_example = content.starts_with("# ");
        if is_example && indent > 20 {
            let comment = &mut entries.last_mut().unwrap().comment;
            *comment = format!("{comment} {}", &content[2..]);
            continue;
        }
        let content = content.trim_start_matches("# ");
        let (name, rest) = content.split_once(':').unwrap();
        let (value, comment) = rest.split_once(" # ").unwrap_or((rest, ""));
        parents.retain(|(outer, _)| *outer < indent);
        parents.push((indent, name));
        let path = parents.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(".");
        entries.push(Entry { path, value: value.trim().to_owned(), is_example, comment: comment.to_owned() });
    }
    entries
}

impl Entry {
    fn markdown(&self, file: &str) -> String {
        let path = self.path.replace("queues.default.", "queues.<name>.");
        if self.value.is_empty() && self.comment.is_empty() {
            return String::new(); // a section that holds only sections
        }
        if self.value.is_empty() {
            let comment = sentence(&self.comment);
            return format!(
                "\n### `{path}`\n\n{comment}\n\n| key | default | value | meaning |\n| --- | --- | --- | --- |\n"
            );
        }
        let allowed = allowed_values(file, &self.path);
        let (meaning, default) = match self.comment.split_once(" Default: ") {
            Some((meaning, default)) => (meaning, default.to_owned()),
            None if self.is_example => (self.comment.as_str(), "not set".to_owned()),
            None => (self.comment.as_str(), format!("`{}`", self.value)),
        };
        // The comment repeats the range, for readers of the file.
        let meaning = match meaning.split_once(": ") {
            Some((range, meaning)) if range.starts_with(|c: char| c.is_ascii_digit()) => {
                assert!(allowed.contains(range), "{}: not {range} but {allowed}", self.path);
                meaning
            }
            _ => meaning,
        };
        format!("| `{path}` | {default} | {allowed} | {} |\n", sentence(meaning))
    }
}

fn sentence(comment: &str) -> String {
    let (first, rest) = comment.split_at(1);
    let text = first.to_uppercase() + rest.trim_end_matches('.') + ".";
    ["redis-acl.md", "traces.md"]
        .iter()
        .fold(text, |text, page| text.replace(&format!("docs/{page}"), &format!("[{page}]({page})")))
}

/// The words in which the code refuses a value that suits no key.
fn allowed_values(file: &str, path: &str) -> String {
    let wrong = path.rsplit('.').fold("[[]]".to_owned(), |inner, key| format!("{{ {key}: {inner} }}"));
    let (config, cache_server) = if file == "config.yaml" { (wrong.as_str(), "") } else { ("", &*wrong) };
    let line = load_files(config, cache_server, &[]).map(|_| ()).expect_err(path);
    let (key, expected) = line.split_once(": expected ").unwrap_or_else(|| panic!("{line}"));
    let (expected, _) = expected.rsplit_once(", found ").unwrap_or_else(|| panic!("{line}"));
    // The introduction of the document says this once.
    let expected = [", with its unit", ", in quotes"]
        .into_iter()
        .fold(expected, |text, hint| text.split_once(hint).map_or(text, |(allowed, _)| allowed));
    if key.ends_with("[0]") { format!("a list; each item is {expected}") } else { expected.to_owned() }
}
