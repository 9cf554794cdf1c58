//! Times: what the broker took is what is reported.

use super::rehearse;
use super::script::{Script, ms};

#[test]
fn constant_delays_come_back_to_the_nanosecond() {
    let script = Script {
        connect_takes: ms(3),
        connack_after: ms(11),
        suback_after: ms(5),
        deliver_after: ms(7),
        acknowledge_after: ms(4),
        ..Script::default()
    };
    let run = rehearse("-q 1 --rate 1k --duration 2 --pubs 2 --subs 2", script);
    run.all_took("e2e", 2_000, ms(7));
}
