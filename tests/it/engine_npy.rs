//! `.npy` files: what is written is read, by NumPy too; headers that lie are refused.

use sonoplex::engine::npy::{parse, to_bytes};

fn file(descr: &str, order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend_from_slice(&(header.len() as u16).to_le_bytes());
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(data);
    bytes
}

#[test]
fn arrays_go_both_ways() {
    for shape in [vec![], vec![5], vec![2, 3], vec![1, 2, 3, 4]] {
        let data: Vec<f32> = (0..shape.iter().product()).map(|i| i as f32 * 0.37 - 1.0).collect();
        let bytes = to_bytes(&shape, &data);
        let array = parse(&bytes).expect("just written");
        assert_eq!((array.shape, array.data), (shape, data));
        let header = u16::from_le_bytes([bytes[8], bytes[9]]) as usize;
        assert_eq!(((10 + header) % 64, bytes[9 + header]), (0, b'\n'), "aligned, and ended by a line feed");
    }
}

#[test]
fn other_types_and_the_second_version_are_read() {
    let doubles: Vec<u8> = [0.5f64, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    assert_eq!(parse(&file("<f8", "False", "(2,)", &doubles)).expect("float64").data, [0.5, -2.0]);
    assert_eq!(parse(&file("|u1", "False", "(1, 3)", &[0, 7, 255])).expect("uint8").data, [0.0, 7.0, 255.0]);
    let first = to_bytes(&[2], &[1.0, 2.0]);
    let mut second = b"\x93NUMPY\x02\x00".to_vec();
    second.extend_from_slice(&[first[8], first[9], 0, 0]);
    second.extend_from_slice(&first[10..]);
    assert_eq!(parse(&second).expect("version 2").data, [1.0, 2.0]);
}

#[test]
fn headers_that_lie_are_refused() {
    let four = [0u8; 16];
    for (bytes, word) in [
        (file("<f4", "False", "(5,)", &four), "takes 20 bytes"),
        (file("<f4", "False", "(99999999999, 99999999999)", &four), "limit"),
        (file("<f4", "False", "(-1,)", &four), "`-1`"),
        (file("<f4", "True", "(2, 2)", &four), "Fortran"),
        (file(">f4", "False", "(4,)", &four), "`>f4`"),
        (file("|O", "False", "(4,)", &four), "`|O`"),
        (file("<f4", "False", "4", &four), "tuple"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec(), "claims"),
        (b"\x93NUMPY\x09\x00\x10\x00".to_vec(), "version is 9"),
        (b"\x93NUMPY\x01".to_vec(), "ends within"),
        (b"PK\x03\x04".to_vec(), "NUMPY"),
        (Vec::new(), "NUMPY"),
    ] {
        let said = parse(&bytes).expect_err(word);
        assert!(said.contains(word), "{said}");
    }
    let bytes = to_bytes(&[2, 3], &[0.0; 6]);
    for at in 0..bytes.len() {
        let _ = parse(&bytes[..at]).expect_err("it is cut");
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        let _ = parse(&flipped);
    }
}
