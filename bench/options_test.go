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
		subjects: usualSubjects(),
		dur:      300 * time.Millisecond,
		reps:     5,
	}, opts)
	require.Contains(t, opts.subjects, "weir")
	require.NotContains(t, opts.subjects, "netpoll", "the default run ends within a minute")
}

func TestAll(t *testing.T) {
	opts, err := parseOptions([]string{"-suite", "all", "-subjects", "all"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, suiteNames(), opts.suites)
	require.Equal(t, subjectNames(), opts.subjects)
}

// What the user says goes for every suite; what he does not say is each suite's own.
func TestSuitesFillInWhatIsNotSaid(t *testing.T) {
	own, notices := env{}.of(suite{conns: []int{1, maxConns}, sizes: []int{5}})
	require.Equal(t, []int{1}, own.conns)
	require.Equal(t, []int{5}, own.sizes)
	require.Len(t, notices, 1)
	require.Contains(t, notices[0], "1048576 connections need")

	said, notices := env{options: options{conns: []int{7}, sizes: []int{8}}}.of(bulkSuite)
	require.Equal(t, []int{7}, said.conns)
	require.Equal(t, []int{8}, said.sizes)
	require.Empty(t, notices)
}

func TestFlags(t *testing.T) {
	opts, err := parseOptions([]string{"-suite", "timeouts, echo", "-subjects", "net,gnet,net", "-conns", "7, 7,8",
		"-size", "1,300", "-dur", "20ms", "-reps", "2", "-json", "x.jsonl"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, options{
		suites:   []string{"timeouts", "echo"},
		subjects: []string{"net", "gnet"},
		conns:    []int{7, 8},
		sizes:    []int{1, 300},
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
	for _, s := range suites {
		require.Contains(t, help.String(), s.about)
	}
	for _, s := range subjects {
		require.Contains(t, help.String(), s.about)
	}
}
