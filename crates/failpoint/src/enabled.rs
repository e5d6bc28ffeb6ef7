//! The points, where they are compiled in.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

struct Point {
    name: String,
    /// Times it is still to be passed.
    left: AtomicU64,
}

impl Point {
    /// `NAME` or `NAME#COUNT`.
    fn parse(text: &str) -> Self {
        let counted = text.split_once('#').and_then(|(name, count)| Some((name, count.parse().ok()?)));
        let (name, count) = counted.unwrap_or((text, 1));
        Self { name: name.to_owned(), left: AtomicU64::new(count) }
    }

    /// Whether this is where to stop.
    fn is(&self, name: &str) -> bool {
        self.name == name && self.left.fetch_sub(1, Ordering::Relaxed) == 1
    }
}

pub(crate) fn reached(name: &str) {
    static POINT: OnceLock<Option<Point>> = OnceLock::new();
    let point = POINT.get_or_init(|| std::env::var(crate::STOP_AT).ok().map(|text| Point::parse(&text)));
    if point.as_ref().is_some_and(|point| point.is(name)) {
        eprintln!("{}{name}", crate::STOPPED);
        loop {
            std::thread::park();
        }
    }
}

/// 32 bytes in hexadecimal.
pub(crate) fn seed(text: &str) -> Option<[u8; 32]> {
    let mut seed = [0; 32];
    if text.len() != 2 * seed.len() || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, at) in seed.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_stops_once_at_its_count() {
        let third = Point::parse("state:round#3");
        assert_eq!(["state:round"; 5].map(|name| third.is(name)), [false, false, true, false, false]);
        let first = Point::parse("state:round");
        assert!(!first.is("state") && first.is("state:round") && !first.is("state:round"));
    }

    #[test]
    fn a_seed_is_32_bytes_in_hexadecimal_and_nothing_else() {
        let text = "0aff".repeat(16);
        assert_eq!(seed(&text).as_ref().map(<[u8; 32]>::as_slice), Some([[0x0a, 0xff]; 16].as_flattened()));
        for other in ["", "5", &text[1..], &text.replace("0a", "+a"), &text.replace("0a", "\u{e9}")] {
            assert_eq!(seed(other), None, "{other}");
        }
    }
}
