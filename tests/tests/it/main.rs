//! What holds across the packages.
mod hostile;
mod layers;
mod outside;
mod promises;
mod tokens;
mod transports;
