//! placeholder
use super::document::ResultDocument;
/// x
pub fn summary(_: &ResultDocument) -> String {
    String::new()
}
