//! A board that all shards of a run read and write. A task serves it; this is its handle.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::messages::{self, LeadNote, Phase, ShardNote, TimeNote};

/// How long the end of a board may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// A place on the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// What shard 0 decides.
    Lead,
    /// What a shard reports about itself.
    Shard(usize),
    /// A question of a shard for the time.
    Question(usize),
    /// The answer to it.
    Answer(usize),
}

/// What the handle asks of the task.
#[derive(Clone, Debug)]
pub(super) enum Post {
    /// Put something up for all who come.
    Put(Place, Vec<u8>),
    /// Read the notes of all shards from now on.
    WatchAll,
    /// Remove these, and end.
    Close(Vec<Place>),
}

/// What the task finds.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// Shard 0 has decided something.
    Lead(LeadNote),
    /// A shard reports something about itself; none: it has ended.
    Shard(usize, Option<ShardNote>),
    /// A shard asks for the time.
    Question(usize, TimeNote),
    /// The answer.
    Answer(TimeNote),
    /// This board cannot be used.
    Failed(String),
}

/// What is at a place, if it is understood.
pub(super) fn event(place: Place, bytes: &[u8]) -> Option<Event> {
    match place {
        Place::Shard(index) if bytes.is_empty() => Some(Event::Shard(index, None)),
        Place::Shard(index) => messages::read(bytes).map(|note| Event::Shard(index, Some(note))),
        Place::Lead => messages::read(bytes).map(Event::Lead),
        Place::Question(index) => messages::read(bytes).map(|note| Event::Question(index, note)),
        Place::Answer(_) => messages::read(bytes).map(Event::Answer),
    }
}

/// The task's end.
pub(super) struct BoardServer {
    pub(super) posts: UnboundedReceiver<Post>,
    pub(super) events: UnboundedSender<Event>,
}

/// A board.
pub(super) struct Board {
    posts: UnboundedSender<Post>,
    events: Option<UnboundedReceiver<Event>>,
    /// What was found and put back.
    unread: VecDeque<Event>,
    /// Shards whose connection broke, and whose note stays.
    lost: BTreeSet<usize>,
    task: JoinHandle<()>,
    own: usize,
    /// Whether a question for the time gets an answer; else how far this clock is from the board's.
    pub(super) clock: BoardClock,
}

/// How shards of a board compare their clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BoardClock {
    /// With that of shard 0, by questions and answers.
    Asked,
    /// With that of the board; none where that failed.
    Read(Option<super::ClockOffset>),
}

impl Board {
    pub(super) fn serve<F: Future<Output = ()> + Send + 'static>(
        own: usize,
        clock: BoardClock,
        serve: impl FnOnce(BoardServer) -> F,
    ) -> Self {
        let (posts, post_receiver) = unbounded_channel();
        let (event_sender, events) = unbounded_channel();
        let task = tokio::spawn(serve(BoardServer { posts: post_receiver, events: event_sender }));
        Self { posts, events: Some(events), unread: VecDeque::new(), lost: BTreeSet::new(), task, own, clock }
    }

    fn post(&self, post: Post) {
        // A board that has failed reports it as an event.
        let _ = self.posts.send(post);
    }

    pub(super) fn put_lead(&self, note: &LeadNote) {
        self.post(Post::Put(Place::Lead, messages::write(note)));
    }

    pub(super) fn put_shard(&self, index: usize, note: &ShardNote) {
        self.post(Post::Put(Place::Shard(index), messages::write(note)));
    }

    pub(super) fn ask(&self, note: TimeNote) {
        self.post(Post::Put(Place::Question(self.own), messages::write(&note)));
    }

    pub(super) fn answer(&self, shard: usize, note: TimeNote) {
        self.post(Post::Put(Place::Answer(shard), messages::write(&note)));
    }

    pub(super) fn watch_all(&self) {
        self.post(Post::WatchAll);
    }

    /// What happens next on the board; never comes back once it is detached.
    pub(super) async fn next(&mut self) -> Event {
        if let Some(event) = self.unread.pop_front() {
            return event;
        }
        let event = match &mut self.events {
            None => std::future::pending().await,
            Some(events) => events.recv().await.unwrap_or_else(|| Event::Failed("it ended unexpectedly".to_owned())),
        };
        if let Event::Shard(index, note) = &event {
            match note {
                Some(ShardNote { phase: Phase::Lost, .. }) => self.lost.insert(*index),
                _ => self.lost.remove(index),
            };
        }
        event
    }

    /// Puts events back, to be found again.
    pub(super) fn put_back(&mut self, events: Vec<Event>) {
        self.unread.extend(events);
    }

    /// Nothing more is read.
    pub(super) fn detach(&mut self) {
        self.events = None;
    }

    /// Removes what this shard has put up, and of shard 0 also what shards that are lost have left.
    pub(super) async fn close(self) {
        let is_lead = self.own == 0;
        let own = [Place::Shard(self.own)].into_iter().chain(is_lead.then_some(Place::Lead));
        let places = own.chain(self.lost.iter().filter(|_| is_lead).map(|index| Place::Shard(*index))).collect();
        self.post(Post::Close(places));
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.task).await;
    }
}
