//! The report as a browser shows it: nothing asked of any network, nothing on the console, and everybody can use it.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::bench::code;
use crate::support::browser::{Browser, View};
use crate::support::process::{run, text};

const FAULTS: &str = include_str!("html_report.js");

const WIDE: View = View { width: 1200, is_dark: false, runs_scripts: true };
const PHONE_DARK: View = View { width: 360, is_dark: true, runs_scripts: true };

/// Runs mqbench. A machine that is busy may be too late for a schedule (4); the page has all that was measured.
fn mqbench(arguments: &[&str]) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mqbench"));
    let output = run(command.args(arguments));
    assert!(matches!(code(&output), 0 | 4), "{arguments:?}: {}", text(&output.stderr));
}

/// A folder with the document of a run and what can be made from it.
struct Reports {
    folder: TempDir,
}

impl Reports {
    /// A run of two stages.
    fn measure() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let reports = Self { folder };
        let [result, page] = ["run.json", "run.html"].map(|name| reports.path(name));
        let outs = ["--out", result.to_str().unwrap(), "--out", page.to_str().unwrap()];
        mqbench(&[&["--embedded", "-q", "1", "--clients", "3", "--duration", "6s", "--quiet"], &outs[..]].concat());
        reports
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn document(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.path("run.json")).unwrap()).unwrap()
    }

    /// Makes `NAME.html` from a document, through `mqbench report`.
    fn report(&self, name: &str, document: &Value) -> PathBuf {
        let [result, page] = ["json", "html"].map(|suffix| self.path(&format!("{name}.{suffix}")));
        std::fs::write(&result, document.to_string()).unwrap();
        mqbench(&["report", result.to_str().unwrap(), "--out", page.to_str().unwrap()]);
        page
    }
}

/// Looks at a page and asserts that there is nothing to say against it.
fn assert_good(browser: &mut Browser, page: &Path, views: &[View]) {
    for view in views {
        let seen = browser.look(page, *view, FAULTS);
        let place = format!("{} {view:?}", page.display());
        assert_eq!(seen.value, json!([]), "{place}");
        assert_eq!((seen.complaints, seen.requests), (Vec::new(), Vec::new()), "{place}");
    }
}

#[test]
fn a_report_is_usable_by_everybody_and_asks_nothing_of_any_network() {
    let Some(mut browser) = Browser::start() else { return };
    let reports = Reports::measure();
    assert_good(&mut browser, &reports.path("run.html"), &[WIDE, PHONE_DARK]);

    // The result that stands in it is the one that was measured.
    let read = "JSON.parse(document.querySelector('script[type=\"application/json\"]').textContent)";
    assert_eq!(browser.look(&reports.path("run.html"), WIDE, read).value["run"]["id"], reports.document()["run"]["id"]);

    // Without a script all is there, and nothing that needs one.
    let plain = View { runs_scripts: false, ..WIDE };
    let count = "[document.querySelectorAll('figure').length,
        Array.from(document.querySelectorAll('button')).filter((it) => it.getClientRects().length > 0).length]";
    let [with, without] = [WIDE, plain].map(|view| browser.look(&reports.path("run.html"), view, count).value);
    assert_eq!((&with[0], &without[1]), (&without[0], &json!(0)));
    assert!(with[0].as_u64() >= Some(4) && with[1].as_u64() >= Some(2), "{with}");

    // Long runs, many stages, nothing known, and everything hostile.
    let mut long = reports.document();
    lengthen(&mut long, 2_000);
    assert_good(&mut browser, &reports.report("long", &long), &[WIDE, PHONE_DARK]);
    let mut steps = reports.document();
    let stage = steps["stages"][0].clone();
    steps["stages"] = (0..12)
        .map(|number| {
            let mut stage = stage.clone();
            stage["name"] = json!(format!("{number} of the steps to the highest rate"));
            stage["start_ns"] = json!(number * 500_000_000_u64);
            stage["duration_ns"] = json!(if number == 11 { 20_000_000_000_u64 } else { 400_000_000 });
            stage
        })
        .collect();
    steps["stages"].as_array_mut().unwrap().extend([stage.clone(), stage]);
    assert_good(&mut browser, &reports.report("steps", &steps), &[PHONE_DARK]);
    let mut found = reports.document();
    found["curve"] = curve();
    assert_good(&mut browser, &reports.report("found", &found), &[WIDE, PHONE_DARK]);
    let mut unknown = reports.document();
    forget(&mut unknown);
    assert_good(&mut browser, &reports.report("unknown", &unknown), &[PHONE_DARK]);
    let mut hostile = reports.document();
    poison(&mut hostile);
    let page = reports.report("hostile", &hostile);
    assert_good(&mut browser, &page, &[PHONE_DARK]);
    let alien = "[typeof pwned, document.querySelectorAll('img, b, iframe, form').length, document.scripts.length,
        document.body.innerText.includes('</script><img'), document.querySelector('h1').textContent.length]";
    let seen = browser.look(&page, WIDE, alien).value;
    assert_eq!(seen.as_array().unwrap()[..4], [json!("undefined"), json!(0), json!(2), json!(true)], "{seen}");
    assert!(seen[4].as_u64() < Some(500), "{seen}");

    // Beside each other, with a baseline.
    let names = ["run.json", "long.json", "unknown.json"].map(|name| reports.path(name).display().to_string());
    let page = reports.path("several.html");
    let [one, other, third] = names.each_ref().map(String::as_str);
    mqbench(&["report", one, other, third, "--baseline", one, "--out", page.to_str().unwrap()]);
    assert_good(&mut browser, &page, &[WIDE, PHONE_DARK]);
}

