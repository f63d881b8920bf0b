// Empty. It has the compiler accept the functions without a body that are the
// runtime's (park_runtime.go).
