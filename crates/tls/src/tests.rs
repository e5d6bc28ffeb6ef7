//! Over real sockets: who gets in, who does not and what both are told.

mod channels;
mod files;
mod hellos;
mod scene;
