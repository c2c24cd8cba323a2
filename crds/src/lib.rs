//! API types of the kbnt.dev resources.
