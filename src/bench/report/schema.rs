//! The JSON Schema of the result document, made from its types.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::document::ResultDocument;

/// The schema of `mqbench-result/1` (JSON Schema 2020-12). It describes what is written: every field is required, and null
/// where it was not measured.
pub fn result_schema() -> Value {
    schema_of::<ResultDocument>()
}

/// The schema of a document as it is written.
pub(in crate::bench) fn schema_of<Document: JsonSchema>() -> Value {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    generator.into_root_schema_for::<Document>().to_value()
}

#[cfg(test)]
pub(in crate::bench) mod tests {
    use std::sync::OnceLock;

    use boon::{Compiler, SchemaIndex, Schemas};
    use chrono::Utc;
    use serde_json::json;

    use super::*;
    use crate::bench::report::context;
    use crate::bench::report::tests::example;

    /// Whether a document is what the schema says, and if not, why.
    fn check(document: &Value) -> Result<(), String> {
        static COMPILED: OnceLock<(Schemas, SchemaIndex)> = OnceLock::new();
        let (schemas, index) = COMPILED.get_or_init(|| {
            let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
            compiler.add_resource("result.json", result_schema()).unwrap();
            let index = compiler.compile("result.json", &mut schemas).unwrap();
            (schemas, index)
        });
        schemas.validate(document, *index).map_err(|error| format!("{error:#}"))
    }

    /// Fails unless a document is what the schema says.
    #[track_caller]
    pub(in crate::bench) fn check_schema(document: &Value) {
        check(document).unwrap_or_else(|error| panic!("{error}\n{document:#}"));
    }

    /// The object at a path of a schema, whether it stands there or is named there.
    fn walk(schema: &Value, place: &str, found: &mut Vec<String>) {
        match schema {
            Value::Object(fields) => {
                // A plan has a field of that name.
                let is_schema = fields.get("type").is_some_and(Value::is_string);
                if let Some(properties) = fields.get("properties").and_then(Value::as_object).filter(|_| is_schema) {
                    let required: Vec<&str> =
                        fields["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
                    for (name, property) in properties {
                        let is_described = property.get("description").is_some() || property.get("$ref").is_some();
                        if !is_described || !required.contains(&name.as_str()) {
                            found.push(format!("{place}.{name}"));
                        }
                    }
                }
                fields.iter().for_each(|(name, value)| walk(value, &format!("{place}/{name}"), found));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, place, found)),
            _ => {}
        }
    }

    #[test]
    fn every_field_is_required_and_described() {
        let mut found = Vec::new();
        walk(&result_schema(), "", &mut found);
        assert!(found.is_empty(), "{found:#?}");
    }

    #[test]
    fn a_document_that_is_wrong_is_found() {
        let context = context(&example::plan(), Vec::new(), None, Utc::now());
        let good = serde_json::to_value(example::assemble(context, example::two_stages())).unwrap();
        check_schema(&good);
        type Change = fn(&mut Value);
        let changes: [(&str, Change); 6] = [
            ("missing", |document| drop(document["delivery"].as_object_mut().unwrap().remove("lost"))),
            ("negative", |document| document["delivery"]["lost"] = json!(-1)),
            ("text", |document| document["traffic"]["sent_per_s"] = json!("12")),
            ("status", |document| document["status"] = json!("fine")),
            ("schema", |document| document["schema"] = json!("mqbench-result/2")),
            ("plan", |document| drop(document["plan"].as_object_mut().unwrap().remove("shape"))),
        ];
        for (name, change) in changes {
            let mut document = good.clone();
            change(&mut document);
            assert!(check(&document).is_err(), "{name}");
        }
    }
}
