//! An interface on the wire is its name: two traits of one name in one program, and one trait in two programs.

mod one_program;
mod two_programs;
