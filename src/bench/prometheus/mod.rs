//! Serves the running figures to Prometheus (`--prometheus`): its own thread, which costs the load nothing but the
//! CPU time of a scrape, and which nobody can make busy or let grow.

mod exposition;

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, LocalSet};

use self::exposition::{Exposition, Form};
use super::measure::LiveFigures;

/// Connections at once; a new one takes the place of the oldest.
const MOST_CONNECTIONS: usize = 16;

/// The longest request, bytes.
const LONGEST_REQUEST: usize = 8 * 1024;

/// The most header fields of a request.
const MOST_HEADERS: usize = 64;

/// How long a request and its answer may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// After each connection the next one waits: a hundred per second are enough for every Prometheus, and a flood of them
/// costs little.
const ACCEPT_INTERVAL: Duration = Duration::from_millis(10);

/// The only path.
const PATH: &str = "/metrics";

/// The thread that serves.
pub(super) struct MetricsServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl MetricsServer {
    /// Listens, and serves from now on.
    ///
    /// # Errors
    /// Those of the system: the address is in use, or is not one of this machine.
    pub(super) fn start(address: (&str, u16), run: &str, figures: Arc<LiveFigures>) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let exposition = Exposition::new(run, figures);
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let serve = move || {
            LocalSet::new().block_on(&runtime, async {
                tokio::select! {
                    () = serve(listener, exposition) => {}
                    // The sender is dropped with the server.
                    _ = stopped => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("prometheus".to_owned()).spawn(serve)?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It waits for nothing but the network.
            let _ = thread.join();
        }
    }
}

async fn serve(listener: TcpListener, exposition: Exposition) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let exposition = std::rc::Rc::new(exposition);
    let mut connections: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        // An error is that of one connection, or a lack of descriptors that may end.
        if let Ok((stream, _)) = listener.accept().await {
            connections.retain(|connection| !connection.is_finished());
            if connections.len() >= MOST_CONNECTIONS
                && let Some(oldest) = connections.pop_front()
            {
                oldest.abort();
            }
            let exposition = exposition.clone();
            let answer = async move {
                // A client that is slow or gone gets no answer.
                let _ = tokio::time::timeout(TIMEOUT, answer(stream, &exposition)).await;
            };
            connections.push_back(tokio::task::spawn_local(answer).abort_handle());
        }
        tokio::time::sleep(ACCEPT_INTERVAL).await;
    }
}

/// Reads one request and answers it.
async fn answer(mut stream: TcpStream, exposition: &Exposition) -> io::Result<()> {
    let mut input = Vec::with_capacity(1024);
    let response = loop {
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
        match response_to(&input, exposition) {
            Some(response) => break response,
            None if input.len() >= LONGEST_REQUEST => break failure("431 Request Header Fields Too Large", "", true),
            None => {}
        }
    };
    stream.write_all(response.as_bytes()).await?;
    stream.shutdown().await?;
    // A connection that is closed with unread bytes is reset, and the answer may be lost: the client closes first.
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

/// The response to a request; none while it is not complete.
fn response_to(input: &[u8], exposition: &Exposition) -> Option<String> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(input) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return None,
        Err(httparse::Error::TooManyHeaders) => {
            return Some(failure("431 Request Header Fields Too Large", "", true));
        }
        Err(_) => return Some(failure("400 Bad Request", "", true)),
    }
    let has_body = request.method != Some("HEAD");
    if !matches!(request.method, Some("GET" | "HEAD")) {
        return Some(failure("405 Method Not Allowed", "Allow: GET, HEAD\r\n", has_body));
    }
    let path = request.path.unwrap_or_default();
    if path.split('?').next() != Some(PATH) {
        return Some(failure("404 Not Found", "", has_body));
    }
    let accept: Vec<String> = request
        .headers
        .iter()
        .filter(|header| header.name.eq_ignore_ascii_case("accept"))
        .map(|header| String::from_utf8_lossy(header.value).to_ascii_lowercase())
        .collect();
    let form = Form::accepted_by(&accept.join(","));
    Some(match exposition.render(form) {
        Ok(text) => response("200 OK", form.content_type(), "", &text, has_body),
        Err(_) => failure("500 Internal Server Error", "", has_body),
    })
}

fn failure(status: &str, headers: &str, has_body: bool) -> String {
    let text = format!("{status}: the figures of mqbench are at {PATH}\n");
    response(status, "text/plain; charset=utf-8", headers, &text, has_body)
}

fn response(status: &str, content_type: &str, headers: &str, body: &str, has_body: bool) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n{headers}Connection: close\r\n\r\n{}",
        body.len(),
        if has_body { body } else { "" }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status_of(request: &[u8]) -> Option<String> {
        let exposition = Exposition::new("7f3a", Arc::default());
        let response = response_to(request, &exposition)?;
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        let length: usize =
            head.split_once("Content-Length: ").unwrap().1.split("\r\n").next().unwrap().parse().unwrap();
        assert!(body.len() == length || body.is_empty(), "{response}");
        Some(format!("{} {}", &head[9..12], if body.is_empty() { "empty" } else { "text" }))
    }

    #[test]
    fn requests_get_the_status_that_they_deserve() {
        for (request, status) in [
            ("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", Some("200 text")),
            ("GET /metrics?x=1 HTTP/1.0\r\n\r\n", Some("200 text")),
            ("HEAD /metrics HTTP/1.1\r\n\r\n", Some("200 empty")),
            ("GET / HTTP/1.1\r\n\r\n", Some("404 text")),
            ("POST /metrics HTTP/1.1\r\n\r\n", Some("405 text")),
            ("GET /metrics HTTP/1.1\r\nHost", None),
            ("\u{16}\u{3}\u{1}\u{2}", Some("400 text")),
            ("GET /metrics HTTP/9.9\r\n\r\n", Some("400 text")),
        ] {
            assert_eq!(status_of(request.as_bytes()).as_deref(), status, "{request:?}");
        }
        let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(MOST_HEADERS + 1));
        assert_eq!(status_of(many.as_bytes()).as_deref(), Some("431 text"));
    }
}
