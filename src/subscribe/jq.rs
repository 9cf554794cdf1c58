//! The jq language, by jaq, with bounds: a program that does not end, or that calls itself too deeply, fails on its
//! message, and nothing in it reaches files, the environment, stderr or the end of the process.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::iter::from_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use jaq_core::box_iter::box_once;
use jaq_core::data::{DataT, HasLut};
use jaq_core::load::{self, Arena, File, Loader};
use jaq_core::native::v;
use jaq_core::{Compiler, Ctx, Error, Exn, Filter, Lut, Native, ValT as _, Vars, native};
use jaq_json::{Val, read};

use crate::message_json::JsonText;

/// Steps of one program on one message. An expression about a message takes some tens of them, one that walks over
/// a thousand values some ten thousand.
const MAX_STEPS: u32 = 100_000;
/// Stack that the steps of a program may take. What follows the last step, as the end of a deeply nested value, takes
/// more: see [`STACK`].
const MAX_STEP_STACK: usize = 16 << 20;
/// The stack of a thread that compiles or runs programs. Memory is taken only for what is used of it.
pub(super) const STACK: usize = 512 << 20;
/// Longest program, bytes: the parser takes stack for each bracket.
const MAX_CODE: usize = 16 << 10;
/// Deepest JSON that is read, as in a message printed with `--json-payload`.
const MAX_DEPTH: usize = 100;
/// Longest text of an error of a program, characters; it may hold a payload.
const LONGEST_ERROR: usize = 160;

/// Native functions that are not there, or that are replaced below.
const WITHOUT_NATIVE: [&str; 6] = ["env", "halt", "debug_empty", "stderr_empty", "range", "fromjson"];
/// Definitions that stand on those.
const WITHOUT_DEFINITION: [&str; 4] = ["halt", "halt_error", "debug", "stderr"];

/// A compiled program.
pub(super) struct Program {
    filter: Filter<Bounded>,
    needs_json: bool,
}

/// What a program is asked about: the object of a message.
pub(super) type Value = Val;

/// jaq's data for programs with bounds.
struct Bounded;

impl DataT for Bounded {
    type V<'a> = Val;
    type Data<'a> = Run<'a>;
}

/// One run of a program. jaq asks it for the table of terms at each step, which is where steps are counted.
#[derive(Clone)]
struct Run<'a> {
    lut: &'a Lut<Bounded>,
    left: &'a Cell<u32>,
    /// Where the stack stood at the beginning.
    stack: usize,
}

/// Why a run was ended.
#[derive(Clone, Copy, Debug)]
enum Bound {
    Steps,
    Stack,
}

impl Run<'_> {
    /// Takes one step. jaq has no way to end a program from outside, so the run is unwound; nothing is printed for it,
    /// and [`Program::is_true`] catches it.
    fn step(&self) {
        let here = 0u8;
        if self.stack.abs_diff(std::ptr::from_ref(&here).addr()) > MAX_STEP_STACK {
            resume_unwind(Box::new(Bound::Stack));
        }
        match self.left.get().checked_sub(1) {
            Some(left) => self.left.set(left),
            None => resume_unwind(Box::new(Bound::Steps)),
        }
    }
}

impl<'a> HasLut<'a, Bounded> for Run<'a> {
    fn lut(&self) -> &'a Lut<Bounded> {
        self.step();
        self.lut
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").field("needs_json", &self.needs_json).finish_non_exhaustive()
    }
}

impl Program {
    /// Looks whether a program compiles.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub(super) fn check(code: &str) -> Result<(), String> {
        let code = code.to_owned();
        let thread = std::thread::Builder::new().name("jq".into()).stack_size(STACK);
        let compiled = thread.spawn(move || Self::compile(&code).map(drop)).map(std::thread::JoinHandle::join);
        match compiled {
            Ok(Ok(compiled)) => compiled,
            Ok(Err(_)) => Err("the jq compiler failed on it".into()),
            Err(error) => Err(format!("cannot start the jq compiler: {error}")),
        }
    }

    /// Compiles a program. To be called on a thread with [`STACK`].
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub(super) fn compile(code: &str) -> Result<Self, String> {
        if code.len() > MAX_CODE {
            return Err(format!("a jq expression may have at most {} KiB", MAX_CODE >> 10));
        }
        compile(code)
    }

    /// Whether one of the program's results is neither false nor null. To be called on a thread with [`STACK`].
    ///
    /// # Errors
    /// What ended the program before.
    pub(super) fn is_true(&self, subject: &Value) -> Result<bool, String> {
        if self.needs_json && !has_payload_json(subject) {
            return Err("the payload is not JSON".into());
        }
        let here = 0u8;
        let (left, stack) = (Cell::new(MAX_STEPS), std::ptr::from_ref(&here).addr());
        let run = Run { lut: &self.filter.lut, left: &left, stack };
        let results = || {
            let context = Ctx::<Bounded>::new(run, Vars::new([]));
            for result in self.filter.id.run((context, subject.clone())) {
                match result.map_err(Exn::get_err) {
                    Ok(value) if value.as_bool() => return Ok(true),
                    Ok(_) => {}
                    Err(Ok(error)) => return Err(error.to_string().chars().take(LONGEST_ERROR).collect()),
                    Err(Err(_)) => return Err("the jq interpreter failed".into()),
                }
            }
            Ok(false)
        };
        catch_unwind(AssertUnwindSafe(results)).unwrap_or_else(|cause| Err(ended_by(&*cause)))
    }
}

fn ended_by(cause: &(dyn Any + Send)) -> String {
    match cause.downcast_ref() {
        Some(Bound::Steps) => format!("the expression takes more than {MAX_STEPS} steps"),
        Some(Bound::Stack) => "the expression calls itself too deeply".into(),
        None => "the jq interpreter failed".into(),
    }
}

