package main

import (
	"fmt"
	"math"
	"os"
	"strings"
	"time"
	"unicode/utf8"
)

// plotStep is a price in USD per hour from a moment on, until the next step.
type plotStep struct {
	at    time.Time
	price float64
	gone  bool // it could not be had
}

// plotting is how a plot is drawn.
type plotting struct {
	rows, cols int  // of the field within the axes
	ascii      bool // for terminals that show nothing else
}

// usualPlot fits a narrow terminal.
func usualPlot() plotting { return plotting{rows: 10, cols: 64, ascii: !utf8Locale(os.Getenv)} }

// utf8Locale says whether the environment's locale is one of UTF-8.
func utf8Locale(env func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(env(name)); v != "" {
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return false
}

// draw plots steps, oldest first, over [from, to). A column stands for an equal part of
// the time; where the price changes within it, the line spans all that it was. Columns
// in which it could not be had, or nothing is known, are empty; a gap shorter than a
// column does not show. The result is empty when there is nothing to plot.
func (p plotting) draw(steps []plotStep, from, to time.Time) string {
	spans := p.spans(steps, from, to)
	low, high := math.Inf(1), math.Inf(-1)
	for _, s := range spans {
		if s.known {
			low, high = min(low, s.low), max(high, s.high)
		}
	}
	if low > high {
		return ""
	}
	rows := p.rows
	if low == high {
		rows = 1
	}
	row := func(price float64) int { // from the top
		if rows == 1 {
			return 0
		}
		return int(math.Round((high - price) / (high - low) * float64(rows-1)))
	}
	field := make([][]rune, rows)
	for i := range field {
		field[i] = []rune(strings.Repeat(" ", p.cols))
	}
	for x, s := range spans {
		if !s.known {
			continue
		}
		in := row(s.enter)
		if x > 0 && spans[x-1].known {
			in = row(spans[x-1].exit)
		}
		stroke(field, x, in, row(s.exit), row(s.high), row(s.low))
	}
	return p.framed(field, low, high, from, to)
}

// plotSpan is what a price was in the time of a column.
type plotSpan struct {
	known                  bool
	enter, exit, low, high float64
}

func (p plotting) spans(steps []plotStep, from, to time.Time) []plotSpan {
	out := make([]plotSpan, p.cols)
	// In milliseconds, so that centuries times columns fit.
	length, cols := to.Sub(from).Milliseconds(), int64(p.cols)
	if length <= 0 {
		return out
	}
	for i, s := range steps {
		begin, end := max(s.at.Sub(from).Milliseconds(), 0), length
		if i+1 < len(steps) {
			end = min(steps[i+1].at.Sub(from).Milliseconds(), length)
		}
		if s.gone || begin >= end {
			continue
		}
		for x := begin * cols / length; x <= (end*cols-1)/length; x++ {
			c := &out[x]
			if !c.known {
				*c = plotSpan{true, s.price, s.price, s.price, s.price}
			}
			c.exit, c.low, c.high = s.price, min(c.low, s.price), max(c.high, s.price)
		}
	}
	return out
}

// stroke draws a column: the line comes in at one row, goes out at another and reaches
// from top to bottom.
func stroke(field [][]rune, x, in, out, top, bottom int) {
	top, bottom = min(top, in, out), max(bottom, in, out)
	for y := top; y <= bottom; y++ {
		const up, down, left, right = 1, 2, 4, 8
		arms := 0
		if y > top {
			arms |= up
		}
		if y < bottom {
			arms |= down
		}
		if y == in {
			arms |= left
		}
		if y == out {
			arms |= right
		}
		field[y][x] = map[int]rune{
			up: '│', down: '│', up | down: '│', left | right: '─', down | left: '╮', up | left: '╯', down | right: '╭', up | right: '╰',
			up | down | left: '┤', up | down | right: '├', up | left | right: '┴', down | left | right: '┬', up | down | left | right: '┼',
		}[arms]
	}
}

// framed puts the axes around a field, with the prices at its top, middle and bottom and
// the times at its ends and middle.
func (p plotting) framed(field [][]rune, low, high float64, from, to time.Time) string {
	last := len(field) - 1
	decimals := 2
	if step := (high - low) / 10; step > 0 {
		decimals = max(2, min(9, int(math.Ceil(-math.Log10(step)))))
	} else if high > 0 && high < 0.1 {
		decimals = min(9, 2-int(math.Floor(math.Log10(high))))
	}
	labels, width := map[int]string{}, 0
	for _, y := range []int{0, last / 2, last} {
		at := high
		if last > 0 {
			at = high - (high-low)*float64(y)/float64(last)
		}
		labels[y] = fmt.Sprintf("$%.*f", decimals, at)
		width = max(width, len(labels[y]))
	}
	var b strings.Builder
	for y, line := range field {
		axis := "│"
		if labels[y] != "" {
			axis = "┤"
		}
		b.WriteString(strings.TrimRight(fmt.Sprintf("%*s %s%s", width, labels[y], axis, string(line)), " ") + "\n")
	}
	ticks := []rune(strings.Repeat("─", p.cols))
	for _, x := range []int{0, p.cols / 2, p.cols - 1} {
		ticks[x] = '┬'
	}
	fmt.Fprintf(&b, "%*s └%s\n%*s  %s\n", width, "", string(ticks), width, "", p.times(from, to))
	if p.ascii {
		return strings.Map(plain, b.String())
	}
	return b.String()
}

// times are the labels below the axis: when the field begins, its middle and its end.
func (p plotting) times(from, to time.Time) string {
	layout := time.DateOnly
	if to.Sub(from) < 4*24*time.Hour {
		layout = "Jan _2 15:04"
	}
	line := []rune(strings.Repeat(" ", p.cols))
	for i, t := range []time.Time{from, from.Add(to.Sub(from) / 2), to} {
		label := []rune(t.UTC().Format(layout))
		at := i * (p.cols - len(label)) / 2
		copy(line[max(at, 0):], label)
	}
	return string(line)
}

// plain gives the ASCII for a rune of a plot.
func plain(r rune) rune {
	switch {
	case r == '─':
		return '-'
	case r == '│':
		return '|'
	case r >= utf8.RuneSelf:
		return '+'
	}
	return r
}
