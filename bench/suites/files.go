package suites

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/seed-2334f180/weir/bench/report"
)

// peerModules are the modules whose versions the page names.
var peerModules = []string{
	"github.com/panjf2000/gnet/v2", "github.com/cloudwego/netpoll", "github.com/lesismal/nbio", "github.com/yuin/gopher-lua",
}

// files are what the user wants written beside the tables. Each may be nil.
type files struct{ json, html, md, svg *os.File }

func openFiles(opts Options) (f files, err error) {
	for _, one := range []struct {
		flag, path string
		to         **os.File
	}{{"json", opts.JSON, &f.json}, {"html", opts.HTML, &f.html}, {"md", opts.Markdown, &f.md}, {"svg", opts.SVG, &f.svg}} {
		if one.path == "" {
			continue
		}
		if *one.to, err = os.Create(one.path); err != nil {
			return files{}, errors.Join(fmt.Errorf("-%s: %w", one.flag, err), f.close())
		}
	}
	return f, nil
}

// lines is where the JSON lines go.
func (f files) lines() io.Writer {
	if f.json == nil {
		return io.Discard
	}
	return f.json
}

// write writes the page, the document and the chart.
func (f files) write(page report.Page) (err error) {
	if f.html != nil {
		if failed := page.HTML(f.html); failed != nil {
			err = fmt.Errorf("-html: %w", failed)
		}
	}
	if f.md != nil {
		if failed := page.Markdown(f.md); failed != nil {
			err = errors.Join(err, fmt.Errorf("-md: %w", failed))
		}
	}
	if f.svg != nil {
		if failed := page.SVG(f.svg); failed != nil {
			err = errors.Join(err, fmt.Errorf("-svg: %w", failed))
		}
	}
	return err
}

func (f files) close() (err error) {
	for _, file := range []*os.File{f.json, f.html, f.md, f.svg} {
		if file != nil {
			err = errors.Join(err, file.Close())
		}
	}
	return err
}
