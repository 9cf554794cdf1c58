//! Chromium without a window, driven by its DevTools protocol: opens a page and collects what it says and asks for.
//!
//! Where Chromium is not installed a test says so and passes; in CI (`CI` set) that is a failure.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

use super::process::{PATIENCE, Running, has};

/// A browser with its own profile.
pub struct Browser {
    socket: WebSocket<TcpStream>,
    process: Running,
    _profile: TempDir,
    calls: u64,
    events: Vec<Value>,
}

/// How a page is looked at.
#[derive(Clone, Copy, Debug)]
pub struct View {
    pub width: u32,
    pub is_dark: bool,
    pub runs_scripts: bool,
}

/// What came of a page.
#[derive(Debug)]
pub struct Seen {
    /// What the expression evaluated to.
    pub value: Value,
    /// Errors and warnings on the console, exceptions, what the Content-Security-Policy forbade.
    pub complaints: Vec<String>,
    /// Addresses that the page asked for, but for its own.
    pub requests: Vec<String>,
}

impl Browser {
    /// Starts one. None, with a word on stderr, where there is none.
    pub fn start() -> Option<Self> {
        if !has("chromium") {
            return None;
        }
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new("chromium");
        command
            // Root has no sandbox, and the pages are our own.
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--disable-extensions", "--hide-scrollbars", "--remote-debugging-port=0"])
            // Whatever asks for a name finds nothing.
            .arg("--host-resolver-rules=MAP * ~NOTFOUND")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank");
        let mut process = Running::start(&mut command);
        let line = process.stderr.wait_for("DevTools listening on ws://");
        let address = line.split_once("ws://").unwrap().1;
        let stream = TcpStream::connect(address.split('/').next().unwrap()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (socket, _) = tungstenite::client(format!("ws://{address}"), stream).unwrap();
        Some(Self { socket, process, _profile: profile, calls: 0, events: Vec::new() })
    }

    /// Opens a file and evaluates an expression in it.
    pub fn look(&mut self, file: &Path, view: View, expression: &str) -> Seen {
        let target = self.call(None, "Target.createTarget", json!({ "url": "about:blank" }))["targetId"].clone();
        let attach = json!({ "targetId": target, "flatten": true });
        let session = self.call(None, "Target.attachToTarget", attach)["sessionId"].as_str().unwrap().to_owned();
        let page = Some(session.as_str());
        for domain in ["Page", "Runtime", "Log", "Network"] {
            self.call(page, &format!("{domain}.enable"), json!({}));
        }
        let is_phone = view.width < 500;
        let size = json!({ "width": view.width, "height": 800, "deviceScaleFactor": 1, "mobile": is_phone });
        self.call(page, "Emulation.setDeviceMetricsOverride", size);
        let scheme = if view.is_dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call(page, "Emulation.setEmulatedMedia", media);
        self.call(page, "Emulation.setScriptExecutionDisabled", json!({ "value": !view.runs_scripts }));
        let url = format!("file://{}", file.display());
        self.call(page, "Page.navigate", json!({ "url": url }));
        self.wait_for(&session, "Page.loadEventFired");
        let question = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call(page, "Runtime.evaluate", question);
        assert!(answer.get("exceptionDetails").is_none(), "the check fails: {answer}");
        let value = answer["result"]["value"].clone();
        if let Some(folder) = std::env::var_os("MQTOOLS_SCREENSHOTS") {
            let name = file.file_stem().unwrap().to_string_lossy();
            let picture = Path::new(&folder).join(format!("{name}-{}-{scheme}.png", view.width));
            self.picture(&session, view, &picture);
        }
        self.call(None, "Target.closeTarget", json!({ "targetId": target }));
        let events: Vec<Value> = std::mem::take(&mut self.events);
        let events = events.iter().filter(|event| event["sessionId"] == session.as_str());
        let (mut complaints, mut requests) = (Vec::new(), Vec::new());
        for event in events {
            let details = &event["params"];
            match event["method"].as_str().unwrap_or_default() {
                "Runtime.exceptionThrown" => complaints.push(details["exceptionDetails"].to_string()),
                "Runtime.consoleAPICalled" => complaints.push(details["args"].to_string()),
                "Log.entryAdded" => complaints.push(details["entry"]["text"].to_string()),
                "Network.requestWillBeSent" => {
                    let asked = details["request"]["url"].as_str().unwrap_or_default();
                    if asked != url && !asked.starts_with("data:") {
                        requests.push(asked.to_owned());
                    }
                }
                _ => {}
            }
        }
        Seen { value, complaints, requests }
    }

    /// Saves the whole page as a picture.
    fn picture(&mut self, session: &str, view: View, file: &Path) {
        let metrics = self.call(Some(session), "Page.getLayoutMetrics", json!({}));
        let height = metrics["cssContentSize"]["height"].as_f64().unwrap_or(800.0).min(12_000.0);
        let clip = json!({ "x": 0, "y": 0, "width": view.width, "height": height, "scale": 1 });
        let options = json!({ "captureBeyondViewport": true, "clip": clip });
        let picture = self.call(Some(session), "Page.captureScreenshot", options);
        std::fs::write(file, STANDARD.decode(picture["data"].as_str().unwrap()).unwrap()).unwrap();
    }

    /// Calls a method and returns its result.
    fn call(&mut self, session: Option<&str>, method: &str, params: Value) -> Value {
        self.calls += 1;
        let id = self.calls;
        let mut call = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = session {
            call["sessionId"] = json!(session);
        }
        self.socket.send(Message::text(call.to_string())).unwrap();
        loop {
            let message = self.next();
            if message["id"] == id {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    fn wait_for(&mut self, session: &str, method: &str) {
        let is_it = |event: &Value| event["method"] == method && event["sessionId"] == session;
        while !self.events.iter().any(is_it) {
            let message = self.next();
            self.events.push(message);
        }
    }

    fn next(&mut self) -> Value {
        loop {
            let message = self.socket.read().unwrap_or_else(|error| panic!("Chromium does not answer: {error}"));
            if let Message::Text(text) = message {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }
}

impl Drop for Browser {
    /// Ends it as its user would, so that its child processes end as well.
    fn drop(&mut self) {
        let close = json!({ "id": self.calls + 1, "method": "Browser.close" });
        if self.socket.send(Message::text(close.to_string())).is_ok() && !std::thread::panicking() {
            self.process.wait();
        }
    }
}
