//! Holds documents of mqbench against the JSON Schema in `schemas/`.

use std::path::Path;
use std::sync::OnceLock;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

/// The schemas, by what a document says that it is.
const SCHEMAS: [(&str, &str); 2] =
    [("mqbench-result/1", "schemas/mqbench-result-1.json"), ("mqbench-compare/1", "schemas/mqbench-compare-1.json")];

/// Fails unless a document is what the schema says. Documents of `mqbench self` and `doctor` have none.
#[track_caller]
pub fn check_document(document: &Value) {
    static COMPILED: OnceLock<(Schemas, [SchemaIndex; 2])> = OnceLock::new();
    let Some(place) = SCHEMAS.iter().position(|(name, _)| document["schema"] == *name) else { return };
    let (schemas, indexes) = COMPILED.get_or_init(|| {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        let indexes = SCHEMAS.map(|(_, file)| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
            compiler.compile(path.to_str().unwrap(), &mut schemas).expect("the schema is one")
        });
        (schemas, indexes)
    });
    if let Err(error) = schemas.validate(document, indexes[place]) {
        panic!("not what {} says: {error:#}\n{document:#}", SCHEMAS[place].1);
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
