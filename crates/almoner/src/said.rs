//! What goes to stdout. Whoever read it may have read enough (`| head`): that is no reason to panic, as `println!` of the
//! standard library does, and a daemon goes on without being heard.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};

/// In the place of the standard library's, in the whole crate.
macro_rules! println {
    () => { $crate::said::say(format_args!("\n")) };
    ($($text:tt)*) => { $crate::said::say(format_args!("{}\n", format_args!($($text)*))) };
}

/// As [`println`], without an end of line.
macro_rules! print {
    ($($text:tt)*) => { $crate::said::say(format_args!($($text)*)) };
}

pub(crate) fn say(text: Arguments<'_>) {
    to(&mut std::io::stdout().lock(), text);
}

fn to(out: &mut impl Write, text: Arguments<'_>) {
    match out.write_fmt(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => eprintln!("warning: stdout: {error}"),
        Ok(()) | Err(_) => {}
    }
}
