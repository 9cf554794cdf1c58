//! The pages of docs/: their blocks are run as they stand there, in an empty folder, and print what they show. Times,
//! rates, sizes and ports of clients are places: any value will do there.
//!
//! Blocks that belong together are the windows of a reader: each is a shell, all share the folder and the brokers, and
//! one begins when the one above it has ended or, where the page says that it waits, does so. When all windows print
//! what the page shows, those that still run get Ctrl-C, the last one first.
//!
//! A page names fixed ports and the address of a machine; where it runs, they are those of the test. Brokers answer at
//! the first two ports unless a window runs its own.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use regex_bites::Regex;
use tempfile::TempDir;

use super::console::{Block, Shown, check};
use super::mqbroker::Mqbroker;
use super::process::{PATIENCE, Running};
use super::{ports, process};

/// What a page names and the test replaces: ports, and last the address of a machine in a network.
const NAMES: [&str; 6] = ["1883", "1884", "1885", "8883", "8080", "192.168.0.20"];

/// What differs from run to run, and what stands for it in the comparison.
static PLACES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let places = [
        (r"^\d{10}: ", "TIME: "),
        (r"\d{4}-\d\d-\d\d[T ][\d:]+(\.\d+)?(\+\d\d:\d\d| UTC)", "TIME"),
        (r"\b\d\d:\d\d:\d\d\b", "TIME"),
        (r"(from |\[)(127\.0\.0\.1|::1|192\.168\.0\.20):\d+", "${1}CLIENT"),
        (r#""(ts|rate|seconds|ms)":[\d.]+"#, "\"$1\":N"),
        (r"\d[\d.,]*/s\b", "N/s"),
        (r"\b\d[\d.]* ?(ns|µs|ms)\b", "N"),
        (r"\bin \d[\d.]* s\b", "in N"),
        (r"\b(at most|p99) \d[\d.]* s\b", "$1 N"),
        (r"\(\d[\d.]* k?B\)", "(N B)"),
        // The shell of a reader says it in another form.
        (r"^bash: line \d+: +\d+ Killed .*", ""),
        (r" +", " "),
    ];
    places.map(|(what, name)| (Regex::new(what).unwrap(), name)).into()
});

/// What a program prints when it waits for messages; mqsub creates a file.
const WAITING: [&str; 2] = ["mqbroker running", "Subscribed"];

const MARK: &str = "-- next command --\n";

/// What is compared of lines: the places have no value; blank lines are left out.
pub fn comparable<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let compared = lines.map(|line| {
        PLACES.iter().fold(line.trim().to_owned(), |text, (what, name)| what.replace_all(&text, *name).into_owned())
    });
    compared.filter(|line| !line.is_empty()).collect()
}

/// Whether a command printed what the page shows.
pub fn compare(shown: &Shown<'_>, printed: &[String]) -> Result<(), String> {
    let came = comparable(printed.iter().map(String::as_str));
    check(&shown.command, &came, &comparable(shown.lines.iter().copied()))
}

/// Where the blocks of one task are run.
struct Scene {
    folder: TempDir,
    /// What stands for each of `NAMES`.
    real: [String; NAMES.len()],
    _brokers: Vec<Mqbroker>,
}

/// A shell that runs a block.
struct Window<'a> {
    block: &'a Block<'a>,
    process: Running,
    is_waiting: PathBuf,
}

