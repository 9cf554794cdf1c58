//! Colour, progress, tables, escaping. The only home of colored and indicatif.
