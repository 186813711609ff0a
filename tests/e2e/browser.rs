//! A headless Chromium on the ops host, driven by its own protocol over two pipes: no port, no library.
//!
//! Messages are JSON, ended by a zero byte, on the browser's descriptors 3 and 4. Its profile is a temporary folder. What
//! the page's console says and what its policy forbids is kept, for tests to find nothing in it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::Stage;

const PROGRAMS: &str = "chromium-headless-shell chromium google-chrome";
/// For one answer of the browser; generous, for a busy machine.
const WITHIN: Duration = Duration::from_secs(60);

pub(crate) struct Browser {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    last: u64,
    session: Option<String>,
    /// What the console and the log said.
    pub(crate) complaints: Vec<String>,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Opens a page of this size.
    pub(crate) fn open(stage: &Stage, width: u32, height: u32) -> Browser {
        let profile = tempfile::tempdir().unwrap();
        let line = format!(
            "for program in {PROGRAMS}; do command -v $program > /dev/null && exec $program --headless --no-sandbox \
             --disable-gpu --remote-debugging-pipe --user-data-dir={} 3<&0 4>&1 1>&2; done; \
             echo 'no Chromium: deploy/setup.sh installs it' >&2; exit 1",
            profile.path().display()
        );
        let mut command = stage.lab.command_in_ops(std::path::Path::new("/bin/sh")).unwrap();
        let command = command.args(["-c", &line]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let to = child.stdin.take().unwrap();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        let (sender, from) = channel();
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            while reader.read_until(0, &mut bytes).is_ok_and(|read| read > 0) {
                bytes.pop();
                let Ok(message) = serde_json::from_slice(&bytes) else { break };
                if sender.send(message).is_err() {
                    break;
                }
                bytes.clear();
            }
        });
        let mut browser =
            Browser { child, to, from, last: 0, session: None, complaints: Vec::new(), _profile: profile };
        let target = browser.ask("Target.createTarget", json!({"url": "about:blank"}))["targetId"].clone();
        let session = browser.ask("Target.attachToTarget", json!({"targetId": target, "flatten": true}));
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            browser.ask(domain, json!({}));
        }
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500});
        browser.ask("Emulation.setDeviceMetricsOverride", size);
        browser
    }

    /// Runs a method of the protocol and gives its result.
    pub(crate) fn ask(&mut self, method: &str, parameters: Value) -> Value {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = serde_json::to_vec(&message).unwrap();
        bytes.push(0);
        self.to.write_all(&bytes).unwrap();
        let until = Instant::now() + WITHIN;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let message = self.from.recv_timeout(left).unwrap_or_else(|error| panic!("{method}: {error}"));
            if message["id"] == self.last {
                // A page that is being left cannot say anything.
                let left = method == "Runtime.evaluate" && !message["error"].is_null();
                assert!(left || message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
            match message["method"].as_str() {
                Some("Log.entryAdded") => self.complaints.push(message["params"]["entry"]["text"].to_string()),
                Some("Runtime.exceptionThrown") => self.complaints.push(message["params"].to_string()),
                _ => {}
            }
        }
    }

    /// Goes to an address and waits until the page is whole.
    pub(crate) fn go(&mut self, url: &str) {
        self.ask("Page.navigate", json!({"url": url}));
        self.until(
            "the page is whole",
            WITHIN,
            "document.readyState === 'complete' && location.href !== 'about:blank'",
        );
    }

    /// What an expression comes to.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let result = self.ask("Runtime.evaluate", json!({"expression": expression, "returnByValue": true}));
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// Waits until an expression is true; says how long that took.
    pub(crate) fn until(&mut self, what: &str, within: Duration, expression: &str) -> Duration {
        let started = Instant::now();
        while self.value(expression) != json!(true) {
            let shown = || "document.body ? document.body.innerText : ''";
            if started.elapsed() >= within {
                panic!("not within {} s: {what}; the page says {}", within.as_secs(), self.value(shown()));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        started.elapsed()
    }

    /// Keeps a picture of the page where `DEFIB_PICTURES` names a folder.
    pub(crate) fn picture(&mut self, name: &str) {
        use base64::Engine as _;
        let Some(folder) = std::env::var_os("DEFIB_PICTURES") else { return };
        let shot = self.ask("Page.captureScreenshot", json!({"format": "png", "captureBeyondViewport": true}));
        let bytes = base64::engine::general_purpose::STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
        std::fs::write(std::path::Path::new(&folder).join(format!("{name}.png")), bytes).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
