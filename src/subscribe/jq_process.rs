//! jq expressions in a process apart, whose memory and time the system limits. jaq cannot be limited from outside: one
//! operation of an expression may make any amount of data, and memory that runs out ends the process in which it does.
//!
//! That process is mqsub again, with one argument. It is asked one question at a time, so that messages are judged in
//! their order. One that has ended in the middle of a question is started again with the next.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read, Write, stdin, stdout};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, ExitStatus, Stdio};

use super::jq::{self, Program, Value};

/// What mqsub is called with to be that process; not an option.
const ARGUMENT: &str = "--jq-process";
/// Memory for a question, besides the stack and the message.
#[cfg(unix)]
const MEMORY: u64 = 512 << 20;
/// What a message takes of memory, times its length, where it is a large one: its JSON, that without escapes, and what
/// is made of it.
#[cfg(unix)]
const COPIES: u64 = 8;
/// Longer messages add to [`MEMORY`].
#[cfg(unix)]
const LARGE: usize = 16 << 20;
/// Processor time for a question, seconds.
#[cfg(unix)]
const SECONDS: u64 = 5;

/// What the process is sent: what kind it is, its length, and its bytes.
const MESSAGE: u8 = b'm';
const QUESTION: u8 = b'q';
/// What it answers: one of these; behind the last one the length of a text, and the text.
const NO: u8 = b'n';
const YES: u8 = b'y';
const FAILED: u8 = b'f';

/// The process, and how to ask it.
#[derive(Debug, Default)]
pub(super) struct JqProcess {
    running: Option<Running>,
    /// How many were started.
    number: u64,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// Which process has a message already.
#[derive(Debug, Default)]
pub(super) struct SentTo(Cell<u64>);

impl JqProcess {
    /// One that runs.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn start() -> io::Result<Self> {
        let mut process = Self::default();
        process.running()?;
        Ok(process)
    }

    fn running(&mut self) -> io::Result<&mut Running> {
        if self.running.is_none() {
            self.number += 1;
        }
        match &mut self.running {
            Some(running) => Ok(running),
            none => Ok(none.insert(Running::start()?)),
        }
    }

    /// Whether one of the results of a program about a message is neither false nor null. `object` is its JSON, which
    /// is made where the process does not have it.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) fn is_true(
        &mut self,
        code: &str,
        sent: &SentTo,
        object: impl FnOnce(&mut Vec<u8>),
    ) -> Result<bool, String> {
        self.running().map_err(|error| cannot_start(&error))?;
        self.buffer.clear();
        if sent.0.replace(self.number) != self.number {
            put(&mut self.buffer, MESSAGE, object);
        }
        put(&mut self.buffer, QUESTION, |buffer| buffer.extend_from_slice(code.as_bytes()));
        let Self { running, buffer, .. } = self;
        let Some(process) = running else { return Err("there is no process for jq".into()) };
        match process.ask(buffer) {
            Ok(answer) => answer,
            Err(error) => Err(running.take().map_or_else(|| error.to_string(), Running::why_ended)),
        }
    }
}

/// Why there is no process.
pub(super) fn cannot_start(error: &io::Error) -> String {
    format!("cannot start a process for jq expressions: {error}")
}

