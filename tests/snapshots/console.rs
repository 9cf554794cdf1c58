//! The console blocks of a page: commands after a `$`, and below each what it prints.

/// A command of a block, and what the page shows of its output.
pub struct Shown<'a> {
    pub command: String,
    pub lines: Vec<&'a str>,
}

/// A block of commands.
pub struct Block<'a> {
    /// Whether its last command goes on while the reader types the next blocks in another window: "```console waits".
    pub waits: bool,
    pub commands: Vec<Shown<'a>>,
}

/// What a line of a page is.
enum Line {
    /// Text between the blocks, and the fences.
    Text,
    /// The beginning of a block.
    Fence,
    /// A command, or more of the command above it, which ends with a backslash.
    Command,
    More,
    Output,
}

/// Each line of a page, and what it is.
fn lines(page: &str) -> impl Iterator<Item = (Line, &str)> {
    let (mut inside, mut goes_on) = (false, false);
    page.lines().map(move |line| {
        let text = line.trim_start();
        let kind = if text.starts_with("```") {
            inside = text.split_whitespace().next() == Some("```console");
            if inside { Line::Fence } else { Line::Text }
        } else if !inside {
            Line::Text
        } else if goes_on {
            Line::More
        } else if text.starts_with("$ ") {
            Line::Command
        } else {
            Line::Output
        };
        goes_on = matches!(kind, Line::Command | Line::More) && line.ends_with('\\');
        (kind, line)
    })
}

/// The blocks of commands and their output.
pub fn blocks(page: &str) -> Vec<Block<'_>> {
    const BEGINS: &str = "a block begins with a command";
    let mut blocks = Vec::<Block<'_>>::new();
    for (kind, line) in lines(page) {
        match kind {
            Line::Text => {}
            Line::Fence => blocks.push(Block { waits: line.trim_end().ends_with(" waits"), commands: vec![] }),
            Line::Command => {
                let command = line.trim_start()["$ ".len()..].to_owned();
                blocks.last_mut().unwrap().commands.push(Shown { command, lines: vec![] });
            }
            Line::More => {
                let command = &mut blocks.last_mut().unwrap().commands.last_mut().expect(BEGINS).command;
                *command += "\n";
                *command += line;
            }
            Line::Output => blocks.last_mut().unwrap().commands.last_mut().expect(BEGINS).lines.push(line),
        }
    }
    blocks
}

/// The page with other outputs: one for each command, in their order; where there is none, the lines stay.
pub fn with_outputs(page: &str, outputs: impl IntoIterator<Item = Option<Vec<String>>>) -> String {
    let (mut outputs, mut text) = (outputs.into_iter(), String::new());
    // Of the command above.
    let mut output = None;
    for (kind, line) in lines(page) {
        if !matches!(kind, Line::More | Line::Output) {
            text.extend(output.take().into_iter().flatten().map(|line: String| line + "\n"));
        }
        if matches!(kind, Line::Command) {
            output = outputs.next().flatten();
        }
        if !matches!(kind, Line::Output) || output.is_none() {
            text += line;
            text += "\n";
        }
    }
    text
}

/// What stands behind a command of whose output a page shows only some lines, in English and in Korean.
pub const EXCERPT: [&str; 2] = ["# excerpt", "# 일부"];

/// Whether a command printed what is shown. Of an excerpt only the lines that are shown have to come, in this order.
pub fn check(command: &str, printed: &[String], shown: &[String]) -> Result<(), String> {
    let missing = if EXCERPT.iter().any(|mark| command.contains(mark)) {
        let mut rest = printed.iter();
        shown.iter().find(|line| !rest.any(|other| other == *line))
    } else if printed == shown {
        None
    } else {
        return Err(format!("{command}\nprinted: {printed:#?}\nshown: {shown:#?}"));
    };
    let Some(missing) = missing else { return Ok(()) };
    Err(format!("{command}\n{missing:?} is not among, or not in its place:\n{printed:#?}"))
}
