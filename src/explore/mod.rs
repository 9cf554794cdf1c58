//! `mqsub --tree`: the topics of a broker or of a recording as a tree on the terminal.
//!
//! `model` is what is known, pure and within a limit of memory; `app` is what is selected and what a key does;
//! `draw` draws a screen of both. Around that are `live`, the task on the client's loop, and `replay`, which reads a
//! recording. `screen` is the terminal: what is drawn is written by its own thread, and nothing is drawn while it
//! has not finished, so that a slow terminal never holds up the counting.

mod app;
mod draw;
mod input;
mod keys;
mod line_edit;
mod live;
mod model;
mod plan;
mod player;
mod receiver;
mod recording_view;
mod replay;
mod reporter;
mod rows;
mod run;
mod save;
mod screen;
mod stops;
mod terminal_state;
mod value;

pub use plan::ExplorePlan;
pub use run::explore;
