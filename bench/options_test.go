package main

import (
	"bytes"
	"flag"
	"io"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/bench/subjects"
	"github.com/seed-2334f180/weir/bench/suites"
	"github.com/stretchr/testify/require"
)

func TestDefaults(t *testing.T) {
	opts, err := parseOptions(nil, io.Discard)
	require.NoError(t, err)
	require.Equal(t, suites.Options{
		Suites:   []string{"echo", "ordinary"},
		Brief:    true,
		Subjects: subjects.Usual(),
		Dur:      300 * time.Millisecond,
		Reps:     5,
	}, opts)
	require.Contains(t, opts.Subjects, "weir")
	require.NotContains(t, opts.Subjects, "netpoll", "the default run ends within a minute")
}

func TestAll(t *testing.T) {
	opts, err := parseOptions([]string{"-suite", "all", "-subjects", "all"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, suites.Names(), opts.Suites)
	require.Equal(t, subjects.Names(), opts.Subjects)
}

func TestFlags(t *testing.T) {
	opts, err := parseOptions([]string{"-suite", "timeouts, echo", "-subjects", "net,gnet,net", "-conns", "7, 7,8",
		"-size", "1,300", "-dur", "20ms", "-reps", "2", "-json", "x.jsonl"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, suites.Options{
		Suites:   []string{"timeouts", "echo"},
		Subjects: []string{"net", "gnet"},
		Settings: suites.Settings{Conns: []int{7, 8}, Sizes: []int{1, 300}},
		Dur:      20 * time.Millisecond,
		Reps:     2,
		JSON:     "x.jsonl",
	}, opts)
}

func TestBrief(t *testing.T) {
	opts, err := parseOptions([]string{"-suite", "ordinary", "-brief"}, io.Discard)
	require.NoError(t, err)
	require.True(t, opts.Brief)
	opts, err = parseOptions([]string{"-suite", "ordinary"}, io.Discard)
	require.NoError(t, err)
	require.False(t, opts.Brief)
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
		{"-size", "big", "not a whole number"},
		{"-size", "8,,9", "not a whole number"},
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
	_, err = parseOptions([]string{"-suite", "echo,pipeline", "-size", "4"}, io.Discard)
	require.EqualError(t, err, "-size 4: want 5 to 1048576 (suite pipeline)")
	_, err = parseOptions([]string{"-suite", "udp", "-size", "1401"}, io.Discard)
	require.EqualError(t, err, "-size 1401: want 8 to 1400 (suite udp)")
}

func TestHelpShowsSuitesAndSubjects(t *testing.T) {
	var help bytes.Buffer
	_, err := parseOptions([]string{"-h"}, &help)
	require.ErrorIs(t, err, flag.ErrHelp)
	for _, s := range suites.All {
		require.Contains(t, help.String(), s.About)
	}
	for _, s := range subjects.All {
		require.Contains(t, help.String(), s.About)
	}
}
