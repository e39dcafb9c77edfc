//! Streams between two nodes, over TCP and in memory.

mod credit;
mod ends;
mod hostile;
mod setting;
mod values;
