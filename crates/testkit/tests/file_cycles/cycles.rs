//! Groups of files that all depend on each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::uses::Use;

pub(crate) struct Cycle {
    pub(crate) files: BTreeSet<PathBuf>,
    /// The first use of one file by another, for each pair of these files that has one.
    uses: Vec<Use>,
}

impl Cycle {
    /// The cycle's files and the lines that make it, relative to `folder`.
    pub(crate) fn show(&self, folder: &Path) -> String {
        let show = |file: &Path| file.strip_prefix(folder).unwrap_or(file).display().to_string();
        let files: Vec<String> = self.files.iter().map(|file| show(file)).collect();
        let mut text = format!("cycle: {}\n", files.join(", "));
        for Use { from, line, to, path } in &self.uses {
            let _ = writeln!(text, "  {}:{line} uses {}: {path}", show(from), show(to));
        }
        text
    }
}

pub(crate) fn cycles(uses: Vec<Use>) -> Vec<Cycle> {
    let mut targets: BTreeMap<PathBuf, BTreeSet<PathBuf>> = BTreeMap::new();
    for one in &uses {
        targets.entry(one.from.clone()).or_default().insert(one.to.clone());
    }
    let reached: BTreeMap<&PathBuf, BTreeSet<&PathBuf>> =
        targets.keys().map(|file| (file, reached_from(file, &targets))).collect();
    let mut cycles: BTreeMap<BTreeSet<PathBuf>, Vec<Use>> = BTreeMap::new();
    for one in uses {
        let is_back = |from: &PathBuf| reached.get(from).is_some_and(|files| files.contains(&one.from));
        if !is_back(&one.to) {
            continue;
        }
        let files = reached[&one.from].iter().filter(|file| is_back(file)).map(|file| (*file).clone());
        cycles.entry(files.collect()).or_default().push(one);
    }
    cycles.into_iter().map(|(files, uses)| Cycle { files, uses }).collect()
}

fn reached_from<'a>(
    file: &PathBuf,
    targets: &'a BTreeMap<PathBuf, BTreeSet<PathBuf>>,
) -> BTreeSet<&'a PathBuf> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&PathBuf> = targets.get(file).into_iter().flatten().collect();
    while let Some(file) = next.pop() {
        if reached.insert(file) {
            next.extend(targets.get(file).into_iter().flatten());
        }
    }
    reached
}
