package main

import (
	"bytes"
	"flag"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDefaults(t *testing.T) {
	opts, err := parseOptions(nil, io.Discard)
	require.NoError(t, err)
	require.Equal(t, options{
		suites:   []string{"echo"},
		subjects: subjectNames(),
		conns:    []int{1, 50, 1000},
		size:     128,
		dur:      500 * time.Millisecond,
		reps:     5,
	}, opts)
}

func TestFlags(t *testing.T) {
	opts, err := parseOptions([]string{"-suite", "timeouts, echo", "-subjects", "net,gnet,net", "-conns", "7, 7,8",
		"-size", "1", "-dur", "20ms", "-reps", "2", "-json", "x.jsonl"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, options{
		suites:   []string{"timeouts", "echo"},
		subjects: []string{"net", "gnet"},
		conns:    []int{7, 8},
		size:     1,
		dur:      20 * time.Millisecond,
		reps:     2,
		json:     "x.jsonl",
	}, opts)
}

func TestFlagErrorsNameFlagAndValue(t *testing.T) {
	for _, c := range []struct{ flag, value, why string }{
		{"-suite", "ecko", "no such suite"},
		{"-suite", "", "no such suite"},
		{"-subjects", "nett", "no such subject"},
		{"-subjects", "net,,gnet", "no such subject"},
		{"-conns", "0", "want 1 to"},
		{"-conns", "-5", "want 1 to"},
		{"-conns", "many", "not a whole number"},
		{"-conns", "1,", "not a whole number"},
		{"-conns", "1048576", "hard limit"},
		{"-size", "0", "want 1 to"},
		{"-size", "1073741824", "want 1 to"},
		{"-size", "big", "parse error"},
		{"-dur", "-1s", "want 1ms to"},
		{"-dur", "0s", "want 1ms to"},
		{"-dur", "5", "parse error"},
		{"-reps", "0", "want 1 to"},
		{"-verbose", "", "not defined"},
	} {
		t.Run(c.flag+" "+c.value, func(t *testing.T) {
			_, err := parseOptions([]string{c.flag, c.value}, io.Discard)
			require.ErrorContains(t, err, c.flag)
			require.ErrorContains(t, err, c.why)
		})
	}
	_, err := parseOptions([]string{"echo"}, io.Discard)
	require.ErrorContains(t, err, `"echo"`)
}

func TestHelpShowsSuitesAndSubjects(t *testing.T) {
	var help bytes.Buffer
	_, err := parseOptions([]string{"-h"}, &help)
	require.ErrorIs(t, err, flag.ErrHelp)
	for _, s := range suites {
		require.Contains(t, help.String(), s.about)
	}
	for _, s := range subjects {
		require.Contains(t, help.String(), s.about)
	}
}
