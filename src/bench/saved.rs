//! The verbs that read saved results: `report` and `merge`.

use std::path::PathBuf;

use anyhow::Result;

use super::output::{outputs, write_results};
use super::report::{self, Gate, ResultDocument, read_result, summary};
use crate::exit_status::ExitStatus;
use crate::options::{BENCH, BenchOptions, UsageError};
use crate::terminal::{Colors, print, quoted, summary_width};

/// `mqbench report`: prints saved results, and writes them in other formats. With gates it holds them against these, and
/// its exit status is that of the run.
///
/// # Errors
/// A file is no result, or one cannot be written.
pub(super) fn report(options: &BenchOptions, gates: &[Gate], baseline: Option<&ResultDocument>) -> Result<ExitStatus> {
    let (files, json) = (&options.load.operands, options.result.json);
    let checked = outputs(options, None).and_then(|outputs| {
        outputs.check_several(files.len())?;
        let faults = (json && files.len() > 1).then(|| "--json prints one result: give one, or merge them".to_owned());
        UsageError::check(BENCH.name, faults.into_iter().collect())?;
        Ok(outputs)
    });
    let outputs = match checked {
        Ok(outputs) => outputs,
        Err(error) => return Ok(error.report()),
    };
    let mut results = files.iter().map(|file| read_result(file)).collect::<Result<Vec<_>, _>>()?;
    if !gates.is_empty() {
        results.iter_mut().for_each(|result| Gate::apply(gates, result, baseline));
    }
    if !json {
        print_summaries(&results, options.result.details)?;
    }
    write_results(&results, baseline, json, &outputs)?;
    let failed = results.iter().map(|result| result.exit_status()).find(|status| *status != ExitStatus::Done);
    Ok(failed.filter(|_| !gates.is_empty()).unwrap_or(ExitStatus::Done))
}

/// `mqbench merge`: adds the results of one plan, prints the sum and writes it. Its exit status is that of a run with this
/// result.
///
/// # Errors
/// A file is no result, results do not belong together, or one cannot be written.
pub(super) fn merge(options: &BenchOptions, gates: &[Gate], baseline: Option<&ResultDocument>) -> Result<ExitStatus> {
    let json = options.result.json;
    let outputs = match outputs(options, None) {
        Ok(outputs) => outputs,
        Err(error) => return Ok(error.report()),
    };
    let read = |file: &PathBuf| anyhow::Ok((quoted(&file.to_string_lossy()), read_result(file)?));
    let mut merged = report::merge_read(options.load.operands.iter().map(read), options.shards.allow_partial)?;
    if let Some(name) = &options.result.name {
        merged.run.name = Some(name.clone());
    }
    merged.run.labels.extend(options.result.label.iter().cloned());
    Gate::apply(gates, &mut merged, baseline);
    if !json {
        print_summaries(std::slice::from_ref(&merged), options.result.details)?;
    }
    write_results(std::slice::from_ref(&merged), baseline, json, &outputs)?;
    Ok(merged.exit_status())
}

fn print_summaries(results: &[ResultDocument], details: bool) -> Result<()> {
    let width = summary_width();
    let texts: Vec<String> =
        results.iter().map(|result| summary(result, width, Colors::for_stdout(), details)).collect();
    print(texts.join("\n").as_bytes())?;
    Ok(())
}
