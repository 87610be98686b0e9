//! A real `RabbitMQ` node of its own: own port mapper, own cookie, own data, listening on loopback.

use crate::gateway::Folder;
use crate::server::{Server, free_port};
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::process::Command;

/// Debian's script; the one on the path wants to be the service's user.
const PROGRAM: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const CONTROL: &str = "/usr/lib/rabbitmq/bin/rabbitmqctl";

/// A `RabbitMQ` server; dereferences to the [`Server`], for killing and freezing it.
pub struct Rabbitmq {
    server: Server,
    /// Erlang's port mapper, which would outlive us if the node started it.
    mapper: Server,
}

impl Deref for Rabbitmq {
    type Target = Server;
    fn deref(&self) -> &Server {
        &self.server
    }
}

impl DerefMut for Rabbitmq {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.server
    }
}

impl Rabbitmq {
    /// A node that is ready.
    ///
    /// # Panics
    /// When none is installed, with what to install.
    #[track_caller]
    pub fn start() -> Self {
        let listen = |port| format!("listeners.tcp.1 = 127.0.0.1:{port}\n");
        Self::start_with(listen)
    }

    /// A node that speaks TLS alone, with a certificate and its key (PEM files).
    ///
    /// # Panics
    /// As [`Self::start`].
    #[track_caller]
    pub fn start_tls(certificate: &Path, key: &Path) -> Self {
        let [certificate, key] = [certificate, key].map(|file| file.display().to_string());
        Self::start_with(move |port| {
            format!(
                "listeners.tcp = none\nlisteners.ssl.1 = 127.0.0.1:{port}\n\
                 ssl_options.cacertfile = {certificate}\nssl_options.certfile = {certificate}\n\
                 ssl_options.keyfile = {key}\nssl_options.verify = verify_none\n"
            )
        })
    }

    #[track_caller]
    fn start_with(listen: impl Fn(u16) -> String + Send + 'static) -> Self {
        assert!(
            Path::new(PROGRAM).is_file(),
            "no RabbitMQ: run scripts/test, or `apt-get install --no-install-recommends \
             rabbitmq-server` (with a policy-rc.d that lets it start no service)"
        );
        let arguments = |port: u16, _: &Folder| {
            ["-port", &port.to_string(), "-address", "127.0.0.1"].map(str::to_owned).to_vec()
        };
        let mapper = Server::start("epmd", Box::new(arguments)).expect("Erlang is there");
        let (mapped, between) = (mapper.port(), free_port());
        let arguments = move |port: u16, folder: &Folder| {
            let settings = format!(
                "{}loopback_users = none\ndisk_free_limit.absolute = 100MB\n\
                 vm_memory_high_watermark.absolute = 1GB\n",
                listen(port)
            );
            folder.write("rabbitmq.conf", &settings);
            let mut arguments = environment(port, mapped, between, folder);
            arguments.push(PROGRAM.to_owned());
            arguments
        };
        // `env` becomes the script, and that Erlang: their process is one.
        let server = Server::start("env", Box::new(arguments)).expect("env is there");
        Self { server, mapper }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@{}/%2f", self.address())
    }

    /// What `rabbitmqctl` answers.
    #[track_caller]
    pub fn ask(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("env");
        command.args(environment(self.port(), self.mapper.port(), free_port(), self.folder()));
        command.arg(CONTROL).args(["--quiet", "-n", &node(self.port())]).args(arguments);
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let text = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {text} {errors}");
        text
    }
}

fn node(port: u16) -> String {
    format!("fleetfoot{port}@localhost")
}

/// What makes a node keep to its folder and its ports.
fn environment(port: u16, mapper: u16, between: u16, folder: &Folder) -> Vec<String> {
    let settings = folder.path().join("rabbitmq");
    let plugins = folder.write("enabled_plugins", "[].");
    let path = folder.path().display();
    let node = node(port);
    // Erlang's threads would spin while they wait, on cores that the tests need.
    let erlang = "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none +sbwtdcpu none \
                  +sbwtdio none";
    [
        format!("HOME={path}"),
        format!("ERL_EPMD_PORT={mapper}"),
        "ERL_EPMD_ADDRESS=127.0.0.1".to_owned(),
        format!("RABBITMQ_NODENAME={node}"),
        format!("RABBITMQ_NODE_PORT={port}"),
        "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1".to_owned(),
        format!("RABBITMQ_DIST_PORT={between}"),
        format!("RABBITMQ_CONFIG_FILE={}", settings.display()),
        "RABBITMQ_CONF_ENV_FILE=/dev/null".to_owned(),
        format!("RABBITMQ_MNESIA_BASE={path}/data"),
        format!("RABBITMQ_LOG_BASE={path}/logs"),
        "RABBITMQ_LOGS=-".to_owned(),
        format!("RABBITMQ_ENABLED_PLUGINS_FILE={}", plugins.display()),
        format!("RABBITMQ_PID_FILE={path}/pid"),
        format!("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS={erlang}"),
        // Without it the script stays as a parent, and a signal to it is none to the node.
        "RUNNING_UNDER_SYSTEMD=true".to_owned(),
    ]
    .to_vec()
}
