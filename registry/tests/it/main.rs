//! The registry through its public API, its processes and its command line.

mod certificates;
mod command;
mod durability;
mod groups;
mod holding;
mod naming;
mod process;
mod semaphores;
mod state;
mod watching;
