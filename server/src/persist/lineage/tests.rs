//! The record on disk, and one test for each case that the judge knows.

mod judged;
mod judged_log;
mod stored;
mod world;
