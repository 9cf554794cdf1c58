//! How often a connection is retried, and the wait before each attempt. Plain data, made by the options.

use std::time::Duration;

/// Time between two attempts where nothing else is asked for, as with mosquitto's clients.
const DELAY: Duration = Duration::from_secs(1);

/// A third loss at the same packet is not a coincidence.
const SAME_PACKET: u64 = 2;

/// When to connect again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPlan {
    /// Attempts after the first one that failed; `u64::MAX` is forever. Without it the first connection of a run is not
    /// tried again, and a lost one forever.
    pub attempts: Option<u64>,
    /// Time before the first further attempt.
    pub first: Duration,
    /// The time doubles with each attempt up to this.
    pub most: Duration,
    /// How long the first connection is tried for, up to the last answer that a run begins with. A limit beside that of
    /// the attempts; without one they are tried for as long as this.
    pub wait: Option<Duration>,
}

impl Default for RetryPlan {
    fn default() -> Self {
        Self { attempts: None, first: DELAY, most: DELAY, wait: None }
    }
}

impl RetryPlan {
    /// Further attempts for the first connection of a run.
    pub fn for_first_connection(&self) -> u64 {
        self.attempts.unwrap_or(if self.wait.is_some() { u64::MAX } else { 0 })
    }

    /// Attempts for a connection that was lost.
    pub fn after_a_loss(&self) -> u64 {
        self.attempts.unwrap_or(u64::MAX)
    }

    /// How many connections in a row may be lost at the same packet before it is given up: sent again, it would cost
    /// the next one too.
    pub fn at_the_same_packet(&self) -> u64 {
        self.attempts.unwrap_or(SAME_PACKET)
    }

    /// Time to wait before an attempt, the first being 0.
    pub fn delay(&self, attempt: u64) -> Duration {
        let doublings = u32::try_from(attempt).unwrap_or(u32::MAX).min(31);
        self.first.saturating_mul(1 << doublings).min(self.most)
    }

    /// What follows a failed attempt: "trying again every second"; `first` is whether it is the first connection.
    pub fn description(&self, first: bool) -> String {
        let every = match (self.first, self.most) {
            (first, most) if first == DELAY && most == DELAY => "every second".to_owned(),
            (first, most) if first == most => format!("every {} s", first.as_secs_f64()),
            (first, most) => format!("every {} to {} s", first.as_secs_f64(), most.as_secs_f64()),
        };
        let wait = self.wait.filter(|_| first);
        let limit = wait.map(|wait| format!(" for {} s", wait.as_secs_f64())).unwrap_or_default();
        match self.attempts {
            None | Some(u64::MAX) => format!("trying again {every}{limit}"),
            Some(1) => format!("trying again {every}{limit}, once"),
            Some(attempts) => format!("trying again {every}{limit}, at most {attempts} times"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(attempts: Option<u64>, first: u64, most: u64) -> RetryPlan {
        RetryPlan { attempts, first: Duration::from_millis(first), most: Duration::from_millis(most), wait: None }
    }

    #[test]
    fn delays_double_up_to_the_most() {
        let delays: Vec<u128> = (0..6).map(|attempt| plan(None, 500, 5000).delay(attempt).as_millis()).collect();
        assert_eq!(delays, [500, 1000, 2000, 4000, 5000, 5000]);
        assert_eq!(plan(None, 1000, 1000).delay(u64::MAX), Duration::from_secs(1));
        let longest = Duration::from_secs(1000 * 86_400);
        assert_eq!(RetryPlan { first: longest, most: longest, ..RetryPlan::default() }.delay(u64::MAX), longest);
    }

    #[test]
    fn the_default_is_mosquittos() {
        let plan = RetryPlan::default();
        assert_eq!((plan.for_first_connection(), plan.after_a_loss()), (0, u64::MAX));
        assert_eq!(plan.description(true), "trying again every second");
    }

    #[test]
    fn a_wait_tries_until_it_is_over() {
        let plan = RetryPlan { wait: Some(Duration::from_secs(60)), ..RetryPlan::default() };
        assert_eq!(plan.for_first_connection(), u64::MAX);
        assert_eq!(plan.description(true), "trying again every second for 60 s");
        assert_eq!(plan.description(false), "trying again every second");
        assert_eq!(RetryPlan { attempts: Some(3), ..plan }.for_first_connection(), 3);
    }

    #[test]
    fn the_description_names_interval_and_count() {
        assert_eq!(plan(Some(1), 1000, 1000).description(true), "trying again every second, once");
        assert_eq!(plan(Some(5), 500, 500).description(true), "trying again every 0.5 s, at most 5 times");
        assert_eq!(plan(Some(u64::MAX), 500, 8000).description(true), "trying again every 0.5 to 8 s");
    }
}
