// Package child runs what is measured in processes of its own: this program once more, with a
// role.
//
// A child reads its order from the standard input, one JSON value, and answers with JSON lines
// on the standard output. The input stays open: each further value on it asks the child to
// settle its memory. The end of the input tells the child that the parent needs it no more, or
// is dead, and the child ends.
package child
