//! Stages: what is measured, one after the other.

use std::time::Duration;

/// What a stage is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StageName {
    /// Closed loop: what the path carries.
    #[default]
    Flood,
    /// Open loop: how long a message takes at a given rate.
    Paced,
    /// Connections: how long they take, and whether they hold.
    Conn,
    /// Round trips through a responder.
    Echo,
    /// What others publish.
    Receive,
}

impl StageName {
    /// Its name in the result document.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Flood => "flood",
            Self::Paced => "paced",
            Self::Conn => "conn",
            Self::Echo => "echo",
            Self::Receive => "receive",
        }
    }
}

/// What decides when a message is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum LoadModel {
    /// As soon as the window has room.
    #[default]
    ClosedLoop,
    /// On a schedule, at this rate in total, however the broker does.
    OpenLoop {
        /// Messages per second in total.
        rate: f64,
    },
    /// On a schedule at this share of what the stage before carried.
    OpenLoopShare {
        /// Share, 0 to 1.
        share: f64,
    },
}

/// One measurement.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stage {
    /// What it is for.
    pub name: StageName,
    /// What decides when a message is sent.
    pub model: LoadModel,
    /// Load before the measurement, not measured.
    pub warmup: Duration,
    /// Measured time; none where only the count ends it.
    pub duration: Option<Duration>,
    /// Measured messages in total, where they are limited.
    pub count: Option<u64>,
}

/// A bare run paces at this share of what its flood carried.
const SHARE: f64 = 0.5;

/// The lowest share to which it steps down where that schedule is not kept.
const LEAST_SHARE: f64 = SHARE / 8.0;

impl Stage {
    /// The same at half the share, where there is one; `spent` is what attempts before it have measured, and `whole` what
    /// there was. What is left is measured, and at least half of the whole.
    pub fn stepped_down(&self, whole: Option<Duration>, spent: Duration) -> Option<Self> {
        let LoadModel::OpenLoopShare { share } = self.model else { return None };
        let duration = whole.map(|whole| whole.saturating_sub(spent).max(whole / 2));
        let model = LoadModel::OpenLoopShare { share: share / 2.0 };
        (share > LEAST_SHARE).then(|| Self { model, duration, ..self.clone() })
    }
}

/// The stages of a run. Without a given model a run floods first and then measures latency at half of what the
/// flood carried; time and messages are shared between the two.
pub(crate) fn stages(
    model: Option<LoadModel>,
    warmup: Duration,
    duration: Option<Duration>,
    count: Option<u64>,
) -> Vec<Stage> {
    match model {
        Some(model) => {
            let name = if model == LoadModel::ClosedLoop { StageName::Flood } else { StageName::Paced };
            vec![Stage { name, model, warmup, duration, count }]
        }
        None => {
            let half = duration.map(|duration| duration / 2);
            let first = count.map(|count| count.div_ceil(2));
            let mut both = vec![
                Stage { name: StageName::Flood, model: LoadModel::ClosedLoop, warmup, duration: half, count: first },
                Stage {
                    name: StageName::Paced,
                    model: LoadModel::OpenLoopShare { share: SHARE },
                    warmup,
                    duration: half,
                    count: count.map(|count| count / 2),
                },
            ];
            // One message cannot be shared.
            both.retain(|stage| stage.count != Some(0));
            both
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_run_shares_time_and_messages_between_two_stages() {
        let stages = stages(None, Duration::from_secs(1), Some(Duration::from_secs(10)), Some(11));
        assert_eq!(stages.len(), 2);
        assert_eq!(stages.iter().filter_map(|stage| stage.duration).sum::<Duration>(), Duration::from_secs(10));
        assert_eq!(stages.iter().filter_map(|stage| stage.count).sum::<u64>(), 11);
        assert_eq!(stages[1].model, LoadModel::OpenLoopShare { share: 0.5 });
        assert_eq!(stages[0].stepped_down(None, Duration::ZERO), None, "a closed loop has no schedule");
        let (whole, second) = (stages[1].duration, Duration::from_secs(1));
        let mut steps = vec![stages[1].clone()];
        while let Some(lower) = steps[steps.len() - 1].stepped_down(whole, second * steps.len() as u32) {
            steps.push(lower);
        }
        let steps = steps.into_iter().map(|step| (step.model, step.duration.unwrap().as_millis())).collect::<Vec<_>>();
        let step = |share, left| (LoadModel::OpenLoopShare { share }, left);
        assert_eq!(steps, [step(0.5, 5_000), step(0.25, 4_000), step(0.125, 3_000), step(0.0625, 2_500)]);
        let one = super::stages(None, Duration::ZERO, None, Some(1));
        assert_eq!(
            one.iter().map(|stage| (stage.name, stage.count)).collect::<Vec<_>>(),
            [(StageName::Flood, Some(1))]
        );
    }
}
