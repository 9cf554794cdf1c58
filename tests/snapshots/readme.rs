//! The console blocks of README.md, its Korean summary and docs/measuring.md: each is run as it stands there, against a
//! broker of this test, and prints what it shows. Numbers and their units are not compared, and sizes that take long
//! are smaller. Of a command with `# excerpt` behind it only the lines that are shown have to come, in this order.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::console::{Shown, blocks, check};
use super::mqbroker::Mqbroker;
use super::process;

/// What is smaller here than in the README.
const SMALLER: [(&str, &str); 3] = [
    ("seq 1000000", "seq 1000"),
    ("--clients 1000 --connect-rate 2k --hold 3s", "--clients 20 --hold 1s"),
    ("-q 1 --broker-pid 790", "-q 1 --duration 2s --broker-pid $BROKER"),
];

/// The broker that the blocks find: an options file per tool names its port.
struct Scene {
    broker: Mqbroker,
    folder: TempDir,
}

impl Scene {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().to_path_buf();
        let path = |name: &str| at.join(name);
        // Its certificate is its own, and the system's CA certificates are another one's.
        certificate("localhost", &path("server.pem"), &path("server.key"));
        certificate("another", &path("system.pem"), &path("system.key"));
        let listener = "listener 0 127.0.0.1\nallow_anonymous true\n";
        let log = "log_dest stderr\nlog_dest file log\n";
        let configuration = format!("{listener}{listener}certfile server.pem\nkeyfile server.key\n{log}");
        let broker = Mqbroker::start_in(folder.path(), &configuration, &["-v"]);
        let scene = Self { broker, folder };
        let ports: Vec<u16> = scene.broker.addresses().iter().map(std::net::SocketAddr::port).collect();
        for (folder, port) in [("plain", ports[0]), ("tls", ports[1])] {
            std::fs::create_dir(path(folder)).unwrap();
            for tool in ["mqpub", "mqsub", "mqrr", "mqbench"] {
                std::fs::write(path(folder).join(tool), format!("-h localhost\n-p {port}\n")).unwrap();
            }
        }
        let retained = "mqpub -t lamp/kitchen -m on -r -q 1".to_owned();
        assert_eq!(scene.run(&[Shown { command: retained, lines: vec![] }]), [Vec::<String>::new()]);
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the commands of a block in one shell; what each printed comes back.
    fn run(&self, block: &[Shown<'_>]) -> Vec<Vec<String>> {
        const MARK: &str = "-- next command --";
        // Each job is a process group, which ends with the block. The limit is what the README shows of doctor.
        let mut script = "set -m; ulimit -n 20000 2>/dev/null\n".to_owned();
        for Shown { command, .. } in block {
            let command = command.split("  # ").next().unwrap().trim();
            script += &SMALLER.iter().fold(command.to_owned(), |text, (from, to)| text.replace(from, to));
            if command.ends_with('&') {
                // It is there when the broker has its subscription.
                script += "\nuntil grep -q '\techo (QoS' ../log; do sleep 0.05; done";
            }
            if command.starts_with("mqbroker") {
                script += " > own 2>&1 & until grep -q running own; do sleep 0.05; done\n\
                    mqpub -p \"$(sed -n 's/.*Listening on 127.0.0.1://p' own)\" -i writer -q 1 -t lamp/kitchen -m on\n\
                    kill $!; wait $!; cat own";
            }
            script += &format!("\necho '{MARK}'\n");
        }
        script += "jobs -p > jobs; while read -r job; do kill -- -\"$job\"; done < jobs\n";
        let tls = block.iter().any(|shown| shown.command.contains("--tls"));
        let config = self.path(if tls { "tls" } else { "plain" });
        let tools: PathBuf = Path::new(env!("CARGO_BIN_EXE_mqpub")).parent().unwrap().into();
        let mut shell = Command::new("bash");
        shell
            .args(["-c", &format!("exec 2>&1; {script}")])
            .current_dir(&config)
            .env_clear()
            .envs([("HOME", "/nowhere"), ("LC_ALL", "C"), ("TZ", "UTC"), ("COLUMNS", "120")])
            .env("XDG_CONFIG_HOME", &config)
            .env("SSL_CERT_FILE", self.path("system.pem"))
            .env("BROKER", self.broker.id().to_string())
            .env("PATH", format!("{}:/usr/bin:/bin", tools.display()));
        let output = process::text(&process::run(&mut shell).stdout);
        let printed: Vec<Vec<String>> = output.split(MARK).map(|part| comparable(part.lines())).collect();
        printed[..block.len()].to_vec()
    }
}

/// A certificate for this host that is signed by its own key.
fn certificate(name: &str, certificate: &Path, key: &Path) {
    let mut parameters = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
    let pair = rcgen::KeyPair::generate().unwrap();
    std::fs::write(certificate, parameters.self_signed(&pair).unwrap().pem()).unwrap();
    std::fs::write(key, pair.serialize_pem()).unwrap();
}

/// What is compared of lines. The words of mqbench's verdict and the columns of its table depend on how the machine
/// did: that they are there is compared.
fn comparable<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    const OF_THE_MACHINE: [&str; 4] = ["Carries ", "Connects ", "messages/s ", "n  per second "];
    let (mut kept, mut is_skipping) = (Vec::new(), false);
    for line in lines {
        if let Some(start) = OF_THE_MACHINE.into_iter().find(|start| line.trim_start().starts_with(start)) {
            kept.push(start.to_owned());
            is_skipping = true;
        }
        is_skipping &= !line.trim().is_empty();
        kept.extend(normalized(line).filter(|_| !is_skipping));
    }
    kept
}

/// A line without its numbers and units; nothing of a blank one.
fn normalized(line: &str) -> Option<String> {
    const UNITS: [&str; 14] = ["ns", "µs", "ms", "s", "m", "B", "kB", "MB", "GB", "B/s", "kB/s", "MB/s", "GB/s", "%"];
    let line = line.replace("localhost", "127.0.0.1").replace("mosquitto", "mqbroker");
    // How this machine did is no matter of the page.
    if line.trim_start().starts_with("generator ") {
        return Some("generator".to_owned());
    }
    let words = line.split_whitespace().map(|word| {
        let mut short = String::new();
        for c in word.chars() {
            match c {
                '0'..='9' | '–' if !short.ends_with('N') => short.push('N'),
                '0'..='9' | '–' => {}
                '.' | ',' if short.ends_with('N') => {}
                other => short.push(other),
            }
        }
        short
    });
    let kept: Vec<String> =
        words.filter(|word| !UNITS.contains(&word.trim_end_matches(['(', ')', ',', ';']))).collect();
    (!kept.is_empty()).then(|| kept.join(" "))
}

#[test]
fn console_blocks_print_what_they_show() {
    if !["bash", "jq"].into_iter().all(process::has) {
        return;
    }
    let read = |page| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
    let pages = ["README.md", "README.ko.md", "docs/measuring.md"].map(read);
    let scene = Scene::start();
    for block in pages.iter().flat_map(|page| blocks(page)) {
        for (Shown { command, lines }, printed) in block.commands.iter().zip(scene.run(&block.commands)) {
            let shown = comparable(lines.iter().copied());
            if let Err(fault) = check(command, &printed, &shown) {
                panic!("{fault}");
            }
        }
    }
}
