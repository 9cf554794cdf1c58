use std::ffi::OsString;

use super::*;
use crate::options::Reading;

/// Words that a shell, YAML or an engine could take for something else.
const HOSTILE: [&str; 9] = [
    "two words",
    "it's \"quoted\" \\ `id` $(id) $HOME ${x} $$",
    "{} {#} {= die =} %s %%",
    "; rm -rf / # & | > <",
    "line\nfeed\ttab\r",
    "- [a]: {b} *c &d !e % @",
    "한글 ü \u{85}\u{2028}\u{feff}",
    "--",
    "",
];

fn file(engine: &str, arguments: &[&str]) -> Result<String, UsageError> {
    let files = [("/secret", b"hunter2\n".to_vec())];
    let environment = Environment::fixed([], files);
    let typed = ["mqbench", "plan", "--engine", engine, "--shards", "4", "--rate", "100", "-h", "broker"];
    let argv = || typed.iter().chain(arguments).map(OsString::from);
    let Reading::Options(options) = BenchOptions::read(&environment, argv())? else { panic!("no options") };
    job_file(&options, &environment, argv()).map(|(text, _)| text)
}

const ENGINES: [&str; 4] = ["slurm", "mpi", "kubernetes", "parallel"];

/// The lines of a file that are no comment.
fn code(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with('#')).map(|line| format!("{line}\n")).collect()
}

#[test]
fn hostile_words_come_back_as_they_were() {
    for word in HOSTILE {
        assert_eq!(shlex::split(&shell_word(word)).filter(|_| !word.contains(char::is_control)), {
            (!word.contains(char::is_control)).then(|| vec![word.to_owned()])
        });
        assert!(!one_line(word).contains(['\n', '\r']), "{word:?}");
        let printed =
            std::process::Command::new("bash").args(["-c", &format!("printf %s {}", shell_word(word))]).output();
        if let Ok(printed) = printed {
            assert_eq!(String::from_utf8_lossy(&printed.stdout), word, "{}", shell_word(word));
        }
    }
}

#[test]
fn a_hostile_option_adds_no_line_to_a_file() {
    for engine in ENGINES {
        for word in HOSTILE {
            // A word that looks like an option stays one with its name.
            let plain = if word.starts_with('-') { "--name=-plain" } else { "--name=plain" };
            let plain = file(engine, &[plain, "--gate", "lost == 0"]).unwrap();
            let hostile = file(engine, &[&format!("--name={word}"), "--gate", "lost == 0"]).unwrap();
            assert_eq!(hostile.lines().count(), plain.lines().count(), "{engine}: {word:?}\n{hostile}");
            assert_eq!(code(&hostile).lines().count(), code(&plain).lines().count(), "{engine}: {word:?}");
            assert!(!hostile.contains('\u{2028}') || engine != "kubernetes", "a line break of YAML 1.1");
        }
    }
}

#[test]
fn arguments_of_kubernetes_are_read_back_by_a_json_parser() {
    for word in HOSTILE {
        let text = file("kubernetes", &[&format!("--name={word}")]).unwrap();
        let items = text.lines().filter_map(|line| line.strip_prefix("            - \""));
        let items: Vec<String> = items.map(|it| serde_json::from_str(&format!("\"{it}")).unwrap()).collect();
        let place = items.iter().position(|item| item.starts_with("--name")).unwrap();
        let found = items[place].strip_prefix("--name=").unwrap_or(&items[place + 1]);
        assert_eq!(found.replace("$$", "$"), word, "Kubernetes makes one $ of two");
        assert_eq!(found.matches('$').count(), 2 * word.matches('$').count());
    }
}

#[test]
fn no_secret_is_in_a_file() {
    for engine in ENGINES {
        let error = file(engine, &["-u", "u", "-P", "hunter2"]).unwrap_err().to_string();
        assert!(error.contains("--pw-file") && !error.contains("hunter2"), "{error}");
        let text = file(engine, &["-u", "u", "--pw-file", "/secret"]).unwrap();
        assert!(!text.contains("hunter2") && text.contains("/secret"), "{text}");
        let environment = Environment::fixed([("MQTT_PASSWORD", "hunter2")], []);
        let argv = || {
            let typed = ["mqbench", "plan", "--engine", engine, "--shards", "4", "--rate", "100", "-u", "u"];
            typed.into_iter().map(OsString::from)
        };
        let Ok(Reading::Options(options)) = BenchOptions::read(&environment, argv()) else { panic!("no options") };
        let (text, warning) = job_file(&options, &environment, argv()).unwrap();
        assert!(!text.contains("hunter2") && text.contains("MQTT_PASSWORD"), "{text}");
        assert!(warning.is_some_and(|warning| warning.contains("-h")), "localhost is each machine itself");
    }
}

#[test]
fn what_the_merge_does_is_not_what_the_shards_do() {
    for engine in ["slurm", "mpi", "parallel"] {
        let text = file(engine, &["--gate", "e2e.p99 <= 20ms", "--out", "total.json", "--topic", "a/%i"]).unwrap();
        let merge = text.lines().find(|line| line.starts_with("mqbench merge")).unwrap();
        assert!(merge.ends_with("--gate 'e2e.p99 <= 20ms' --out total.json"), "{merge}");
        let run = &text[..text.find("mqbench merge").unwrap()];
        assert!(run.contains("--topic 'a/%i'") && !run.contains("total.json") && !run.contains("20ms"), "{run}");
    }
}

#[test]
fn what_a_job_cannot_do_is_refused() {
    for (arguments, part) in [
        (&["--runs", "3"][..], "--runs: the shards of a run make one run"),
        (&["--embedded"], "--embedded: each shard would have"),
        (&["--clients", "1"], "would have no client"),
        (&["-f", "-"], "no stdin"),
        (&["--ask-pw", "-u", "u"], "--ask-pw: nobody types"),
        (&["--target", "5/s"], "--engine: prints a job file"),
        (&["result.json"], "a job file is made of options alone"),
    ] {
        let error = file("slurm", arguments).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    assert!(file("kubernetes", &["--capath", "/etc"]).unwrap_err().to_string().contains("--cafile"));
}

#[test]
fn files_of_kubernetes_come_from_a_secret() {
    let text = file("kubernetes", &["-u", "u", "--pw-file", "/secret"]).unwrap();
    assert!(text.contains("- \"/etc/mqbench/pw-file\"") && text.contains("--from-file=pw-file=/secret"), "{text}");
    assert!(text.contains("defaultMode: 256") && text.contains("secretName: mqbench-"), "{text}");
}
