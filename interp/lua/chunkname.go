package lua

import (
	"errors"
	"fmt"
	"strings"

	"github.com/yuin/gopher-lua/parse"
)

// mostChunkName bounds the bytes of a chunk's name in messages, as LUA_IDSIZE does.
const mostChunkName = 60

// chunkName returns the name that messages have for a chunk. name is the second argument of
// loadstring or load: "=NAME" and "@FILE" give NAME and FILE, and other names are the source.
func chunkName(name string) string {
	if name != "" && (name[0] == '=' || name[0] == '@') {
		return name[1:]
	}
	const before, behind, dots = `[string "`, `"]`, "..."
	const most = mostChunkName - len(before+dots+behind) - 3 // Lua counts two blanks and a zero byte
	line, _, several := strings.Cut(name, "\n")
	if len(line) > most {
		line, several = line[:most], true
	}
	if several {
		line += dots
	}
	return before + line + behind
}

// syntaxMessage returns the message of a syntax error, as Lua writes it: the chunk, the line,
// and the text before which the parser stopped.
func syntaxMessage(err error, name string, lastLine int) string {
	var e *parse.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	line, token := e.Pos.Line, e.Token
	if line == parse.EOF {
		line, token = lastLine, "<eof>"
	}
	return fmt.Sprintf("%s:%d: %s near '%s'", name, line, e.Message, token)
}
