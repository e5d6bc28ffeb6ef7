//! What this site consents to, whatever the federation agreed on.

use almoner_protocol::default_scalars_max;
use almoner_protocol::types::Descriptor;

use crate::{PolicyConfig, SiteError};

/// Refuses a round beyond what the site's own file allows.
pub fn check_policy(policy: &PolicyConfig, descriptor: &Descriptor) -> Result<(), SiteError> {
    if descriptor.acceptLeak && !policy.accept_leak {
        return Err(SiteError::Policy(
            "the round opens more scalars than the leak caps allow; set policy.accept_leak to take part".into(),
        ));
    }
    match policy.min_cohort {
        Some(wanted) if descriptor.minAdmitted < wanted => Err(SiteError::Policy(format!(
            "the round may sum as few as {} updates, policy.min_cohort asks for {wanted}",
            descriptor.minAdmitted
        ))),
        _ => Ok(()),
    }
}

/// Scalars of this site's updates that may ever be opened in the federation.
pub fn scalars_limit(policy: &PolicyConfig, descriptor: &Descriptor) -> u32 {
    let own = policy.scalars_max.unwrap_or_else(|| default_scalars_max(descriptor.scale.parameters));
    own.min(descriptor.scalarsMax)
}

#[cfg(test)]
mod tests {
    use almoner_protocol::types::Scales;

    use super::*;

    fn descriptor() -> Descriptor {
        let scale = Scales { parameters: 14, ..Scales::default() };
        Descriptor { acceptLeak: true, minAdmitted: 3, scalarsMax: 45, scale, ..Descriptor::default() }
    }

    #[test]
    fn a_leak_needs_the_sites_own_consent() {
        let mut policy = PolicyConfig::default();
        assert!(matches!(check_policy(&policy, &descriptor()), Err(SiteError::Policy(_))));
        assert_eq!(scalars_limit(&policy, &descriptor()), 14);
        policy.accept_leak = true;
        policy.scalars_max = Some(45);
        check_policy(&policy, &descriptor()).unwrap();
        assert_eq!(scalars_limit(&policy, &descriptor()), 45);
        policy.scalars_max = Some(1000);
        assert_eq!(scalars_limit(&policy, &descriptor()), 45);
    }

    #[test]
    fn a_cohort_may_be_too_small() {
        let policy = PolicyConfig { accept_leak: true, min_cohort: Some(4), ..PolicyConfig::default() };
        assert!(matches!(check_policy(&policy, &descriptor()), Err(SiteError::Policy(_))));
    }
}
