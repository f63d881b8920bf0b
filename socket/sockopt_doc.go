package socket

import (
	"fmt"
	"io"
	"strings"
)

// WriteSockoptDoc writes the table of options as Markdown: docs/sockopts.md. The
// error is w's.
func WriteSockoptDoc(w io.Writer) error {
	var b strings.Builder
	b.WriteString(`# Socket options by name

What Setsockopt and Getsockopt of package socket know. This file is printed from
their table; to bring it up to date, run

    go test ./socket -run TestSockoptDocs -update

A value is given as the type in the third column. Setting takes more:

- bool: also an integer, or nil for false; int: also a bool, or a float without
  a fraction.
- float64: milliseconds, which may be fractional; nil or 0 is off.
- []int: the fields of a struct in their order. The last may be left out, and
  are 0; the first alone need not be in a list. An IP address in it is a string, or
  its bytes as 4 or 16 integers; an interface is its index, or its name as a string.
- []byte: also a string, or a list of integers.
- nil: the option takes no value.

What the running kernel lacks, or the process may not do, gives the kernel's
error: ENOPROTOOPT, EPERM, and others. SO_RCVTIMEO and SO_SNDTIMEO are kept by
the socket itself, and never reach the kernel.
`)
	level := ""
	for o := range Sockopts() {
		if o.Level != level {
			level = o.Level
			fmt.Fprintf(&b, "\n## Level %s (%d)\n\n| option | number | value | access | what it does | source |\n|---|---|---|---|---|---|\n", level, o.Number[0])
		}
		value := (&form{kind: o.Kind, takes: o.Takes}).describe()
		fmt.Fprintf(&b, "| %s | %d | %s | %s | %s | %s |\n", o.Name, o.Number[1], value, o.Access, o.Doc, o.Source)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
