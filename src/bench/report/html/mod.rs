//! The report as one HTML file: nothing comes from the network, and it is complete without its small script.
//!
//! Whatever a broker, a user or a file wrote is text: maud escapes it, [`text`] makes what cannot be seen visible and
//! bounds it, and a Content-Security-Policy forbids everything but the style and the script that stand in the page.

mod chart;
mod columns;
mod curve;
mod facts;
mod knee;
mod raw;
mod tables;
mod text;
mod timeline;

#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use self::chart::heading;
use self::curve::Sample;
use self::text::name;
use self::timeline::Timeline;
use super::document::ResultDocument;
use crate::terminal::number::counted;
use crate::terminal::{escape, excerpt};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// Results that are drawn; further ones are in the table of all.
const MOST_RESULTS: usize = 12;

/// Characters of a result's name at the head of a column.
const LONGEST_COLUMN: usize = 30;

/// A result of the page.
struct Shown<'a> {
    /// Unique in the page, the beginning of its ids.
    id: String,
    name: String,
    document: &'a ResultDocument,
    baseline: Option<&'a ResultDocument>,
}

/// The page of these results, beside that of a baseline where there is one.
pub(crate) fn page(results: &[ResultDocument], baseline: Option<&ResultDocument>) -> String {
    let shown: Vec<Shown<'_>> = (1..)
        .zip(results)
        .map(|(number, document)| Shown {
            id: format!("r{number}"),
            name: name_of(document, number),
            document,
            baseline,
        })
        .collect();
    let title = match &shown[..] {
        [only] => only.name.clone(),
        all => format!("{} results of mqbench", all.len()),
    };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                link rel="icon" href="data:,";
                title { (title) " · mqbench" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                div class="page" {
                    a class="skip" href="#result" { "Skip to the result" }
                    @match &shown[..] {
                        [only] => (single(only)),
                        all => (several(all, &title, baseline)),
                    }
                    footer {
                        p class="note" {
                            "Made by mqbench " (env!("CARGO_PKG_VERSION"))
                            ". This file is complete: it loads nothing from any network."
                        }
                    }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

/// Nothing but what stands in the page may run or be loaded.
fn policy() -> String {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; img-src data:; base-uri 'none'; \
         form-action 'none'",
        hash(SCRIPT),
        hash(STYLE)
    )
}

fn name_of(document: &ResultDocument, number: usize) -> String {
    let run = &document.run;
    let given = run.name.as_deref().or(run.description.as_deref()).map(|text| name(&words(text)));
    given.unwrap_or_else(|| format!("Result {number}"))
}

/// What distinguishes a result from others beside it, in a few words.
fn short_name(document: &ResultDocument, number: usize) -> String {
    let (run, target) = (&document.run, &document.target);
    let broker = target.broker.as_ref().and_then(|broker| {
        let version = broker.version.as_deref().unwrap_or_default();
        Some(format!("{} {version}", broker.name.as_deref()?))
    });
    let given = run.name.clone().or(broker).or_else(|| target.urls.first().cloned());
    let words = given.map(|text| excerpt(&escape(text.trim()), LONGEST_COLUMN).into_owned());
    words.map_or_else(|| number.to_string(), |words| format!("{number}: {words}"))
}

/// Text in which columns were aligned by several blanks.
fn words(text: &str) -> String {
    text.split("  ").map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · ")
}

/// The page of one result.
fn single(shown: &Shown<'_>) -> Markup {
    let parts = parts(shown, 2);
    html! {
        header {
            h1 { (shown.name) }
            p class="lead" { (origin(shown.document)) }
            (contents(parts.iter().map(|part| (part.id.as_str(), part.title))))
        }
        main id="result" {
            (banner(shown))
            (tables::key_figures(shown.document, shown.baseline))
            @for part in &parts { (part.render(2)) }
        }
    }
}

/// The page of several results: side by side, then each of them.
fn several(all: &[Shown<'_>], title: &str, baseline: Option<&ResultDocument>) -> Markup {
    let named = baseline.map(|baseline| ("baseline".to_owned(), baseline));
    let numbered = (1..).zip(all).map(|(number, shown)| (short_name(shown.document, number), shown.document));
    let columns: Vec<(String, &ResultDocument)> = named.into_iter().chain(numbered).collect();
    let samples: Vec<Sample<'_>> =
        columns.iter().filter_map(|(name, document)| headline(name.clone(), document)).collect();
    let samples = mark_baseline(samples, baseline.is_some());
    let links = all.iter().take(MOST_RESULTS).map(|shown| (shown.id.as_str(), shown.name.as_str()));
    html! {
        header {
            h1 { (title) }
            (contents(std::iter::once(("side-by-side", "Side by side")).chain(links)))
        }
        main id="result" {
            section aria-labelledby="side-by-side" {
                h2 id="side-by-side" { "Side by side" }
                p class="note" { "In brackets: the difference to the first column." }
                (tables::side_by_side(&columns))
                @if let Some(chart) = curve::chart("all-percentiles".to_owned(), &samples) { (chart.render(3)) }
            }
            @for shown in all.iter().take(MOST_RESULTS) {
                section aria-labelledby=(shown.id) {
                    h2 id=(shown.id) { (shown.name) }
                    p class="lead" { (origin(shown.document)) }
                    (banner(shown))
                    (tables::key_figures(shown.document, shown.baseline))
                    @for part in parts(shown, 3) { (part.render(3)) }
                }
            }
            @if all.len() > MOST_RESULTS {
                p { "Results that are only in the table of all: " (all.len() - MOST_RESULTS) }
            }
        }
    }
}

/// The latency that a result is about.
fn headline(name: String, document: &ResultDocument) -> Option<Sample<'_>> {
    let table = &document.latency;
    let latency = [&table.e2e, &table.rtt, &table.ack, &table.connect].into_iter().find_map(Option::as_ref)?;
    Some(Sample { name, latency, is_baseline: false, highest_percentile: highest_percentile(document) })
}

/// The percentile above which this machine was too busy to measure.
fn highest_percentile(document: &ResultDocument) -> Option<&str> {
    let of_stage = |stage: &super::stage::Stage| stage.latency == document.latency;
    document.stages.iter().find(|stage| of_stage(stage))?.highest_percentile.as_deref()
}

fn mark_baseline(mut samples: Vec<Sample<'_>>, has_baseline: bool) -> Vec<Sample<'_>> {
    if let Some(first) = samples.first_mut().filter(|_| has_baseline) {
        first.is_baseline = true;
    }
    samples
}

/// A part of the page of a result.
struct Part {
    id: String,
    title: &'static str,
    body: Markup,
}

impl Part {
    fn render(&self, level: u8) -> Markup {
        html! {
            section id=(self.id) aria-label=(self.title) {
                (heading(level, self.title))
                (self.body)
            }
        }
    }
}

/// The parts of a result that have something in them.
fn parts(shown: &Shown<'_>, level: u8) -> Vec<Part> {
    let (id, document) = (&shown.id, shown.document);
    let below = level + 1;
    let timeline = Timeline::of(id, document, shown.baseline);
    let file = format!("{}.json", if document.run.id.is_some() { "mqbench-result" } else { "result" });
    let part = |suffix: &str, title, is_there: bool, body: &dyn Fn() -> Markup| {
        is_there.then(|| Part { id: format!("{id}-{suffix}"), title, body: body() })
    };
    let has_warnings = !document.warnings.is_empty() || !document.generator.reasons.is_empty();
    let has_repeats = document.runs.is_some() && document.stats.is_some();
    let all = [
        part("gates", "Gates", !document.gates.is_empty(), &|| tables::gates(document)),
        part("knee", "The highest rate", document.curve.is_some(), &|| {
            html! {
                @if let Some(curve) = &document.curve { (knee::render(format!("{id}-rate"), curve, below)) }
            }
        }),
        part("comparison", "Comparison", document.compare.is_some(), &|| {
            html! {
                @if let Some(comparison) = &document.compare { (tables::comparison(comparison)) }
            }
        }),
        part("repeats", "All runs", has_repeats, &|| {
            html! {
                @if let Some((runs, stats)) = document.runs.as_ref().zip(document.stats.as_ref()) {
                    (tables::repeats(runs, stats))
                }
            }
        }),
        part("time", "Over time", true, &|| html! { div class="timeline" { (timeline.render(below)) } }),
        part("percentiles", "Latency", true, &|| latencies(shown, below)),
        part("warnings", "Warnings", has_warnings, &|| tables::warnings(document)),
        part("stages", "Stages", !document.stages.is_empty(), &|| tables::stages(document)),
        part("accounts", "Messages and connections", true, &|| tables::accounts(document, below)),
        part("facts", "Plan and environment", true, &|| facts::facts(document, below)),
        part("again", "Measure again", true, &|| raw::command(&format!("{id}-command"), document)),
        part("data", "Raw data", true, &|| {
            let own = raw::data(&format!("{id}-json"), "the result", &file, document);
            let of_baseline = shown.baseline.filter(|_| id == "r1");
            html! {
                (own)
                @if let Some(baseline) = of_baseline { (raw::data("baseline-json", "the baseline", "baseline.json", baseline)) }
            }
        }),
    ];
    all.into_iter().flatten().collect()
}

/// The percentile curves and all latencies of a result.
fn latencies(shown: &Shown<'_>, level: u8) -> Markup {
    let document = shown.document;
    let names = [
        ("e2e", "end to end"),
        ("rtt", "round trip"),
        ("ack", "acknowledgement"),
        ("connect", "connect"),
        ("sched_lag", "send lag (this machine)"),
    ];
    let highest_percentile = highest_percentile(document);
    let sample = |name: String, latency| Sample { name, latency, is_baseline: false, highest_percentile };
    let mut drawn: Vec<Sample<'_>> = names
        .into_iter()
        .filter_map(|(metric, name)| Some(sample(name.to_owned(), document.latency.get(metric)?)))
        .collect();
    let of_baseline = shown.baseline.and_then(|baseline| headline("baseline".to_owned(), baseline));
    if let Some(baseline) = of_baseline {
        drawn.push(Sample { is_baseline: true, ..baseline });
    }
    let all: Vec<Sample<'_>> = crate::bench::measure::Latencies::<()>::NAMES
        .iter()
        .filter_map(|metric| Some(sample((*metric).to_owned(), document.latency.get(metric)?)))
        .collect();
    html! {
        @if let Some(chart) = curve::chart(format!("{}-curve", shown.id), &drawn) { (chart.render(level)) }
        @if all.is_empty() { p { "No latency was measured." } }
        @else {
            (heading(level, "All latencies"))
            (curve::table(&all).render("All latencies"))
        }
    }
}

/// Where and when a result was made, in one line.
fn origin(document: &ResultDocument) -> String {
    let (run, target) = (&document.run, &document.target);
    let broker = target.broker.as_ref().map(|broker| {
        let parts: Vec<&str> = [&broker.name, &broker.version].into_iter().flatten().map(String::as_str).collect();
        parts.join(" ")
    });
    let description = run.name.as_ref().and(run.description.as_deref()).map(words);
    let tool = format!("{} {}", document.tool.name, document.tool.version);
    let urls = target.urls.iter().take(3).cloned();
    let all = description.into_iter().chain(urls).chain(broker).chain(run.started_at.clone()).chain([tool]);
    all.filter(|part| !part.is_empty()).map(|part| name(&part)).collect::<Vec<_>>().join(" · ")
}

fn contents<'a>(links: impl Iterator<Item = (&'a str, &'a str)>) -> Markup {
    html! {
        nav aria-label="Contents" {
            ul { @for (id, title) in links { li { a href=(format!("#{id}")) { (title) } } } }
        }
    }
}

/// What the result means.
fn banner(shown: &Shown<'_>) -> Markup {
    use super::status::Status;
    let document = shown.document;
    let warnings = document.warnings.len() + document.generator.reasons.len();
    let (class, state) = match document.status {
        Status::Ok if document.gates.iter().any(|gate| !gate.pass) => ("banner bad", "✗ Gate failed"),
        Status::Ok => ("banner", "✓ Valid"),
        Status::Partial => ("banner warn", "! Partial"),
        Status::Invalid => ("banner bad", "✗ Invalid"),
        Status::Failed => ("banner bad", "✗ Failed"),
    };
    html! {
        div class=(class) {
            p class="state" { (state) }
            @if let Some(error) = &document.run.error { p { (text::sentence(error)) } }
            @for fault in document.invalid.iter().take(20) {
                p { (text::sentence(&fault.text)) " Next: " (text::sentence(&fault.next_step)) }
            }
            @if warnings > 0 {
                p { a href=(format!("#{}-warnings", shown.id)) { (counted(warnings as u64, "warning", "warnings")) } }
            }
        }
    }
}
