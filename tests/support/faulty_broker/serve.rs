//! The tasks of a broker with faults: one per connection, and one for its timers.

use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::{Instant, sleep_until};

use super::{FaultPlan, Input, SharedBroker};

/// What one read takes at most.
const READ_SIZE: usize = 64 << 10;

/// Serves one connection until it is over.
pub(crate) async fn serve<P: FaultPlan>(broker: SharedBroker<P>, stream: impl AsyncRead + AsyncWrite) {
    let (mut reader, writer) = tokio::io::split(stream);
    let (number, outbox) = broker.borrow_mut().accept();
    let reading = async {
        let (mut input, mut chunk) = (Input::default(), vec![0; READ_SIZE]);
        loop {
            stand_still(&broker).await;
            let most = broker.borrow().read_limit(number).min(READ_SIZE);
            let count = reader.read(&mut chunk[..most]).await.unwrap_or(0);
            if count == 0 {
                break;
            }
            // What came while it stood still is looked at afterwards.
            stand_still(&broker).await;
            broker.borrow_mut().take_input(number, &chunk[..count], &mut input);
            while handle_next(&broker, number, &mut input) {
                stand_still(&broker).await;
            }
            broker.borrow_mut().bytes_read(number);
            let full = broker.borrow().full_outboxes();
            for outbox in full {
                outbox.wait_for_room().await;
            }
        }
        outbox.end(Duration::ZERO);
    };
    tokio::join!(reading, outbox.write_to(writer, || stand_still(&broker)));
    broker.borrow_mut().close(number);
}

fn handle_next<P: FaultPlan>(broker: &SharedBroker<P>, number: u64, input: &mut Input) -> bool {
    broker.borrow_mut().handle_next(number, input)
}

/// Does what the core has put off, when it is due.
pub(crate) async fn run_timers<P: FaultPlan>(broker: SharedBroker<P>) {
    let moved = Rc::clone(&broker.borrow().deadline_moved);
    loop {
        let due = broker.borrow().core.poll_timeout().map(Instant::from_std);
        match due {
            Some(due) if due <= Instant::now() => {
                stand_still(&broker).await;
                broker.borrow_mut().handle_timeout();
            }
            Some(due) => tokio::select! {
                () = sleep_until(due) => {}
                () = moved.notified() => {}
            },
            None => moved.notified().await,
        }
    }
}

/// Lets nothing pass while the broker stands still.
async fn stand_still<P: FaultPlan>(broker: &SharedBroker<P>) {
    loop {
        let until = broker.borrow().plan.stands_still_until(Instant::now());
        match until {
            Some(until) => sleep_until(until).await,
            None => return,
        }
    }
}
