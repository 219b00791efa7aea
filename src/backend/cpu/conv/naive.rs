//! The definition of convolution, loop by loop; the specification of every other tactic.

use super::{ConvShape, Run};
use crate::backend::cpu::pool::SharedMut;

/// Weights as they came, out × in/groups × height × width.
#[derive(Clone, Debug)]
pub(super) struct Naive {
    pub weights: Vec<f32>,
    pub bias: Vec<f32>,
}

impl Naive {
    pub fn run(&self, s: &ConvShape, run: Run) {
        let Run { pool, input, residual, activation, output, .. } = run;
        let ([ih, iw], [oh, ow], [kh, kw]) = (s.in_size, s.out_size(), s.kernel);
        let (ins, outs) = (s.in_channels / s.groups, s.out_channels / s.groups);
        let output = SharedMut::new(output);
        pool.run(s.out_channels, &|o| {
            // SAFETY: one plane a task.
            let plane = unsafe { output.slice(o * oh * ow, oh * ow) };
            for (at, out) in plane.iter_mut().enumerate() {
                let (y, x) = (at / ow, at % ow);
                let mut sum = self.bias[o];
                for c in 0..ins {
                    let input = &input[(o / outs * ins + c) * ih * iw..][..ih * iw];
                    for i in 0..kh {
                        let v = (y * s.stride[0] + i * s.dilation[0]).wrapping_sub(s.pads[0]);
                        for j in 0..kw {
                            let u = (x * s.stride[1] + j * s.dilation[1]).wrapping_sub(s.pads[1]);
                            // In the padding before the plane the coordinate has wrapped and is huge.
                            if v < ih && u < iw {
                                sum += self.weights[((o * ins + c) * kh + i) * kw + j] * input[v * iw + u];
                            }
                        }
                    }
                }
                *out = activation.of(sum + residual.map_or(0.0, |r| r.planar(o * oh * ow + at)));
            }
        });
    }
}
