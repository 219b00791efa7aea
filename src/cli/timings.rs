//! The cache of what tactics take on this processor, or on the GPU that is here, between one build and the next.

use std::cell::RefCell;
use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::Context;
use sonoplex::engine::timing::{self, TimingCache};
use sonoplex::engine::{Builder, BuilderConfig, Device, Network, Plan};

/// How plans get their tactics: by timing, or by the guess.
pub struct Timings {
    /// Where the cache is kept; none where there is no folder for it.
    path: Option<PathBuf>,
    cache: RefCell<TimingCache>,
    timed: bool,
}

impl Timings {
    /// With what earlier builds have timed on a device, unless nothing is to be `timed`, or it is a GPU that is not there.
    pub fn open(timed: bool, device: Device) -> Self {
        let fresh = if timed { TimingCache::of(device).ok() } else { None };
        let name = if matches!(device, Device::Cuda(_)) { "tactics-gpu.json" } else { "tactics.json" };
        let path = if fresh.is_some() { folder().map(|folder| folder.join(name)) } else { None };
        let (timed, fresh) = (fresh.is_some(), fresh.unwrap_or_default());
        let cache = path.as_ref().and_then(|path| {
            let text = std::fs::read_to_string(path).ok()?;
            match serde_json::from_str::<TimingCache>(&text) {
                Ok(cache) => cache.is_like(&fresh).then_some(cache),
                Err(error) => {
                    tracing::warn!("times all tactics anew: `{}` is no timing cache: {error}", path.display());
                    None
                }
            }
        });
        Self { path, cache: RefCell::new(cache.unwrap_or(fresh)), timed }
    }

    /// The plan of `network`.
    pub fn build(&self, config: &BuilderConfig, network: &Network) -> anyhow::Result<Plan> {
        if !self.timed {
            let builder = Builder::new(config.clone());
            return Ok(match config.device {
                Device::Cuda(_) => builder.build_for_gpu(network)?,
                _ => builder.build(network)?,
            });
        }
        let terminal = std::io::stderr().is_terminal();
        let mut progress = |round: usize, rounds: usize| {
            if terminal {
                eprint!("\rtiming tactics: round {round} of {rounds} ");
            }
        };
        let mut cache = self.cache.borrow_mut();
        let before = cache.clone();
        let plan = timing::build(config, network, &mut cache, &mut timing::measure, &mut progress);
        if terminal {
            eprint!("\r{:40}\r", "");
        }
        if *cache != before
            && let Err(error) = self.save(&cache)
        {
            tracing::warn!("the next build times all tactics anew: {error:#}");
        }
        Ok(plan?)
    }

    fn save(&self, cache: &TimingCache) -> anyhow::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let write = || -> anyhow::Result<()> {
            std::fs::create_dir_all(path.parent().context("a folder")?)?;
            Ok(sonoplex::write::whole(path, serde_json::to_string_pretty(cache)?.as_bytes())?)
        };
        write().with_context(|| format!("cannot write `{}`", path.display()))
    }
}

/// `SONOPLEX_CACHE`, else a folder where the system keeps caches.
fn folder() -> Option<PathBuf> {
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    named("SONOPLEX_CACHE")
        .or_else(|| Some(named("XDG_CACHE_HOME")?.join("sonoplex")))
        .or_else(|| Some(named("HOME")?.join(".cache/sonoplex")))
}
