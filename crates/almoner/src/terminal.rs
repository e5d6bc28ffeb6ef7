//! Asking a person for a secret.

use std::io::{IsTerminal, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// Whether somebody sits there.
pub(crate) fn is_attended() -> bool {
    std::io::stdin().is_terminal()
}

/// One line that does not show while it is typed. The question goes to stderr: stdout is for results.
pub(crate) fn ask(question: &str) -> std::io::Result<Zeroizing<String>> {
    let mut stderr = std::io::stderr();
    write!(stderr, "{question}: ")?;
    stderr.flush()?;
    let mut line = Zeroizing::new(String::new());
    let read = {
        let _silent = Silent::begin()?;
        std::io::stdin().read_line(&mut line)
    };
    writeln!(stderr)?;
    read?;
    Ok(line)
}

/// A terminal that does not repeat what it is told; as before once this is dropped.
struct Silent(Termios);

impl Silent {
    fn begin() -> std::io::Result<Self> {
        let before = tcgetattr(std::io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // The terminal is gone with whoever sat there, or takes its old settings back.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}
