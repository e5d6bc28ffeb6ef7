//! A small federation without processes: four hospitals who are the committee, three validators, one round, and what
//! each step refuses.

mod base;
mod lists;
mod round;
mod scene;
