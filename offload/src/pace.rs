//! How fast a service may be asked: a bucket of tokens, a limit of jobs at once that adapts, a pause
//! while it is in distress. Pure.
