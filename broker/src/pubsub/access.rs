//! Who we are to Google: a service account's key file, or the machine's own account.
//!
//! With a key file each call carries a token that we sign ourselves (RS256) for this one service: no
//! exchange with anybody. Else the metadata server of the machine (GCE, GKE, Cloud Run) is asked. Not
//! here: the user's own login (`gcloud auth application-default login`), workload identity federation,
//! acting for another account.

use crate::web::ask;
use base::Moment;
use offload::base64;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};
use std::time::{Duration, UNIX_EPOCH};

/// A token of our own holds for an hour; another is made after so long. What the metadata server
/// gives holds for five minutes more at least.
const SIGNED: Duration = Duration::from_mins(50);
const GIVEN: Duration = Duration::from_mins(4);
/// For whom a token is.
const AUDIENCE: &str = "https://pubsub.googleapis.com/";
const MACHINE: &str =
    "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token";

/// Where tokens come from.
pub(super) enum Access {
    /// There are none.
    Nobody,
    /// We sign them.
    Account(Box<Account>, Kept),
    /// The machine has them.
    Machine(Kept),
}

/// The last token, and when it came.
type Kept = tokio::sync::Mutex<Option<(Moment, String)>>;

/// A service account with its key.
pub(super) struct Account {
    mail: String,
    key_id: String,
    key: RsaKeyPair,
}

impl Access {
    /// As the environment says.
    ///
    /// # Errors
    /// The file that it names is no service account's.
    pub(super) fn found() -> Result<Self, String> {
        let Some(file) = std::env::var_os("GOOGLE_APPLICATION_CREDENTIALS") else {
            return Ok(Self::Machine(Kept::default()));
        };
        let at = std::path::Path::new(&file).display();
        let text = std::fs::read_to_string(&file)
            .map_err(|error| format!("GOOGLE_APPLICATION_CREDENTIALS: {at}: {error}"))?;
        let account = Account::read(&text)
            .map_err(|why| format!("GOOGLE_APPLICATION_CREDENTIALS: {at}: {why}"))?;
        Ok(Self::Account(Box::new(account), Kept::default()))
    }

    /// A token that still holds; `None` where none is wanted.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn token(&self) -> Result<Option<String>, String> {
        let (kept, lasts) = match self {
            Self::Nobody => return Ok(None),
            Self::Account(_, kept) => (kept, SIGNED),
            Self::Machine(kept) => (kept, GIVEN),
        };
        let mut kept = kept.lock().await;
        let now = Moment::now();
        if let Some((when, token)) = &*kept
            && now.since(*when) < lasts
        {
            return Ok(Some(token.clone()));
        }
        let made = match self {
            Self::Account(account, _) => account.sign(now),
            _ => of_machine().await,
        };
        match made {
            Ok(token) => {
                *kept = Some((now, token.clone()));
                Ok(Some(token))
            }
            Err(why) => kept.as_ref().map(|(_, token)| Some(token.clone())).ok_or(why),
        }
    }
}

async fn of_machine() -> Result<String, String> {
    let answer = ask("GET", MACHINE, &[("metadata-flavor", "Google")]).await.map_err(|why| {
        format!("no Google credentials: GOOGLE_APPLICATION_CREDENTIALS is not set, and {why}")
    })?;
    let told = answer.json()["access_token"].as_str().map(str::to_owned);
    told.ok_or_else(|| "the metadata server tells no token".to_owned())
}

impl Account {
    fn read(text: &str) -> Result<Self, &'static str> {
        let told: Value = serde_json::from_str(text).map_err(|_| "it is no JSON")?;
        if told["type"] != "service_account" {
            return Err("it is no key of a service account (its type must be service_account)");
        }
        let part = |name: &str| told[name].as_str().map(str::to_owned);
        let (Some(mail), Some(key_id), Some(pem)) =
            (part("client_email"), part("private_key_id"), part("private_key"))
        else {
            return Err("it lacks client_email, private_key_id or private_key");
        };
        let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let key = base64::decode(body.trim()).ok_or("its private_key is no PEM")?;
        let key = RsaKeyPair::from_pkcs8(&key).map_err(|_| "its private_key is no RSA key")?;
        Ok(Self { mail, key_id, key })
    }

    /// A token for an hour from `now` (RFC 7519, RFC 7518 §3.3).
    fn sign(&self, now: Moment) -> Result<String, String> {
        let seconds = now.wall().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let head = json!({ "alg": "RS256", "typ": "JWT", "kid": self.key_id });
        let claims = json!({
            "iss": self.mail, "sub": self.mail, "aud": AUDIENCE, "iat": seconds,
            "exp": seconds + 3600,
        });
        let part = |value: &Value| base64::encode_url(value.to_string().as_bytes());
        let text = format!("{}.{}", part(&head), part(&claims));
        let mut signature = vec![0; self.key.public().modulus_len()];
        let random = SystemRandom::new();
        self.key
            .sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature)
            .map_err(|_| "signing failed".to_owned())?;
        Ok(format!("{text}.{}", base64::encode_url(&signature)))
    }
}
