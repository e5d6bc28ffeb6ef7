//! Who is calling. In version 0 a caller is whoever its signatures prove it to be, request by request, and there is
//! no session: this key only names the account for the log and for rate limits. Sessions will be checked here, and
//! nowhere else.

use almoner_protocol::Address;
use tonic::metadata::MetadataValue;
use tonic::{Request, Status};

/// Metadata key of the claimed account, in lower-case hex.
pub const CALLER: &str = "almoner-account";

/// An interceptor step: claims `account` for the request.
pub fn with_caller<T>(mut request: Request<T>, account: Address) -> Request<T> {
    // Hex digits are always a valid metadata value.
    if let Ok(value) = MetadataValue::try_from(format!("{account:x}")) {
        request.metadata_mut().insert(CALLER, value);
    }
    request
}

/// The account the caller claims, unproved; an unreadable claim is refused rather than ignored.
pub fn claimed_caller<T>(request: &Request<T>) -> Result<Option<Address>, Status> {
    let Some(value) = request.metadata().get(CALLER) else { return Ok(None) };
    value
        .to_str()
        .ok()
        .and_then(|text| text.parse().ok())
        .map(Some)
        .ok_or_else(|| Status::invalid_argument("almoner-account: not an account"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_travels() {
        let account = Address::repeat_byte(0xa7);
        let request = with_caller(Request::new(()), account);
        assert_eq!(claimed_caller(&request).unwrap(), Some(account));
        assert_eq!(claimed_caller(&Request::new(())).unwrap(), None);
        let mut bad = Request::new(());
        bad.metadata_mut().insert(CALLER, MetadataValue::from_static("me"));
        assert!(claimed_caller(&bad).is_err());
    }
}
