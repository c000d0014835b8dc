//! What commands exist and where their keys are. Pure.
