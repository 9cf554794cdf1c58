//! The explorer without a terminal and without a broker: what it knows, what is selected, and what a key does.

use chrono::{DateTime, FixedOffset, TimeZone as _};

use super::keys::{Input, Key};
use super::line_edit::LineEdit;
use super::model::{Micros, Model, NodeId, ROOT};
use super::recording_view::RecordingView;
use super::rows::{Filter, Layout, Row, Sort, fitting_depth};
use super::value::numbers;
use crate::mqtt::{Message, QoS, check_sent_topic_name};
use crate::terminal::number::{counted, grouped};

const SECOND: Micros = 1_000_000;
/// The rows follow new topics at most this often.
const ROWS_INTERVAL: Micros = SECOND / 4;
/// And other orders than that of the names at most this often: rows that jump cannot be read.
const ORDER_INTERVAL: Micros = SECOND;
/// How long a notice stands.
const NOTICE_TIME: Micros = 8 * SECOND;
/// A payload that can be edited on a line is no longer, bytes.
const LONGEST_EDITED: usize = 4096;

/// What the connection is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// The first connection is being made.
    Connecting,
    /// The broker sends messages.
    Connected,
    /// The connection was lost, at this time, and is made again.
    Reconnecting(Micros),
}

/// Where the messages come from.
#[derive(Debug)]
pub(super) enum Source {
    Broker {
        name: String,
        version: &'static str,
        link: Link,
        /// Connections that were lost.
        losses: u64,
    },
    Recording(RecordingView),
}

/// Something to read in the last line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) text: String,
    pub(super) is_bad: bool,
    pub(super) since: Micros,
}

/// The fields of the form with which a message is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PublishForm {
    pub(super) topic: LineEdit,
    pub(super) payload: LineEdit,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    /// Which of the four is edited.
    pub(super) field: usize,
    pub(super) fault: Option<String>,
}

/// What keys mean at present.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    #[default]
    Tree,
    Filter(LineEdit),
    Help(usize),
    Publish(Box<PublishForm>),
    /// Removing retained messages: what is asked, and the topics.
    Remove(String, Vec<String>),
    Save(LineEdit),
}

/// What is to be done outside.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    Nothing,
    Quit,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-Z.
    Suspend,
    Publish(Message),
    Remove(Vec<String>),
    Save(String),
    Seek(Seek),
}

/// Where a recording is to be shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Seek {
    /// Plays, or stops.
    Play,
    /// Plays faster or slower, by this factor.
    Speed(f64),
    /// By a number of messages.
    Messages(i64),
    /// By a part of its time.
    Part(f64),
    /// To a part of its time.
    To(f64),
}

/// The explorer.
#[derive(Debug)]
pub(super) struct App {
    pub(super) model: Model,
    pub(super) source: Source,
    pub(super) mode: Mode,
    pub(super) rows: Vec<Row>,
    pub(super) selected: Option<NodeId>,
    /// The first row on the screen.
    pub(super) top: usize,
    pub(super) sort: Sort,
    pub(super) filter_text: String,
    filter: Filter,
    /// Levels that are unfolded where the user has not said anything; fixed with the first key.
    depth: Option<u16>,
    /// The number whose history is drawn, by its path in the payload.
    pub(super) field: Option<String>,
    /// The first line of the payload on the screen.
    pub(super) scroll: usize,
    pub(super) notice: Option<Notice>,
    pub(super) allows_write: bool,
    pub(super) zone: FixedOffset,
    /// The clock on the wall.
    pub(super) wall: Micros,
    /// Rows that fit on the screen; drawing finds out.
    pub(super) page: usize,
    /// The rows are to be laid out anew at once.
    is_stale: bool,
    /// When they were, for how many levels, and at which state of the model.
    laid_out: (Micros, usize, u64),
}

impl App {
    /// An explorer that shows nothing yet.
    pub(super) fn new(model: Model, source: Source, zone: FixedOffset) -> Self {
        Self {
            model,
            source,
            mode: Mode::Tree,
            rows: Vec::new(),
            selected: None,
            top: 0,
            sort: Sort::Name,
            filter_text: String::new(),
            filter: Filter::All,
            depth: None,
            field: None,
            scroll: 0,
            notice: None,
            allows_write: false,
            zone,
            wall: 0,
            page: 10,
            is_stale: true,
            laid_out: (0, 0, 0),
        }
    }

    /// Shows something in the last line for a while.
    pub(super) fn note(&mut self, text: impl Into<String>, is_bad: bool) {
        self.notice = Some(Notice { text: text.into(), is_bad, since: self.wall });
    }

    /// A time of day for people.
    pub(super) fn clock(&self, time: Micros) -> DateTime<FixedOffset> {
        self.zone.timestamp_micros(time).single().unwrap_or_default()
    }

