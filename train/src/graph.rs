//! A network as a list of steps: what the trainer runs and what the ONNX file says are read from the same list, so they
//! cannot differ.

/// A value: the result of the step of that number; 0 is the picture.
pub type Value = usize;

/// One operation on `[N, C, H, W]`: `from`, `a` and `b` are what it reads, `layer` points into the lists of [`Graph`].
#[allow(missing_docs, reason = "the fields are explained above")]
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// The picture: `[N, 1, H, W]`, grey level / 255.
    Picture,
    /// Convolution that keeps the size, batch norm where `norm` is set, ReLU where `relu` is.
    Conv { from: Value, layer: usize, relu: bool },
    /// Transposed 2×2 convolution with stride 2: twice the size.
    Up { from: Value, layer: usize },
    /// Largest of 2×2: half the size.
    Pool { from: Value },
    /// One after the other along the channels.
    Join { from: Vec<Value> },
    /// Sum of two of the same shape, then ReLU where `relu` is.
    Add { a: Value, b: Value, relu: bool },
    /// Product; `b` has one channel.
    Gate { a: Value, b: Value },
    /// 1 / (1 + e⁻ˣ).
    Sigmoid { from: Value },
    /// Mean over the picture: `[N, C, 1, 1]`.
    Mean { from: Value },
    /// Whole channels left out while training.
    Dropout { from: Value },
}

/// Shape of a convolution: its stride is 1 and it is padded to keep the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Channels in.
    pub input: usize,
    /// Channels out.
    pub output: usize,
    /// Side of the kernel, odd.
    pub kernel: usize,
    /// Whether a batch norm follows; a convolution without one has a bias.
    pub norm: bool,
}

/// What is computed in which order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// In the order of computation.
    pub steps: Vec<Step>,
    /// Shapes of the convolutions.
    pub convs: Vec<ConvShape>,
    /// Channels in and out of the transposed convolutions.
    pub ups: Vec<[usize; 2]>,
    /// One map for each class, before the sigmoid.
    pub logits: Value,
    /// One value for each class, before the sigmoid: whether it is in the picture.
    pub presence: Option<Value>,
    /// By how much the sides must divide.
    pub divisor: usize,
    /// Channels of every value.
    channels: Vec<usize>,
}

impl Graph {
    /// Only the picture.
    pub fn new() -> Self {
        Self { steps: vec![Step::Picture], channels: vec![1], divisor: 1, ..Self::default() }
    }

    /// Channels of a value.
    pub fn channels(&self, value: Value) -> usize {
        self.channels[value]
    }

    fn push(&mut self, step: Step, channels: usize) -> Value {
        self.steps.push(step);
        self.channels.push(channels);
        self.steps.len() - 1
    }

    fn layer(&mut self, from: Value, shape: ConvShape, relu: bool) -> Value {
        self.convs.push(shape);
        self.push(Step::Conv { from, layer: self.convs.len() - 1, relu }, shape.output)
    }

    /// Convolution, batch norm, and ReLU where `relu` is.
    pub fn conv(&mut self, from: Value, output: usize, kernel: usize, relu: bool) -> Value {
        self.layer(from, ConvShape { input: self.channels[from], output, kernel, norm: true }, relu)
    }

    /// 1×1 convolution with a bias and nothing behind it.
    pub fn linear(&mut self, from: Value, output: usize) -> Value {
        self.layer(from, ConvShape { input: self.channels[from], output, kernel: 1, norm: false }, false)
    }

    /// Twice the size.
    pub fn up(&mut self, from: Value, output: usize) -> Value {
        self.ups.push([self.channels[from], output]);
        self.push(Step::Up { from, layer: self.ups.len() - 1 }, output)
    }

    /// Half the size.
    pub fn pool(&mut self, from: Value) -> Value {
        self.push(Step::Pool { from }, self.channels[from])
    }

    /// One after the other along the channels.
    pub fn join(&mut self, from: &[Value]) -> Value {
        let channels = from.iter().map(|&v| self.channels[v]).sum();
        self.push(Step::Join { from: from.to_vec() }, channels)
    }

    /// Sum, and ReLU where `relu` is.
    pub fn add(&mut self, a: Value, b: Value, relu: bool) -> Value {
        self.push(Step::Add { a, b, relu }, self.channels[a])
    }

    /// `a` times the one channel of `b`.
    pub fn gate(&mut self, a: Value, b: Value) -> Value {
        self.push(Step::Gate { a, b }, self.channels[a])
    }

    /// To 0..=1.
    pub fn sigmoid(&mut self, from: Value) -> Value {
        self.push(Step::Sigmoid { from }, self.channels[from])
    }

    /// Mean over the picture.
    pub fn mean(&mut self, from: Value) -> Value {
        self.push(Step::Mean { from }, self.channels[from])
    }

    /// Whole channels left out while training.
    pub fn dropout(&mut self, from: Value) -> Value {
        self.push(Step::Dropout { from }, self.channels[from])
    }

    /// Weights that are trained and stored, batch norms folded.
    pub fn weights(&self) -> usize {
        let convs = self.convs.iter().map(|c| c.output * (c.input * c.kernel * c.kernel + 1));
        convs.chain(self.ups.iter().map(|[i, o]| i * o * 4 + o)).sum()
    }

    /// The step after which no other reads a value.
    pub fn last_use(&self) -> Vec<usize> {
        let mut last: Vec<usize> = (0..self.steps.len()).collect();
        for (at, step) in self.steps.iter().enumerate() {
            for value in step.reads() {
                last[value] = at;
            }
        }
        for kept in [Some(self.logits), self.presence].into_iter().flatten() {
            last[kept] = usize::MAX;
        }
        last
    }
}

impl Step {
    /// The values that it reads.
    pub fn reads(&self) -> Vec<Value> {
        match self {
            Self::Picture => vec![],
            Self::Join { from } => from.clone(),
            Self::Add { a, b, .. } | Self::Gate { a, b } => vec![*a, *b],
            Self::Conv { from, .. }
            | Self::Up { from, .. }
            | Self::Pool { from }
            | Self::Sigmoid { from }
            | Self::Mean { from }
            | Self::Dropout { from } => vec![*from],
        }
    }
}
