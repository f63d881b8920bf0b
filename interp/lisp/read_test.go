package lisp_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/seed-2334f180/weir/interp/lisp"
	"github.com/stretchr/testify/require"
)

// Whatever the text, reading it gives values or an *Error; and what is printed
// of a value is read as the same again.
//
//	go test ./interp/lisp -run XXX -fuzz FuzzRead -fuzztime 1m
func FuzzRead(f *testing.F) {
	for _, text := range []string{
		"", "(setq a '(1 -2.5 \"x\\n\\xff\" t nil EOF))", "'", "(", ")", "\"", "\"\\", "\"\\u20aC\"", "#| |#", "; x", "#!x\n1", "''a", "(quote)", "1e309", "-", "+.5", "0x", "-0X1f",
		"(a . b)", "a'b\"c\"", "99999999999999999999", "\xff", "\x00", "(()(()))", "\\", "1e5x", ".", "..", "\"\\\n\"", strings.Repeat("'", 300),
	} {
		f.Add(text)
	}
	in := lisp.New(lisp.Options{Stdout: io.Discard})
	f.Cleanup(func() { in.Close() })
	f.Fuzz(func(t *testing.T, text string) {
		forms, err := in.ReadAll(text)
		if err != nil {
			var e *lisp.Error
			require.ErrorAs(t, err, &e)
			require.Positive(t, e.Line)
		}
		require.Equal(t, errors.Is(err, lisp.ErrIncomplete), lisp.Incomplete(text))
		v := lisp.ListOf(forms...)
		printed := lisp.Print(v)
		again, err := in.ReadAll(printed)
		require.NoError(t, err, printed)
		require.Len(t, again, 1)
		same, err := in.Equal(v, again[0])
		require.NoError(t, err)
		require.True(t, same, printed)
	})
}
