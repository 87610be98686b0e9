//! Who we are to AWS: keys from the environment, the container's or the machine's role, or the file.
//!
//! In the order of AWS's own clients, after the URL: the variables `AWS_ACCESS_KEY_ID` and its
//! fellows, the file `~/.aws/credentials` (a profile with keys in it), the endpoint of a container
//! (ECS, EKS Pod Identity), the endpoint of the machine (`IMDSv2`). Not here: SSO, `assume_role` of
//! profiles, web identity tokens, processes that print keys.

use crate::web::{Answer, ask};
use base::Moment;
use std::path::PathBuf;
use std::time::Duration;

/// What calls are signed with.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) session: Option<String>,
}

/// Keys of a role are asked for again after so long: new ones are there five minutes before the old
/// ones end.
const FRESH: Duration = Duration::from_mins(4);
const MACHINE: &str = "http://169.254.169.254";
const CONTAINER: &str = "http://169.254.170.2";
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";

/// Finds keys, and keeps those of a role for a while.
pub(crate) struct Credentials {
    /// As the URL tells them.
    told: Option<Keys>,
    kept: tokio::sync::Mutex<Option<(Moment, Keys)>>,
}

impl Credentials {
    pub(crate) fn new(told: Option<Keys>) -> Self {
        Self { told, kept: tokio::sync::Mutex::default() }
    }

    /// # Errors
    /// Why there are none, and where they were looked for.
    pub(crate) async fn keys(&self) -> Result<Keys, String> {
        if let Some(keys) = &self.told {
            return Ok(keys.clone());
        }
        if let Some(keys) = of_environment(|name| std::env::var(name).ok()).or_else(of_file) {
            return Ok(keys);
        }
        let mut kept = self.kept.lock().await;
        if let Some((when, keys)) = &*kept
            && Moment::now().since(*when) < FRESH
        {
            return Ok(keys.clone());
        }
        match of_role().await {
            Ok(keys) => {
                *kept = Some((Moment::now(), keys.clone()));
                Ok(keys)
            }
            // The old ones hold for a while longer.
            Err(why) => kept.as_ref().map(|(_, keys)| keys.clone()).ok_or(why),
        }
    }
}

fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Option<Keys> {
    let variable = |name| variable(name).filter(|value| !value.is_empty());
    Some(Keys {
        id: variable("AWS_ACCESS_KEY_ID")?,
        secret: variable("AWS_SECRET_ACCESS_KEY")?,
        session: variable("AWS_SESSION_TOKEN"),
    })
}

fn of_file() -> Option<Keys> {
    let told = std::env::var_os("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".aws/credentials"));
    let text = std::fs::read_to_string(told.or_else(home)?).ok()?;
    let profile = std::env::var("AWS_PROFILE").unwrap_or_else(|_| "default".to_owned());
    of_profile(&text, &profile)
}

fn of_profile(text: &str, profile: &str) -> Option<Keys> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
    let heading = format!("[{profile}]");
    let own = lines.skip_while(|line| *line != heading).skip(1);
    let own: Vec<_> = own.take_while(|line| !line.starts_with('[')).collect();
    let value = |name: &str| {
        let mut values = own.iter().filter_map(|line| line.split_once('='));
        values.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
    };
    Some(Keys {
        id: value("aws_access_key_id")?,
        secret: value("aws_secret_access_key")?,
        session: value("aws_session_token"),
    })
}

async fn of_role() -> Result<Keys, String> {
    let variable = |name| std::env::var(name).ok();
    let relative = variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    let relative = relative.map(|path| format!("{CONTAINER}{path}"));
    if let Some(url) = relative.or_else(|| variable("AWS_CONTAINER_CREDENTIALS_FULL_URI")) {
        let file = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
        let token = file.and_then(|file| std::fs::read_to_string(file).ok());
        let token = token.or_else(|| variable("AWS_CONTAINER_AUTHORIZATION_TOKEN"));
        let fields: Vec<_> = token.iter().map(|token| ("authorization", token.trim())).collect();
        return keys_of(&ask("GET", &url, &fields).await?).ok_or_else(|| no_keys(&url));
    }
    of_machine(MACHINE).await.map_err(|why| {
        format!(
            "no AWS credentials: none in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, none in \
             ~/.aws/credentials, no container's, and no machine's role ({why})"
        )
    })
}

async fn of_machine(base: &str) -> Result<Keys, String> {
    let lasts = [("x-aws-ec2-metadata-token-ttl-seconds", "300")];
    let token = ask("PUT", &format!("{base}/latest/api/token"), &lasts).await?;
    let token = String::from_utf8_lossy(&token.body).trim().to_owned();
    let fields = [("x-aws-ec2-metadata-token", token.as_str())];
    let roles = ask("GET", &format!("{base}{ROLES}"), &fields).await?;
    let roles = String::from_utf8_lossy(&roles.body);
    let role = roles.lines().next().map(str::trim).filter(|role| !role.is_empty());
    let url = format!("{base}{ROLES}{}", role.ok_or("it has none")?);
    keys_of(&ask("GET", &url, &fields).await?).ok_or_else(|| no_keys(&url))
}

fn no_keys(url: &str) -> String {
    format!("{url} tells no AWS credentials")
}

fn keys_of(answer: &Answer) -> Option<Keys> {
    let told = answer.json();
    let text = |name: &str| told[name].as_str().map(str::to_owned);
    Some(Keys {
        id: text("AccessKeyId")?,
        secret: text("SecretAccessKey")?,
        session: text("Token"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(id: &str, secret: &str, session: Option<&str>) -> Keys {
        let session = session.map(str::to_owned);
        Keys { id: id.to_owned(), secret: secret.to_owned(), session }
    }

    #[test]
    fn a_profile_is_a_part_of_the_file() {
        let text = "# x\n[default]\naws_access_key_id = A\naws_secret_access_key=B=\n\n[other]\n\
                    aws_access_key_id=C\naws_secret_access_key=D\naws_session_token = E\n[half]\n\
                    aws_access_key_id=F\n";
        assert!(of_profile(text, "default") == Some(keys("A", "B=", None)));
        assert!(of_profile(text, "other") == Some(keys("C", "D", Some("E"))));
        assert!(of_profile(text, "half").is_none() && of_profile(text, "none").is_none());
    }

    #[test]
    fn the_environment_must_have_both() {
        let of = |pairs: &[(&str, &str)]| {
            of_environment(|name| {
                pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            })
        };
        let both = [("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "B")];
        assert!(of(&both) == Some(keys("A", "B", None)));
        assert!(of(&both[..1]).is_none());
    }
}
