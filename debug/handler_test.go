package debug_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-2334f180/weir/debug"
	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
)

func request(h http.Handler, method, query string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, "/somewhere/?"+query, nil))
	return w
}

// A conns is an answer to data=conns.
type conns struct {
	Total, Seen, Found int
	Conns              []struct {
		Server, ID, Peer, Local, State string
		In, Out, Cwnd                  int64
		Age, Idle, RTT                 float64
		Session                        bool
	}
}

func list(t *testing.T, h http.Handler, query string) (got conns) {
	t.Helper()
	w := request(h, "GET", "data=conns&"+query)
	require.Equal(t, http.StatusOK, w.Code)
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
	return got
}

func TestPageRunsNothingButItsOwnScript(t *testing.T) {
	h := debug.New()
	defer h.Close()
	w := request(h, "GET", "")
	require.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"))
	policy := w.Header().Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'")
	require.Contains(t, policy, "script-src 'sha256-")
	require.NotContains(t, policy, "unsafe")
	require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	for _, external := range []string{"src=", "@import", "url(", "innerHTML", "insertAdjacentHTML", "eval(", "document.write"} {
		require.NotContains(t, w.Body.String(), external)
	}
}

func TestBadRequests(t *testing.T) {
	h := debug.New()
	defer h.Close()
	w := request(h, "POST", "")
	require.Equal(t, http.StatusMethodNotAllowed, w.Code)
	require.Equal(t, "GET, HEAD", w.Header().Get("Allow"))
	w = request(h, "GET", "data=nothing")
	require.Equal(t, http.StatusBadRequest, w.Code)
	require.Contains(t, w.Body.String(), `"nothing"`)
	require.Equal(t, http.StatusNotFound, request(h, "GET", "data=conn&server=x&id=1-1").Code)
	require.Empty(t, list(t, h, "").Conns, "a page without servers")
}

func TestNames(t *testing.T) {
	h := debug.New()
	defer h.Close()
	g, err := loop.NewGroup(1, nil, loop.Options{})
	require.NoError(t, err)
	defer g.Close()
	require.NoError(t, h.AddGroup("a", g))
	require.ErrorContains(t, h.AddServer("a", &server.Server{}), `"a"`)
	require.ErrorContains(t, h.AddServer("", &server.Server{}), "empty")
	h.Close() // a second time
}

func TestConnectionsAreSortedAndFiltered(t *testing.T) {
	s := scene(t, "lines")
	all := list(t, s.page, "")
	require.Equal(t, []int{20, 20, 20}, []int{all.Total, all.Seen, all.Found})
	require.Len(t, all.Conns, 20)
	require.Equal(t, all.Conns[0].ID, list(t, s.page, "").Conns[0].ID, "the order stays")

	weirtest.Eventually(t, func() bool {
		first := list(t, s.page, "sort=-in").Conns[0]
		return first.Peer == s.busiest && first.In == 50006 && first.Out == 50006
	}, "the busiest connection is the first")
	last := list(t, s.page, "sort=in").Conns[19]
	require.Equal(t, s.busiest, last.Peer)
	for _, column := range []string{"server", "peer", "local", "state", "loop", "age", "idle", "in", "out", "queued", "rtt", "retrans", "cwnd", "nonsense", "-"} {
		require.Len(t, list(t, s.page, "sort="+column).Conns, 20)
	}

	require.Equal(t, 8, list(t, s.page, "server=lines").Total)
	require.Equal(t, 12, list(t, s.page, "filter=OPEN").Found)
	require.Equal(t, 8, list(t, s.page, "filter=idle+127.0.0.1").Found, "each word is found")
	// Another address may begin with this one: port 4000 with a fifth digit.
	found := list(t, s.page, "filter="+url.QueryEscape(s.busiest)).Conns
	require.NotEmpty(t, found)
	for _, c := range found {
		require.Contains(t, c.Peer+" "+c.Local, s.busiest)
	}
	require.Zero(t, list(t, s.page, "filter=open+idle").Found)
	few := list(t, s.page, "limit=3&sort=peer")
	require.Len(t, few.Conns, 3)
	require.Equal(t, 20, few.Found)
	require.Len(t, list(t, s.page, "limit=-5").Conns, 20)

	one := list(t, s.page, "sort=-in").Conns[0]
	w := request(s.page, "GET", fmt.Sprintf("data=conn&server=%s&id=%s", one.Server, one.ID))
	require.Equal(t, http.StatusOK, w.Code)
	var detail struct {
		Peer string
		TCP  struct {
			State    string
			RTT      float64
			BytesOut int64
		}
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &detail))
	require.Equal(t, s.busiest, detail.Peer)
	require.Equal(t, "established", detail.TCP.State)
	require.EqualValues(t, 50006, detail.TCP.BytesOut)
	require.Less(t, detail.TCP.RTT, 60000., "in milliseconds")
}

func TestOverview(t *testing.T) {
	s := scene(t, "lines")
	type overview struct {
		Samples uint64
		Keep    int
		Loops   []struct {
			Name   string
			Points [][]float64
		}
		Servers []struct {
			Name      string
			Accepted  uint64
			BytesIn   uint64
			Listeners []struct{ Accepted uint64 }
			StallList []struct{ Stack string }
			Points    [][]float64
		}
	}
	get := func(query string) (o overview) {
		w := request(s.page, "GET", "data=overview"+query)
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &o))
		return o
	}
	weirtest.Eventually(t, func() bool { o := get(""); return len(o.Loops) == 3 && len(o.Loops[2].Points) > 0 }, "samples are taken")
	o := get("")
	require.Equal(t, "echo/0", o.Loops[0].Name)
	require.Equal(t, "lines/0", o.Loops[2].Name)
	require.EqualValues(t, 12, o.Servers[0].Accepted)
	require.EqualValues(t, 12, o.Servers[0].Listeners[0].Accepted)
	require.NotZero(t, o.Servers[0].BytesIn)
	require.True(t, strings.Contains(fmt.Sprint(o.Servers[0].StallList), "slowCallback"))
	require.EqualValues(t, 12, o.Servers[0].Points[len(o.Servers[0].Points)-1][0], "the open connections")
	require.LessOrEqual(t, o.Loops[0].Points[0][0], 1.0, "the load")
	require.NotEmpty(t, get(fmt.Sprintf("&since=%d", get("").Samples+1000)).Loops[0].Points, "the browser knows another process: it gets all")
	weirtest.Eventually(t, func() bool {
		now := get("")
		return len(get(fmt.Sprintf("&since=%d", now.Samples-1)).Loops[0].Points) <= 2
	}, "with since only the new points come")
}