/// Runs blocks that belong together; what each command of each printed comes back, with the names of the page.
pub fn run(blocks: &[Block<'_>]) -> Vec<Vec<Vec<String>>> {
    let scene = Scene::new(blocks);
    let mut windows = Vec::new();
    for (number, block) in blocks.iter().enumerate() {
        let window = Window::open(&scene, number, block);
        window.wait_until_it_waits();
        windows.push(window);
    }
    for window in &windows {
        window.wait_until_it_shows(&scene);
    }
    for window in windows.iter_mut().rev() {
        window.close();
    }
    windows.iter_mut().map(|window| window.printed(&scene)).collect()
}

impl Scene {
    fn new(blocks: &[Block<'_>]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let has_own = blocks.iter().flat_map(|block| &block.commands).any(|shown| is_broker(&shown.command));
        let mut real: [String; NAMES.len()] = std::array::from_fn(|_| ports::free().to_string());
        // An address of this machine at which a broker for this machine only does not listen.
        real[NAMES.len() - 1] = "127.0.0.2".to_owned();
        let mut brokers = Vec::new();
        for name in [0, 1].into_iter().skip(usize::from(has_own)) {
            let at = folder.path().join(format!("broker-{name}"));
            std::fs::create_dir(&at).unwrap();
            brokers.push(Mqbroker::start_in(&at, "listener 0 127.0.0.1\nallow_anonymous true\n", &[]));
            real[name] = brokers.last().unwrap().port();
        }
        let scene = Self { folder, real, _brokers: brokers };
        std::fs::create_dir(scene.work()).unwrap();
        if blocks.iter().flat_map(|block| &block.commands).any(|shown| shown.command.contains("examples/")) {
            scene.copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples"), &scene.work().join("examples"));
        }
        scene
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// A text of the page, for this test.
    fn real(&self, text: &str) -> String {
        NAMES.iter().zip(&self.real).fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }

    /// What was printed here, for the page.
    fn named(&self, text: &str) -> String {
        let named = self.real.iter().zip(NAMES).fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
        named.replace(&*self.folder.path().to_string_lossy(), "/home/you")
    }

    /// Copies a folder of scripts and configurations.
    fn copy(&self, from: &Path, to: &Path) {
        std::fs::create_dir(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let (source, target) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
            if source.is_dir() {
                self.copy(&source, &target);
            } else {
                std::fs::write(&target, self.real(&std::fs::read_to_string(&source).unwrap())).unwrap();
                let mode = source.metadata().unwrap().permissions().mode();
                std::fs::set_permissions(&target, PermissionsExt::from_mode(mode)).unwrap();
            }
        }
    }
}

impl<'a> Window<'a> {
    fn open(scene: &Scene, number: usize, block: &'a Block<'a>) -> Self {
        // Each window has its own, so that mqsub reports its subscription for the window; profiles belong to all.
        let home = scene.folder.path();
        let config = home.join(if number == 0 { ".config".to_owned() } else { format!(".config-{number}") });
        let is_waiting = config.join("waiting");
        std::fs::create_dir(&config).unwrap();
        let waits = block.waits || block.commands.iter().any(|shown| shown.command.ends_with('&'));
        for tool in ["mqpub", "mqsub", "mqrr", "mqbench"] {
            let reports = tool == "mqsub" && waits;
            let ready = if reports { format!("--ready-file {}\n", is_waiting.display()) } else { String::new() };
            std::fs::write(config.join(tool), format!("-p {}\n{ready}", scene.real[0])).unwrap();
        }
        if number > 0 {
            std::os::unix::fs::symlink(home.join(".config/mqtools"), config.join("mqtools")).unwrap();
        }
        // After Ctrl-C the shell goes on.
        let mut script = "exec 2>&1; trap : INT\n".to_owned();
        for Shown { command, .. } in &block.commands {
            script += &scene.real(&with_port(command));
            if command.ends_with('&') && command.contains("mqsub") && !command.contains("--ready-file") {
                script += &format!("\nuntil [ -e {} ]; do sleep 0.05; done", is_waiting.display());
            }
            script += &format!("\necho '{}'\n", MARK.trim());
        }
        // The shell leads a process group. What still runs in it ends with the block.
        script += "trap '' TERM; kill -- -$$\n";
        let tools: PathBuf = Path::new(env!("CARGO_BIN_EXE_mqpub")).parent().unwrap().into();
        let process = Running::start(
            Command::new("bash")
                .args(["-c", &script])
                .process_group(0)
                .current_dir(scene.work())
                .env_clear()
                .envs([("LC_ALL", "C.UTF-8"), ("TZ", "UTC"), ("COLUMNS", "100")])
                .envs(std::env::vars().filter(|(name, _)| is_for_pip(name)))
                .env("HOME", home)
                .env("XDG_CONFIG_HOME", &config)
                .env("PATH", format!("{}:/usr/bin:/bin", tools.display())),
        );
        Self { block, process, is_waiting }
    }

    /// Waits for what the last command of the block does first, or for the end.
    fn wait_until_it_waits(&self) {
        let waits = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            let last = text.split(MARK).nth(self.block.commands.len() - 1).filter(|_| self.block.waits)?;
            (self.is_waiting.exists() || WAITING.iter().any(|word| last.contains(word))).then_some(())
        };
        // A block that ends by itself may have much to do, such as installing a package on a busy machine.
        for _ in 0..if self.block.waits { 1 } else { 4 } {
            if self.process.stdout.wait_until(waits, || false).is_some() || self.process.stdout.has_ended() {
                return;
            }
        }
    }

    /// Waits until the window prints what the page shows, and no longer than patience lasts. For BLESS that is unknown:
    /// a window shows all when nothing has come for a while.
    fn wait_until_it_shows(&self, scene: &Scene) {
        let quiet = Duration::from_secs(if super::is_blessing() { 15 } else { 0 });
        let (mut size, mut since) = (0, Instant::now());
        let shows = |bytes: &[u8]| {
            if bytes.len() != size {
                (size, since) = (bytes.len(), Instant::now());
            }
            let parts = parts(&scene.named(&String::from_utf8_lossy(bytes)));
            let all = parts.len() >= self.block.commands.len()
                && self.block.commands.iter().zip(&parts).all(|(shown, printed)| compare(shown, printed).is_ok());
            (all || (super::is_blessing() && since.elapsed() > quiet)).then_some(())
        };
        self.process.stdout.wait_until(shows, || false);
    }

    /// Presses Ctrl-C as often as it takes.
    fn close(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        for _ in 0..=self.block.commands.len() {
            if self.process.stdout.has_ended() || Instant::now() > deadline {
                break;
            }
            let marks = |bytes: &[u8]| String::from_utf8_lossy(bytes).matches(MARK).count();
            let before = marks(&self.process.stdout.all());
            process::signal(format!("-{}", self.process.id()), "INT");
            self.process.stdout.wait_until(|bytes| (marks(bytes) > before).then_some(()), || false);
        }
        self.process.wait();
    }

    fn printed(&mut self, scene: &Scene) -> Vec<Vec<String>> {
        let text = scene.named(&String::from_utf8_lossy(&self.process.stdout.read_to_end()));
        let printed = parts(&text);
        assert!(
            printed.len() > self.block.commands.len(),
            "the block ended early:\n{}\n{text}",
            self.block.commands[0].command
        );
        printed[..self.block.commands.len()].to_vec()
    }
}

/// Whether a variable says how to reach a package index.
fn is_for_pip(name: &str) -> bool {
    name.starts_with("PIP_") || name.eq_ignore_ascii_case("https_proxy") || name == "SSL_CERT_FILE"
}

/// What each command printed.
fn parts(text: &str) -> Vec<Vec<String>> {
    let lines = |part: &str| part.trim_end().lines().map(|line| line.trim_end().to_owned()).collect();
    text.split(MARK).map(lines).collect()
}

/// Whether a command is a broker in a window.
fn is_broker(command: &str) -> bool {
    command.split_whitespace().next() == Some("mqbroker") && !command.starts_with("mqbroker passwd")
}

/// A broker without a configuration listens at the first port of the page, which has to stand there to be replaced.
fn with_port(command: &str) -> String {
    if is_broker(command) && !command.contains(" -c ") {
        command.replacen("mqbroker", &format!("mqbroker -p {}", NAMES[0]), 1)
    } else {
        command.to_owned()
    }
}
