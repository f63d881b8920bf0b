package debug_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/stretchr/testify/require"
)

// evil is a name that would become an element, if the page did not escape it.
const evil = `<img src=x onerror="document.title='hacked'">`

// browser returns a context of a headless Chromium, which ends with the test. Errors of
// the page's script fail the test.
func browser(t *testing.T) context.Context {
	if testing.Short() {
		t.Skip("with -short no browser is started")
	}
	path := machine.NeedTool(t, "chromium")
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox,
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.UserDataDir(t.TempDir()))
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, _ := chromedp.NewContext(allocator)
	t.Cleanup(func() { require.NoError(t, chromedp.Cancel(ctx)) })
	require.NoError(t, chromedp.Listen(ctx, func(ev any) {
		switch e := ev.(type) {
		case *runtime.EventExceptionThrown:
			t.Errorf("the page's script: %s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception)
		case *runtime.EventConsoleAPICalled:
			t.Errorf("the page's console: %s", e.Type)
		}
	}))
	return ctx
}

// do makes the browser do something.
func do(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, weirtest.Patience)
	defer cancel()
	require.NoError(t, chromedp.Do(ctx, steps...))
}

// get returns what an action returns.
func get[T any](t *testing.T, ctx context.Context, a chromedp.Action[T]) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, weirtest.Patience)
	defer cancel()
	v, err := chromedp.Run(ctx, a)
	require.NoError(t, err)
	return v
}

// eval returns the value of an expression of JavaScript.
func eval[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	return get(t, ctx, chromedp.Evaluate[T](expression))
}

// shot saves a screenshot in the directory of the environment variable
// WEIR_SCREENSHOTS, if it is set. It also checks that nothing is wider than the window.
func shot(t *testing.T, ctx context.Context, name string, width int) {
	t.Helper()
	require.LessOrEqual(t, eval[int](t, ctx, `scrollTo(0, 0), document.documentElement.scrollWidth`), width, "%s: the page is wider than the window", name)
	dir := os.Getenv("WEIR_SCREENSHOTS")
	quality := 30 // quick to encode
	if dir != "" {
		quality = 100 // PNG
	}
	picture := get(t, ctx, chromedp.FullScreenshot(quality))
	require.Greater(t, len(picture), 10000, name)
	if dir != "" {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o600))
	}
}

// scheme has the page see that the user prefers light or dark.
func scheme(t *testing.T, ctx context.Context, value string) {
	t.Helper()
	_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}},
	})
	require.NoError(t, err)
}

// shows waits until an expression is true.
func shows(t *testing.T, ctx context.Context, expression string) {
	t.Helper()
	weirtest.Eventually(t, func() bool { return eval[bool](t, ctx, expression) }, expression)
}

const (
	rowCount = `document.querySelectorAll("#conns tbody tr a").length`
	peers    = `[...document.querySelectorAll("#conns tbody tr a")].map(a => a.textContent)`
	slow     = `([...document.querySelectorAll(".stall")].find(e => e.textContent.includes("debug_test.slowCallback")) ?? null)`
	refreshN = `Number(document.documentElement.dataset.refreshes || 0)`
)

// refreshed has the page refresh itself twice: the first time may have begun before.
func refreshed(t *testing.T, ctx context.Context) {
	t.Helper()
	for range 2 {
		n := eval[int](t, ctx, `document.dispatchEvent(new Event("visibilitychange")), `+refreshN)
		shows(t, ctx, fmt.Sprintf("%s > %d", refreshN, n))
	}
}

