//! What a result says about the program that measured: compiler, features and, in a release build, the commit. No git
//! is needed, and a debug build does not depend on the commit, so that a commit rebuilds nothing.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())).arg("--version").output();
    if let Some(version) = rustc.ok().and_then(|output| String::from_utf8(output.stdout).ok()) {
        println!("cargo:rustc-env=MQTOOLS_RUSTC={}", version.trim());
    }
    let features = env::vars().filter_map(|(name, _)| Some(name.strip_prefix("CARGO_FEATURE_")?.to_ascii_lowercase()));
    let mut features: Vec<String> = features.filter(|feature| feature != "default").collect();
    features.sort();
    println!("cargo:rustc-env=MQTOOLS_FEATURES={}", features.join(" "));
    if env::var("PROFILE").as_deref() == Ok("release")
        && let Some(commit) = commit()
    {
        println!("cargo:rustc-env=MQTOOLS_GIT={commit}");
    }
}

/// The commit that HEAD points to. A worktree, whose `.git` is a file, has none here.
fn commit() -> Option<String> {
    let git = Path::new(&env::var_os("CARGO_MANIFEST_DIR")?).join(".git");
    let read = |file: &str| {
        let path = git.join(file);
        println!("cargo:rerun-if-changed={}", path.display());
        fs::read_to_string(path).ok()
    };
    let head = read("HEAD")?;
    let commit = match head.trim().strip_prefix("ref: ") {
        None => head.trim().to_owned(),
        Some(branch) => match read(branch) {
            Some(commit) => commit.trim().to_owned(),
            None => read("packed-refs")?
                .lines()
                .find_map(|line| line.strip_suffix(branch)?.split(' ').next().map(str::to_owned))?,
        },
    };
    (commit.len() >= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(commit)
}
