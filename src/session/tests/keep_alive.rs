//! Keep Alive (§3.1.2.10), PINGREQ, PINGRESP, and the broker's own interval (§3.2.2.3.14).

use super::*;

fn open(keep_alive: u64, connack: &[(PropertyName, u32)]) -> Talk {
    let mut talk = Talk::new(SessionConfig { keep_alive: seconds(keep_alive), ..v5() });
    talk.connect(false, properties(connack));
    talk
}

impl Talk {
    /// The clock, `time` seconds after the start.
    fn at(&self, time: u64) -> Instant {
        self.now + seconds(time)
    }

    /// Time has come; returns what was written, which counts as written then.
    fn tick(&mut self, time: u64) -> Result<Vec<String>, SessionError> {
        self.session.handle_timeout(self.at(time))?;
        let said = self.said_in_short();
        if !said.is_empty() {
            self.session.handle_written(self.at(time), false);
        }
        Ok(said)
    }

    fn receives_at(&mut self, time: u64, packet: &Packet<'_>) {
        let bytes = bytes_of(packet, self.config.version);
        self.session.handle_input(&bytes, self.at(time), &mut self.handler).unwrap();
    }
}

#[test]
fn a_ping_when_nothing_is_written_though_messages_come() {
    let mut talk = open(10, &[]);
    for time in [3, 6, 9] {
        talk.receives_at(time, &Packet::Publish(delivery(0, 0, false, "x")));
    }
    assert_eq!(talk.session.poll_timeout(), Some(talk.at(10)));
    assert_eq!(talk.tick(9), Ok(vec![]));
    assert_eq!(talk.tick(10), Ok(vec!["PINGREQ".into()]));
    talk.receives_at(11, &Packet::Pingresp);
    assert_eq!(talk.handler.events.last(), Some(&Event::Pong));
    assert_eq!(talk.session.poll_timeout(), Some(talk.at(20)));
}

#[test]
fn a_ping_when_nothing_is_read_under_a_flood_of_writes() {
    let mut talk = open(10, &[]);
    for time in 1..10 {
        talk.session.handle_written(talk.at(time), false);
    }
    assert_eq!(talk.tick(10), Ok(vec!["PINGREQ".into()]));
    // Writing on does not save a broker that never answers.
    for time in 11..20 {
        talk.session.handle_written(talk.at(time), false);
        assert_eq!(talk.tick(time), Ok(vec![]));
    }
    assert_eq!(talk.tick(20), Err(SessionError::PingTimeout(seconds(10))));
    assert_eq!((talk.session.is_open(), talk.session.poll_timeout()), (false, None));
}

#[test]
fn no_ping_while_bytes_go_both_ways() {
    let mut talk = open(10, &[]);
    for time in 1..100 {
        talk.session.handle_written(talk.at(time), false);
        talk.receives_at(time, &Packet::Publish(delivery(0, 0, false, "x")));
        assert_eq!(talk.tick(time), Ok(vec![]));
    }
    assert_eq!(talk.session.poll_timeout(), Some(talk.at(109)));
}

#[test]
fn a_broker_that_talks_but_owes_the_answer_is_asked_again() {
    let mut talk = open(10, &[]);
    assert_eq!(talk.tick(10), Ok(vec!["PINGREQ".into()]));
    talk.receives_at(15, &Packet::Publish(delivery(0, 0, false, "x")));
    assert_eq!(talk.tick(20), Ok(vec!["PINGREQ".into()]));
    assert_eq!(talk.tick(29), Ok(vec![]));
    assert_eq!(talk.tick(30), Err(SessionError::PingTimeout(seconds(10))));
}

#[test]
fn an_owner_that_forgets_to_tell_what_it_wrote_is_not_pinging_without_end() {
    let mut talk = open(10, &[]);
    talk.session.handle_timeout(talk.at(10)).unwrap();
    talk.receives_at(10, &Packet::Pingresp);
    talk.session.handle_timeout(talk.at(10)).unwrap();
    assert_eq!(talk.said_in_short(), ["PINGREQ"]);
}

#[test]
fn interval_zero_never_pings_and_never_gives_up() {
    let mut talk = open(0, &[]);
    assert_eq!(talk.session.poll_timeout(), None);
    assert_eq!(talk.tick(1_000_000), Ok(vec![]));
}

