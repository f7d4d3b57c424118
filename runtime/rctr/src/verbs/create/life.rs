//! How the container lives: what happens at its end, and how it is known to be well.

use engine::{CreateRequest, HealthRequest, Nanos, OnFailure, Policy, StartupRequest};

use crate::parse;

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// What happens when it has ended: no, always, unless-stopped, or on-failure[:TIMES]
    #[arg(long, value_name = "POLICY", default_value = "no", value_parser = parse::policy)]
    restart: Policy,
    /// Seconds from the stop signal to SIGKILL; -1 waits for ever
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = parse::seconds)]
    stop_timeout: Option<i64>,
    /// Command that ends with 0 while the container is well
    #[arg(long, value_name = "COMMAND")]
    health_cmd: Option<String>,
    /// Time between checks, such as 30s
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    health_interval: Option<Nanos>,
    /// Time that a check may take
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    health_timeout: Option<Nanos>,
    /// Time after the start in which failures do not count
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    health_start_period: Option<Nanos>,
    /// Time between checks in that time
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    health_start_interval: Option<Nanos>,
    /// So many failures in a row make it unhealthy
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    health_retries: Option<u32>,
    /// What happens then: none, kill, restart or stop
    #[arg(long, value_name = "ACTION", default_value = "none", value_parser = on_failure)]
    health_on_failure: OnFailure,
    /// Command that ends with 0 when the container has started: until then nothing else is checked
    #[arg(long, value_name = "COMMAND")]
    health_startup_cmd: Option<String>,
    /// Time between checks of the start
    #[arg(long, value_name = "TIME", value_parser = parse::duration, requires = "health_startup_cmd")]
    health_startup_interval: Option<Nanos>,
    /// Time that a check of the start may take
    #[arg(long, value_name = "TIME", value_parser = parse::duration, requires = "health_startup_cmd")]
    health_startup_timeout: Option<Nanos>,
    /// After so many failures of the start it is stopped and started again; never with 0
    #[arg(long, value_name = "NUMBER", requires = "health_startup_cmd")]
    health_startup_retries: Option<u32>,
    /// So many successes are needed; 0 is one
    #[arg(long, value_name = "NUMBER", requires = "health_startup_cmd")]
    health_startup_success: Option<u32>,
    /// No health check, whatever the image says
    #[arg(long, conflicts_with_all = ["health_cmd", "health_interval", "health_timeout", "health_start_period",
          "health_start_interval", "health_retries", "health_startup_cmd"])]
    no_healthcheck: bool,
}

impl Args {
    pub(super) fn apply(self, request: &mut CreateRequest) {
        request.restart = self.restart;
        request.stop_timeout = self.stop_timeout;
        request.health = HealthRequest {
            none: self.no_healthcheck,
            command: self.health_cmd,
            test: Vec::new(),
            interval: self.health_interval,
            timeout: self.health_timeout,
            start_period: self.health_start_period,
            start_interval: self.health_start_interval,
            retries: self.health_retries,
            on_failure: self.health_on_failure,
            startup: StartupRequest {
                command: self.health_startup_cmd,
                interval: self.health_startup_interval,
                timeout: self.health_startup_timeout,
                retries: self.health_startup_retries,
                successes: self.health_startup_success,
            },
        };
    }
}

fn on_failure(text: &str) -> Result<OnFailure, String> {
    match text {
        "none" => Ok(OnFailure::None),
        "kill" => Ok(OnFailure::Kill),
        "restart" => Ok(OnFailure::Restart),
        "stop" => Ok(OnFailure::Stop),
        _ => Err(format!("no action {text:?}: there are none, kill, restart and stop")),
    }
}
