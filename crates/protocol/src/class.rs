//! The attested size of a hospital: its weight in the sum and in the pay.

/// Largest class.
const LARGEST: u64 = 255;

/// Classes of hospitals with these many rows: the rows themselves while the largest has at most 255, else in
/// proportion to the largest, rounded half up, and never nothing.
pub fn classes_of(rows: &[u32]) -> Vec<u16> {
    let largest = rows.iter().copied().max().map_or(0, u64::from);
    let class = |rows: u64| match largest {
        0..=LARGEST => rows.max(1),
        _ => ((2 * LARGEST * rows + largest) / (2 * largest)).max(1),
    };
    // At most 255 either way.
    rows.iter().map(|rows| class(u64::from(*rows)) as u16).collect()
}

#[cfg(test)]
mod tests {
    use super::classes_of;

    #[test]
    fn classes_keep_proportions() {
        assert_eq!(classes_of(&[127, 96, 64, 32]), [127, 96, 64, 32]);
        assert_eq!(classes_of(&[199, 172, 30, 85]), [199, 172, 30, 85]);
        assert_eq!(classes_of(&[1000, 500, 1, 2]), [255, 128, 1, 1]);
        assert_eq!(classes_of(&[u32::MAX, 0]), [255, 1]);
        assert!(classes_of(&[]).is_empty());
    }
}