#[test]
fn the_brokers_interval_replaces_ours() {
    let mut talk = open(60, &[(PropertyName::ServerKeepAlive, 5)]);
    assert_eq!(talk.tick(5), Ok(vec!["PINGREQ".into()]));
    let mut talk = open(60, &[(PropertyName::ServerKeepAlive, 0)]);
    assert_eq!(talk.session.poll_timeout(), None);
    assert_eq!(talk.tick(1_000_000), Ok(vec![]));
}

/// `mqsub | less`: a full pipe stops reading for hours, the broker is alive and its answers lie unread.
#[test]
fn an_owner_that_does_not_read_goes_on_pinging_and_does_not_give_up() {
    let mut talk = open(10, &[]);
    let mut pings = 0;
    for time in 1..=100 {
        talk.session.handle_reading_paused(talk.at(time));
        pings += talk.tick(time).unwrap().len();
    }
    assert!((9..=10).contains(&pings), "{pings}");
    // Reading again: the silence counts from here.
    assert_eq!(talk.tick(105), Ok(vec![]));
    talk.receives_at(106, &Packet::Pingresp);
    assert!(talk.session.is_open());
}

#[test]
fn the_owner_may_ping_before_it_is_due() {
    let mut talk = open(10, &[]);
    talk.session.ping();
    assert_eq!(talk.said_in_short(), ["PINGREQ"]);
    let mut talk: Talk = Talk::new(v5());
    talk.session.ping();
    assert_eq!(talk.session.output_len(), 0);
}

/// The interval counts from the end of one packet to the start of the next (§3.1.2.10).
#[test]
fn no_ping_behind_a_packet_that_is_on_its_way_out() {
    let mut talk = open(10, &[]);
    for time in 1..=60 {
        talk.session.handle_written(talk.at(time), true);
        talk.session.handle_write_pending();
        assert_eq!(talk.tick(time), Ok(vec![]));
    }
    talk.session.handle_written(talk.at(61), false);
    assert_eq!(talk.session.poll_timeout(), Some(talk.at(71)));
    assert_eq!(talk.tick(71), Ok(vec!["PINGREQ".into()]));
    assert_eq!(talk.tick(81), Err(SessionError::PingTimeout(seconds(10))));
}

#[test]
fn the_answer_to_a_ping_is_waited_for_from_when_it_was_written() {
    let mut talk = open(10, &[]);
    talk.session.handle_timeout(talk.at(10)).unwrap();
    assert_eq!(talk.said_in_short(), ["PINGREQ"]);
    // Large packets that were put before it.
    talk.session.handle_written(talk.at(15), true);
    talk.session.handle_written(talk.at(19), false);
    assert_eq!(talk.session.poll_timeout(), Some(talk.at(29)));
    assert_eq!(talk.tick(29), Err(SessionError::PingTimeout(seconds(10))));
}

#[test]
fn a_transport_that_takes_nothing_is_given_up() {
    let mut talk = open(10, &[]);
    let tick = |talk: &mut Talk, time| {
        talk.session.handle_write_pending();
        talk.session.handle_timeout(talk.at(time))
    };
    assert_eq!(tick(&mut talk, 10), Ok(()));
    assert_eq!((talk.session.output_len(), talk.session.poll_timeout()), (0, Some(talk.at(20))));
    assert_eq!(tick(&mut talk, 20), Err(SessionError::Stalled(seconds(20))));
    assert!(!talk.session.is_open());
    // What comes is a sign of life too.
    let mut talk = open(10, &[]);
    talk.receives_at(9, &Packet::Publish(delivery(0, 0, false, "x")));
    assert_eq!(tick(&mut talk, 20), Ok(()));
    assert_eq!(talk.session.poll_timeout(), Some(talk.at(29)));
}

#[test]
fn a_reconnect_starts_the_clock_anew() {
    let mut talk = open(10, &[]);
    assert_eq!(talk.tick(10), Ok(vec!["PINGREQ".into()]));
    talk.now = talk.at(15);
    talk.reconnect(false);
    assert_eq!(talk.session.poll_timeout(), Some(talk.at(10)));
    assert_eq!(talk.tick(9), Ok(vec![]));
}
