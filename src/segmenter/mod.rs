//! One frame in, one segmentation out: crop ▸ despeckle ▸ resize ▸ normalise ▸ U-Net ▸ probability back ▸ decision.
