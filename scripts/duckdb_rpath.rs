//! Build script of every package with a binary or a test that runs DuckDB: the program finds the library beside itself,
//! where a release has it, or else where the linker found it, wherever the target directory is.

#![allow(clippy::print_stdout, reason = "how a build script talks to cargo")]

/// Packages that have DuckDB only with their feature of that name; the others always have it.
const OPTIONAL: [&str; 2] = ["load", "warehouse"];

pub(crate) fn main() {
    println!("cargo:rerun-if-env-changed=DUCKDB_LIB_DIR");
    let is_optional = std::env::var("CARGO_PKG_NAME").is_ok_and(|name| OPTIONAL.contains(&name.as_str()));
    if is_optional && std::env::var_os("CARGO_FEATURE_DUCKDB").is_none() {
        return;
    }
    if let Ok(folder) = std::env::var("DUCKDB_LIB_DIR") {
        let is_macos = std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "macos");
        let beside = if is_macos { "@loader_path" } else { "$ORIGIN" };
        println!("cargo:rustc-link-arg=-Wl,-rpath,{beside}");
        println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
    }
}
