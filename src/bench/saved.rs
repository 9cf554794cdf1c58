//! The verbs that read saved results: `report`.

use anyhow::Result;

use super::output::{outputs, write_results};
use super::report::{Gate, ResultDocument, read_result, summary};
use crate::exit_status::ExitStatus;
use crate::options::{BENCH, BenchOptions, UsageError};
use crate::terminal::{Colors, SUMMARY_WIDTH, print, width};

/// `mqbench report`: prints saved results, and writes them in other formats. With gates it holds them against these, and
/// its exit status is that of the run.
///
/// # Errors
/// A file is no result, or one cannot be written.
pub(super) fn report(options: &BenchOptions, gates: &[Gate], baseline: Option<&ResultDocument>) -> Result<ExitStatus> {
    let (files, json) = (&options.load.operands, options.result.json);
    let checked = outputs(options).and_then(|outputs| {
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
        let (width, details) = (width().unwrap_or(SUMMARY_WIDTH).clamp(40, SUMMARY_WIDTH), options.result.details);
        let texts: Vec<String> =
            results.iter().map(|result| summary(result, width, Colors::for_stdout(), details)).collect();
        print(texts.join("\n").as_bytes())?;
    }
    write_results(&results, baseline, json, &outputs)?;
    let failed = results.iter().map(|result| result.exit_status()).find(|status| *status != ExitStatus::Done);
    Ok(failed.filter(|_| !gates.is_empty()).unwrap_or(ExitStatus::Done))
}
