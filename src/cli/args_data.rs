//! What can be written on the command line about data sets.

use std::path::PathBuf;

use clap::Args;
use sonoplex::backend::cpu::despeckle::Despeckle;
use sonoplex::engine::{Device, Precision};
use sonoplex::evaluate::dataset::Split;
use sonoplex::geometry::Size;
use sonoplex::segmenter::CropChoice;

use super::args::{SegmenterArgs, probability};

#[derive(Args, Debug)]
pub struct PrepareArgs {
    /// Folders of pictures with masks, packed files, empty:FOLDER, crops:DATASET, phantom:…; each may have a weight, as in 0.5*FOLDER.
    #[arg(required = true, value_name = "DATASET")]
    pub datasets: Vec<String>,
    /// Where the packed file goes.
    #[arg(short, long, value_name = "FILE")]
    pub out: PathBuf,
    /// Bring all pictures to this size: WIDTHxHEIGHT.
    #[arg(long, value_name = "SIZE")]
    pub size: Option<Size>,
    /// What is judged by and never trained on: subjects (2,7,14), or every:N for pictures whose number N divides.
    #[arg(long, value_name = "SPLIT")]
    pub validate: Option<Split>,
}

#[derive(Args, Debug)]
pub struct SubmitArgs {
    /// ONNX model or plan; its first class is what is submitted.
    pub model: PathBuf,
    /// Folder of the test pictures, each called by its number.
    #[arg(value_name = "TESTDIR")]
    pub pictures: PathBuf,
    /// Where the table goes; - is standard output.
    #[arg(short, long, value_name = "CSV")]
    pub out: PathBuf,
    /// Processor: auto, cpu or cuda:N.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<Device>,
    /// Threads of the CPU engine; 0 takes all cores.
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// How far the factors of the network may be rounded, as in segment.
    #[arg(long, value_name = "PRECISION")]
    pub precision: Option<Precision>,
    /// Speckle filter, as in segment.
    #[arg(long, value_name = "FILTER")]
    pub despeckle: Option<Despeckle>,
    /// Probability from which a pixel belongs to the class, 0 to 1.
    #[arg(long, value_name = "P", value_parser = probability)]
    pub threshold: Option<f32>,
    /// The ultrasound picture in the scanner's screen: full, auto or WIDTHxHEIGHT+X+Y.
    #[arg(long, value_name = "CROP")]
    pub crop: Option<CropChoice>,
}

impl SubmitArgs {
    /// What becomes of a picture.
    pub fn segmenter(&self) -> SegmenterArgs {
        SegmenterArgs {
            model: Some(self.model.clone()),
            device: self.device,
            threads: self.threads,
            precision: self.precision,
            despeckle: self.despeckle,
            threshold: self.threshold,
            crop: self.crop,
        }
    }
}