    /// The rows are to be laid out anew.
    pub(super) const fn invalidate(&mut self) {
        self.is_stale = true;
    }

    /// Brings the rows up to date before they are drawn on this many lines.
    pub(super) fn prepare(&mut self, lines: usize) {
        self.page = lines.max(1);
        if self.notice.as_ref().is_some_and(|notice| self.wall - notice.since > NOTICE_TIME) {
            self.notice = None;
        }
        let (at, levels, version) = self.laid_out;
        let since = self.wall - at;
        let has_grown = self.model.len() != levels && since >= ROWS_INTERVAL;
        let is_reordered = self.sort != Sort::Name && self.model.version() != version && since >= ORDER_INTERVAL;
        if self.is_stale || has_grown || is_reordered {
            self.is_stale = false;
            self.laid_out = (self.wall, self.model.len(), self.model.version());
            let depth = self.depth.unwrap_or_else(|| fitting_depth(&self.model, lines));
            let layout = Layout { filter: &self.filter, sort: self.sort, depth };
            layout.rows(&mut self.model, &mut self.rows);
        }
        let at = self.selected_row();
        if self.selected.is_none() || self.rows.get(at).map(|row| row.id) != self.selected {
            self.select(at);
        }
        self.top = self.top.clamp((at + 1).saturating_sub(self.page), at);
        self.top = self.top.min(self.rows.len().saturating_sub(self.page));
    }

    /// The row of what is selected, or of the nearest level above it that has one.
    pub(super) fn selected_row(&self) -> usize {
        let Some(mut id) = self.selected else { return 0 };
        loop {
            if let Some(at) = self.rows.iter().position(|row| row.id == id) {
                return at;
            }
            if id == ROOT {
                return 0;
            }
            id = self.model.parent(id);
        }
    }

    fn select(&mut self, row: usize) {
        let selected = self.rows.get(row.min(self.rows.len().saturating_sub(1))).map(|row| row.id);
        if selected != self.selected {
            self.selected = selected;
            self.scroll = 0;
        }
    }

    /// Takes what was typed.
    pub(super) fn take(&mut self, input: Input) -> Action {
        let key = match input {
            Input::Resized => return Action::Nothing,
            Input::Paste(text) => {
                self.paste(&text);
                return Action::Nothing;
            }
            Input::Key(Key::Control('c')) => return Action::Interrupt,
            Input::Key(Key::Control('z')) => return Action::Suspend,
            Input::Key(key) => key,
        };
        if self.is_stale {
            // Keys may come faster than frames.
            self.prepare(self.page);
        }
        match std::mem::take(&mut self.mode) {
            Mode::Tree => self.take_key(key),
            Mode::Filter(line) => {
                self.take_filter_key(line, key);
                Action::Nothing
            }
            Mode::Help(top) => {
                self.mode = match key {
                    Key::Down | Key::Char('j') => Mode::Help(top + 1),
                    Key::Up | Key::Char('k') => Mode::Help(top.saturating_sub(1)),
                    Key::PageDown | Key::Char(' ') => Mode::Help(top + 10),
                    Key::PageUp => Mode::Help(top.saturating_sub(10)),
                    _ => Mode::Tree,
                };
                Action::Nothing
            }
            Mode::Publish(form) => self.take_form_key(form, key),
            Mode::Remove(_, topics) => match key {
                Key::Char('y') => Action::Remove(topics),
                _ => {
                    self.note("nothing was removed", false);
                    Action::Nothing
                }
            },
            Mode::Save(line) => self.take_save_key(line, key),
        }
    }

    fn paste(&mut self, text: &str) {
        match &mut self.mode {
            Mode::Filter(line) => {
                line.insert(text);
                self.filter_text = line.text();
                self.follow_filter();
            }
            Mode::Save(line) => line.insert(text),
            Mode::Publish(form) if form.field == 0 => form.topic.insert(text),
            Mode::Publish(form) if form.field == 1 => form.payload.insert(text),
            Mode::Publish(_) | Mode::Tree | Mode::Help(_) | Mode::Remove(..) => {}
        }
    }

