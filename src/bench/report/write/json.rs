//! The result document itself.

use anyhow::Result;

use crate::bench::report::document::ResultDocument;

pub(super) fn write(results: &[ResultDocument]) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    for result in results {
        result.write_json(&mut text)?;
    }
    Ok(text)
}
