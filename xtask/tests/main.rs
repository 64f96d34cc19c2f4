//! The rules of the house, held by tests; and each rule seen to fail on a planted fault.

mod kinds;
mod layers;
mod tidy;
mod workflows;
