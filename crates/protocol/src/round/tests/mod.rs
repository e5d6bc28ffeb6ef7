mod driver;
mod endings;
mod happy;
mod order;
mod refusals;
mod world;
