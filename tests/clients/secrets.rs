//! A password comes in by many ways and out by none: not in output, logs, documents, errors or the process list.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use mqtools::mqtt::{ReasonCode, Secret};

use crate::support::at_once::at_once;
use crate::support::process::{Running, run};
use crate::support::scripted_broker::{Received, Script, ScriptedBroker};
use crate::support::tool;

const PASSWORD: &str = "pl4nt3d-p4ssw0rd";

const TOOLS: [(&str, &[&str]); 4] = [
    (env!("CARGO_BIN_EXE_mqpub"), &["-t", "t", "-m", "x", "--summary", "json"]),
    (env!("CARGO_BIN_EXE_mqsub"), &["-t", "t", "-W", "1"]),
    (env!("CARGO_BIN_EXE_mqrr"), &["-t", "t", "-m", "x", "-W", "1"]),
    (env!("CARGO_BIN_EXE_mqbench"), &["pub", "-C", "10", "--pubs", "1", "--json"]),
];

fn private(path: &Path, content: &str) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// The ways by which a tool gets the password: a shell, since only it can open a descriptor.
fn ways(folder: &Path) -> Vec<(&'static str, String)> {
    let file = folder.join("password");
    private(&file, PASSWORD);
    let file = file.display();
    fs::create_dir_all(folder.join("mqtools")).unwrap();
    private(&folder.join("mqtools/profiles.toml"), &format!("[p]\npw = '{PASSWORD}'\n"));
    private(&folder.join("options"), &format!("--pw {PASSWORD}\n"));
    let options = folder.join("options");
    vec![
        ("-P", format!(r#"exec "$@" -P {PASSWORD}"#)),
        ("--pw=", format!(r#"exec "$@" --pw={PASSWORD}"#)),
        ("-L", format!(r#"exec "$@" -L mqtt://me:{PASSWORD}@127.0.0.1:$PORT"#)),
        ("--pw-file", format!(r#"exec "$@" --pw-file {file}"#)),
        ("--pw-fd", format!(r#"exec "$@" --pw-fd 3 3<{file}"#)),
        ("--profile", r#"exec "$@" --profile p"#.to_owned()),
        ("-o", format!(r#"exec "$@" -o {}"#, options.display())),
        ("MQTT_PASSWORD", format!(r#"MQTT_PASSWORD={PASSWORD} exec "$@""#)),
    ]
}

fn command(folder: &Path, script: &str, port: &str, tool: &str, arguments: &[&str]) -> Command {
    let mut command = tool::command("sh", &["-c", script, "sh", tool, "-h", "127.0.0.1", "-p", port, "-u", "me"]);
    command.args(arguments).env("XDG_CONFIG_HOME", folder).env("PORT", port).current_dir(folder);
    command
}

#[test]
fn no_output_shows_it() {
    let folder = tempfile::tempdir().unwrap();
    at_once(ways(folder.path()), |(way, script)| {
        for (tool, arguments) in TOOLS {
            let logs: &[&str] = if tool.ends_with("mqbench") { &[] } else { &["-dd"] };
            let refusing = Script::default().refuse_connect(ReasonCode::BAD_USER_NAME_OR_PASSWORD);
            for script_of_broker in [Script::default(), refusing] {
                let broker = ScriptedBroker::start(script_of_broker);
                let arguments = [arguments, logs].concat();
                let output = run(&mut command(folder.path(), &script, &broker.port(), tool, &arguments));
                let mut printed = String::from_utf8_lossy(&output.stdout).into_owned();
                let _ = write!(printed, "{}", String::from_utf8_lossy(&output.stderr));
                // The broker has it, so it was sent.
                let log = broker.log();
                let sent = log.received.iter().find_map(|(_, packet)| match packet {
                    Received::Connect(connect) => connect.password.as_ref(),
                    _ => None,
                });
                assert_eq!(sent.map(Secret::expose), Some(PASSWORD.as_bytes()), "{tool} {way}: {printed}");
                assert!(!printed.contains(PASSWORD), "{tool} {way}: {printed}");
            }
            let shown = command(folder.path(), &script, "1", tool, &[arguments, &["--show-config"]].concat());
            let output = run(&mut { shown });
            let printed = String::from_utf8_lossy(&output.stdout);
            assert!(printed.contains("***") || way.starts_with("--pw-f"), "{tool} {way}: {printed}");
            assert!(output.status.success() && !printed.contains(PASSWORD), "{tool} {way}: {printed}");
        }
    });
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_list_does_not_show_it() {
    let folder = tempfile::tempdir().unwrap();
    for (way, script) in ways(folder.path()).into_iter().take(3) {
        for (tool, arguments) in TOOLS {
            // The tool waits for the CONNACK, with all its options read.
            let broker = ScriptedBroker::start(Script::default().never_answer_connect());
            let mut tool_command = command(folder.path(), &script, &broker.port(), tool, arguments);
            let mut process = Running::start(&mut tool_command);
            broker.wait_for("a CONNECT", |log| !log.received.is_empty());
            let shown = fs::read(format!("/proc/{}/cmdline", process.id())).unwrap();
            let shown = String::from_utf8_lossy(&shown);
            assert!(!shown.contains(PASSWORD) && shown.contains("*****"), "{way}: {shown}");
            process.kill();
        }
    }
}