    fn take_key(&mut self, key: Key) -> Action {
        if let (Source::Recording(_), Some(seek)) = (&self.source, seek_of(key)) {
            return Action::Seek(seek);
        }
        match key {
            Key::Char('q') => return Action::Quit,
            Key::Char('?') => self.mode = Mode::Help(0),
            Key::Char('/') => self.mode = Mode::Filter(LineEdit::new(&self.filter_text)),
            Key::Escape => {
                self.filter_text.clear();
                self.follow_filter();
            }
            Key::Char('s') => {
                self.sort = self.sort.next();
                self.invalidate();
            }
            Key::Char(' ') => {
                let paused = !self.model.is_paused();
                self.model.set_paused(paused);
                self.invalidate();
            }
            Key::Char('f') => self.choose_field(1),
            Key::Char('F') => self.choose_field(-1),
            Key::Char('J') | Key::Control('d') => self.scroll = self.scroll.saturating_add(5),
            Key::Char('K') | Key::Control('u') => self.scroll = self.scroll.saturating_sub(5),
            Key::Char('w') => {
                let name = self.clock(self.wall).format("topics-%Y%m%d-%H%M%S.ndjson").to_string();
                self.mode = Mode::Save(LineEdit::new(&name));
            }
            Key::Char('p') => self.begin_publish(),
            Key::Char('d') => self.begin_remove(false),
            Key::Char('D') => self.begin_remove(true),
            key => self.navigate(key),
        }
        Action::Nothing
    }

    fn navigate(&mut self, key: Key) {
        // What the user looks at is not to move when topics come.
        self.depth.get_or_insert_with(|| fitting_depth(&self.model, self.page));
        let at = self.selected_row();
        match key {
            Key::Up | Key::Char('k') => self.select(at.saturating_sub(1)),
            Key::Down | Key::Char('j') => self.select(at + 1),
            Key::PageUp => self.select(at.saturating_sub(self.page)),
            Key::PageDown => self.select(at + self.page),
            Key::Home | Key::Char('g') => self.select(0),
            Key::End | Key::Char('G') => self.select(usize::MAX),
            Key::Enter => self.fold(at, None),
            Key::Right | Key::Char('l') => self.fold(at, Some(true)),
            Key::Left | Key::Char('h') => match self.rows.get(at) {
                Some(Row { unfolded: Some(true), .. }) => self.fold(at, Some(false)),
                Some(Row { id, depth: 1.., .. }) => {
                    let parent = self.model.parent(*id);
                    let row = self.rows.iter().position(|row| row.id == parent);
                    self.select(row.unwrap_or(0));
                }
                _ => {}
            },
            Key::Char('e') => self.fold_below(true),
            Key::Char('c') => self.fold_below(false),
            _ => {}
        }
    }

    /// Unfolds or folds a row, or the other of both.
    fn fold(&mut self, at: usize, unfold: Option<bool>) {
        if let Some(Row { id, unfolded: Some(unfolded), .. }) = self.rows.get(at) {
            self.model.set_unfolded(*id, Some(unfold.unwrap_or(!unfolded)));
            self.invalidate();
        }
    }

    /// Unfolds or folds what is selected and everything below it.
    fn fold_below(&mut self, unfold: bool) {
        let Some(selected) = self.selected else { return };
        let mut open = vec![selected];
        while let Some(id) = open.pop() {
            self.model.set_unfolded(id, Some(unfold));
            open.extend(self.model.children(id).filter(|child| self.model.has_children(*child)));
        }
        self.invalidate();
    }

    fn take_filter_key(&mut self, mut line: LineEdit, key: Key) {
        match key {
            Key::Enter | Key::Down | Key::Up => return,
            Key::Escape => {
                self.filter_text.clear();
            }
            key => {
                line.take(key);
                self.filter_text = line.text();
                self.mode = Mode::Filter(line);
            }
        }
        self.follow_filter();
    }

    fn follow_filter(&mut self) {
        self.filter = Filter::new(&self.filter_text);
        self.invalidate();
    }

    /// The topic that is selected, where a message has come.
    fn selected_payload(&self) -> Option<&[u8]> {
        let topic = self.model.view(self.selected?).topic?;
        (!topic.last.is_cut()).then_some(&topic.last.payload)
    }

    fn choose_field(&mut self, step: isize) {
        let found = self.selected_payload().map(numbers).unwrap_or_default();
        if found.is_empty() {
            return self.note("the last payload of this topic has no number", true);
        }
        let at = self.field.as_ref().and_then(|field| found.iter().position(|(path, _)| path == field)).unwrap_or(0);
        let next = (at as isize + step).rem_euclid(found.len() as isize) as usize;
        self.field = Some(found[next].0.clone());
    }

    /// The number whose history is drawn: the chosen one where this topic has it, or else its first one.
    pub(super) fn shown_field(&self) -> Option<String> {
        let found = numbers(self.selected_payload()?);
        let chosen = found.iter().find(|(path, _)| Some(path) == self.field.as_ref());
        chosen.or_else(|| found.first()).map(|(path, _)| path.clone())
    }

    /// Whether messages may be published; notes why not.
    fn may_write(&mut self) -> bool {
        match (&self.source, self.allows_write) {
            (Source::Recording(_), _) => self.note("a recording is only shown", true),
            (_, false) => self.note("read-only: start with --allow-write to publish and to remove messages", true),
            (_, true) => return true,
        }
        false
    }

