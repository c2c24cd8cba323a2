//! Pure rules of virtual stock, orders, payments, users and audit.
