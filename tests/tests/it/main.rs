//! What holds across the packages.
mod layers;
mod tokens;
