//! Kinds of samples, and how they become 8-bit grey levels.

/// Kind of one stored sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// `MET_UCHAR`.
    U8,
    /// `MET_CHAR`.
    I8,
    /// `MET_USHORT`.
    U16,
    /// `MET_SHORT`.
    I16,
    /// `MET_UINT`, and `MET_ULONG`, which MetaIO stores in four bytes.
    U32,
    /// `MET_INT`, `MET_LONG`.
    I32,
    /// `MET_FLOAT`.
    F32,
    /// `MET_DOUBLE`.
    F64,
}

impl std::str::FromStr for Element {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Ok(match name.strip_suffix("_ARRAY").unwrap_or(name) {
            "MET_UCHAR" => Self::U8,
            "MET_CHAR" => Self::I8,
            "MET_USHORT" => Self::U16,
            "MET_SHORT" => Self::I16,
            "MET_UINT" | "MET_ULONG" => Self::U32,
            "MET_INT" | "MET_LONG" => Self::I32,
            "MET_FLOAT" => Self::F32,
            "MET_DOUBLE" => Self::F64,
            _ => {
                return Err(format!(
                    "expected `ElementType` MET_UCHAR, MET_CHAR, MET_USHORT, MET_SHORT, MET_UINT, MET_INT, MET_FLOAT \
                     or MET_DOUBLE, found `{name}`"
                ));
            }
        })
    }
}

impl Element {
    /// Bytes of one sample.
    pub const fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// The name in the header.
    pub const fn name(self) -> &'static str {
        match self {
            Self::U8 => "MET_UCHAR",
            Self::I8 => "MET_CHAR",
            Self::U16 => "MET_USHORT",
            Self::I16 => "MET_SHORT",
            Self::U32 => "MET_UINT",
            Self::I32 => "MET_INT",
            Self::F32 => "MET_FLOAT",
            Self::F64 => "MET_DOUBLE",
        }
    }

    /// The sample in `bytes`, which holds exactly one.
    fn value(self, bytes: &[u8], big_endian: bool) -> f64 {
        let mut b = [0; 8];
        b[..bytes.len()].copy_from_slice(bytes);
        if big_endian {
            b[..bytes.len()].reverse();
        }
        let [b0, b1, b2, b3, ..] = b;
        match self {
            Self::U8 => f64::from(b0),
            Self::I8 => f64::from(b0 as i8),
            Self::U16 => f64::from(u16::from_le_bytes([b0, b1])),
            Self::I16 => f64::from(i16::from_le_bytes([b0, b1])),
            Self::U32 => f64::from(u32::from_le_bytes([b0, b1, b2, b3])),
            Self::I32 => f64::from(i32::from_le_bytes([b0, b1, b2, b3])),
            Self::F32 => f64::from(f32::from_le_bytes([b0, b1, b2, b3])),
            Self::F64 => f64::from_le_bytes(b),
        }
    }

    /// Smallest and largest finite sample; `None` where none is finite.
    pub fn range(self, data: &[u8], big_endian: bool) -> Option<[f64; 2]> {
        let values = data.chunks_exact(self.bytes()).map(|b| self.value(b, big_endian)).filter(|v| v.is_finite());
        let [low, high] = values.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], v| [low.min(v), high.max(v)]);
        (low <= high).then_some([low, high])
    }
}

/// The way from samples to grey levels, the same for every frame of a recording.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Levels {
    /// 8-bit unsigned samples are grey levels.
    AsStored,
    /// `low` is black and `high` white, linear between: round(255 (v - low) / (high - low)); NaN is black.
    Linear {
        /// Sample that becomes 0.
        low: f64,
        /// Sample that becomes 255.
        high: f64,
    },
}

impl Levels {
    /// Writes the grey levels of `data` to the end of `out`.
    pub fn write(self, element: Element, big_endian: bool, data: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::AsStored => out.extend_from_slice(data),
            Self::Linear { low, high } => {
                let scale = 255.0 / (high - low);
                // `as u8` saturates and takes NaN to 0.
                out.extend(
                    data.chunks_exact(element.bytes())
                        .map(|b| ((element.value(b, big_endian) - low) * scale).round() as u8),
                );
            }
        }
    }
}
