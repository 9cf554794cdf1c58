//! One row: arguments, the scene in which both programs get them, and what may differ.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::OnceLock;

use super::broker::Broker;
use super::canned::{Can, CannedBroker};
use super::program::{Ended, Links, Side, Tool, end, interrupt, start};
use crate::support::process::Running;

/// What all rows share: started by the first that needs it, ended with the last.
#[derive(Default)]
pub struct Stage {
    broker: OnceLock<Broker>,
    links: OnceLock<Links>,
}

impl Stage {
    fn broker(&self) -> &Broker {
        self.broker.get_or_init(Broker::start)
    }

    fn links(&self) -> &Links {
        self.links.get_or_init(Links::make)
    }
}

/// A row of the table. Made with [`publisher`], [`subscriber`] and [`requester`].
#[derive(Clone, Debug)]
pub struct Row {
    tool: Tool,
    arguments: Vec<String>,
    stdin: Vec<u8>,
    config: Option<&'static str>,
    scene: Scene,
    compared: Compared,
    masks_digits: bool,
    /// What others see of ours, where it is not compared with theirs.
    seen: Option<&'static str>,
}

/// What happens around the program.
#[derive(Clone, Debug)]
enum Scene {
    /// Nothing.
    Alone,
    /// The broker; and others see what comes through it.
    Broker,
    /// The broker; these command lines of mosquitto_pub run before.
    Before(Vec<String>),
    /// The broker; once the program has subscribed, these command lines of mosquitto_pub run.
    After(Vec<String>),
    /// The broker; once the program has subscribed, it is interrupted.
    Interrupted,
    /// A broker that answers from a can.
    Canned(Can),
}

/// What is compared with what.
#[derive(Clone, Debug)]
enum Compared {
    /// Both programs do the same.
    Same,
    /// As mosquitto 2.0 does not: what ours does, with the reason.
    Ours { code: i32, stdout: &'static str, stderr: &'static str, why: &'static str, new: bool },
}

/// What a program did, and what others saw of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Outcome {
    ended: Ended,
    seen: Vec<u8>,
}

