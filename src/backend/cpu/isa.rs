//! Which vector instructions this processor has.

use serde::{Deserialize, Serialize};

use super::error::KernelError;

/// A set of vector instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isa {
    /// What the compiler makes of plain loops for the baseline processor.
    Portable,
    /// 64-bit ARM: 4 floats a register, 32 registers.
    Neon,
    /// AVX2 and FMA: 8 floats a register, 16 registers.
    Avx2,
    /// AVX-512F, BW and VL: 16 floats a register, 32 registers.
    Avx512,
}

/// Whether there are kernels for more than the baseline processor. Parsers are what is fuzzed, and to build all kernels so
/// that they can be watched takes a quarter of an hour.
pub(super) const WIDE: bool = !cfg!(fuzzing);

impl Isa {
    /// Whether a processor whose widest set this is has `other` too.
    pub fn includes(self, other: Self) -> bool {
        match other {
            Self::Portable => true,
            Self::Avx2 => matches!(self, Self::Avx2 | Self::Avx512),
            Self::Neon | Self::Avx512 => self == other,
        }
    }

    /// The widest set that this processor and its operating system offer.
    pub fn detect() -> Self {
        if !WIDE {
            return Self::Portable;
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            return Self::Neon;
        }
        #[cfg(target_arch = "x86_64")]
        {
            let wide = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl");
            if wide && is_x86_feature_detected!("fma") {
                return Self::Avx512;
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return Self::Avx2;
            }
        }
        Self::Portable
    }

    /// Whether the widest set multiplies bf16 too (AVX512-BF16).
    pub fn has_bf16() -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            Self::detect() == Self::Avx512 && is_x86_feature_detected!("avx512bf16")
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            false
        }
    }

    /// Whether the widest set sums products of bytes in one instruction too (AVX512-VNNI).
    pub fn has_vnni() -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            Self::detect() == Self::Avx512 && is_x86_feature_detected!("avx512vnni")
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            false
        }
    }

    /// How the names of tactics end that need it.
    pub fn suffix(self) -> &'static str {
        SUFFIXES.iter().find(|(isa, _)| *isa == self).map_or("", |(_, suffix)| suffix)
    }

    /// Its name in reports: `portable`, `neon`, `avx2` or `avx512`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Neon => "neon",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }
}

/// What a 64-bit ARM processor has to multiply bytes with.
#[cfg(target_arch = "aarch64")]
#[derive(Clone, Copy, Debug)]
pub(super) enum Arm {
    /// Nothing beyond NEON.
    Baseline,
    /// Sums of four products of bytes with a sign.
    DotProd,
    /// Sums of four products of bytes without and with a sign.
    I8mm,
}

#[cfg(target_arch = "aarch64")]
impl Arm {
    pub fn detect() -> Self {
        use std::arch::is_aarch64_feature_detected;
        match (is_aarch64_feature_detected!("i8mm"), is_aarch64_feature_detected!("dotprod")) {
            (true, _) => Self::I8mm,
            (_, true) => Self::DotProd,
            _ => Self::Baseline,
        }
    }
}

/// The name that the processor gives itself, else that of its architecture.
pub fn model() -> String {
    let told = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = told.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    named.map_or(std::env::consts::ARCH, |(_, name)| name.trim()).to_owned()
}

/// Instruction sets, the widest first, and how the name of a tactic that needs them ends: `taps_avx512`.
const SUFFIXES: [(Isa, &str); 4] =
    [(Isa::Avx512, "_avx512"), (Isa::Avx2, "_avx2"), (Isa::Neon, "_neon"), (Isa::Portable, "")];

/// Whether `isa` multiplies the factors of `way` on this processor.
fn has(way: &str, isa: Isa) -> bool {
    match (way, isa) {
        // Factors of 16 bits are multiplied by the widest set alone, and not by every processor that has it.
        _ if way.ends_with("_bf16") => isa == Isa::Avx512 && Isa::has_bf16(),
        _ if way.ends_with("_int8") => isa != Isa::Avx512 || Isa::has_vnni(),
        _ => true,
    }
}

/// The tactics of these ways up to `isa`: the widest instructions of every way before the narrower ones of any, then
/// `naive`.
pub(super) fn tactics(ways: &[&str], isa: Isa) -> Vec<String> {
    let offered = SUFFIXES.iter().filter(|(needed, _)| isa.includes(*needed));
    let named = offered.flat_map(|(isa, suffix)| {
        ways.iter().filter(move |way| has(way, *isa)).map(move |way| format!("{way}{suffix}"))
    });
    named.chain(["naive".to_owned()]).collect()
}

/// The way and the instructions that the name of a tactic stands for.
///
/// # Errors
/// When it is not one of these ways, or this processor has not got the instructions.
pub(super) fn parse<'a>(
    operation: &'static str,
    ways: &[&'a str],
    tactic: &str,
) -> Result<(&'a str, Isa), KernelError> {
    if tactic == "naive" {
        return Ok(("naive", Isa::Portable));
    }
    let named = ways.iter().find_map(|way| {
        let ending = tactic.strip_prefix(way)?;
        SUFFIXES.iter().find(|(_, suffix)| *suffix == ending).map(|(isa, _)| (*way, *isa))
    });
    let found = Isa::detect();
    match named {
        Some((_, needed)) if !found.includes(needed) => {
            Err(KernelError::Isa { operation, tactic: tactic.to_owned(), needed, found })
        }
        Some((way, needed)) if has(way, needed) => Ok((way, needed)),
        _ => {
            let known = tactics(ways, found).iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            Err(KernelError::Tactic { operation, found: tactic.to_owned(), known })
        }
    }
}

/// The way that the name of a tactic begins with, and how it ends: `taps_avx512` is `taps` and `_avx512`.
pub fn split(tactic: &str) -> (&str, &str) {
    let ending = |(_, suffix): &&(Isa, &str)| tactic.ends_with(suffix);
    let suffix = SUFFIXES.iter().find(ending).map_or("", |(_, suffix)| suffix);
    tactic.split_at(tactic.len() - suffix.len())
}

impl std::fmt::Display for Isa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