/// The key under which a payload that is JSON stands in an object for programs.
const PAYLOAD_JSON: &str = "payload_json";

fn has_payload_json(subject: &Value) -> bool {
    matches!(subject, Val::Obj(object) if object.contains_key(&Val::utf8_str(PAYLOAD_JSON)))
}

/// The object of a message, from its JSON, with the payload under `payload_json` where it is JSON.
pub(super) fn value(object: &[u8]) -> Value {
    let value = read::parse_single(object).unwrap_or_default();
    let Val::Obj(object) = &value else { return value };
    let payload = match object.get(&Val::utf8_str("payload")) {
        Some(Val::TStr(text)) => parse_json(text),
        _ => return value,
    };
    let Ok(payload) = payload else { return value };
    let mut object = (**object).clone();
    object.insert(Val::utf8_str(PAYLOAD_JSON), payload);
    Val::obj(object)
}

/// One JSON document. jaq's own reader takes stack for each bracket of what may come from the network.
fn parse_json(text: &[u8]) -> Result<Val, String> {
    let text = JsonText::new(text, MAX_DEPTH).ok_or("the text is not JSON, or nested too deeply")?;
    read::parse_single(text.as_str().as_bytes()).map_err(|error| error.to_string())
}

fn compile(code: &str) -> Result<Program, String> {
    let definitions = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    let loader = Loader::new(definitions.filter(|definition| !WITHOUT_DEFINITION.contains(&definition.name)));
    let arena = Arena::default();
    let modules = loader.load(&arena, File { code, path: () }).map_err(|errors| fault_of_load(code, errors))?;
    let natives = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let natives = natives.filter(|(name, ..)| !WITHOUT_NATIVE.contains(name)).chain(replacements());
    let filter = Compiler::default().with_funs(natives).compile(modules).map_err(|errors| {
        let undefined = errors.into_iter().flat_map(|(_, errors)| errors).next();
        match undefined {
            Some((name, kind)) => at(code, name, &format!("there is no {} {name}", kind.as_str())),
            None => "it does not compile".into(),
        }
    })?;
    Ok(Program { filter, needs_json: code.contains(PAYLOAD_JSON) })
}

/// `range`, which would run on between two steps, and `fromjson`, with a bound for depth.
fn replacements() -> impl Iterator<Item = native::Fun<Bounded>> {
    let range: native::Fun<Bounded> = (
        "range",
        v(3),
        Native::new(|mut cv| {
            let (by, to, mut from) = (cv.0.pop_var(), cv.0.pop_var(), Some(Ok(cv.0.pop_var())));
            let run = cv.0.data().clone();
            let direction = by.partial_cmp(&Val::from(0isize));
            Box::new(from_fn(move || {
                run.step();
                let now = match from.take()? {
                    Ok(now) => now,
                    Err(error) => return Some(Err(Exn::from(error))),
                };
                let goes_on = match direction {
                    Some(std::cmp::Ordering::Greater) => now < to,
                    Some(std::cmp::Ordering::Less) => now > to,
                    _ => now != to,
                };
                from = goes_on.then(|| now.clone() + by.clone());
                goes_on.then_some(Ok(now))
            }))
        }),
    );
    let fromjson: native::Fun<Bounded> = (
        "fromjson",
        v(0),
        Native::new(|cv| {
            let parsed = match &cv.1 {
                Val::TStr(text) | Val::BStr(text) => parse_json(text).map_err(Error::str),
                other => Err(Error::typ(other.clone(), "string")),
            };
            box_once(parsed.map_err(Exn::from))
        }),
    );
    [range, fromjson].into_iter()
}

fn fault_of_load(code: &str, errors: load::Errors<&str, ()>) -> String {
    match errors.into_iter().next().map(|(_, error)| error) {
        Some(load::Error::Lex(errors)) => match errors.into_iter().next() {
            Some((expected, found)) => at(code, found, &format!("expected {}", expected.as_str())),
            None => "it is not jq".into(),
        },
        Some(load::Error::Parse(errors)) => match errors.into_iter().next() {
            Some((expected, found)) => at(code, found, &format!("expected {}", expected.as_str())),
            None => "it is not jq".into(),
        },
        Some(load::Error::Io(errors)) => match errors.into_iter().next() {
            Some((path, _)) => at(code, path, "modules cannot be loaded"),
            None => "modules cannot be loaded".into(),
        },
        None => "it is not jq".into(),
    }
}

/// An error with the part of the program where it is, and a mark below.
fn at(code: &str, part: &str, what: &str) -> String {
    /// What is shown of a program on each side, characters.
    const AROUND: usize = 50;
    let inside = code.as_bytes().as_ptr_range();
    let start = part.as_ptr();
    let start = if start >= inside.start && start <= inside.end { load::span(code, part).start } else { code.len() };
    let (before, behind) = code.split_at(start);
    let skipped = before.chars().count().saturating_sub(AROUND);
    let before: String = before.chars().skip(skipped).map(plain).collect();
    let behind: String = behind.chars().take(AROUND).map(plain).collect();
    let what = if part.is_empty() { format!("{what} at its end") } else { what.to_owned() };
    let width = unicode_width::UnicodeWidthStr::width(before.as_str());
    format!("{what}\n  {before}{behind}\n  {:width$}^", "")
}

/// A character that takes one place on the line.
fn plain(character: char) -> char {
    if character.is_control() { ' ' } else { character }
}

/// Runs with the stack that programs may need.
#[cfg(test)]
pub(super) fn on_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work).unwrap().join().unwrap()
    })
}
