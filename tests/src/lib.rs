//! What concerns the workspace as a whole: its dependency graph here, whole federations with one misbehaving part in
//! `e2e/`, vectors shared with other languages in `vectors/`.

#[cfg(test)]
mod tidy;