/// Words of a command line; single quotes hold blanks together, `\n`, `\t` and `\e` stand for themselves elsewhere.
pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quoted, mut begun) = (String::new(), false, false);
    for c in text.chars() {
        match c {
            '\'' => (quoted, begun) = (!quoted, true),
            ' ' if !quoted => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            c => {
                word.push(c);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    words
}

fn row(tool: Tool, arguments: &str) -> Row {
    Row {
        tool,
        arguments: words(arguments),
        stdin: Vec::new(),
        config: None,
        scene: Scene::Alone,
        compared: Compared::Same,
        masks_digits: false,
        seen: None,
    }
}

/// A row of mosquitto_pub.
pub fn publisher(arguments: &str) -> Row {
    row(Tool::Pub, arguments)
}

/// A row of mosquitto_sub.
pub fn subscriber(arguments: &str) -> Row {
    row(Tool::Sub, arguments)
}

/// A row of mosquitto_rr.
pub fn requester(arguments: &str) -> Row {
    row(Tool::Rr, arguments)
}

impl Row {
    pub fn stdin(self, stdin: impl Into<Vec<u8>>) -> Self {
        Self { stdin: stdin.into(), ..self }
    }

    /// The options file in its usual place.
    pub fn config(self, config: &'static str) -> Self {
        Self { config: Some(config), ..self }
    }

    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    fn in_scene(self, scene: Scene) -> Self {
        Self { scene, ..self }
    }

    /// With the broker, whose port and a client identifier are added. Of a publisher others see what it sent.
    pub fn with_broker(self) -> Self {
        self.in_scene(Scene::Broker)
    }

    /// With messages that are there before it subscribes.
    pub fn before(self, messages: &[&str]) -> Self {
        self.in_scene(Scene::Before(messages.iter().map(|text| (*text).to_owned()).collect()))
    }

    /// With messages that come once it has subscribed.
    pub fn after(self, messages: &[&str]) -> Self {
        self.in_scene(Scene::After(messages.iter().map(|text| (*text).to_owned()).collect()))
    }

    /// Interrupted once it has subscribed.
    pub fn interrupted(self) -> Self {
        self.in_scene(Scene::Interrupted)
    }

    pub fn canned(self, can: Can) -> Self {
        self.in_scene(Scene::Canned(can))
    }

    /// Digits are compared as digits only: times and numbers that a broker gives.
    pub fn masked(self) -> Self {
        Self { masks_digits: true, ..self }
    }

    /// What others see of ours, in a row that is not compared with theirs.
    pub fn seen(self, seen: &'static str) -> Self {
        Self { seen: Some(seen), ..self }
    }

    /// Ours does this, because.
    pub fn allow(self, code: i32, stdout: &'static str, stderr: &'static str, why: &'static str) -> Self {
        Self { compared: Compared::Ours { code, stdout, stderr, why, new: false }, ..self }
    }

    /// What came with mosquitto 2.1 and so is not compared with 2.0.
    pub fn golden(self, code: i32, stdout: &'static str, stderr: &'static str, why: &'static str) -> Self {
        Self { compared: Compared::Ours { code, stdout, stderr, why, new: true }, ..self }
    }

    pub fn is_allowed(&self) -> bool {
        !matches!(self.compared, Compared::Same) && !self.is_golden()
    }

    pub fn is_golden(&self) -> bool {
        matches!(self.compared, Compared::Ours { new: true, .. })
    }

    /// Whether mosquitto's broker or client takes part.
    pub fn needs_mosquitto(&self) -> bool {
        let filled =
            self.arguments.iter().any(|word| ["{PORT}", "{GUARDED}", "{SOCKET}"].iter().any(|it| word.contains(it)));
        matches!(self.compared, Compared::Same) || !matches!(self.scene, Scene::Alone | Scene::Canned(_)) || filled
    }

    /// The command line, and what else is special about the row.
    pub fn name(&self) -> String {
        let Self { tool, arguments, stdin, config, scene, .. } = self;
        let mut name = tool.name().to_owned();
        for word in arguments {
            let plain = !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\'');
            let _ = if plain { write!(name, " {word}") } else { write!(name, " {word:?}") };
        }
        if let Some(config) = config {
            let _ = write!(name, " with the options file {config:?}");
        }
        if !stdin.is_empty() {
            let start = String::from_utf8_lossy(&stdin[..stdin.len().min(60)]);
            let _ = write!(name, " < {start:?} ({} bytes)", stdin.len());
        }
        let _ = match scene {
            Scene::Alone => Ok(()),
            Scene::Broker => write!(name, " at the broker"),
            Scene::Before(messages) => write!(name, " after {messages:?}"),
            Scene::After(messages) => write!(name, " before {messages:?}"),
            Scene::Interrupted => write!(name, " interrupted"),
            Scene::Canned(can) => write!(name, ": {can}"),
        };
        name.trim_end().to_owned()
    }

    /// Runs it; the text of what is wrong comes back.
    pub fn run(&self, stage: &Stage) -> Option<String> {
        let ours = self.outcome(stage, Side::Ours);
        let fault =
            |what: &str, theirs: &str, ours: &str| Some(format!("{what}\n  expected {theirs}\n  ours     {ours}"));
        if let Compared::Ours { code, stdout, stderr, why, .. } = self.compared {
            let bytes = |text: &str| text.as_bytes().to_vec();
            let ended = Ended { code: Some(code), stdout: bytes(stdout), stderr: bytes(stderr) };
            let expected = Outcome { ended, seen: self.seen.map_or_else(|| ours.seen.clone(), bytes) };
            if ours == expected {
                return None;
            }
            return fault(why, &show(&expected), &show(&ours));
        }
        // Ours has one try. The real client may leave before its last packets are out (seen with --repeat at QoS 2), so
        // it is asked again before the two count as different.
        let mut expected = self.outcome(stage, Side::Mosquitto);
        for _ in 0..2 {
            if expected != ours {
                expected = self.outcome(stage, Side::Mosquitto);
            }
        }
        if expected == ours { None } else { fault("both alike", &show(&expected), &show(&ours)) }
    }

    fn outcome(&self, stage: &Stage, side: Side) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        if let Some(config) = self.config {
            std::fs::write(folder.path().join(self.tool.name()), config).unwrap();
        }
        let scene = Play { row: self, stage, side, config_home: folder.path() };
        let mut outcome = match &self.scene {
            Scene::Alone => scene.alone(),
            Scene::Canned(can) => scene.with_can(can),
            _ => scene.with_broker(),
        };
        if self.masks_digits {
            let masked = |byte: &mut u8| {
                if byte.is_ascii_digit() {
                    *byte = b'9';
                }
            };
            outcome.ended.stdout.iter_mut().for_each(masked);
        }
        outcome
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn show(outcome: &Outcome) -> String {
    let Outcome { ended: Ended { code, stdout, stderr }, seen } = outcome;
    format!("{code:?} stdout {:?} stderr {:?} seen {}", lossy(stdout), lossy(stderr), seen.escape_ascii())
}

/// One program in one row.
struct Play<'a> {
    row: &'a Row,
    stage: &'a Stage,
    side: Side,
    config_home: &'a Path,
}

impl Play<'_> {
    /// The row's words with what only the stage knows: names of topics and identifiers are the row's own.
    fn fill(&self, word: &str, tag: &str) -> String {
        let word = word.replace("{T}", tag).replace("{DIR}", &self.config_home.display().to_string());
        if !["{PORT}", "{GUARDED}", "{SOCKET}"].iter().any(|place| word.contains(place)) {
            return word;
        }
        let Broker { port, guarded_port, socket, .. } = self.stage.broker();
        word.replace("{PORT}", &port.to_string())
            .replace("{GUARDED}", &guarded_port.to_string())
            .replace("{SOCKET}", &socket.display().to_string())
    }

    fn start(&self, tag: &str, more: &[String]) -> Running {
        let arguments: Vec<String> = more.iter().chain(&self.row.arguments).map(|word| self.fill(word, tag)).collect();
        start(self.stage.links().path(self.side, self.row.tool), &arguments, &self.row.stdin, self.config_home)
    }

    fn alone(&self) -> Outcome {
        self.clean(Outcome { ended: end(self.start("t", &[])), seen: Vec::new() }, "t")
    }

    fn with_can(&self, can: &Can) -> Outcome {
        let broker = CannedBroker::start(can.clone());
        let more = words(&format!("-h 127.0.0.1 -p {}", broker.port));
        let ended = end(self.start("t", &more));
        self.clean(Outcome { ended, seen: broker.received() }, "t")
    }

    fn with_broker(&self) -> Outcome {
        (0..10).find_map(|_| self.try_with_broker()).expect("mosquitto_sub ends by SIGINT in one of ten runs")
    }

    /// Nothing where the real client has locked itself out, see [`interrupt`].
    fn try_with_broker(&self) -> Option<Outcome> {
        // As long on both sides, since some formats show lengths.
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let tag = format!("row{number:05}");
        let broker = self.stage.broker();
        let id = self.given_id(&tag);
        let mut more = Vec::new();
        if !self.row.arguments.iter().any(|word| matches!(word.as_str(), "-L" | "--unix" | "-h")) {
            more.extend(words("-h 127.0.0.1"));
            if !self.row.arguments.iter().any(|word| word == "-p") {
                more.extend(words(&format!("-p {}", broker.port)));
            }
        }
        if self.row.arguments.iter().all(|word| word != "-i" && word != "-I") {
            more.extend(words(&format!("-i {id}")));
        }
        if let Scene::Before(messages) = &self.row.scene {
            messages.iter().for_each(|message| self.send(message, &tag));
        }
        let mark = broker.mark();
        let witness = (self.row.tool == Tool::Pub).then(|| Witness::start(self, &tag));
        let mut running = self.start(&tag, &more);
        if matches!(self.row.scene, Scene::After(_) | Scene::Interrupted)
            && broker.wait_for(mark, &format!("Sending SUBACK to {id}"), || running.has_ended())
        {
            match &self.row.scene {
                Scene::After(messages) => messages.iter().for_each(|message| self.send(message, &tag)),
                _ => {
                    if !interrupt(&mut running) && matches!(self.side, Side::Mosquitto) {
                        return None;
                    }
                }
            }
        }
        let ended = end(running);
        let seen = witness.map_or_else(Vec::new, |witness| witness.saw(self, mark, &id, &ended));
        Some(self.clean(Outcome { ended, seen }, &tag))
    }

    fn given_id(&self, tag: &str) -> String {
        let given = self.row.arguments.iter().skip_while(|word| *word != "-i").nth(1);
        given.map_or_else(|| format!("id-{tag}"), |id| self.fill(id, tag))
    }

    /// A message from the real mosquitto_pub.
    fn send(&self, message: &str, tag: &str) {
        let mut arguments = words(&format!("-h 127.0.0.1 -p {}", self.stage.broker().port));
        arguments.extend(words(message).iter().map(|word| self.fill(word, tag)));
        let program = self.stage.links().path(Side::Mosquitto, Tool::Pub);
        let ended = end(start(program, &arguments, b"", Path::new("/nowhere")));
        assert_eq!(ended.code, Some(0), "{message}: {}", lossy(&ended.stderr));
    }

    /// Without what differs from run to run.
    fn clean(&self, mut outcome: Outcome, tag: &str) -> Outcome {
        let folder = self.config_home.display().to_string();
        for bytes in [&mut outcome.ended.stdout, &mut outcome.ended.stderr, &mut outcome.seen] {
            for (from, to) in [(tag, "T"), (folder.as_str(), "DIR")] {
                if from.len() > 1 {
                    *bytes = replace(bytes, from.as_bytes(), to.as_bytes());
                }
            }
        }
        outcome
    }
}

