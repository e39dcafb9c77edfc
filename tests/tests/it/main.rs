//! What holds across the packages.
mod conformance;
mod hostile;
mod layers;
mod outside;
mod promises;
mod tokens;
mod transports;
