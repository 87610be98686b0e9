//! A gateway that is cut off while another purges: what it may still serve.
