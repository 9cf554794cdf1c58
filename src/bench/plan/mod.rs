//! What to do: clients, topics, schedule, stages. Pure.
