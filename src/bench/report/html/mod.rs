//! The report in one HTML file, without anything from the network.

use maud::{DOCTYPE, html};

use super::document::ResultDocument;

/// The page of these results, beside that of a baseline where there is one.
pub(crate) fn page(results: &[ResultDocument], baseline: Option<&ResultDocument>) -> String {
    let shown = results.iter().chain(baseline);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "mqbench" }
            }
            body {
                @for result in shown {
                    h1 { (result.run.description.as_deref().unwrap_or("mqbench")) }
                    pre { (super::summary(result, 100, crate::terminal::Colors::OFF)) }
                }
            }
        }
    };
    page.into_string()
}
