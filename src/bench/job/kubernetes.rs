//! An Indexed Job for Kubernetes.

use std::fmt::Write as _;

use super::{EXIT_STATUS, Job, file_of, one_line};
use crate::options::{BENCH, UsageError};

/// Where the files of the options are in the container.
const FOLDER: &str = "/etc/mqbench";

/// The manifest, and how to use it.
///
/// # Errors
/// Options that a container cannot have.
#[expect(clippy::too_many_lines, reason = "most of it is the text of the manifest")]
pub(super) fn file(job: &Job) -> Result<String, UsageError> {
    check(job)?;
    let Job { shards, image, tag, .. } = job;
    let (name, image) = (format!("mqbench-{tag}"), quoted(image));
    let files = job.files();
    let mut args = String::new();
    for argument in &job.run {
        let mut words = argument.words.clone();
        if let Some((key, last)) = argument.file.as_ref().map(|file| &file.key).zip(words.last_mut()) {
            let prefix = argument.file.as_ref().map_or("", |file| file.prefix);
            *last = format!("{prefix}{FOLDER}/{key}");
        }
        words.iter().for_each(|word| item(&mut args, word));
    }
    for word in ["--shard", "auto", "--json"] {
        item(&mut args, word);
    }
    let password = if job.takes_password {
        format!(
            "            - name: MQTT_PASSWORD\n              valueFrom:\n                secretKeyRef:\n                  \
             name: {name}\n                  key: password\n"
        )
    } else {
        String::new()
    };
    let (mounts, volumes) = if files.is_empty() {
        (String::new(), String::new())
    } else {
        (
            format!(
                "          volumeMounts:\n            - name: files\n              mountPath: {FOLDER}\n              \
                 readOnly: true\n"
            ),
            // 256 is 0400: mqbench refuses a password file that everybody can read.
            format!(
                "      volumes:\n        - name: files\n          secret:\n            secretName: {name}\n            \
                 defaultMode: 256\n"
            ),
        )
    };
    Ok(format!(
        r#"# mqbench on Kubernetes: {shards} shards of one plan, each a pod, and one result.
apiVersion: batch/v1
kind: Job
metadata:
  name: {name}
  labels:
    app.kubernetes.io/name: mqbench
spec:
  completionMode: Indexed
  # All at the same time, or the shards would wait for each other in vain; and never again at another time.
  completions: {shards}
  parallelism: {shards}
  backoffLimit: 0
  template:
    metadata:
      labels:
        app.kubernetes.io/name: mqbench
        mqbench/job: {name}
    spec:
      restartPolicy: Never
      # A pod per node, as far as there are nodes. DoNotSchedule insists on it.
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              mqbench/job: {name}
      containers:
        - name: mqbench
          image: {image}
          command: ["mqbench"]
          args:
{args}          env:
            - name: MQBENCH_SHARDS
              value: "{shards}"
            # The same in all shards, and different for each run.
            - name: MQBENCH_JOB
              valueFrom:
                fieldRef:
                  fieldPath: metadata.labels['controller-uid']
{password}{mounts}{volumes}
{}"#,
        usage(job, &name, &files)
    ))
}

/// How to run, collect, merge and gate: comments behind the manifest.
fn usage(job: &Job, name: &str, files: &[(&str, &str)]) -> String {
    let last = job.shards.saturating_sub(1);
    let mut text = String::new();
    if job.is_local {
        text.push_str(
            "# The broker's address is the pod itself: give mqbench plan -h the name of the broker's service.\n",
        );
    }
    if job.binds {
        text.push_str("# Every pod needs all local addresses of -A.\n");
    }
    let mut secrets: Vec<String> =
        files.iter().map(|(key, path)| format!("--from-file={key}={}", one_line(path))).collect();
    if job.takes_password {
        secrets.push("--from-literal=password=\"$MQTT_PASSWORD\"".to_owned());
    }
    text.push_str("# Run:\n");
    if !secrets.is_empty() {
        let _ = writeln!(text, "#   kubectl create secret generic {name} {}", secrets.join(" "));
    }
    let merge = job.merge_command(".");
    let _ = write!(
        text,
        "\
#   kubectl apply -f FILE
#   until kubectl get job/{name} -o jsonpath='{{.status.conditions[*].type}}' | grep -Eq 'Complete|Failed'; do sleep 2; done
# Collect: each pod prints its result, one JSON document, to its log; there is nothing to mount.
#   for i in $(seq 0 {last}); do
#     pod=$(kubectl get pods -l mqbench/job={name} -o name | grep \"/{name}-$i-\")
#     kubectl logs \"$pod\" | sed -n '/^{{$/,/^}}$/p' > shard-$i.json
#   done
# Merge and gate (give mqbench plan --gate 'e2e.p99 <= 20ms && lost == 0'):
#   {merge}
#   kubectl delete job/{name}
# With backoffLimit 0 a pod that fails ends the others. From Kubernetes 1.29 on, backoffLimitPerIndex: 0 in its place lets
# them finish and name it.
{EXIT_STATUS}"
    );
    text
}

/// What a container does not have.
fn check(job: &Job) -> Result<(), UsageError> {
    let mut faults = Vec::new();
    for argument in &job.run {
        match argument.words[0].as_str() {
            "--unix" => faults.push("--unix: a pod has no socket of this machine: give -h".to_owned()),
            "--capath" => faults.push("--capath: a Secret holds files, not folders: give --cafile".to_owned()),
            "--tls-keylog" => faults.push("--tls-keylog: nobody could read that file in a pod".to_owned()),
            _ => {}
        }
    }
    let mut keys: Vec<&str> = job.run.iter().filter_map(|argument| Some(file_of(argument)?.0)).collect();
    keys.sort_unstable();
    if let Some(twice) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
        faults.push(format!("--{} is given twice: give it once", twice[0]));
    }
    UsageError::check(BENCH.name, faults)
}

/// An argument in the list. Kubernetes replaces `$(NAME)` in it, and `$$` is a dollar sign.
fn item(list: &mut String, word: &str) {
    let _ = writeln!(list, "            - {}", quoted(&word.replace('$', "$$")));
}

/// A text in double quotes, as YAML 1.1, YAML 1.2 and JSON read it.
fn quoted(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            // Neither printable nor a break of YAML's own.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
