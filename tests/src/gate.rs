//! A gate between the extension and sheetd: it passes requests on, counts them, and can hold, lose
//! or answer any of them.
//!
//! With it a test stands between any two requests of the worker, and a fault comes at an exact
//! place instead of at a time.

use crate::kind::Kind;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard};
use std::time::{Duration, Instant};

/// Which side of a request's effect: before sheetd hears of it, or when its answer is ready to go
/// back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    Before,
    After,
}

#[derive(Clone, Debug)]
pub enum Fault {
    /// The connection ends without an answer.
    Lost(When),
    /// The connection is reset without an answer.
    Reset(When),
    /// sheetd applies the request, and Google's error of this status is answered all the same.
    Denied(u16),
    /// An answer of the gate's own; sheetd never hears of the request.
    Answer(u16, Value),
    /// The answer's body is cut in half, its length as announced.
    Cut,
    /// The answer arrives whole but is no JSON.
    Garbled,
    /// The answer takes this long.
    Slow(Duration),
}

impl Fault {
    /// Google's envelope for `status`, in the words that the real service uses; sheetd never hears
    /// of the request.
    pub fn status(status: u16) -> Fault {
        Fault::Answer(status, Fault::envelope(status))
    }

    fn envelope(status: u16) -> Value {
        let (word, message) = match status {
            400 => ("INVALID_ARGUMENT", "Request contains an invalid argument."),
            401 => (
                "UNAUTHENTICATED",
                "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.",
            ),
            403 => ("PERMISSION_DENIED", "The caller does not have permission"),
            404 => ("NOT_FOUND", "Requested entity was not found."),
            409 => ("ABORTED", "The operation was aborted."),
            429 => (
                "RESOURCE_EXHAUSTED",
                "Quota exceeded for quota metric 'Read requests' and limit 'Read requests per minute per user' of service 'sheets.googleapis.com' for consumer 'project_number:1'.",
            ),
            500 => ("INTERNAL", "Internal error encountered."),
            502 => ("UNKNOWN", "Bad gateway"),
            503 => ("UNAVAILABLE", "The service is currently unavailable."),
            other => panic!("no envelope for status {other}"),
        };
        json!({"error": {"code": status, "message": message, "status": word}})
    }
}

/// One request as it passed.
#[derive(Clone, Debug)]
pub struct Passed {
    /// When it had come to the gate.
    pub at: Instant,
    pub method: String,
    pub path: String,
    pub request_bytes: usize,
    pub answer_bytes: usize,
    pub status: u16,
}

impl Passed {
    pub fn is_token(&self) -> bool {
        self.path.contains("token")
    }

    /// The path without its query.
    pub fn place(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }

    /// Would change a spreadsheet: no GET, nor one of the reads that are POSTs for their long
    /// arguments.
    pub fn is_write(&self) -> bool {
        let reads = ["etByDataFilter", "developerMetadata:search"];
        self.method != "GET"
            && !self.is_token()
            && !reads.iter().any(|read| self.path.contains(read))
    }
}

struct Plan {
    /// The requests that it is about; `None` for all.
    about: Option<Kind>,
    /// How many more of them pass first.
    skip: usize,
    times: usize,
    doing: Doing,
}

impl Plan {
    /// Whether no request can meet it any more: nobody waits for the one to be held.
    fn is_over(&self) -> bool {
        match &self.doing {
            Doing::Hold(_, latch) => self.times == 0 || latch.is_released(),
            Doing::Fault(_) => self.times == 0,
        }
    }
}

enum Doing {
    Hold(When, Arc<Latch>),
    Fault(Fault),
}

/// A request stands at the gate, and a test goes on meanwhile.
#[derive(Default)]
struct Latch {
    state: Mutex<(bool, bool)>,
    changed: Condvar,
}

impl Latch {
    fn is_released(&self) -> bool {
        self.state
            .lock()
            .expect("no thread panics while it holds this")
            .1
    }

