//! Run of every target over its whole corpus and some thousand mutations of it, the same ones each time. It takes a
//! few seconds, with the stable compiler. `scripts/fuzz` runs the fuzzer itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use fuzz_targets::{TARGETS, Target};

const MUTATIONS: usize = 4_000;
const LONGEST: usize = 4096;

fn fuzz_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

/// Returns the seeds, in an order that does not depend on the file system.
fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let folder = fuzz_folder().join("corpus").join(target.name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|_| panic!("{} has no corpus", target.name));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Returns the words of the fuzzer's dictionary.
fn words() -> Vec<Vec<u8>> {
    let text = fs::read_to_string(fuzz_folder().join("json.dict")).unwrap();
    let quoted = text.lines().filter_map(|line| line.strip_prefix('"')?.strip_suffix('"'));
    let word =
        |quoted: &str| quoted.replace("\\x0a", "\n").replace("\\\"", "\"").replace("\\\\", "\\").into_bytes();
    quoted.map(word).collect()
}

/// Makes one of a fuzzer's usual changes, at a random place.
fn mutate(input: &mut Vec<u8>, corpus: &[Vec<u8>], words: &[Vec<u8>], rng: &mut Rng) {
    let at = rng.usize(..=input.len());
    let end = (at + rng.usize(..=16)).min(input.len());
    match rng.u8(..8) {
        0 if at < input.len() => input[at] ^= 1 << rng.u8(..8),
        1 if at < input.len() => input[at] = rng.u8(..),
        2 => drop(input.drain(at..end)),
        3 => input.truncate(at),
        4 => input.insert(at, *rng.choice(br#"0123456789-"\{}[]:,ntfu.eE "#).unwrap()),
        5 => drop(input.splice(at..end, rng.choice(words).unwrap().iter().copied())),
        6 => {
            let other = rng.choice(corpus).unwrap();
            let from = rng.usize(..=other.len());
            let to = rng.usize(from..=other.len());
            input.splice(at..end, other[from..to].iter().copied());
        }
        _ => {
            let twice = input[at..end].to_vec();
            input.splice(at..at, twice);
        }
    }
    input.truncate(LONGEST);
}

fn run(target: &Target, input: &[u8]) {
    if catch_unwind(|| (target.run)(input)).is_err() {
        panic!("{} does not hold for {:?}", target.name, String::from_utf8_lossy(input));
    }
}

#[test]
fn every_target_holds_for_its_corpus_and_what_is_like_it() {
    let words = words();
    for target in TARGETS {
        let corpus = corpus(target);
        assert!(corpus.len() >= 3, "{} has a corpus of {}", target.name, corpus.len());
        corpus.iter().for_each(|input| run(target, input));
        let mut rng = Rng::with_seed(7);
        for _ in 0..MUTATIONS {
            let mut input = rng.choice(&corpus).unwrap().clone();
            for _ in 0..rng.usize(1..=6) {
                mutate(&mut input, &corpus, &words, &mut rng);
            }
            run(target, &input);
        }
    }
}

#[test]
fn every_target_is_a_program_of_the_fuzzer() {
    let manifest = fs::read_to_string(fuzz_folder().join("Cargo.toml")).unwrap();
    for target in TARGETS {
        let program = format!("fuzz_targets/{}.rs", target.name);
        assert!(manifest.contains(&format!("path = {program:?}")), "{program} is not in the manifest");
        let source = fs::read_to_string(fuzz_folder().join(&program)).unwrap();
        assert!(source.contains(&format!("fuzz_targets::{}(data)", target.name)), "{program}: {source}");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
}
