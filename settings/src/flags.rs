//! Settings from the flags of `fleetfoot run`, without a file or over one.

use crate::address;
use crate::lower::routes::everything;
use crate::model::{Forward, Listener, Settings};
use crate::report::{Mistake, Place, Report, Wrong};
use balance::settings::Spot;
use std::net::SocketAddr;
use wire::settings::Limits;

/// The settings of `fleetfoot run --to URL --listen ADDRESS --admin ADDRESS`: one service, `origin`,
/// that takes every request. Several URLs are several servers of it.
///
/// # Errors
/// Every mistake; each names the flag.
pub fn for_url(to: &[String], listen: &[String], admin: Option<&str>) -> Result<Settings, Report> {
    let mut flags = Flags { mistakes: Vec::new() };
    let servers = flags.all("--to", to, address::server);
    let spots = servers.into_iter().map(Spot::from).collect();
    if to.is_empty() {
        let hint = Some("--to http://localhost:3000".to_owned());
        flags.note("--to", "no URL of a service to pass requests to".to_owned(), Vec::new(), hint);
    }
    let listen = flags.listen(listen, false);
    let admin = admin.map_or(Some(Settings::ADMIN), |admin| flags.admin(admin));
    flags.check_admin(&listen, admin);
    let standard = Listener { address: Settings::LISTEN, tls: false };
    flags.done(Settings {
        listen: if listen.is_empty() { vec![standard] } else { listen },
        admin,
        threads: None,
        grace: Settings::GRACE,
        limits: Limits::standard(),
        tls: None,
        forward: Forward::standard(),
        monitor: monitor::settings::Settings::standard(),
        cache: cache::settings::Settings::standard(),
        deadlines: service::settings::Deadlines::standard(),
        rate_redis: None,
        offload: None,
        events: Vec::new(),
        services: vec![service::settings::Settings::standard("origin".to_owned(), spots)],
        routes: vec![everything(cache::settings::Rules::standard())],
    })
}

/// Puts the addresses of `--listen` in the place of those of a file; none leaves them alone.
///
/// # Errors
/// Every mistake; each names the flag. The settings are then as before.
pub fn override_listen(settings: &mut Settings, listen: &[String]) -> Result<(), Report> {
    if listen.is_empty() {
        return Ok(());
    }
    let mut flags = Flags { mistakes: Vec::new() };
    let listen = flags.listen(listen, settings.tls.is_some());
    flags.check_admin(&listen, settings.admin);
    settings.listen = flags.done(listen)?;
    Ok(())
}

/// Puts the address of `--admin` in the place of a file's; `off` switches the admin listener off.
///
/// # Errors
/// The mistake, which names the flag. The settings are then as before.
pub fn override_admin(settings: &mut Settings, admin: &str) -> Result<(), Report> {
    let mut flags = Flags { mistakes: Vec::new() };
    let admin = flags.admin(admin);
    flags.check_admin(&settings.listen, admin);
    settings.admin = flags.done(admin)?;
    Ok(())
}

/// Collects the mistakes of flags.
struct Flags {
    mistakes: Vec<Mistake>,
}

impl Flags {
    fn done<T>(self, value: T) -> Result<T, Report> {
        if self.mistakes.is_empty() { Ok(value) } else { Err(Report::new(self.mistakes)) }
    }

    fn note(&mut self, flag: &str, what: String, places: Vec<Place>, hint: Option<String>) {
        self.mistakes.push(Mistake { source: flag.to_owned(), what, places, hint });
    }

    fn wrong(&mut self, flag: &str, text: &str, wrong: Wrong) {
        let place = Place::in_flag(text, &wrong.part, wrong.allowed);
        self.note(flag, wrong.what, vec![place], wrong.hint);
    }

    /// What `parse` makes of each value; the same twice is noted.
    fn all<T: PartialEq>(
        &mut self,
        flag: &str,
        texts: &[String],
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Vec<T> {
        let mut all = Vec::new();
        for text in texts {
            match parse(text) {
                Ok(value) if all.contains(&value) => {
                    self.wrong(flag, text, Wrong::all(text, format!("\"{text}\" twice"), ""));
                }
                Ok(value) => all.push(value),
                Err(wrong) => self.wrong(flag, text, wrong),
            }
        }
        all
    }

    fn listen(&mut self, texts: &[String], tls: bool) -> Vec<Listener> {
        self.all("--listen", texts, |text| {
            let listener = address::listener(text)?;
            if listener.tls && !tls {
                let what = "an https listener without certificates";
                let wrong = Wrong::all(text, what, "http here, or a settings file with [tls]");
                return Err(wrong.hint("certificates are named in a settings file, under [tls]"));
            }
            Ok(listener)
        })
    }

    fn admin(&mut self, text: &str) -> Option<SocketAddr> {
        if text == "off" || text == "false" {
            return None;
        }
        address::socket(text).map_err(|wrong| self.wrong("--admin", text, wrong)).ok()
    }

    fn check_admin(&mut self, listen: &[Listener], admin: Option<SocketAddr>) {
        let same = |one: &Listener| Some(one.address) == admin && one.address.port() != 0;
        if let Some(one) = listen.iter().find(|one| same(one)) {
            let what = format!("{} is the admin listener's address too", one.address);
            let hint = Some("give one of the two another port".to_owned());
            self.note("--listen", what, Vec::new(), hint);
        }
    }
}
