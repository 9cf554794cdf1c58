//! The page as text. What a browser makes of it is tested in `tests/bench/html_report.rs`.

use serde_json::json;

use super::page;
use super::timeline::Timeline;
use crate::bench::measure::{Fault, IntervalRow, Series};
use crate::bench::report::document::{GateOutcome, ResultDocument, Warning};
use crate::bench::report::status::Status;
use crate::bench::report::tests::example::document;
use crate::bench::report::verdict::verdict;

const SECOND: u64 = 1_000_000_000;

/// The page without the documents in it.
fn shown(page: &str) -> String {
    let mut parts = page.split("<script type=\"application/json\"");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once("</script>").unwrap().1)
}

fn with_rows(count: u64) -> ResultDocument {
    let row = |second: u64| IntervalRow {
        t_ns: second * SECOND,
        sent: Some(1_000),
        delivered: Some(if second == 77 { 0 } else { 1_000 }),
        e2e_max: Some(if second == 55 { 9_876_000_000 } else { 1_000_000 }),
        ..IntervalRow::default()
    };
    let series = Series { interval_ns: SECOND, rows: (0..count).map(row).collect() };
    ResultDocument { series: Some(series), ..document() }
}

#[test]
fn text_of_others_stays_text() {
    let hostile = "</script><img src=x onerror=alert(1)>'\"&\u{202e}\u{1b}[2J";
    let mut document = document();
    document.run.name = Some(hostile.to_owned());
    document.run.error = Some(hostile.to_owned());
    document.run.command = vec!["mqbench".to_owned(), hostile.to_owned()];
    document.run.labels.insert(hostile.to_owned(), hostile.to_owned());
    document.target.urls = vec![hostile.to_owned()];
    document.plan = json!({ hostile: hostile, "list": [{ hostile: [hostile] }] });
    document.env.host = Some(hostile.to_owned());
    document.warnings = vec![Warning::new(hostile, hostile)];
    document.invalid =
        vec![Fault { code: hostile.to_owned(), text: hostile.to_owned(), next_step: hostile.to_owned() }];
    document.gates = vec![GateOutcome {
        expr: hostile.to_owned(),
        value: None,
        limit: None,
        pass: false,
        reason: Some(hostile.to_owned()),
    }];
    document.stages.iter_mut().for_each(|stage| stage.name = hostile.to_owned());
    let page = page(&[document.clone(), document.clone()], Some(&document));
    assert!(!page.contains("<img") && !page.contains(['\u{202e}', '\u{1b}']));
    // Three documents and our own script.
    assert_eq!((page.matches("<script").count(), page.matches("</script").count()), (4, 4));
    assert!(page.contains("&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;'&quot;&amp;\\u{202e}\\u{1b}[2J"));
}

#[test]
fn what_is_shown_is_bounded() {
    let huge = "x".repeat(300_000);
    let mut document = document();
    document.run.name = Some(huge.clone());
    document.run.command = vec![huge.clone()];
    document.target.urls = vec![huge.clone(); 3];
    document.plan = (0..1_000).map(|number| (number.to_string(), json!(huge[..5_000]))).collect();
    document.warnings = vec![Warning::new(&huge[..5_000], &huge[..5_000]); 400];
    document.clients.errors = Some((0..5_000).map(|number| (format!("{number}{}", &huge[..500]), 1)).collect());
    let stage = document.stages[0].clone();
    document.stages = vec![stage; 2_000];
    let size = shown(&page(&[document], None)).len();
    assert!(size < 2_000_000, "{size} bytes");
}

#[test]
fn any_number_of_seconds_is_drawn_and_the_extremes_are_in_it() {
    for count in [0, 1, 2, 400, 100_000] {
        // Without the document itself, which is as long as it is.
        let page = Timeline::of("r1", &with_rows(count), None).render(3).into_string();
        assert!(!page.contains("NaN") && !page.contains("inf"), "{count}");
        assert!(page.len() < 1_500_000, "{count}: {} bytes", page.len());
        assert_eq!(page.contains("class=\"chart time\""), count > 0, "{count}");
        if count > 100 {
            assert!(page.contains("longest: 9.88 s"), "{count}: the longest second is named");
            assert!(
                page.contains(" (0/s to 1,000/s)") || page.contains("delivered: 0/s"),
                "{count}: so is the silent one"
            );
        }
    }
}

#[test]
fn a_document_that_knows_nothing_is_a_page() {
    let nothing = ResultDocument::default();
    let page = page(&[nothing.clone(), nothing.clone()], Some(&nothing));
    assert!(page.ends_with("</html>") && page.contains("No second was recorded"));
    assert!(super::page(&[], None).contains("0 results"));
}

#[test]
fn how_a_run_ended_is_what_one_reads_first() {
    for (status, word, class) in [
        (Status::Ok, "Valid", "banner"),
        (Status::Partial, "Partial", "banner warn"),
        (Status::Failed, "Failed", "banner bad"),
    ] {
        let document = ResultDocument { status, ..document() };
        let page = shown(&page(std::slice::from_ref(&document), None));
        assert!(page.contains(&format!("<div class=\"{class}\"><p class=\"state\">")), "{status:?}");
        assert!(page.contains(word), "{status:?}");
        for said in &verdict(&document).sentences {
            assert!(page.contains(&maud::html! { (said.text) }.into_string()), "{status:?}: {}", said.text);
        }
    }
}

#[test]
fn the_policy_names_the_style_and_the_script_of_the_page() {
    let page = page(&[document()], None);
    let policy = page.split("Content-Security-Policy\" content=\"").nth(1).unwrap().split('"').next().unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    // An attribute is not covered by a hash, so that none may style or run.
    for forbidden in [" style=\"", " onclick=", " src=", "http-equiv=\"refresh"] {
        assert!(!shown(&page).contains(forbidden), "{forbidden}");
    }
}

#[test]
fn a_baseline_is_drawn_and_compared_with() {
    let mut slower = document();
    slower.traffic.delivered_per_s = slower.traffic.delivered_per_s.map(|rate| rate / 2.0);
    let page = shown(&page(&[document()], Some(&slower)));
    assert!(page.contains("+100 % to the baseline") && page.contains("line c1 baseline"));
    assert!(page.contains("line baseline"), "its seconds are beside ours");
}