func TestPage(t *testing.T) {
	ctx := browser(t)
	s := scene(t, evil)
	page := httptest.NewServer(s.page)
	t.Cleanup(page.Close)

	scheme(t, ctx, "light")
	do(t, ctx, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(page.URL+"/debug/weir/"))
	shows(t, ctx, rowCount+" == 20")

	// What a program or a peer controls stays text.
	require.NotContains(t, eval[string](t, ctx, `document.title`), "hacked")
	require.Zero(t, eval[int](t, ctx, `document.querySelectorAll("img").length`))
	require.Contains(t, eval[string](t, ctx, `document.getElementById("servers").textContent`), evil)

	// The stall has its stack, and stays open over refreshes.
	shows(t, ctx, slow+" != null")
	_ = eval[bool](t, ctx, slow+`.querySelector("summary").click(), true`)

	// Sorting: the connection that has sent most is the first row.
	do(t, ctx, chromedp.Click(chromedp.CSS(`#conns th[data-column=in] button`)))
	shows(t, ctx, fmt.Sprintf(`%s[0] == %q`, peers, s.busiest))
	require.Equal(t, "descending", eval[string](t, ctx, `document.querySelector("#conns th[data-column=in]").getAttribute("aria-sort")`))

	// A refresh keeps the rows, the scroll position, the filter and the selection.
	_ = eval[bool](t, ctx, `document.querySelector("#conns tbody tr").mark = 1; scrollTo(0, 400); document.getElementById("filter").focus(); true`)
	do(t, ctx, chromedp.SendKeys(chromedp.CSS("#filter"), "open"))
	refreshed(t, ctx)
	require.Equal(t, 1, eval[int](t, ctx, `document.querySelector("#conns tbody tr").mark`))
	require.Equal(t, "filter", eval[string](t, ctx, `document.activeElement.id`))
	require.Equal(t, "open", eval[string](t, ctx, `document.getElementById("filter").value`))
	require.Equal(t, 400, eval[int](t, ctx, `Math.round(scrollY)`))
	require.True(t, eval[bool](t, ctx, slow+".open"))
	shows(t, ctx, `document.querySelectorAll("#c-load path:not(.area)").length == 3`)

	// Filtering by a peer, which the address keeps over a reload.
	port := s.busiest[strings.LastIndexByte(s.busiest, ':'):]
	_ = eval[bool](t, ctx, `document.getElementById("filter").select(), true`)
	do(t, ctx, chromedp.SendKeys(chromedp.CSS("#filter"), port))
	shows(t, ctx, rowCount+" == 1")
	do(t, ctx, chromedp.Reload())
	shows(t, ctx, fmt.Sprintf(`%s == 1 && document.getElementById("filter").value == %q`, rowCount, port))
	shot(t, ctx, "filtered", 1280)

	// The connection's own page, and the way back.
	do(t, ctx, chromedp.Click(chromedp.CSS("#conns tbody a")))
	shows(t, ctx, fmt.Sprintf(`document.getElementById("peer").textContent == %q && document.querySelectorAll("#tcp div").length > 10`, s.busiest))
	refreshed(t, ctx)
	shot(t, ctx, "connection", 1280)
	require.NoError(t, s.closeBusiest())
	shows(t, ctx, `!document.getElementById("gone").hidden`)
	do(t, ctx, chromedp.Click(chromedp.CSS("#back")))
	shows(t, ctx, `!document.getElementById("all").hidden && document.querySelector("#conns td.none") != null`)
	do(t, ctx, chromedp.Navigate(page.URL+"/debug/weir/#sort=-in"))
	shows(t, ctx, rowCount+" == 19")

	// Light, dark, and a phone, whose text must be large enough to read.
	if os.Getenv("WEIR_SCREENSHOTS") != "" {
		s.talk(t, 40*time.Second) // for charts with something in them
	}
	shot(t, ctx, "light", 1280)
	scheme(t, ctx, "dark")
	shot(t, ctx, "dark", 1280)
	require.Less(t, eval[int](t, ctx, luminance), 60)
	scheme(t, ctx, "light")
	do(t, ctx, chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile, chromedp.EmulateScale(2)))
	refreshed(t, ctx)
	require.GreaterOrEqual(t, eval[float64](t, ctx, `Math.min(...[...document.querySelectorAll("td, th, dt, dd, p")].map(e => parseFloat(getComputedStyle(e).fontSize)))`), 12.)
	shot(t, ctx, "phone", 390)
	scheme(t, ctx, "dark")
	shot(t, ctx, "phone-dark", 390)
	require.GreaterOrEqual(t, eval[float64](t, ctx, contrast), 4.5, "the least contrast of text")
}

const (
	// luminance is about the brightness of the page's background, from 0 to 255.
	luminance = `Math.round(getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number).reduce((a, b) => a + b) / 3)`
	// contrast is the contrast of the dim text on a card, by the formula of WCAG.
	contrast = `(() => {
		const probe = document.createElement("span"); document.body.append(probe);
		const light = name => {
			probe.style.color = "var(" + name + ")";
			const [r, g, b] = getComputedStyle(probe).color.match(/\d+/g).map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
			return .2126 * r + .7152 * g + .0722 * b;
		};
		const on = light("--card");
		const all = ["--text", "--dim", "--link", "--good", "--warn", "--bad"].map(n => { const l = light(n); return (Math.max(l, on) + .05) / (Math.min(l, on) + .05); });
		probe.remove();
		return Math.min(...all);
	})()`
)
