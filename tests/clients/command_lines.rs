//! What all tools do alike with their command lines, as processes: options files that cannot be reached, names that a
//! broker may reject, arguments that are not text, too few file descriptors.

#![cfg(unix)]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::process::Command;

use crate::support::{process, tool};

const TOOLS: [(&str, &[&str]); 4] = [
    (env!("CARGO_BIN_EXE_mqpub"), &["-t", "t", "-m", "x"]),
    (env!("CARGO_BIN_EXE_mqsub"), &["-t", "t", "-W", "5"]),
    (env!("CARGO_BIN_EXE_mqrr"), &["-t", "t", "-e", "r", "-m", "x", "-W", "5"]),
    (env!("CARGO_BIN_EXE_mqbench"), &["conn", "--clients", "1", "--connect-timeout", "5s"]),
];

/// How a tool ended against a port where nobody listens.
fn run(command: &mut Command) -> (Option<i32>, String) {
    let output = process::run(command.args(["-h", "127.0.0.1", "-p", "1"]));
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_default_options_file_out_of_reach_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    // Links in a circle, and a file where a folder is to be: what a home of somebody else looks like even to root.
    std::fs::create_dir(path("circle")).unwrap();
    std::os::unix::fs::symlink(".config", path("circle/.config")).unwrap();
    std::fs::create_dir(path("file")).unwrap();
    std::fs::write(path("file/.config"), "").unwrap();
    for (tool, arguments) in TOOLS {
        for home in ["circle", "file", "missing"] {
            let mut command = tool::command(tool, arguments);
            let (code, stderr) = run(command.env_remove("XDG_CONFIG_HOME").env("HOME", path(home)));
            assert_eq!(code, Some(1), "{tool} {home}: {stderr}");
            assert!(stderr.contains("connection refused") && !stderr.contains("options file"), "{tool}: {stderr}");
        }
        // Whoever names one wants it.
        let named = path("circle/.config").display().to_string();
        let (code, stderr) = run(tool::command(tool, arguments).args(["-o", &named]));
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.starts_with(&format!("Error: cannot read the options file '{named}': ")), "{stderr}");
    }
}

#[test]
fn an_exposed_secret_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pw");
    std::fs::write(&file, "secret\n").unwrap();
    let mode = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(folder.path(), 0o755);
    let more = ["-u", "me", "--pw-file", file.to_str().unwrap()];
    let is_refused = |tool: &str, arguments: &[&str]| {
        let (code, stderr) = run(tool::command(tool, arguments).args(more));
        let is_named = stderr.contains("is readable by every user of this machine\nHint: run chmod 600");
        assert_eq!(code == Some(2), is_named, "{tool}: {stderr}");
        is_named
    };
    for (tool, arguments) in TOOLS {
        mode(&file, 0o644);
        assert!(is_refused(tool, arguments), "{tool}");
        // Nobody gets to it.
        mode(folder.path(), 0o700);
        assert!(!is_refused(tool, arguments), "{tool}");
        mode(folder.path(), 0o755);
        mode(&file, 0o640);
        assert!(!is_refused(tool, arguments), "{tool}");
    }
}

/// Nothing connects, so that no message is lost in silence.
#[test]
fn names_that_a_broker_may_reject_are_usage() {
    for (tool, arguments) in TOOLS {
        for (option, value, what) in [
            ("-i", "id\r", "Error: the client identifier 'id"),
            ("-u", "me\u{7f}", "Error: the user name 'me"),
            ("--will-topic", "a\u{fffe}", "Error: invalid will topic 'a"),
        ] {
            let (code, stderr) = run(tool::command(tool, arguments).args([option, value]));
            assert_eq!(code, Some(2), "{tool} {option}: {stderr}");
            assert!(stderr.starts_with(what), "{tool} {option}: {stderr}");
        }
    }
    let bench = TOOLS[3].0;
    for arguments in [&["-t", "a/%i\r"][..], &["sub", "-t", "a/+\u{1}"], &["-i", "%i\r"], &["-u", "%i\n"]] {
        let (code, stderr) = run(&mut tool::command(bench, arguments));
        assert_eq!(code, Some(2), "{arguments:?}: {stderr}");
    }
}

#[test]
fn an_argument_that_is_not_utf8_is_named() {
    for (tool, arguments) in TOOLS {
        let bad = OsString::from_vec(b"caf\xe9".to_vec());
        let (code, stderr) = run(tool::command(tool, arguments).arg("-i").arg(bad));
        assert_eq!(code, Some(2));
        assert!(stderr.starts_with("Error: the value of -i is not UTF-8: 'caf\\xe9'\n"), "{tool}: {stderr}");
    }
}

/// However few there are, the end is an error of the tool.
#[test]
fn too_few_file_descriptors_are_an_error() {
    let embedded = (TOOLS[3].0, &["--embedded", "--clients", "1", "--duration", "1s"][..]);
    for (tool, arguments) in TOOLS.into_iter().chain([embedded]) {
        // With three no program is loaded.
        for limit in 4..=12 {
            let script = format!("ulimit -n {limit}; exec \"$0\" \"$@\"");
            let mut command = Command::new("sh");
            command.args(["-c", &script, tool]).args(arguments).env("XDG_CONFIG_HOME", "/nowhere");
            if !arguments.contains(&"--embedded") {
                command.args(["-h", "127.0.0.1", "-p", "1"]);
            }
            let output = process::run(&mut command);
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(!stderr.contains("panicked"), "{tool} {limit}: {stderr}");
            let ended = output.status.code();
            assert!(ended == Some(1) && stderr.contains("Error: ") || ended == Some(0), "{tool} {limit}: {stderr}");
        }
    }
}
