//! A disk is a disk: a file system in memory would make every durable write free.

use std::path::Path;

use crate::failure::{Blame, Failure, Kind};

/// Before the folder is made: what is refused leaves nothing behind.
pub(super) fn refuse_memory(dir: &Path) -> Result<(), Failure> {
    let there = dir.ancestors().find(|above| above.exists()).unwrap_or(Path::new("."));
    let dir = there.canonicalize().blame(Kind::You, dir.display().to_string())?;
    let mounts = std::fs::read_to_string("/proc/self/mounts")
        .blame(Kind::You, "/proc/self/mounts: the benchmark reads it, and so runs on Linux only")?;
    match kind_of(&mounts, &dir) {
        Some(kind @ ("tmpfs" | "ramfs")) => Err(Failure::you(format!(
            "{}: a {kind} lies in memory, where a durable write costs nothing; choose a disk: --dir or TMPDIR",
            dir.display()
        ))),
        _ => Ok(()),
    }
}

/// The file system of the innermost mount point above `dir`; of several mounted on one point the last hides the rest.
fn kind_of<'a>(mounts: &'a str, dir: &Path) -> Option<&'a str> {
    let mount = |line: &'a str| {
        let mut fields = line.split(' ').skip(1);
        Some((Path::new(fields.next()?), fields.next()?))
    };
    let above = mounts.lines().filter_map(mount).filter(|(point, _)| dir.starts_with(point));
    above.max_by_key(|(point, _)| point.components().count()).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_mount_counts() {
        let mounts =
            "/dev/vda / ext4 rw 0 0\ntmpfs /dev/shm tmpfs rw 0 0\nnone /tmp tmpfs rw 0 0\n/dev/vdb /tmp ext4 rw 0 0\n";
        assert_eq!(kind_of(mounts, Path::new("/dev/shm/a")), Some("tmpfs"));
        assert_eq!(kind_of(mounts, Path::new("/dev/shmem")), Some("ext4"));
        assert_eq!(kind_of(mounts, Path::new("/tmp/a")), Some("ext4"));
    }
}
