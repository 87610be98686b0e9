//! Signatures of callbacks, as Standard Webhooks has them.
//!
//! What is signed is `id.timestamp.body`; each secret signs, so that receivers can go over to a new
//! one without losing a callback.

use crate::base64;
use ring::hmac;

/// What a secret begins with.
const PREFIX: &str = "whsec_";

/// The secrets that callbacks are signed with.
#[derive(Clone, Default)]
pub struct Signer {
    keys: Vec<hmac::Key>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer of {}", self.keys.len())
    }
}

impl Signer {
    /// For these secrets, each `whsec_` and Base64; the settings have read them before.
    pub fn new(secrets: &[String]) -> Self {
        let key = |secret: &String| {
            let bytes = base64::decode(secret.strip_prefix(PREFIX).unwrap_or(secret).as_bytes())?;
            Some(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
        };
        Self { keys: secrets.iter().filter_map(key).collect() }
    }

    /// What `webhook-signature` says; `None`: there is no secret.
    pub fn sign(&self, id: &str, seconds: u64, body: &[u8]) -> Option<String> {
        let signature = |key| {
            let mut context = hmac::Context::with_key(key);
            context.update(format!("{id}.{seconds}.").as_bytes());
            context.update(body);
            format!("v1,{}", base64::encode(context.sign().as_ref()))
        };
        let all: Vec<String> = self.keys.iter().map(signature).collect();
        (!all.is_empty()).then(|| all.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn sign(secrets: &[&str], id: &str, seconds: u64, body: &[u8]) -> Option<String> {
        let secrets: Vec<String> = secrets.iter().map(|&secret| secret.to_owned()).collect();
        Signer::new(&secrets).sign(id, seconds, body)
    }

    #[test]
    fn the_published_vector_is_met() {
        assert_eq!(sign(&[SECRET], ID, 1_614_265_330, BODY).as_deref(), Some(SIGNATURE));
        // The prefix is no part of the secret.
        let bare = SECRET.strip_prefix(PREFIX).unwrap();
        assert_eq!(sign(&[bare], ID, 1_614_265_330, BODY).as_deref(), Some(SIGNATURE));
    }

    #[test]
    fn all_that_is_signed_counts() {
        let signed = sign(&[SECRET], ID, 1_614_265_330, BODY);
        assert_ne!(sign(&[SECRET], "msg_p5", 1_614_265_330, BODY), signed);
        assert_ne!(sign(&[SECRET], ID, 1_614_265_331, BODY), signed);
        assert_ne!(sign(&[SECRET], ID, 1_614_265_330, br#"{"test":2432232314}"#), signed);
        assert_ne!(sign(&["whsec_AAAA"], ID, 1_614_265_330, BODY), signed);
    }

    #[test]
    fn each_secret_signs_and_none_means_no_signature() {
        let new = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";
        let both = sign(&[new, SECRET], ID, 1_614_265_330, BODY).unwrap();
        let all: Vec<&str> = both.split(' ').collect();
        assert_eq!((all.len(), all[1]), (2, SIGNATURE));
        assert_eq!(sign(&[new], ID, 1_614_265_330, BODY).as_deref(), Some(all[0]));
        assert_eq!(sign(&[], ID, 1_614_265_330, BODY), None);
        assert!(!format!("{:?}", Signer::new(&[SECRET.to_owned()])).contains("MfKQ"));
    }
}
