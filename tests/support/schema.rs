//! Holds documents of mqbench against the JSON Schema in `schemas/`.

use std::path::Path;
use std::sync::OnceLock;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

/// Where the schema of a result is.
const RESULT: &str = "schemas/mqbench-result-1.json";

/// Fails unless a document is what the schema says. Documents of `mqbench self` and `doctor` have none.
#[track_caller]
pub fn check_document(document: &Value) {
    if document["schema"] != "mqbench-result/1" {
        return;
    }
    static COMPILED: OnceLock<(Schemas, SchemaIndex)> = OnceLock::new();
    let (schemas, index) = COMPILED.get_or_init(|| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(RESULT);
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        let index = compiler.compile(path.to_str().unwrap(), &mut schemas).expect("the schema is one");
        (schemas, index)
    });
    if let Err(error) = schemas.validate(document, *index) {
        panic!("not what {RESULT} says: {error:#}\n{document:#}");
    }
}

/// Reads what `--json` printed, or `--out` wrote, and holds it against its schema.
#[track_caller]
pub fn document(text: &[u8]) -> Value {
    let document =
        serde_json::from_slice(text).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(text)));
    check_document(&document);
    document
}
