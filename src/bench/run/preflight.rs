//! Before a run: whether this machine can do it, and what is printed and started before the first connection.

use std::sync::Arc;

use crate::bench::doctor;
use crate::bench::measure::LiveFigures;
use crate::bench::plan::{BenchPlan, is_this_machine};
use crate::bench::prometheus::MetricsServer;
use crate::bench::report;
use crate::bench::system::raise_open_files;
use crate::options::{MetricsAddress, Verb};
use crate::terminal::{Colors, say};
use crate::transport::{check_local_address, io_text};

/// Prints why this machine cannot run the plan, if so, and returns the error for the document. `embedded`: the broker
/// is in this process.
pub(super) fn find_obstacle(plan: &BenchPlan, verb: Option<Verb>, embedded: bool) -> Option<String> {
    if let Some(obstacles) = doctor::obstacles(plan, embedded, Colors::for_stderr()) {
        let error = "this machine cannot run the plan; no connection was made";
        eprintln!("Error: {error}");
        eprint!("{obstacles}");
        let verb = verb.map_or_else(String::new, |verb| format!(" {}", verb.name()));
        eprintln!("  For all checks, run 'mqbench doctor{verb}' with the same options.");
        return Some(error.to_owned());
    }
    raise_open_files();
    let fault = plan.targets.sources().iter().find_map(|local| check_local_address(*local).err())?;
    say(format_args!("Error: -A: {}", fault.cause));
    fault.hint.iter().for_each(|hint| say(format_args!("  {hint}")));
    Some(format!("-A: {}", fault.cause))
}

/// Prints the warnings of the plan, and which load is about to start where it goes to another machine: a wrong host
/// is noticed in time.
pub(super) fn print_preface(plan: &BenchPlan) {
    if plan.transport.tls.as_ref().is_some_and(|tls| tls.insecure) {
        eprintln!("Warning: --insecure: neither the broker's certificate nor its name is verified");
    }
    plan.warnings.iter().for_each(|warning| say(format_args!("Warning: {warning}")));
    if !plan.targets.addresses().all(is_this_machine) {
        eprint!("{}", report::announcement(plan));
    }
}

/// Starts the server of `--prometheus`, and prints its address.
///
/// # Errors
/// It cannot listen: the error for the document, which has been printed.
pub(super) fn serve_figures(
    address: &MetricsAddress,
    figures: Arc<LiveFigures>,
    plan: &BenchPlan,
    quiet: bool,
) -> Result<MetricsServer, String> {
    let MetricsAddress { host, port } = address;
    let server = MetricsServer::start((host, *port), &plan.run.to_string(), figures).map_err(|error| {
        let error = format!("--prometheus {host}:{port}: {}", io_text(&error));
        say(format_args!("Error: {error}"));
        say("Hint: port 0 takes a free port; no connection was made");
        error
    })?;
    if !quiet || *port == 0 {
        eprintln!("Metrics: http://{}/metrics", server.address());
    }
    Ok(server)
}
