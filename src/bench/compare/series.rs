//! Runs one after the other: `--runs`, and with `--ab` against two brokers in turns.

use std::time::Duration;

use anyhow::Result;

use crate::bench::attempt::Attempt;
use crate::bench::report::Status;
use crate::template::Draws;

/// What the draws of the order are mixed with.
const ORDER: u64 = 0x0a_b0;

/// One run of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Its number, from 1.
    pub(crate) number: usize,
    /// Of how many.
    pub(crate) of: usize,
    /// The broker: always 0, or with `--ab` 0 and 1.
    pub(crate) side: usize,
}

/// The turns of a series. With two sides each pair of runs has one of each, and which of them is the first is drawn: what
/// changes slowly on a machine, and what changes with every second run, is no part of the difference.
pub(crate) fn turns(runs: usize, sides: usize, seed: u64) -> Vec<Turn> {
    let draws = Draws::new(seed, ORDER);
    let pair = |run: usize| {
        let first = if sides == 2 { draws.below(run as u64, 2) as usize } else { 0 };
        (0..sides).map(move |place| (first + place) % sides)
    };
    let of = runs * sides;
    (0..runs).flat_map(pair).enumerate().map(|(place, side)| Turn { number: place + 1, of, side }).collect()
}

/// Makes the runs, with a pause between two of them. It ends early when `pause` reports an interruption, and when a run
/// failed, with what there is by then.
///
/// # Errors
/// Those of `measure`.
pub(crate) async fn run_series(
    turns: &[Turn],
    cool_down: Duration,
    mut measure: impl AsyncFnMut(Turn) -> Result<Attempt>,
    mut pause: impl AsyncFnMut(Duration) -> bool,
) -> Result<Vec<(Turn, Attempt)>> {
    let mut attempts: Vec<(Turn, Attempt)> = Vec::new();
    for turn in turns {
        if turn.number > 1 && pause(cool_down).await {
            break;
        }
        let attempt = measure(*turn).await?;
        let status = attempt.document.status;
        attempts.push((*turn, attempt));
        if status == Status::Failed {
            break;
        }
    }
    // What an interruption has cut short is no run like the others. It ends the series, whether more were to follow.
    let is_cut_short =
        |attempt: &Attempt| attempt.document.status == Status::Partial && attempt.document.run.error.is_none();
    if attempts.len() > 1 {
        attempts.pop_if(|(_, attempt)| is_cut_short(attempt));
    }
    // An interruption before the load of a run leaves nothing of it.
    if attempts.len() > 1 {
        attempts.retain(|(_, attempt)| attempt.has_load || attempt.document.status == Status::Failed);
    }
    Ok(attempts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::ResultDocument;

    fn attempt(status: Status) -> Attempt {
        let document = ResultDocument { status, ..ResultDocument::default() };
        Attempt { document, status: None, has_load: true }
    }

    #[tokio::test]
    async fn a_run_that_an_interruption_cut_short_is_not_counted() {
        // In the last run, after which there is no pause that would notice it.
        let mut number = 0;
        let measure = async |_| {
            number += 1;
            Ok(attempt(if number == 3 { Status::Partial } else { Status::Ok }))
        };
        let found = run_series(&turns(3, 1, 1), Duration::ZERO, measure, async |_| false).await.unwrap();
        assert_eq!(found.len(), 2);
        // The first one, before the second: it is all there is.
        let measure = async |_| Ok(attempt(Status::Partial));
        let found = run_series(&turns(3, 1, 1), Duration::ZERO, measure, async |_| true).await.unwrap();
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn each_pair_has_one_of_each_and_the_order_is_that_of_the_seed() {
        let sides = |seed| turns(20, 2, seed).iter().map(|turn| turn.side).collect::<Vec<_>>();
        assert!(sides(1).chunks(2).all(|pair| pair == [0, 1] || pair == [1, 0]));
        assert!(sides(1).chunks(2).any(|pair| pair == [0, 1]) && sides(1).chunks(2).any(|pair| pair == [1, 0]));
        assert_eq!(sides(1), sides(1));
        assert_ne!(sides(1), sides(2));
        let one = turns(3, 1, 1);
        assert!(one.iter().all(|turn| (turn.side, turn.of) == (0, 3)));
        assert_eq!(one.iter().map(|turn| turn.number).collect::<Vec<_>>(), [1, 2, 3]);
    }
}
