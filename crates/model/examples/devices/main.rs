//! What a GPU changes: how far its results are from the CPU's, and how many training steps a second both do.
//!
//! ```sh
//! cargo run --release -p almoner-model --features wgpu --example devices -- [--small] [--numerics] [--json]
//! ```
//!
//! `--small` takes the smallest model only, `--numerics` leaves the timing out; a software adapter needs both.

mod numerics;
mod timing;

#[path = "../../tests/support.rs"]
mod support;

use std::process::ExitCode;

use almoner_model::{ComputeDevice, DeviceChoice, ModelError};
use serde_json::{Value, json};

use self::numerics::{Differences, STEPS, TOLERANCE};
use self::support::{cpu, made_up, mlp};
use self::timing::{RUNS, Timing};

/// Widths and batch. A federation's model ends in one logit.
const MODELS: [(&[u32], usize); 3] = [(&[30, 64, 64, 1], 32), (&[784, 256, 128, 1], 256), (&[784, 2048, 2048, 1], 512)];

#[derive(Default)]
struct Options {
    small: bool,
    numerics: bool,
    json: bool,
}

impl Options {
    fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        for argument in arguments {
            match argument.as_str() {
                "--small" => options.small = true,
                "--numerics" => options.numerics = true,
                "--json" => options.json = true,
                _ => return Err(format!("unknown option '{argument}'; there are --small, --numerics and --json")),
            }
        }
        Ok(options)
    }
}

struct Measured {
    name: String,
    batch: usize,
    differences: Differences,
    /// Of the CPU and of the GPU.
    timing: Option<(Timing, Timing)>,
}

impl Measured {
    fn of(widths: &[u32], batch: usize, gpu: &ComputeDevice, options: &Options) -> Result<Self, ModelError> {
        let (spec, data) = (mlp(widths), made_up(4 * batch, widths[0] as usize, 3));
        let differences = numerics::compare(&spec, &data, batch, gpu)?;
        let time = |device: &ComputeDevice| Timing::measure(&spec, &data, batch, device);
        let timing = match options.numerics {
            true => None,
            false => Some((time(&cpu())?, time(gpu)?)),
        };
        let widths: Vec<String> = widths.iter().map(u32::to_string).collect();
        Ok(Self { name: widths.join("-"), batch, differences, timing })
    }

    fn document(&self) -> Value {
        let Self { name, batch, differences, timing } = self;
        let rate = |timing: &Timing| {
            json!({
                "median_steps_per_second": timing.median(), "steps_per_second": timing.steps_per_second,
                "steps_per_run": timing.steps, "warm_up_seconds": timing.first_seconds,
            })
        };
        let timing = timing.as_ref().map(|(cpu, gpu)| json!({ "cpu": rate(cpu), "gpu": rate(gpu) }));
        let within = differences.within(&TOLERANCE);
        json!({ "model": name, "batch": batch, "within": within, "differences": list(differences), "timing": timing })
    }
}

fn list(differences: &Differences) -> Value {
    let Differences { logits, weights, update, gradient } = differences;
    json!({ "logits": logits, "weights": weights, "update": update, "gradient": gradient })
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => fail("the GPU's results are not within the tolerance"),
        Err(error) => fail(&error),
    }
}

fn fail(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}

fn run() -> Result<bool, String> {
    let options = Options::parse(std::env::args().skip(1))?;
    let gpu = ComputeDevice::open(DeviceChoice::Wgpu).map_err(|error| error.to_string())?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    eprintln!("cpu with {threads} threads; {}", gpu.name());
    let mut measured = Vec::new();
    for (widths, batch) in MODELS.iter().take(if options.small { 1 } else { MODELS.len() }) {
        let one = Measured::of(widths, *batch, &gpu, &options).map_err(|error| error.to_string())?;
        eprintln!("{} is done", one.name);
        measured.push(one);
    }
    match options.json {
        true => {
            let models: Vec<Value> = measured.iter().map(Measured::document).collect();
            let document = json!({
                "schema": 1, "gpu": gpu.name(), "cpu_threads": threads, "steps_compared": STEPS,
                "tolerance": list(&TOLERANCE), "models": models,
            });
            println!("{document:#}");
        }
        false => print(&measured, gpu.name(), threads),
    }
    Ok(measured.iter().all(|one| one.differences.within(&TOLERANCE)))
}

fn print(measured: &[Measured], gpu: &str, threads: usize) {
    println!("{gpu}\n\ndifferences from the CPU; weights and update are those of {STEPS} steps");
    println!("{:<18} {:>5} {:>10} {:>10} {:>10} {:>10}", "model", "batch", "logits", "weights", "update", "gradient");
    for Measured { name, batch, differences, .. } in measured {
        let verdict = if differences.within(&TOLERANCE) { "" } else { "  too far" };
        println!("{name:<18} {batch:>5} {differences}{verdict}");
    }
    println!("{:<18} {:>5} {TOLERANCE}", "at most", "");
    if measured.iter().all(|one| one.timing.is_none()) {
        return;
    }
    println!("\nsteps a second, median of {RUNS} rounds (slowest to fastest); the CPU has {threads} threads");
    println!("{:<18} {:>5} {:>28} {:>28} {:>7} {:>12}", "model", "batch", "cpu", "gpu", "gpu/cpu", "warm-up gpu");
    for Measured { name, batch, timing, .. } in measured {
        let Some((cpu, gpu)) = timing else { continue };
        let (ratio, first) = (gpu.median() / cpu.median(), gpu.first_seconds);
        println!("{name:<18} {batch:>5} {:>28} {:>28} {ratio:>7.2} {first:>10.1} s", rates(cpu), rates(gpu));
    }
}

fn rates(timing: &Timing) -> String {
    let all = &timing.steps_per_second;
    format!("{:.1} ({:.1} to {:.1})", timing.median(), all[0], all[all.len() - 1])
}
