//! `generate`: writes the files of this repository that are made from the list of feeds. Only those who change the
//! source need it.

mod deploy;
mod feeds;
mod template;
mod terraform;

use std::path::Path;

use anyhow::Context;

use crate::args::Generate;
use crate::{dictionary, print};

const DEPLOY: &str = "docs/deploy.md";

/// Writes each file that differs from its generated text, and prints its name.
pub(crate) fn run(args: &Generate) -> anyhow::Result<bool> {
    for (path, text) in files(&args.repository)? {
        let file = args.repository.join(path);
        if read(&file)? != text {
            std::fs::write(&file, text).with_context(|| format!("can't write {}", file.display()))?;
            print::print(&format!("{path} is written anew"));
        }
    }
    Ok(true)
}

/// Returns the generated files: paths within the repository, and texts.
fn files(repository: &Path) -> anyhow::Result<[(&'static str, String); 6]> {
    let feeds = feeds::of_this_source();
    let template = template::template(&feeds);
    Ok([
        ("deploy/terraform/parameters.tf", terraform::parameters(&template)),
        ("deploy/terraform/outputs.tf", terraform::outputs(&template)),
        ("deploy/kubernetes/cronjob.yaml", template::kubernetes(&feeds)),
        ("template.yaml", template),
        ("docs/dictionary.md", dictionary::text()),
        (DEPLOY, deploy::deploy(&read(&repository.join(DEPLOY))?, &feeds)?),
    ])
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file)
        .with_context(|| format!("can't read {}: generate is for a checkout of the source", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_generated_file_is_as_the_code_has_it() {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for (path, text) in files(&repository).unwrap() {
            assert!(
                read(&repository.join(path)).unwrap() == text,
                "{path} is out of date: run make generate"
            );
        }
    }

    #[test]
    fn what_is_out_of_date_is_written_and_the_rest_is_left() {
        let repository = tempfile::tempdir().unwrap();
        std::fs::create_dir(repository.path().join("docs")).unwrap();
        let write = |path: &str, text: &str| std::fs::write(repository.path().join(path), text).unwrap();
        std::fs::create_dir_all(repository.path().join("deploy/terraform")).unwrap();
        std::fs::create_dir_all(repository.path().join("deploy/kubernetes")).unwrap();
        write("template.yaml", "old");
        write("deploy/kubernetes/cronjob.yaml", "old");
        write("deploy/terraform/parameters.tf", "old");
        write("deploy/terraform/outputs.tf", "old");
        write("docs/dictionary.md", "old");
        write(DEPLOY, include_str!("../../docs/deploy.md"));
        let args = Generate { repository: repository.path().to_owned() };
        assert!(run(&args).unwrap());
        for (path, text) in files(repository.path()).unwrap() {
            assert!(read(&repository.path().join(path)).unwrap() == text, "{path}");
        }
    }
}