static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(1);

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(place) = rest.windows(from.len()).position(|window| window == from) {
        out.extend_from_slice(&rest[..place]);
        out.extend_from_slice(to);
        rest = &rest[place + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}

/// The real mosquitto_sub, which sees what a publisher sent.
struct Witness {
    running: Running,
    tag: String,
}

impl Witness {
    /// Topics of a row begin with its tag.
    fn start(play: &Play<'_>, tag: &str) -> Self {
        let format = "%t|%x|q%q|r%r|l%l|%C|%E|%F|%R|%D|%P";
        let mut arguments = words(&format!("-V 5 -q 2 -i see-{tag} -h 127.0.0.1 -p {}", play.stage.broker().port));
        arguments.extend(words(&format!("-t {tag}/# --retain-as-published -F")));
        arguments.push(format.to_owned());
        let broker = play.stage.broker();
        let mark = broker.mark();
        let program = play.stage.links().path(Side::Mosquitto, Tool::Sub);
        let mut running = start(program, &arguments, b"", Path::new("/nowhere"));
        broker.wait_for(mark, &format!("Sending SUBACK to see-{tag}"), || running.has_ended());
        Self { running, tag: tag.to_owned() }
    }

    /// Everything that came until the publisher was gone.
    fn saw(mut self, play: &Play<'_>, mark: super::broker::Mark, id: &str, ended: &Ended) -> Vec<u8> {
        let broker = play.stage.broker();
        let knows_id = play.row.arguments.iter().all(|word| word != "-I");
        if ended.code == Some(0) && knows_id {
            broker.wait_for(mark, &format!("Received DISCONNECT from {id}"), || false);
        }
        // What came before this one is told before it; at a lower QoS it would overtake QoS 2 messages, which are told
        // when they are released.
        play.send(&format!("-t {}/end -n -q 2", self.tag), &self.tag);
        let end = format!("{}/end|", self.tag);
        let place = |bytes: &[u8]| bytes.windows(end.len()).position(|window| window == end.as_bytes());
        assert!(self.running.stdout.wait_until(place, || false).is_some(), "no {end:?} comes");
        if !interrupt(&mut self.running) {
            self.running.kill();
        }
        let lines = self.running.finish().stdout;
        let end = place(&lines).unwrap_or(lines.len());
        lines[..end].to_vec()
    }
}