    fn arrive_and_wait(&self) {
        let mut state = self
            .state
            .lock()
            .expect("no thread panics while it holds this");
        state.0 = true;
        self.changed.notify_all();
        while !state.1 {
            state = self
                .changed
                .wait(state)
                .expect("no thread panics while it holds this");
        }
    }
}

pub struct Held(Arc<Latch>);

impl Held {
    /// Until a request has arrived at the gate.
    #[track_caller]
    pub fn wait(&self) {
        crate::wait::wait_until("a request to be held", || {
            if self.arrived() {
                Ok(())
            } else {
                Err("none came")
            }
        });
    }

    /// Whether a request arrives within this time.
    pub fn comes_within(&self, time: Duration) -> bool {
        let state = self
            .0
            .state
            .lock()
            .expect("no thread panics while it holds this");
        let (state, _) = self
            .0
            .changed
            .wait_timeout_while(state, time, |state| !state.0)
            .expect("no thread panics while it holds this");
        state.0
    }

    pub fn arrived(&self) -> bool {
        self.0
            .state
            .lock()
            .expect("no thread panics while it holds this")
            .0
    }

    pub fn release(self) {}
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0
            .state
            .lock()
            .expect("no thread panics while it holds this")
            .1 = true;
        self.0.changed.notify_all();
    }
}

#[derive(Default)]
struct Inner {
    passed: Vec<Passed>,
    plans: Vec<Plan>,
    closed: bool,
    ended: bool,
    connections: HashMap<usize, Arc<TcpStream>>,
}

pub struct Gate {
    address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
    /// Read by each request while it is at sheetd.
    passage: Arc<RwLock<()>>,
}

/// No request is at sheetd, and none comes there, until this is dropped.
pub struct Still<'a>(#[expect(dead_code, reason = "held, not read")] RwLockWriteGuard<'a, ()>);

