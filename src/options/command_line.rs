//! A command that the user gives as one argument.

/// A command and its arguments, which no shell reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// The program, then its arguments.
    pub words: Vec<String>,
}

impl CommandLine {
    /// Splits text at blanks outside of quotes, as a POSIX shell does.
    ///
    /// # Errors
    /// A quote is open, or there is no word.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let words = shlex::split(text).ok_or("a quote or a backslash at the end is not closed")?;
        match words.first() {
            Some(program) if !program.is_empty() => Ok(Self { words }),
            _ => Err("the command is empty".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_divided_as_by_a_shell() {
        let words = |text| CommandLine::parse(text).ok().map(|command| command.words);
        let expected = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(words("a  b\tc"), expected(&["a", "b", "c"]));
        assert_eq!(words("sh -c 'echo \"$1\"' sh {topic}"), expected(&["sh", "-c", "echo \"$1\"", "sh", "{topic}"]));
        assert_eq!(words("a '' \"b c\" d\\ e"), expected(&["a", "", "b c", "d e"]));
        assert_eq!(words("a $HOME ; rm *"), expected(&["a", "$HOME", ";", "rm", "*"]));
        for wrong in ["", "  ", "'a", "a \"b", "a\\", "''"] {
            assert_eq!(words(wrong), None, "{wrong:?}");
        }
    }
}
