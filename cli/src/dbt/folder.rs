//! The folder of a project. Only files that an earlier run wrote are written over or removed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, bail};

/// Lists the files that are ours, one path a line.
const MARKER: &str = ".hubspot-source-dbt";

/// Writes the files, and removes those of an earlier run that are not among them.
///
/// # Errors
/// If the folder holds other files and none of ours, or a file of somebody else's at a path of ours: nothing is written.
pub(crate) fn write(folder: &Path, files: &BTreeMap<String, String>) -> anyhow::Result<()> {
    let before = written(folder)?;
    let foreign: Vec<&String> =
        files.keys().filter(|path| !before.contains(*path) && folder.join(path).exists()).collect();
    if let Some(first) = foreign.first() {
        bail!(
            "{} is not a file that this command wrote: move it away, or choose another folder",
            folder.join(first).display()
        );
    }
    for path in before.iter().filter(|path| !files.contains_key(*path)) {
        match std::fs::remove_file(folder.join(path)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).context(format!("{} can't be removed", folder.join(path).display()));
            }
            _ => {}
        }
    }
    // First, so that a run that dies in the middle leaves no file that the next one takes for somebody else's.
    let all: BTreeSet<&str> = files.keys().chain(&before).map(String::as_str).collect();
    let list = |paths: &BTreeSet<&str>| paths.iter().map(|path| format!("{path}\n")).collect::<String>();
    put(folder, MARKER, &list(&all))?;
    files.iter().try_for_each(|(path, text)| put(folder, path, text))?;
    put(folder, MARKER, &list(&files.keys().map(String::as_str).collect()))
}

fn put(folder: &Path, path: &str, text: &str) -> anyhow::Result<()> {
    let path = folder.join(path);
    let failed = || format!("{} can't be written", path.display());
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).with_context(failed)?;
    }
    std::fs::write(&path, text).with_context(failed)
}

/// Returns the paths of the files that an earlier run wrote.
fn written(folder: &Path) -> anyhow::Result<BTreeSet<String>> {
    match std::fs::read_to_string(folder.join(MARKER)) {
        // A path that leads out of the folder is not ours, whoever wrote it there.
        Ok(list) => Ok(list.lines().filter(|path| is_within(path)).map(str::to_owned).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut entries = match std::fs::read_dir(folder) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
                entries => {
                    entries.with_context(|| format!("{} can't be read as a folder", folder.display()))?
                }
            };
            if entries.next().is_some() {
                bail!(
                    "the folder {} holds other files: choose another one; a project of yours can use it as a package",
                    folder.display()
                );
            }
            Ok(BTreeSet::new())
        }
        Err(error) => Err(error).context(format!("{} can't be read", folder.join(MARKER).display())),
    }
}

fn is_within(path: &str) -> bool {
    use std::path::Component;
    !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(of: &[(&str, &str)]) -> BTreeMap<String, String> {
        of.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn a_second_run_writes_over_its_own_files_and_leaves_all_others() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join("dbt").join(path);
        write(&folder.path().join("dbt"), &files(&[("a.yml", "1"), ("models/old.sql", "1")])).unwrap();
        std::fs::write(at("models/mine.sql"), "mine").unwrap();
        write(&folder.path().join("dbt"), &files(&[("a.yml", "2")])).unwrap();
        assert_eq!(std::fs::read_to_string(at("a.yml")).unwrap(), "2");
        assert!(!at("models/old.sql").exists());
        assert_eq!(std::fs::read_to_string(at("models/mine.sql")).unwrap(), "mine");
        let refused = write(&folder.path().join("dbt"), &files(&[("models/mine.sql", "ours")])).unwrap_err();
        assert!(refused.to_string().contains("not a file that this command wrote"), "{refused}");
        assert_eq!(std::fs::read_to_string(at("models/mine.sql")).unwrap(), "mine");
    }

    #[test]
    fn a_folder_with_other_files_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("dbt_project.yml"), "mine").unwrap();
        let refused = write(folder.path(), &files(&[("models/sources.yml", "")])).unwrap_err().to_string();
        assert!(refused.contains("holds other files"), "{refused}");
        assert!(!folder.path().join("models").exists());
    }

    #[test]
    fn nothing_outside_of_the_folder_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (outside, inside) = (folder.path().join("outside"), folder.path().join("dbt"));
        std::fs::write(&outside, "kept").unwrap();
        std::fs::create_dir(&inside).unwrap();
        std::fs::write(inside.join(MARKER), format!("../outside\n{}\n", outside.display())).unwrap();
        write(&inside, &files(&[("a", "")])).unwrap();
        assert!(outside.exists());
    }
}
