//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// readHarmless reads the changes without effect, and returns the line of each by its
// key. A line is a key, " # " and the reason. Empty lines and lines that begin with #
// are comments. A change of code that is gone is an error, as is one that is listed
// twice. A file that does not exist lists nothing.
func readHarmless(name string) (map[string]int, error) {
	text, err := os.ReadFile(name)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	known := map[string]int{}
	for i, line := range strings.Split(string(text), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		at := strings.LastIndex(line, " # ")
		if at < 0 {
			return nil, badLine(name, i+1, "a change has no reason")
		}
		if first := known[line[:at]]; first > 0 {
			return nil, badLine(name, i+1, fmt.Sprintf("line %d lists the change, too", first))
		}
		known[line[:at]] = i + 1
	}
	return known, checkPresent(name, known)
}

func badLine(name string, line int, why string) error {
	return &fs.PathError{Op: "read", Path: fmt.Sprintf("%s:%d", name, line), Err: errors.New(why)}
}

// checkPresent returns an error for each listed change that the code does not have. The
// code has moved then, and the reason is about code that is gone.
func checkPresent(name string, known map[string]int) error {
	present, read := map[string]bool{}, map[string]bool{}
	several := map[string]string{} // the last of several changes that differ only in among, by what they have in common
	why := map[int]string{}        // by line
	for key, line := range known {
		file, _, _ := strings.Cut(key, " ")
		if !read[file] {
			read[file] = true
			found, err := changes(filepath.Dir(file), file)
			if err != nil && !os.IsNotExist(err) {
				return err
			}
			for _, c := range found {
				present[c.key()] = true
				if c.among != "" {
					several[strings.TrimSuffix(c.key(), c.among)] = c.among
				}
			}
		}
		switch last := several[key]; {
		case present[key]:
		case last != "":
			why[line] = fmt.Sprintf("the code has several such changes: say which of them, such as %q", last)
		default:
			why[line] = "the code does not have this change any more: correct the line, or remove it"
		}
	}
	var all []error
	for _, line := range slices.Sorted(maps.Keys(why)) {
		all = append(all, badLine(name, line, why[line]))
	}
	return errors.Join(all...)
}
