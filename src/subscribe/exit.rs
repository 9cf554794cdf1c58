//! How mqsub and mqrr leave a broker and stdout at the end of a run.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use super::batch::Batch;
use super::file_error::FileError;
use super::sink::{MessageSink, OutputError};
use crate::client::{Client, ClientError, ClientPlan, CloseMode, NoHandler};
use crate::mqtt::{Message, ReasonCode};

/// How long a finished run may take to write what it has, and to leave.
pub(crate) const EXIT_TIMEOUT: Duration = Duration::from_millis(500);

/// How long a run that has all its messages waits for the end of their acknowledgement at QoS 2.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

/// Writes everything that waits and acknowledges it; stdout has [`EXIT_TIMEOUT`] for each write.
///
/// # Errors
/// It cannot be written. A reader who is slow, or gone, is no error.
pub(crate) async fn write_out(
    sink: &mut MessageSink,
    batch: &mut Batch,
    client: &mut Client<Message>,
) -> Result<(), FileError> {
    match sink.write_all(batch, client, EXIT_TIMEOUT).await {
        Err(OutputError::Failed { text, hint }) => Err(FileError { text, hint }),
        _ => Ok(()),
    }
}

/// Leaves the broker, if there is one. That not all was taken within `timeout` does not matter any more: everything is
/// written.
pub(crate) async fn leave(client: &mut Client<Message>, plan: &ClientPlan, reason: ReasonCode, timeout: Duration) {
    let released = await_release(client);
    let _ = tokio::time::timeout(timeout.min(RELEASE_TIMEOUT), released).await;
    if !client.is_open() {
        return client.give_up();
    }
    let properties = plan.disconnect_properties.clone();
    let _ = client.disconnect(reason, properties, timeout, CloseMode::Draining(EXIT_TIMEOUT)).await;
}

/// Reads on until the broker has released what was acknowledged at QoS 2 and PUBCOMP can answer. A broker that is left
/// before may deliver the same messages again.
async fn await_release(client: &mut Client<Message>) -> Result<(), ClientError> {
    while client.is_open() && client.session().unreleased() > 0 {
        client.step(&mut NoHandler, true, pending::<Infallible>()).await?;
    }
    Ok(())
}

/// How a run leaves that could have gone on: so that its will is published.
pub(crate) fn reason_with_will(plan: &ClientPlan) -> ReasonCode {
    let session = &plan.connect.session;
    let has_will = session.will.is_some() || plan.policy.always_requests_will;
    if has_will && session.version.is_v5() { ReasonCode::DISCONNECT_WITH_WILL } else { ReasonCode::SUCCESS }
}
