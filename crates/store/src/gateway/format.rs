//! Which representation a request wants: `?format=` first, else the `Accept` header.
//!
//! Only representations that the receiver can verify are offered. Anything else (files,
//! directories, JSON) would ask the receiver to trust us and gets 406.

use axum::http::{HeaderMap, header::ACCEPT};
use serde::Deserialize;

use crate::car::Dups;

pub(crate) const RAW_TYPE: &str = "application/vnd.ipld.raw";
pub(crate) const CAR_TYPE: &str = "application/vnd.ipld.car";
pub(crate) const CAR_ACCEPT: &str = "application/vnd.ipld.car; version=1; order=dfs; dups=y";

#[derive(Debug, Default, Deserialize)]
pub(super) struct Params {
    format: Option<String>,
    #[serde(rename = "dag-scope")]
    dag_scope: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Raw,
    Car(Scope, Dups),
}

/// How much of the DAG a CAR holds. For one file `entity` and `all` are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Block,
    All,
}

/// Why no representation could be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// 406: not offered here.
    NotOffered,
    /// 400: a parameter has no meaning.
    BadScope,
}

pub(super) fn choose(params: &Params, headers: &HeaderMap) -> Result<Format, Unfit> {
    let offers = accepted(headers);
    let scope = match params.dag_scope.as_deref() {
        None | Some("all" | "entity") => Scope::All,
        Some("block") => Scope::Block,
        Some(_) => return Err(Unfit::BadScope),
    };
    let car_offer = offers.iter().find(|o| o.name == CAR_TYPE);
    match params.format.as_deref() {
        Some("raw") => Ok(Format::Raw),
        Some("car") => car(scope, car_offer),
        Some(_) => Err(Unfit::NotOffered),
        None => match offers.iter().find(|o| [RAW_TYPE, CAR_TYPE].contains(&o.name.as_str())) {
            Some(offer) if offer.name == RAW_TYPE => Ok(Format::Raw),
            Some(offer) => car(scope, Some(offer)),
            None => Err(Unfit::NotOffered),
        },
    }
}

/// Parameters of the CAR media type: version 1, depth first, repeats as wished.
fn car(scope: Scope, offer: Option<&Offer>) -> Result<Format, Unfit> {
    let mut dups = Dups::Yes;
    for (name, value) in offer.map(|o| o.params.as_slice()).unwrap_or_default() {
        match (name.as_str(), value.as_str()) {
            ("version", "1") | ("order", "dfs" | "unk") | ("dups", "y") => {}
            ("dups", "n") => dups = Dups::No,
            ("version" | "order" | "dups", _) => return Err(Unfit::NotOffered),
            _ => {}
        }
    }
    Ok(Format::Car(scope, dups))
}

struct Offer {
    name: String,
    params: Vec<(String, String)>,
}

/// The media types of `Accept` in the order given, without those of weight zero. Other weights
/// are ignored: of two verifiable types the first one listed is fine.
fn accepted(headers: &HeaderMap) -> Vec<Offer> {
    let values = headers.get_all(ACCEPT).iter().filter_map(|v| v.to_str().ok());
    let offers = values.flat_map(|v| v.split(',')).map(|entry| {
        let mut parts = entry.split(';').map(|p| p.trim().to_ascii_lowercase());
        let name = parts.next().unwrap_or_default();
        let params = parts.filter_map(|p| {
            let (key, value) = p.split_once('=')?;
            Some((key.trim().to_owned(), value.trim().trim_matches('"').to_owned()))
        });
        Offer { name, params: params.collect() }
    });
    let refused = |o: &Offer| o.params.iter().any(|(k, v)| k == "q" && v.parse::<f32>().is_ok_and(|q| q == 0.0));
    offers.filter(|o| !refused(o)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: Option<&str>, accept: &str, expected: Result<Format, Unfit>) {
        let params = Params { format: format.map(str::to_owned), dag_scope: None };
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        assert_eq!(choose(&params, &headers), expected, "{format:?} {accept}");
    }

    #[test]
    fn negotiation() {
        let car = |dups| Ok(Format::Car(Scope::All, dups));
        check(Some("raw"), "*/*", Ok(Format::Raw));
        check(Some("car"), "*/*", car(Dups::Yes));
        check(Some("car"), "application/vnd.ipld.car;order=dfs;dups=n", car(Dups::No));
        check(Some("tar"), RAW_TYPE, Err(Unfit::NotOffered));
        check(None, "text/html, application/vnd.ipld.raw", Ok(Format::Raw));
        check(None, "Application/Vnd.IPLD.car; version=\"1\"", car(Dups::Yes));
        check(None, "application/vnd.ipld.car; version=2", Err(Unfit::NotOffered));
        check(None, "application/vnd.ipld.raw;q=0", Err(Unfit::NotOffered));
        check(None, "*/*", Err(Unfit::NotOffered));
        check(None, "", Err(Unfit::NotOffered));
    }

    #[test]
    fn scopes() {
        let ask = |scope: &str| {
            let params = Params { format: Some("car".into()), dag_scope: Some(scope.into()) };
            choose(&params, &HeaderMap::new())
        };
        assert_eq!(ask("block"), Ok(Format::Car(Scope::Block, Dups::Yes)));
        assert_eq!(ask("entity"), Ok(Format::Car(Scope::All, Dups::Yes)));
        assert_eq!(ask("everything"), Err(Unfit::BadScope));
    }
}
