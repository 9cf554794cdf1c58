//! A subscriber on another library's client.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use super::connection::{Arrived, LibraryClient, LibraryEvent, LibraryLoop};
use super::{TaskGuard, leave};
use crate::bench::engine::shard::state::ShardState;
use crate::bench::engine::subscriber::{Subscriber, SubscriberHandler};
use crate::bench::measure::SampleBatch;
use crate::bench::plan::ClientKind;
use crate::mqtt::Properties;
use crate::mqtt::wire::{Publish, PublishProperties};

/// Polls the event loop of a subscriber to its end.
pub(super) async fn poll_subscriber(
    guard: TaskGuard,
    index: usize,
    subscriber: Rc<RefCell<Subscriber>>,
    sender: LibraryClient,
    mut events: LibraryLoop,
) {
    let state = guard.0.clone();
    let client = state.shared.plan.client_of(ClientKind::Subscriber, subscriber.borrow().number());
    let target = state.shared.plan.transport_of(client).address.to_string();
    // Asked to end, it disconnects: the event loop then writes DISCONNECT.
    let ender = tokio::task::spawn_local({
        let state = state.clone();
        poll_fn(move |context| {
            state.tasks.set_waker(index, context);
            if state.tasks.are_ending() && sender.disconnect() { Poll::Ready(()) } else { Poll::Pending }
        })
    });
    loop {
        match events.next(&target).await {
            Ok(LibraryEvent::Disconnected) => break,
            Ok(LibraryEvent::Arrived(message)) => handle(&state, client, &mut subscriber.borrow_mut(), &message),
            Ok(_) => {}
            Err(_) if state.tasks.are_ending() => break,
            Err(error) => {
                subscriber.borrow_mut().note_loss(&state.shared, state.shared.clock.now_ns());
                leave(&state, index, ClientKind::Subscriber, client, &error);
                break;
            }
        }
    }
    ender.abort();
}

fn handle(state: &ShardState, client: usize, subscriber: &mut Subscriber, message: &Arrived) {
    let shared = &*state.shared;
    let now_ns = shared.clock.now_ns();
    // After the read: what was read was sent before.
    let stage = shared.stage_after(state.stage());
    let measuring = stage.is_some_and(|stage| stage.measures(now_ns));
    let recorder = &mut state.recorder(shared.plan.target_of(client));
    let (stage, batch) = (stage.as_ref(), SampleBatch::ending_at(now_ns));
    let before = recorder.counters.delivered;
    let mut handler = SubscriberHandler { subscriber, shared, recorder, stage, now_ns, measuring, batch };
    let properties = Properties::new();
    handler.on_publish(&Publish {
        dup: message.dup,
        qos: message.qos,
        retain: message.retain,
        topic: &message.topic,
        packet_identifier: 0,
        properties: PublishProperties::Owned(&properties),
        payload: &message.payload,
    });
    handler.end();
    state.extend_span(recorder.counters.delivered > before, now_ns, |spans| &mut spans.delivered);
    subscriber.wake_publishers(shared);
}
