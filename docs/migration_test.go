package docs

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// use talks to the servers of migration.md. A client ends its stream after its requests,
// and reads the answers to the end.
const use = `
func main() {
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		log.Fatal(err)
	}
	go serveNet(l)
	talk("net", l.Addr().String(), "a\nb\n")
	for name, srv := range map[string]*server.Server{"handler": handlerServer(), "upper": upperServer(8)} {
		addr, err := srv.Listen("tcp", "localhost:0")
		if err != nil {
			log.Fatal(err)
		}
		talk(name, addr.String(), "a\nb\n")
	}
}

func talk(name, address, requests string) {
	c, err := net.DialTCP("tcp", nil, must(net.ResolveTCPAddr("tcp", address)))
	if err == nil {
		_, err = io.WriteString(c, requests)
	}
	if err == nil {
		err = c.CloseWrite()
	}
	if err != nil {
		log.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(time.Minute))
	fmt.Printf("%s: %q\n", name, must(io.ReadAll(c)))
}

func must[T any](x T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return x
}
`

// The worked examples of migration.md do what the page says.
func TestMigrationExamplesRun(t *testing.T) {
	code := ""
	for _, m := range goBlocks.FindAllStringSubmatch(document(t, "docs/migration.md"), -1) {
		code += m[1] + "\n"
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "main.go")
	require.NoError(t, os.WriteFile(program, []byte(programOf(code+use)), 0o600))
	top, err := filepath.Abs(root)
	require.NoError(t, err)
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(top, "docs", "code", "migration", "main.go"): program,
	}})
	require.NoError(t, err)
	file := filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(file, overlay, 0o600))
	run := exec.Command("go", "run", "-overlay", file, "./docs/code/migration")
	run.Dir = top
	out, err := run.CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, want := range []string{
		`net: "you said a\nyou said b\n"`,
		`handler: "you said a\nyou said b\n"`,
		`upper: "A\nB\n"`,
	} {
		require.Contains(t, string(out), want)
	}
}
