//! Sent values arrive: random ones of many types, in arguments, results, errors and streams, structs by name and by position.

mod attributes;
mod borrowed;
mod ecosystem;
mod evolution;
mod exchange;
mod kinds;
mod references;
mod shapes;
mod standard;
