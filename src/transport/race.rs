//! Several attempts at the same goal, each begun a little after the one before it (RFC 8305 §5, "Happy Eyeballs"): one
//! that gets no answer costs a moment and not the whole timeout. Knows nothing of sockets.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

/// When attempts begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// How long an attempt goes without an answer before the next one begins beside it.
    pub(super) delay: Duration,
    /// No attempt but the first begins from then on. The attempts end by themselves.
    pub(super) deadline: Option<Instant>,
}

/// Makes the attempts `begin` gives for `candidates`, in their order, until one succeeds; the others are then dropped.
/// A failure begins the next attempt at once, except one for which `is_final` says that the others would end no better.
///
/// # Errors
/// The failures, in the order of the candidates; of a final one, only that.
pub(super) async fn race<C, T, E, F>(
    candidates: impl IntoIterator<Item = C>,
    pace: Pace,
    mut begin: impl FnMut(C) -> F,
    is_final: impl Fn(&E) -> bool,
) -> Result<T, Vec<E>>
where
    F: Future<Output = Result<T, E>>,
{
    let mut candidates = candidates.into_iter().enumerate().peekable();
    let mut running: Vec<(usize, Pin<Box<F>>)> = Vec::new();
    let mut failures: Vec<(usize, E)> = Vec::new();
    loop {
        let now = Instant::now();
        let in_time = (running.is_empty() && failures.is_empty()) || pace.deadline.is_none_or(|end| now < end);
        if let (true, Some((number, candidate))) = (in_time, candidates.next()) {
            running.push((number, Box::pin(begin(candidate))));
        }
        if running.is_empty() {
            break;
        }
        let next = now.checked_add(pace.delay).filter(|_| candidates.peek().is_some());
        let (number, outcome) = tokio::select! {
            biased;
            ended = first_end(&mut running) => ended,
            () = sleep_until(next) => continue,
        };
        match outcome {
            Ok(reached) => return Ok(reached),
            Err(failure) if is_final(&failure) => return Err(vec![failure]),
            Err(failure) => failures.push((number, failure)),
        }
    }
    failures.sort_by_key(|(number, _)| *number);
    Err(failures.into_iter().map(|(_, failure)| failure).collect())
}

/// Waits until `deadline`, or forever.
pub(crate) async fn sleep_until(deadline: Option<impl Into<Instant>>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// The outcome of the attempt that ends first, which is taken out; of several at once, the one that began first.
async fn first_end<F: Future>(running: &mut Vec<(usize, Pin<Box<F>>)>) -> (usize, F::Output) {
    poll_fn(|context| {
        let ended =
            running.iter_mut().enumerate().find_map(|(place, (_, attempt))| match attempt.as_mut().poll(context) {
                Poll::Ready(outcome) => Some((place, outcome)),
                Poll::Pending => None,
            });
        match ended {
            Some((place, outcome)) => {
                let (number, _) = running.remove(place);
                Poll::Ready((number, outcome))
            }
            None => Poll::Pending,
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// What a candidate does: it ends after this time, with its own number or a failure.
    #[derive(Clone, Copy)]
    enum Candidate {
        Succeeds(u64),
        Fails(u64),
        FailsForAll(u64),
        Silent,
    }

    use Candidate::*;

    /// The outcome, when each attempt began, how many ended or were dropped, and how long it all took; in milliseconds.
    async fn outcome(candidates: &[Candidate], time: Option<u64>) -> (Result<usize, Vec<String>>, Vec<u64>, u64) {
        let start = Instant::now();
        let since_start = || start.elapsed().as_millis() as u64;
        let begun = RefCell::new(Vec::new());
        let deadline = time.map(|time| start + Duration::from_millis(time));
        let attempt = |(number, candidate): (usize, Candidate)| {
            begun.borrow_mut().push(since_start());
            async move {
                let after = |time| tokio::time::sleep(Duration::from_millis(time));
                match candidate {
                    Succeeds(time) => after(time).await,
                    Fails(time) | FailsForAll(time) => {
                        after(time).await;
                        let word = if matches!(candidate, Fails(_)) { "failed" } else { "final" };
                        return Err(format!("{number} {word}"));
                    }
                    Silent => {
                        sleep_until(deadline).await;
                        return Err(format!("{number} silent"));
                    }
                }
                Ok(number)
            }
        };
        let pace = Pace { delay: Duration::from_millis(250), deadline };
        let is_final = |failure: &String| failure.ends_with("final");
        let raced = race(candidates.iter().copied().enumerate(), pace, attempt, is_final).await;
        (raced, begun.take(), since_start())
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_answers_in_time_stays_alone() {
        assert_eq!(outcome(&[Succeeds(249), Succeeds(0)], None).await, (Ok(0), vec![0], 249));
        assert_eq!(outcome(&[Succeeds(9000)], None).await, (Ok(0), vec![0], 9000));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_begins_the_next_beside_it() {
        assert_eq!(outcome(&[Silent, Succeeds(10)], None).await, (Ok(1), vec![0, 250], 260));
        assert_eq!(outcome(&[Silent, Silent, Silent, Succeeds(1)], None).await, (Ok(3), vec![0, 250, 500, 750], 751));
        // A late answer is still one.
        assert_eq!(outcome(&[Succeeds(300), Succeeds(100)], None).await, (Ok(0), vec![0, 250], 300));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_begins_the_next_at_once() {
        assert_eq!(outcome(&[Fails(5), Fails(0), Succeeds(7)], None).await, (Ok(2), vec![0, 5, 5], 12));
        // The wait for the next one begins anew with each attempt.
        let (raced, begun, took) = outcome(&[Silent, Fails(100), Silent, Succeeds(0)], None).await;
        assert_eq!((raced, begun, took), (Ok(3), vec![0, 250, 350, 600], 600));
    }

    #[tokio::test(start_paused = true)]
    async fn all_failures_come_back_in_order() {
        let (raced, _, took) = outcome(&[Fails(400), Fails(10)], None).await;
        assert_eq!((raced.unwrap_err(), took), (vec!["0 failed".to_owned(), "1 failed".to_owned()], 400));
        assert_eq!(outcome(&[], None).await, (Err(vec![]), vec![], 0));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_begins_after_the_deadline() {
        let (raced, begun, took) = outcome(&[Silent; 5], Some(600)).await;
        assert_eq!(raced.unwrap_err(), ["0 silent", "1 silent", "2 silent"]);
        assert_eq!((begun, took), (vec![0, 250, 500], 600));
        assert_eq!(outcome(&[Fails(0), Fails(0)], Some(0)).await.1, [0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_final_failure_ends_it() {
        let (raced, begun, _) = outcome(&[Fails(0), FailsForAll(1), Succeeds(0)], None).await;
        assert_eq!((raced.unwrap_err(), begun), (vec!["1 final".to_owned()], vec![0, 0]));
    }
}