impl Running {
    fn start() -> io::Result<Self> {
        // The file of this process, even if another one has taken its name in the meantime.
        let program = if cfg!(target_os = "linux") { "/proc/self/exe".into() } else { std::env::current_exe()? };
        let mut command = Command::new(program);
        command.arg(ARGUMENT).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        #[cfg(unix)]
        {
            use std::os::unix::process::CommandExt;
            // Ctrl-C is for mqsub, which needs the last answers.
            command.arg0("mqsub").process_group(0);
        }
        let mut child = command.spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (input, output) = pipes.ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self { child, input, output: BufReader::new(output) })
    }

    fn ask(&mut self, question: &[u8]) -> io::Result<Result<bool, String>> {
        self.input.write_all(question)?;
        let mut kind = [0];
        self.output.read_exact(&mut kind)?;
        match kind[0] {
            NO => Ok(Ok(false)),
            YES => Ok(Ok(true)),
            FAILED => {
                let text = get(&mut self.output)?;
                Ok(Err(String::from_utf8_lossy(&text).into_owned()))
            }
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Why there was no answer.
    fn why_ended(mut self) -> String {
        drop(self.input);
        self.child.wait().map_or_else(|error| error.to_string(), explain)
    }
}

#[cfg(unix)]
fn explain(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match status.signal() {
        Some(nix::libc::SIGABRT) => format!("the expression takes more than {} MiB of memory", MEMORY >> 20),
        Some(nix::libc::SIGXCPU) => format!("the expression takes more than {SECONDS} s"),
        Some(nix::libc::SIGKILL) => {
            "the process for jq expressions was killed: has the system run out of memory?".into()
        }
        _ => format!("the process for jq expressions has ended: {status}"),
    }
}

#[cfg(not(unix))]
fn explain(status: ExitStatus) -> String {
    format!("the process for jq expressions has ended: {status}")
}

fn put(buffer: &mut Vec<u8>, kind: u8, content: impl FnOnce(&mut Vec<u8>)) {
    buffer.push(kind);
    let start = buffer.len() + size_of::<u64>();
    buffer.resize(start, 0);
    content(buffer);
    let length = (buffer.len() - start) as u64;
    buffer[start - size_of::<u64>()..start].copy_from_slice(&length.to_le_bytes());
}

/// Reads a length, and what follows it.
fn get(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let length = get_length(input)?;
    get_content(input, length)
}

fn get_length(input: &mut impl Read) -> io::Result<u64> {
    let mut length = [0; size_of::<u64>()];
    input.read_exact(&mut length)?;
    Ok(u64::from_le_bytes(length))
}

fn get_content(input: &mut impl Read, length: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::with_capacity(length as usize);
    match input.take(length).read_to_end(&mut content)? as u64 == length {
        true => Ok(content),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// What mqsub is when it was started to answer questions about messages; none where it was not.
pub fn jq_process() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_none_or(|argument| argument != ARGUMENT) || arguments.next().is_some() {
        return None;
    }
    limit();
    let serve = || serve(&mut stdin().lock(), &mut stdout().lock(), LIMITS);
    let thread = std::thread::Builder::new().name("jq".into()).stack_size(jq::STACK).spawn(serve);
    let served = thread.is_ok_and(|thread| thread.join().is_ok_and(|served| served.is_ok()));
    Some(if served { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How a process limits itself while it serves. A test, which is no process apart, does not.
#[derive(Clone, Copy)]
struct Limits {
    /// Called with the length of what it is about to read.
    make_room: fn(u64),
    /// Called before a question is answered.
    allow_time: fn(),
}

const LIMITS: Limits = Limits { make_room, allow_time };

/// Answers until there are no more questions. To be called on a thread with [`jq::STACK`].
fn serve(input: &mut impl BufRead, output: &mut impl Write, limits: Limits) -> io::Result<()> {
    let mut programs: Vec<(Vec<u8>, Result<Program, String>)> = Vec::new();
    let mut message = Value::default();
    let mut answer = Vec::new();
    loop {
        let Some(kind) = input.fill_buf()?.first().copied() else { return Ok(()) };
        input.consume(1);
        let length = get_length(input)?;
        (limits.make_room)(length);
        let content = get_content(input, length)?;
        if kind == MESSAGE {
            message = jq::value(&content);
            continue;
        }
        let place = programs.iter().position(|(code, _)| *code == content).unwrap_or_else(|| {
            let program = Program::compile(&String::from_utf8_lossy(&content));
            programs.push((content, program));
            programs.len() - 1
        });
        answer.clear();
        (limits.allow_time)();
        match programs[place].1.as_ref().map_err(String::clone).and_then(|program| program.is_true(&message)) {
            Ok(is_true) => answer.push(if is_true { YES } else { NO }),
            Err(error) => put(&mut answer, FAILED, |answer| answer.extend_from_slice(error.as_bytes())),
        }
        output.write_all(&answer)?;
        output.flush()?;
    }
}

/// Limits this process, and leaves to mqsub what is mqsub's.
#[cfg(unix)]
fn limit() {
    use nix::sys::resource::Resource;
    set_limit(Resource::RLIMIT_CORE, 0);
    make_room(0);
    let inherited: Vec<i32> = std::fs::read_dir("/dev/fd")
        .map(|entries| entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
        .unwrap_or_default();
    // The other end of one may wait for mqsub to close it.
    for number in inherited.into_iter().filter(|number| *number > 2) {
        let _ = nix::unistd::close(number);
    }
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_name(c"mqsub-jq");
}

/// Limits memory to what a message of this length may take.
#[cfg(unix)]
fn make_room(length: u64) {
    if length == 0 || length > LARGE as u64 {
        #[cfg(not(any(target_os = "openbsd", target_os = "netbsd")))]
        set_limit(nix::sys::resource::Resource::RLIMIT_AS, jq::STACK as u64 + MEMORY + COPIES * length);
    }
}

/// Limits the time of what follows.
#[cfg(unix)]
fn allow_time() {
    use nix::time::{ClockId, clock_gettime};
    if let Ok(used) = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID) {
        set_limit(nix::sys::resource::Resource::RLIMIT_CPU, used.tv_sec() as u64 + 1 + SECONDS);
    }
}

/// A limit that this process may set itself; one that is lower already stays.
#[cfg(unix)]
fn set_limit(resource: nix::sys::resource::Resource, limit: u64) {
    use nix::sys::resource::{getrlimit, setrlimit};
    if let Ok((_, most)) = getrlimit(resource) {
        let _ = setrlimit(resource, limit.min(most), most);
    }
}

/// There are no such limits.
#[cfg(not(unix))]
fn limit() {}

#[cfg(not(unix))]
fn make_room(_: u64) {}

#[cfg(not(unix))]
fn allow_time() {}

#[cfg(test)]
#[cfg(feature = "jq")]
mod tests {
    use super::*;

    const NO_LIMITS: Limits = Limits { make_room: |_| (), allow_time: || () };

    /// What the process answers to these questions about messages.
    fn answers(asked: &[(u8, &str)]) -> Vec<u8> {
        let mut input = Vec::new();
        for (kind, content) in asked {
            put(&mut input, *kind, |buffer| buffer.extend_from_slice(content.as_bytes()));
        }
        jq::on_stack(move || {
            let mut output = Vec::new();
            serve(&mut &input[..], &mut output, NO_LIMITS).unwrap();
            output
        })
    }

    #[test]
    fn it_answers_one_question_after_the_other() {
        let asked = [
            (QUESTION, ".topic == \"a\""),
            (MESSAGE, r#"{"topic":"a","payload":"{\"x\":1}"}"#),
            (QUESTION, ".topic == \"a\""),
            (QUESTION, ".payload_json.x == 2"),
            (MESSAGE, r#"{"topic":"b","payload":"{\"x\":2}"}"#),
            (QUESTION, ".topic == \"a\""),
            (QUESTION, ".payload_json.x == 2"),
            (QUESTION, ".topic | error"),
        ];
        let mut expected = vec![NO, YES, NO, NO, YES];
        put(&mut expected, FAILED, |answer| answer.extend_from_slice(b"\"b\""));
        assert_eq!(answers(&asked), expected);
    }

    #[test]
    fn a_question_that_is_cut_off_is_an_error() {
        let mut input = Vec::new();
        put(&mut input, QUESTION, |buffer| buffer.extend_from_slice(b"true"));
        input.pop();
        assert!(serve(&mut &input[..], &mut Vec::new(), NO_LIMITS).is_err());
        assert!(serve(&mut &b""[..], &mut Vec::new(), NO_LIMITS).is_ok());
    }
}
