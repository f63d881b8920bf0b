// Package asan stands for the standard library's package of that name.
package asan

// Enabled reports whether the address sanitizer is on.
const Enabled = false
