//! Reads the RPC's answers. Each function returns a detail text where the answer is not what
//! was asked for; bodies are bounded before they come here.

use std::collections::HashMap;

use cid::Cid;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    version: String,
}

#[derive(Deserialize)]
struct ImportLine {
    #[serde(rename = "Root")]
    root: Option<ImportRoot>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ImportRoot {
    cid: CidLink,
    #[serde(default)]
    pin_error_msg: String,
}

#[derive(Deserialize)]
struct CidLink {
    #[serde(rename = "/")]
    text: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Pins {
    pins: Vec<String>,
}

#[derive(Deserialize)]
struct PinList {
    #[serde(rename = "Keys", default)]
    keys: HashMap<String, serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Failure {
    message: String,
}

fn json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|e| format!("not the expected json: {e}"))
}

pub(super) fn version(body: &[u8]) -> Result<String, String> {
    json::<Version>(body).map(|v| v.version)
}

/// Newline-delimited objects; one must name our root, and none may report a failed pin.
pub(super) fn imported(body: &[u8], root: &Cid) -> Result<(), String> {
    let mut named = false;
    for line in body.split(|b| *b == b'\n').filter(|l| !l.trim_ascii().is_empty()) {
        let Some(answer) = json::<ImportLine>(line)?.root else { continue };
        if !answer.pin_error_msg.is_empty() {
            return Err(format!("pinning failed: {}", answer.pin_error_msg));
        }
        named |= is(&answer.cid.text, root);
    }
    if named { Ok(()) } else { Err(format!("it does not confirm {root}")) }
}

/// `pin/add` and `pin/rm` name what they acted on.
pub(super) fn pinned(body: &[u8], root: &Cid) -> Result<(), String> {
    let pins = json::<Pins>(body)?.pins;
    let named = pins.iter().any(|text| is(text, root));
    if named { Ok(()) } else { Err(format!("it does not confirm {root}")) }
}

/// `pin/ls` of one root names it.
pub(super) fn listed(body: &[u8], root: &Cid) -> Result<(), String> {
    let keys = json::<PinList>(body)?.keys;
    let named = keys.keys().any(|text| is(text, root));
    if named { Ok(()) } else { Err(format!("it does not name {root}")) }
}

/// The message of an error answer, or the start of whatever came instead.
pub(super) fn failure(body: &[u8]) -> String {
    match serde_json::from_slice::<Failure>(body) {
        Ok(failure) => failure.message,
        Err(_) => String::from_utf8_lossy(body).trim().chars().take(200).collect(),
    }
}

fn is(text: &str, root: &Cid) -> bool {
    Cid::try_from(text).is_ok_and(|cid| cid == *root)
}
