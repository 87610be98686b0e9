//! Settings: any text is read or refused with places that exist; what is read survives being shown.

/// The text of a settings file.
pub fn settings(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let env = |name: &str| match name {
        "PORT" => Some("8080".to_owned()),
        "HOST" => Some("shop.test".to_owned()),
        "ODD" => Some("\"\n]${PORT}".to_owned()),
        _ => None,
    };
    match settings::parse("fuzz.toml", text, &env) {
        Ok(read) => {
            let shown = settings::show(&read);
            let again = settings::parse("fuzz.toml", &shown, &|_| None);
            match again {
                // Secrets are not shown: what was shown may differ in them, and in nothing else.
                Ok(again) if shown.contains("********") => {
                    assert_eq!(
                        settings::show(&again),
                        shown,
                        "shown, it is something else: {text:?}"
                    );
                }
                Ok(again) => assert_eq!(again, read, "shown, it is something else: {text:?}"),
                // Nothing is signed or encrypted with asterisks.
                Err(report) if hidden(&read) && only_hidden(&report) => {}
                Err(report) => panic!("what we show is refused: {text:?}\n{shown}\n{report}"),
            }
        }
        Err(report) => {
            let said = report.to_string();
            assert!(!said.trim().is_empty(), "refused without a word: {text:?}");
            assert!(said.len() < 64 * (text.len() + 1_024), "a flood: {text:?}");
        }
    }
}

fn hidden(read: &settings::Settings) -> bool {
    read.offload.as_ref().is_some_and(|offload| {
        offload.secret.is_some() || offload.key.is_some() || !offload.callback_secrets.is_empty()
    })
}

fn only_hidden(report: &settings::Report) -> bool {
    let own =
        |mistake: &settings::Mistake| mistake.what.ends_with("asterisks in the place of a secret");
    report.mistakes().iter().all(own)
}
