//! From a network to numbers: network ▸ builder ▸ plan ▸ engine ▸ context.
