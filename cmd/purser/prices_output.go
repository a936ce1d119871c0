package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// outputWidth is what tables and their notes should fit in, in columns.
const outputWidth = 120

// gridWithNotes writes a grid in which a row may be followed by lines of its own: what
// is too long for a cell.
func gridWithNotes(w io.Writer, head []string, rows [][]string, notes [][]string, right ...int) error {
	var table bytes.Buffer
	for _, row := range rows {
		for i, cell := range row {
			row[i] = oneLine(cell)
		}
	}
	if err := grid(&table, head, rows, right...); err != nil {
		return err
	}
	for i, line := range strings.Split(strings.TrimSuffix(table.String(), "\n"), "\n") {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
		if i == 0 || i > len(notes) {
			continue
		}
		for _, n := range notes[i-1] {
			if _, err := fmt.Fprintln(w, wrapped(n, "     ", "       ")); err != nil {
				return err
			}
		}
	}
	return nil
}

// oneLine takes the ends of lines out of a text.
func oneLine(s string) string { return strings.Join(strings.FieldsFunc(s, isLineEnd), " ") }

func isLineEnd(r rune) bool { return r == '\n' || r == '\r' }

// wrapped breaks a text between words so that no line is wider than outputWidth, unless
// a word is. The first line begins with first, the others with rest.
func wrapped(s, first, rest string) string {
	var b strings.Builder
	b.WriteString(first)
	at, fresh := utf8.RuneCountInString(first), true
	for _, word := range strings.Fields(s) {
		n := utf8.RuneCountInString(word)
		switch {
		case fresh:
		case at+1+n > outputWidth:
			b.WriteString("\n" + rest)
			at = utf8.RuneCountInString(rest)
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at, fresh = at+n, false
	}
	return b.String()
}
