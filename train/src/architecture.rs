//! The networks by name: each is a few lines that draw a [`Graph`].

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::graph::{Graph, Value};

/// A family of networks; width and depth are settings.
///
/// # References
/// U-Net: Ronneberger et al., MICCAI 2015. Residual: Zhang et al., "Road extraction by deep residual U-Net", 2018, with
/// the order conv ▸ norm ▸ ReLU of He et al., CVPR 2016. Inception: Szegedy et al., AAAI 2017. Attention gates: Oktay et
/// al., MIDL 2018. U-Net++: Zhou et al., DLMIA 2018.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Architecture {
    /// Two convolutions a level.
    Unet,
    /// The same with three joins, whatever `--levels` says.
    MiniUnet,
    /// Two convolutions and a short cut around them.
    Resunet,
    /// Kernels of 1, 3 and 5 side by side, and a short cut.
    InceptionResunet,
    /// A gate in each join, driven from below.
    AttentionUnet,
    /// A net of joins between all levels.
    #[value(name = "unet++")]
    #[serde(rename = "unet++")]
    UnetPlusPlus,
}

/// How large a network is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Width {
    /// Channels of the first level; each further one has twice as many.
    pub base: usize,
    /// How often the size is halved.
    pub levels: usize,
    /// The most channels of a level.
    pub cap: usize,
}

impl Width {
    fn at(self, level: usize) -> usize {
        (self.base << level).min(self.cap)
    }
}

impl Architecture {
    /// Draws the network for `classes` classes, with a presence output where `presence` is.
    pub fn graph(self, width: Width, classes: usize, presence: bool) -> Graph {
        let levels = if self == Self::MiniUnet { 3 } else { width.levels };
        let mut graph = Graph::new();
        graph.divisor = 1 << levels;
        let deep;
        let top = if self == Self::UnetPlusPlus {
            let nodes = nested(&mut graph, width, levels);
            deep = nodes.0;
            nodes.1
        } else {
            let mut skips: Vec<Value> = vec![];
            let mut at = 0;
            for level in 0..=levels {
                if level > 0 {
                    at = graph.pool(at);
                }
                at = self.block(&mut graph, at, width.at(level));
                skips.push(at);
            }
            deep = at;
            skips.pop();
            at = graph.dropout(at);
            for level in (0..levels).rev() {
                let below = graph.up(at, width.at(level));
                let mut skip = skips.pop().expect("one a level");
                if self == Self::AttentionUnet {
                    skip = attention(&mut graph, skip, below);
                }
                let joined = graph.join(&[skip, below]);
                at = self.block(&mut graph, joined, width.at(level));
            }
            at
        };
        graph.logits = graph.linear(top, classes);
        if presence {
            let mean = graph.mean(deep);
            graph.presence = Some(graph.linear(mean, classes));
        }
        graph
    }

    fn block(self, graph: &mut Graph, from: Value, width: usize) -> Value {
        match self {
            Self::Resunet => {
                let a = graph.conv(from, width, 3, true);
                let b = graph.conv(a, width, 3, false);
                short_cut(graph, from, b, width)
            }
            Self::InceptionResunet => {
                let side = (width / 4).max(1);
                let one = graph.conv(from, width.saturating_sub(2 * side).max(1), 1, true);
                let three = graph.conv(from, side, 1, true);
                let three = graph.conv(three, side, 3, true);
                let five = graph.conv(from, side, 1, true);
                let five = graph.conv(five, side, 3, true);
                let five = graph.conv(five, side, 3, true);
                let joined = graph.join(&[one, three, five]);
                let b = graph.conv(joined, width, 3, false);
                short_cut(graph, from, b, width)
            }
            _ => plain(graph, from, width),
        }
    }
}

fn plain(graph: &mut Graph, from: Value, width: usize) -> Value {
    let a = graph.conv(from, width, 3, true);
    graph.conv(a, width, 3, true)
}

fn short_cut(graph: &mut Graph, from: Value, branch: Value, width: usize) -> Value {
    let around = if graph.channels(from) == width { from } else { graph.conv(from, width, 1, false) };
    graph.add(branch, around, true)
}

/// The skip times a map in 0..=1 that is computed from it and from what comes from below.
fn attention(graph: &mut Graph, skip: Value, below: Value) -> Value {
    let width = (graph.channels(skip) / 2).max(1);
    let a = graph.conv(skip, width, 1, false);
    let b = graph.conv(below, width, 1, false);
    let sum = graph.add(a, b, true);
    let map = graph.linear(sum, 1);
    let map = graph.sigmoid(map);
    graph.gate(skip, map)
}

/// Node (i, j) joins every earlier node of its level with the one below; returns the deepest and the last of the first level.
fn nested(graph: &mut Graph, width: Width, levels: usize) -> (Value, Value) {
    let mut columns: Vec<Vec<Value>> = vec![];
    let mut at = 0;
    for level in 0..=levels {
        if level > 0 {
            at = graph.pool(at);
        }
        at = plain(graph, at, width.at(level));
        columns.push(vec![at]);
    }
    let deep = at;
    columns[levels] = vec![graph.dropout(deep)];
    for j in 1..=levels {
        for level in 0..=levels - j {
            let below = graph.up(columns[level + 1][j - 1], width.at(level));
            let mut from = columns[level].clone();
            from.push(below);
            let joined = graph.join(&from);
            let node = plain(graph, joined, width.at(level));
            columns[level].push(node);
        }
    }
    (deep, columns[0][levels])
}
