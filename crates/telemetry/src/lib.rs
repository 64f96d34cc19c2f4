//! The senses: metric names, histograms, logs.