impl Gate {
    pub fn to(upstream: SocketAddr) -> Gate {
        let listener =
            TcpListener::bind(("127.0.0.1", 0)).expect("the loopback interface is there");
        let address = listener.local_addr().expect("it is bound");
        let inner = Arc::new(Mutex::new(Inner::default()));
        let passage = Arc::new(RwLock::new(()));
        let shared = Arc::clone(&inner);
        let way = Arc::clone(&passage);
        std::thread::spawn(move || {
            for (number, client) in listener.incoming().flatten().enumerate() {
                let client = Arc::new(client);
                {
                    let mut inner = lock(&shared);
                    if inner.ended {
                        return;
                    }
                    if inner.closed {
                        continue;
                    }
                    inner.connections.insert(number, Arc::clone(&client));
                }
                let (shared, way) = (Arc::clone(&shared), Arc::clone(&way));
                std::thread::spawn(move || {
                    // An error is a client or a server that went away: what tests do on purpose.
                    // The connection ends when both handles are gone.
                    let _ = serve(&client, upstream, &way, &shared);
                    lock(&shared).connections.remove(&number);
                });
            }
        });
        Gate {
            address,
            inner,
            passage,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A person looks at a sheet and edits what they see in one moment, as in a browser, where a
    /// row stays under one's hands when others move it.
    pub fn still(&self) -> Still<'_> {
        Still(self.passage.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Holds the `nth` request from now (counted from 1, token requests left out).
    pub fn hold(&self, nth: usize, when: When) -> Held {
        let latch = Arc::new(Latch::default());
        self.plan(None, nth - 1, 1, Doing::Hold(when, Arc::clone(&latch)));
        Held(latch)
    }

    /// Holds the next request of this kind.
    pub fn hold_on(&self, kind: Kind, when: When) -> Held {
        let latch = Arc::new(Latch::default());
        self.plan(Some(kind), 0, 1, Doing::Hold(when, Arc::clone(&latch)));
        Held(latch)
    }

    /// The next `times` requests meet this fault.
    pub fn fault(&self, fault: Fault, times: usize) {
        self.plan(None, 0, times, Doing::Fault(fault));
    }

    /// The `nth` request from now meets this fault.
    pub fn fault_at(&self, nth: usize, fault: Fault) {
        self.plan(None, nth - 1, 1, Doing::Fault(fault));
    }

    /// The next `times` requests of this kind meet this fault.
    pub fn fault_on(&self, kind: Kind, fault: Fault, times: usize) {
        self.plan(Some(kind), 0, times, Doing::Fault(fault));
    }

    fn plan(&self, about: Option<Kind>, skip: usize, times: usize, doing: Doing) {
        let plan = Plan {
            about,
            skip,
            times,
            doing,
        };
        lock(&self.inner).plans.push(plan);
    }

    /// Ends every planned fault.
    pub fn mend(&self) {
        lock(&self.inner)
            .plans
            .retain(|plan| matches!(plan.doing, Doing::Hold(..)));
    }

    /// No network: connections break and none is taken.
    pub fn close(&self) {
        let mut inner = lock(&self.inner);
        inner.closed = true;
        for connection in inner.connections.values() {
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
    }

    pub fn open(&self) {
        lock(&self.inner).closed = false;
    }

    pub fn passed(&self) -> Vec<Passed> {
        lock(&self.inner).passed.clone()
    }

    /// How many requests have passed so far.
    pub fn count(&self) -> usize {
        lock(&self.inner).passed.len()
    }

    /// Those that passed after the first so many.
    pub fn passed_since(&self, count: usize) -> Vec<Passed> {
        lock(&self.inner).passed[count..].to_vec()
    }

    /// How many plans some request has yet to meet.
    pub fn planned(&self) -> usize {
        let inner = lock(&self.inner);
        inner.plans.iter().filter(|plan| !plan.is_over()).count()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.close();
        lock(&self.inner).ended = true;
        // Wakes the listening thread, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().expect("no thread panics while it holds this")
}

fn serve(
    mut client: &TcpStream,
    upstream: SocketAddr,
    passage: &RwLock<()>,
    shared: &Mutex<Inner>,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut reader = BufReader::new(client);
    while let Some(request) = Message::read(&mut reader, false)? {
        let mut words = request.first_line().split(' ').map(str::to_owned);
        let (method, path) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let at = Instant::now();
        let doing = next_plan(&mut lock(shared), &path, &request.body);
        if let Some(Doing::Hold(When::Before, latch)) = &doing {
            latch.arrive_and_wait();
        }
        let mut passed = Passed {
            at,
            method,
            path,
            request_bytes: request.len(),
            answer_bytes: 0,
            status: 0,
        };
        let answer = match &doing {
            Some(Doing::Fault(
                fault @ (Fault::Lost(When::Before) | Fault::Reset(When::Before)),
            )) => {
                lock(shared).passed.push(passed);
                return end(client, fault);
            }
            Some(Doing::Fault(Fault::Answer(status, body))) => Message::json(*status, body),
            _ => {
                let _at_sheetd = passage.read().unwrap_or_else(PoisonError::into_inner);
                let mut server = TcpStream::connect(upstream)?;
                server.set_nodelay(true)?;
                request.write(&mut server)?;
                Message::read(&mut BufReader::new(server), true)?
                    .ok_or(io::ErrorKind::UnexpectedEof)?
            }
        };
        passed.answer_bytes = answer.len();
        passed.status = answer
            .first_line()
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .unwrap_or(0);
        lock(shared).passed.push(passed);
        match doing {
            Some(Doing::Hold(When::After, latch)) => latch.arrive_and_wait(),
            Some(Doing::Fault(fault @ (Fault::Lost(When::After) | Fault::Reset(When::After)))) => {
                return end(client, &fault);
            }
            Some(Doing::Fault(Fault::Denied(status))) => {
                Message::json(status, &Fault::envelope(status)).write(&mut client)?;
                continue;
            }
            Some(Doing::Fault(Fault::Slow(time))) => std::thread::sleep(time),
            Some(Doing::Fault(Fault::Cut)) => {
                client.write_all(answer.head.as_bytes())?;
                return client.write_all(&answer.body[..answer.body.len() / 2]);
            }
            Some(Doing::Fault(Fault::Garbled)) => {
                Message::plain(200, "<html>Sorry, something went wrong.</html>")
                    .write(&mut client)?;
                continue;
            }
            _ => {}
        }
        answer.write(&mut client)?;
    }
    Ok(())
}

/// Ends a connection without an answer.
fn end(client: &TcpStream, fault: &Fault) -> io::Result<()> {
    if matches!(fault, Fault::Reset(_)) {
        let linger = libc::linger {
            l_onoff: 1,
            l_linger: 0,
        };
        // SAFETY: the descriptor is open, and the option's value is of the type that it takes.
        let set = unsafe {
            libc::setsockopt(
                client.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_LINGER,
                (&raw const linger).cast(),
                size_of_val(&linger) as libc::socklen_t,
            )
        };
        if set != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// The first plan that this request meets; each request counts for every plan about its kind.
fn next_plan(inner: &mut Inner, path: &str, body: &[u8]) -> Option<Doing> {
    if path.contains("token") {
        return None;
    }
    let mut met = None;
    for plan in &mut inner.plans {
        if plan.about.is_some_and(|kind| !kind.fits(path, body)) {
            continue;
        }
        if plan.skip > 0 {
            plan.skip -= 1;
        } else if met.is_none() {
            plan.times -= 1;
            met = Some(match &plan.doing {
                Doing::Hold(when, latch) => Doing::Hold(*when, Arc::clone(latch)),
                Doing::Fault(fault) => Doing::Fault(fault.clone()),
            });
        }
    }
    inner.plans.retain(|plan| !plan.is_over());
    met
}

/// An HTTP/1.1 message, kept as it came.
struct Message {
    head: String,
    body: Vec<u8>,
}

impl Message {
    fn json(status: u16, body: &Value) -> Message {
        let body = body.to_string().into_bytes();
        let head = format!(
            "HTTP/1.1 {status} Fault\r\nContent-Type: application/json; charset=UTF-8\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        Message { head, body }
    }

    fn plain(status: u16, body: &str) -> Message {
        let head = format!(
            "HTTP/1.1 {status} OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        Message {
            head,
            body: body.as_bytes().to_vec(),
        }
    }

    /// None at the end of the connection.
    fn read(reader: &mut impl BufRead, is_answer: bool) -> io::Result<Option<Message>> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(None);
            }
        }
        let header = |name: &str| {
            head.lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.trim())
        };
        let mut body = Vec::new();
        if let Some(length) = header("content-length").and_then(|length| length.parse().ok()) {
            body.resize(length, 0);
            reader.read_exact(&mut body)?;
        } else if header("transfer-encoding")
            .is_some_and(|encoding| encoding.eq_ignore_ascii_case("chunked"))
        {
            loop {
                let mut line = String::new();
                reader.read_line(&mut line)?;
                let size = usize::from_str_radix(line.trim(), 16)
                    .map_err(|_| io::ErrorKind::InvalidData)?;
                body.extend(line.as_bytes());
                let from = body.len();
                body.resize(from + size + 2, 0);
                reader.read_exact(&mut body[from..])?;
                if size == 0 {
                    break;
                }
            }
        } else if is_answer
            && header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
        {
            reader.read_to_end(&mut body)?;
        }
        Ok(Some(Message { head, body }))
    }

    fn first_line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    fn len(&self) -> usize {
        self.head.len() + self.body.len()
    }

    fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let mut whole = self.head.clone().into_bytes();
        whole.extend(&self.body);
        to.write_all(&whole)
    }
}
