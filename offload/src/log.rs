//! Records made durable by groups, on a disk that may fail.
