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

The options that Setsockopt and Getsockopt of package socket know by name. A program
writes this file from their table. To update it, run

    go test ./socket -run TestSockoptDocs -update

Getsockopt returns a value of the type in the third column. Setsockopt accepts more:

- bool: also an integer, or nil for false; int: also a bool, or a float without
  a fraction.
- float64: milliseconds, which may be fractional; nil or 0 is off.
- []int: the fields of a struct in their order. Fields that are left out at the end
  are 0. The first field alone need not be in a list. An IP address is a string, or
  its bytes as 4 or 16 integers. An interface is its index, or its name as a string.
- []byte: also a string, or a list of integers.
- nil: the option takes no value.

If the running kernel lacks an option, or the process may not use it, the error is
the kernel's: ENOPROTOOPT, EPERM, and others. The socket itself keeps SO_RCVTIMEO and
SO_SNDTIMEO; they never reach the kernel.
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