    fn begin_publish(&mut self) {
        if !self.may_write() {
            return;
        }
        let topic = self.selected.map(|id| self.model.topic(id)).unwrap_or_default();
        let text = self.selected_payload().filter(|payload| payload.len() <= LONGEST_EDITED);
        let text = text.and_then(|payload| std::str::from_utf8(payload).ok()).filter(|text| !text.contains('\n'));
        self.mode = Mode::Publish(Box::new(PublishForm {
            topic: LineEdit::new(&topic),
            payload: LineEdit::new(text.unwrap_or_default()),
            qos: QoS::AtMostOnce,
            retain: false,
            field: 1,
            fault: None,
        }));
    }

    fn take_form_key(&mut self, mut form: Box<PublishForm>, key: Key) -> Action {
        let is_taken = match form.field {
            0 => form.topic.take(key),
            1 => form.payload.take(key),
            2 => {
                match key {
                    Key::Char(digit @ '0'..='2') => form.qos = QoS::from_number(digit as u8 - b'0').unwrap_or_default(),
                    Key::Char(' ') | Key::Right => {
                        form.qos = QoS::from_number((form.qos.number() + 1) % 3).unwrap_or_default();
                    }
                    Key::Left => form.qos = QoS::from_number((form.qos.number() + 2) % 3).unwrap_or_default(),
                    _ => {}
                }
                false
            }
            _ => {
                form.retain ^= matches!(key, Key::Char(' ') | Key::Left | Key::Right);
                false
            }
        };
        if !is_taken {
            match key {
                Key::Escape => return Action::Nothing,
                Key::Tab | Key::Down => form.field = (form.field + 1) % 4,
                Key::BackTab | Key::Up => form.field = (form.field + 3) % 4,
                Key::Enter => match check_sent_topic_name(&form.topic.text()) {
                    Ok(()) => {
                        let (topic, payload) = (form.topic.text(), form.payload.text().into());
                        let (qos, retain) = (form.qos, form.retain);
                        return Action::Publish(Message { topic, payload, qos, retain, ..Message::default() });
                    }
                    Err(error) => form.fault = Some(format!("this is no topic to publish to: {error}")),
                },
                _ => {}
            }
        }
        self.mode = Mode::Publish(form);
        Action::Nothing
    }

    fn begin_remove(&mut self, below: bool) {
        if !self.may_write() {
            return;
        }
        let Some(id) = self.selected else { return };
        let is_retained = self.model.view(id).topic.is_some_and(|topic| topic.retained);
        let topics = match below {
            true => self.model.retained_topics(id),
            false if is_retained => vec![self.model.topic(id)],
            false => Vec::new(),
        };
        if topics.is_empty() {
            let place = if below { "at or below this level" } else { "at this topic (D: at and below a level)" };
            return self.note(format!("no retained message is known {place}"), true);
        }
        let count = counted(topics.len() as u64, "retained message", "retained messages");
        let place = if below { "at and below" } else { "at" };
        self.mode = Mode::Remove(format!("Remove {count} {place} {}?", self.model.topic(id)), topics);
    }

    fn take_save_key(&mut self, mut line: LineEdit, key: Key) -> Action {
        match key {
            Key::Escape => Action::Nothing,
            Key::Enter if line.text().trim().is_empty() => Action::Nothing,
            Key::Enter => Action::Save(line.text()),
            key => {
                line.take(key);
                self.mode = Mode::Save(line);
                Action::Nothing
            }
        }
    }

    /// Whether a topic is to be saved: one that the filter shows, and nothing that the broker reports about itself unless
    /// the filter asks for that.
    pub(super) fn is_saved(&self, topic: &str) -> bool {
        (!topic.starts_with('$') || self.filter_text.starts_with('$')) && self.filter.matches(topic)
    }

    /// What the filter leaves, for its line.
    pub(super) fn filter_description(&self) -> String {
        let topics = self.rows.iter().filter(|row| row.unfolded.is_none()).count();
        format!("{} shown", grouped(topics as u64))
    }
}

/// What a key means to a recording.
fn seek_of(key: Key) -> Option<Seek> {
    Some(match key {
        Key::Char(' ') => Seek::Play,
        Key::Char('+') => Seek::Speed(10.0),
        Key::Char('-') => Seek::Speed(0.1),
        Key::Char(',') => Seek::Messages(-1),
        Key::Char('.') => Seek::Messages(1),
        Key::Char('[') => Seek::Part(-0.01),
        Key::Char(']') => Seek::Part(0.01),
        Key::Char('{') => Seek::Part(-0.1),
        Key::Char('}') => Seek::Part(0.1),
        Key::Char(digit @ '0'..='9') => Seek::To(f64::from(digit as u8 - b'0') / 10.0),
        Key::Char('$') => Seek::To(1.0),
        _ => return None,
    })
}
