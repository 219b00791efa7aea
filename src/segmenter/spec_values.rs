//! The values that the keys of a model's description take, from text.

/// The one of `known` that is written.
pub fn one_of<T: Clone>(text: &str, known: &[(&str, T)]) -> Option<T> {
    known.iter().find(|(name, _)| *name == text.trim()).map(|(_, value)| value.clone())
}

/// Values with commas between them; nothing when one of them is wrong.
pub fn list<T>(text: &str, item: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    text.split(',').map(|part| item(part.trim())).collect()
}

/// A finite number.
pub fn number(text: &str) -> Option<f32> {
    text.parse().ok().filter(|v: &f32| v.is_finite())
}

/// A number in 0..=1.
pub fn fraction(text: &str) -> Option<f32> {
    number(text).filter(|v| (0.0..=1.0).contains(v))
}

/// `LOW..HIGH`, both in 0..=1, in this order.
pub fn range(text: &str) -> Option<[f32; 2]> {
    let (low, high) = text.split_once("..")?;
    let (low, high) = (fraction(low.trim())?, fraction(high.trim())?);
    (low <= high).then_some([low, high])
}

/// `#RRGGBB`.
pub fn color(text: &str) -> Option<[u8; 3]> {
    let digits = text.strip_prefix('#').filter(|d| d.len() == 6 && d.bytes().all(|b| b.is_ascii_hexdigit()))?;
    let value = u32::from_str_radix(digits, 16).ok()?;
    Some([(value >> 16) as u8, (value >> 8) as u8, value as u8])
}

/// A TOML value as the text that the same key takes in ONNX metadata.
pub fn toml_text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(s) => Some(s.clone()),
        toml::Value::Array(items) => {
            let parts: Option<Vec<String>> = items.iter().map(toml_text).collect();
            Some(parts?.join(","))
        }
        toml::Value::Table(_) => None,
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_and_nonsense_is_not() {
        assert_eq!(color("#E69F00"), Some([230, 159, 0]));
        for bad in ["E69F00", "#E69F0", "#+69F00", "#é9F00"] {
            assert_eq!(color(bad), None, "{bad}");
        }
        assert_eq!(list("0.5, 1", fraction), Some(vec![0.5, 1.0]));
        assert_eq!(list("0.5,", fraction), None);
        assert_eq!(range("0.5..0.8"), Some([0.5, 0.8]));
        for bad in ["0.8..0.5", "0.5", "0..2", "nan..1", ".."] {
            assert_eq!(range(bad), None, "{bad}");
        }
    }
}
