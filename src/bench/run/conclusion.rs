//! What becomes of a result: it is held against the gates and the baseline, printed, and written.

use anyhow::Result;

use crate::bench::attempt::Attempt;
use crate::bench::compare::{self, CompareDocument, Group, comparison_text};
use crate::bench::find;
use crate::bench::output::{Outputs, outputs, write_comparison, write_results};
use crate::bench::report::{Gate, ResultDocument, gates_text, read_result, summary};
use crate::exit_status::ExitStatus;
use crate::options::{BENCH, BenchOptions, ShardNumber, UsageError};
use crate::terminal::{Colors, print, say, summary_width};

/// The gates of `--gate`.
///
/// # Errors
/// All that cannot be read.
pub(super) fn gates(options: &BenchOptions) -> Result<Vec<Gate>, UsageError> {
    let mut faults = Vec::new();
    let has_baseline = options.repeat.baseline.is_some() || options.repeat.ab;
    let mut parse = |text: &String| match Gate::parse(text) {
        Ok(gate) if gate.needs_baseline() && !has_baseline => {
            faults.push(format!("--gate '{text}': vs() is the change against a saved result: add --baseline FILE"));
            None
        }
        Ok(gate) => Some(gate),
        Err(error) => {
            faults.push(format!("--{error}"));
            None
        }
    };
    let gates = options.result.gate.iter().filter_map(&mut parse).collect();
    UsageError::check(BENCH.name, faults)?;
    Ok(gates)
}

/// The result of `--baseline`, read before anything connects.
///
/// # Errors
/// The file is no result.
pub(super) fn baseline(options: &BenchOptions) -> Result<Option<ResultDocument>, UsageError> {
    let read = options.repeat.baseline.as_deref().map(read_result).transpose();
    read.map_err(|error| UsageError::new(BENCH.name, vec![format!("--baseline {error}")]))
}

/// Concludes the runs of one command line.
pub(super) struct Conclusion<'a> {
    options: &'a BenchOptions,
    gates: Vec<Gate>,
    baseline: Option<ResultDocument>,
    files: Outputs,
}

impl<'a> Conclusion<'a> {
    /// Reads gates and baseline, and checks the files of `--out`.
    ///
    /// # Errors
    /// One of them is not usable.
    pub(super) fn from_options(options: &'a BenchOptions, shard: Option<ShardNumber>) -> Result<Self, UsageError> {
        Ok(Self { options, gates: gates(options)?, baseline: baseline(options)?, files: outputs(options, shard)? })
    }

    /// The files of `--out`.
    pub(super) fn files(&self) -> &Outputs {
        &self.files
    }

    /// Whether the result is written as JSON anywhere, so that an interrupt must not cut it off.
    pub(super) fn writes_document(&self) -> bool {
        self.options.result.json || !self.files.is_empty()
    }

    /// Holds a result against the gates and the baseline, prints it and writes it.
    pub(super) fn conclude(&self, attempt: Attempt) -> Result<ExitStatus> {
        let Attempt { mut document, status, has_load } = attempt;
        let of_find = std::mem::take(&mut document.gates);
        self.apply_gates(&mut document);
        document.gates.splice(0..0, of_find);
        if let Some(baseline) = self.baseline.as_ref().filter(|_| has_load) {
            self.compare_with(baseline, &mut document);
        }
        if !self.options.result.json && has_load {
            print(self.text(&document).as_bytes())?;
        }
        if let Some(error) = document.run.error.as_ref().filter(|_| has_load) {
            say(format_args!("Error: {error}"));
        }
        self.write(&document)?;
        Ok(status.unwrap_or_else(|| document.exit_status()))
    }

    /// The summary, and what belongs to it: medians of several runs, the curve of a search, a comparison.
    fn text(&self, document: &ResultDocument) -> String {
        let (width, colors) = (summary_width(), Colors::for_stdout());
        let mut text = summary(document, width, colors, self.options.result.details);
        for part in [
            compare::medians_text(document, width, colors),
            document.curve.as_ref().map_or_else(String::new, |curve| find::curve_text(curve, width, colors)),
            document.compare.as_ref().map_or_else(String::new, |it| comparison_text(it, width, colors)),
        ] {
            if !part.is_empty() {
                text.push('\n');
                text.push_str(&part);
            }
        }
        text
    }

    /// Prints and writes the comparison of two results, each with the name of its broker. The gates hold for the second.
    pub(super) fn conclude_two(&self, names: [String; 2], attempts: [Attempt; 2]) -> Result<ExitStatus> {
        let [base, new] = attempts;
        let (cause, [base, mut new]) = (base.status.or(new.status), [base.document, new.document]);
        let [base_name, new_name] = names;
        let comparison = compare::compare(
            &Group { name: base_name, documents: vec![&base] },
            &Group { name: new_name, documents: vec![&new] },
            self.options.repeat.tolerance_pct(),
            false,
        );
        Gate::apply(&self.gates, &mut new, Some(&base));
        let worst = [base.status, new.status].into_iter().max_by_key(|status| status.severity()).unwrap_or_default();
        let mut document = CompareDocument::new(vec![comparison], worst);
        document.gates.clone_from(&new.gates);
        let json = self.options.result.json;
        if !json {
            let (width, colors) = (summary_width(), Colors::for_stdout());
            let mut text = String::new();
            document.comparisons.iter().for_each(|it| text.push_str(&comparison_text(it, width, colors)));
            text.push_str(&gates_text(&document.gates, width, colors));
            print(text.as_bytes())?;
        }
        for error in [&base, &new].into_iter().filter_map(|side| side.run.error.as_ref()) {
            say(format_args!("Error: {error}"));
        }
        write_comparison(&document, std::slice::from_ref(&new), Some(&base), json, &self.files)?;
        Ok(cause.unwrap_or_else(|| document.exit_status()))
    }

    /// Writes the document of a run that measured nothing.
    pub(super) fn conclude_failure(&self, mut document: ResultDocument) -> Result<()> {
        self.apply_gates(&mut document);
        self.write(&document)
    }

    fn apply_gates(&self, document: &mut ResultDocument) {
        Gate::apply(&self.gates, document, self.baseline.as_ref());
    }

    /// Enters how a result differs from the baseline.
    fn compare_with(&self, baseline: &ResultDocument, document: &mut ResultDocument) {
        let repeat = &self.options.repeat;
        let name = repeat.baseline.as_ref().map_or_else(String::new, |file| file.display().to_string());
        let comparison = compare::compare(
            &Group { name, documents: vec![baseline] },
            &Group { name: "this result".to_owned(), documents: vec![document] },
            repeat.tolerance_pct(),
            repeat.any_plan,
        );
        if !comparison.plan_differences.is_empty() {
            let named: Vec<String> = comparison.plan_differences.iter().map(|it| it.text()).collect();
            document.warn("baseline-of-another-plan", format!("the baseline is of another plan: {}", named.join(", ")));
        }
        document.compare = Some(comparison);
    }

    fn write(&self, document: &ResultDocument) -> Result<()> {
        let results = std::slice::from_ref(document);
        write_results(results, self.baseline.as_ref(), self.options.result.json, &self.files)
    }
}