#[test]
fn what_is_wrong_with_a_page_is_found() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("bad.html");
    let wide = "x".repeat(900);
    let bad = format!(
        "<!doctype html><html><body><h1 id=a>A</h1><h3 id=a>C</h3><svg></svg><p style='color:#bbb'>{wide}</p>
         <img src='http://broker.example/pixel.png'><script>console.error('said'); throw new Error('thrown')</script>"
    );
    std::fs::write(&page, bad).unwrap();
    let seen = browser.look(&page, PHONE_DARK, FAULTS);
    let faults = seen.value.to_string();
    for fault in
        ["not unique", "without role", "level 3 after 1", "contrast", "the page is", "no language", "not one main"]
    {
        assert!(faults.contains(fault), "{fault}: {faults}");
    }
    assert_eq!(seen.requests, ["http://broker.example/pixel.png"]);
    let complaints = seen.complaints.concat();
    assert!(complaints.contains("said") && complaints.contains("thrown"), "{complaints}");
}

/// What a search for the highest rate found.
fn curve() -> Value {
    let point = |rate: u64, p99: u64, outcome: &str| {
        json!({
            "purpose": "bisect", "rate_per_s": rate, "sent_per_s": rate, "delivered_per_s": rate,
            "duration_ns": 1_000_000_000, "p50": p99 / 5, "p99": p99, "loss_pct": 0, "cpu_pct": 12.5,
            "broker_cpu_pct": null, "outcome": outcome, "reason": null,
        })
    };
    json!({
        "slo": "e2e.p99<10ms && lost==0", "rate_per_s": 20_000, "confirmed": true, "above_per_s": 22_000,
        "above_fails": true, "limited_by": "slo", "limit": "above it e2e.p99 is 90 ms", "latency": "e2e",
        "probe_ns": 1_000_000_000,
        "points": [point(10_000, 900_000, "pass"), point(40_000, 90_000_000, "miss"), point(20_000, 4_000_000, "pass")],
    })
}

/// Makes the series of a document this many seconds long.
fn lengthen(document: &mut Value, seconds: u64) {
    let rows = document["series"]["rows"].as_array_mut().unwrap();
    let row = rows[0].clone();
    *rows = (0..seconds)
        .map(|second| {
            let mut row = row.clone();
            row["t_ns"] = json!(second * 1_000_000_000);
            row
        })
        .collect();
}

/// Makes everything null that can be.
fn forget(document: &mut Value) {
    for group in ["clients", "traffic", "delivery", "generator", "latency", "env", "broker"] {
        for (name, value) in document[group].as_object_mut().unwrap() {
            *value = if name == "reasons" { json!([]) } else { Value::Null };
        }
    }
    for name in ["series", "plan", "runs", "stats", "compare"] {
        document[name] = Value::Null;
    }
    for name in ["stages", "phases", "gates", "warnings"] {
        document[name] = json!([]);
    }
    document["run"]["command"] = json!([]);
    for name in ["description", "started_at", "id", "seed"] {
        document["run"][name] = Value::Null;
    }
}

/// Puts hostile text wherever text may come from others.
fn poison(document: &mut Value) {
    let hostile = "</script><img src=x onerror='pwned=1'>\"'&lt;<!--\u{202e}\u{7}\u{1b}]0;\u{2028}";
    document["run"]["name"] = json!(hostile.repeat(20_000));
    document["run"]["description"] = json!(hostile);
    document["run"]["labels"] = json!({ hostile: hostile });
    document["run"]["command"] = json!(["mqbench", "-t", hostile, "-m", "x".repeat(1_000_000)]);
    document["run"]["error"] = json!(hostile);
    document["target"]["urls"] = json!([hostile]);
    document["target"]["broker"] = json!({ "name": hostile, "version": hostile, "source": hostile });
    document["plan"][hostile] = json!(hostile);
    document["env"]["host"] = json!(hostile.repeat(1_000));
    document["warnings"] = (0..500).map(|_| json!({ "code": hostile, "text": hostile })).collect();
    document["clients"]["errors"] = json!({ hostile: 3 });
    document["delivery"]["rejected"] = json!({ hostile: 3 });
    for stage in document["stages"].as_array_mut().unwrap() {
        stage["name"] = json!(hostile);
        stage["given_up"] = json!(hostile);
    }
}
